// Due times and delays as events write them: RFC 3339 texts, durations, and
// numbers in a unit that the rule names.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "json/value.h"

namespace expirer {

// Each returns milliseconds, parts of one rounded up: never early. `unit_ms`
// is what a number counts: 1 or 1000. On error the message says what it is
// instead; whether a due time lies before 9999 is the caller's to judge.

// A number ("1800000000000", "1.8E12"), which may stand in a string, or a string
// of RFC 3339 with a time. A number of ms below 10^11 (March 1973) is rejected as
// one of seconds.
[[nodiscard]] absl::StatusOr<int64_t> DueMs(const JsonValue& value, int64_t unit_ms,
                                            std::string* scratch);
// Of a header: a number or RFC 3339.
[[nodiscard]] absl::StatusOr<int64_t> DueMs(std::string_view text, int64_t unit_ms);
// A number, which may stand in a string, or a string with a duration ("15m",
// "PT15M"). A negative one means now: 0.
[[nodiscard]] absl::StatusOr<int64_t> DelayMs(const JsonValue& value, int64_t unit_ms,
                                              std::string* scratch);
// Of a header: a number or a duration.
[[nodiscard]] absl::StatusOr<int64_t> DelayMs(std::string_view text, int64_t unit_ms);

}  // namespace expirer
