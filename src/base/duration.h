// Durations and byte sizes as people write them in a config: strict, exact and
// checked for overflow.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace expirer {

// Parses a non-negative duration to milliseconds: numbers with a unit of d, h,
// m, s or ms, from the largest unit to the smallest, each at most once and
// nothing between them ("90s", "168h", "1h30m", "7d"). A number may have a
// decimal part if it is exact in milliseconds ("1.5h", not "0.5ms"). The unit
// must not be left out. ISO 8601 in weeks, days, hours, minutes and seconds is
// also accepted ("PT15M", "P2DT3H"): its smallest part may have decimals, and
// parts of a millisecond are rounded up. An error's message says what was expected.
absl::StatusOr<int64_t> ParseDuration(std::string_view text);
// Like ParseDuration, but a sign may come first ("-72h", "+90s", "-PT15M"), or
// before each part of ISO 8601, as Java writes it ("PT-1H-30M").
absl::StatusOr<int64_t> ParseSignedDuration(std::string_view text);
// The shortest exact form in h, m, s and ms ("168h", "1h30m", "50ms", "0s");
// ParseDuration reads it back, or ParseSignedDuration if it is negative ("-72h").
[[nodiscard]] std::string FormatDuration(int64_t ms);

// Parses a size in bytes: a whole number, then optionally one space, then
// optionally a unit: B, kB (or KB), MB, GB, TB (powers of 1000), KiB, MiB, GiB,
// TiB (powers of 1024). An error's message says what was expected.
absl::StatusOr<int64_t> ParseBytes(std::string_view text);
// The exact form in the largest unit that divides it ("512MB", "64MiB", "17");
// ParseBytes reads it back. REQUIRED: bytes >= 0.
[[nodiscard]] std::string FormatBytes(int64_t bytes);

}  // namespace expirer
