// RFC 3339 times to and from milliseconds since 1970-01-01T00:00:00Z. Written
// by hand because absl::ParseTime is lenient (infinite-future, spaces, year
// 99999) and ten times slower.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace expirer {

// Parses a full RFC 3339 date-time with any offset: `T` or `t`, `Z` or `z` or
// `+hh:mm`, and a fraction of any length, which is rounded UP to the next
// millisecond, so that nothing due is ever early. Only real calendar dates; no
// spaces; no trailing bytes. Second 60 is taken only where leap seconds happen
// (23:59:60 UTC on June 30 or December 31) and names the second after it.
//
// Years are 0000 to 9999; the result may lie before 1970 or, by its offset or
// by rounding, after 9999: the caller checks its own range. An error's message
// is only the reason ("there is no such day"); the caller adds what it read.
// Never allocates on success.
absl::StatusOr<int64_t> ParseRfc3339(std::string_view text);

// Like ParseRfc3339, but exact, in nanoseconds: for traces, which have
// JetStream's times. Years 1970 to 2261; a finer fraction is an error.
absl::StatusOr<int64_t> ParseRfc3339Ns(std::string_view text);

// "2026-11-22T17:48:44.123Z". Years outside 0000-9999 keep all their digits,
// and ParseRfc3339 does not read them back.
[[nodiscard]] std::string FormatRfc3339Ms(int64_t ms);

// "2026-11-22T17:48:44.123456789Z": nine digits, for traces.
[[nodiscard]] std::string FormatRfc3339Ns(int64_t ns);

}  // namespace expirer
