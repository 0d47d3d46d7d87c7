// Reads due times and delays from events: RFC 3339 texts, durations, and numbers in
// the unit that the rule names.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/status.h"

namespace expirer {

// Each returns milliseconds, rounded up so as not to be early. `unit_ms` is the unit
// of a number, 1 or 1000. An error's message says what the value is. The caller checks
// whether a due time lies before 9999.

// A number ("1800000000000", "1.8E12") or an RFC 3339 time. A number below 10^11 ms
// (March 1973) is rejected, because it is probably in seconds.
absl::StatusOr<int64_t> DueMs(std::string_view text, int64_t unit_ms);
// A number or a duration ("15m", "PT15M"). Negative ones become 0: now.
absl::StatusOr<int64_t> DelayMs(std::string_view text, int64_t unit_ms);

// For error messages: the forms that DueMs and DelayMs read.
[[nodiscard]] std::string_view DueForm(int64_t unit_ms);
[[nodiscard]] std::string_view DelayForm(int64_t unit_ms);

}  // namespace expirer
