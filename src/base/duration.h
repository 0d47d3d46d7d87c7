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
// decimal part when it is exact in milliseconds ("1.5h", not "0.5ms"). The
// unit is never left out. Or ISO 8601 in weeks, days, hours, minutes and seconds
// ("PT15M", "P2DT3H"), whose smallest part may have decimals; parts of a
// millisecond are rounded up there. On error the message is what was expected.
[[nodiscard]] absl::StatusOr<int64_t> ParseDuration(std::string_view text);
// As ParseDuration, with a sign before it ("-72h", "+90s", "-PT15M") or, as Java
// writes it, before each part of ISO 8601 ("PT-1H-30M").
[[nodiscard]] absl::StatusOr<int64_t> ParseSignedDuration(std::string_view text);
// The shortest exact form in h, m, s and ms ("168h", "1h30m", "50ms", "0s");
// ParseDuration reads it back. REQUIRED: ms >= 0.
[[nodiscard]] std::string FormatDuration(int64_t ms);

// Parses a size in bytes: a whole number, and perhaps one space and a unit:
// B, kB (or KB), MB, GB, TB (powers of 1000), KiB, MiB, GiB, TiB (powers of
// 1024). On error the message is what was expected.
[[nodiscard]] absl::StatusOr<int64_t> ParseBytes(std::string_view text);
// The exact form in the largest unit that divides it ("512MB", "64MiB", "17");
// ParseBytes reads it back. REQUIRED: bytes >= 0.
[[nodiscard]] std::string FormatBytes(int64_t bytes);

}  // namespace expirer
