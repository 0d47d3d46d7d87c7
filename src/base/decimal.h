// Reads decimal numbers from text without rounding them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace expirer {

// A number as it is written: views of the text that it was read from.
struct Decimal {
  bool negative = false;
  std::string_view whole = {};     // the digits before the point
  std::string_view decimals = {};  // the digits after it; empty = there is no point
  int64_t exponent = 0;            // a power of ten; at most INT32_MAX either way

  // The digit at `at`, counted from the front over whole and decimals; '0' outside.
  [[nodiscard]] char Digit(int64_t at) const;
};

// Takes the digits at the front of `text`, if any, off it.
[[nodiscard]] std::string_view TakeDigits(std::string_view* text);
// Takes digits, and decimals after one of `points`, off the front of `text`. Empty if
// there are no digits, or none after the point; then `text` is undefined.
[[nodiscard]] std::optional<Decimal> TakeDecimal(std::string_view* text,
                                                 std::string_view points = ".");
// Reads all of `text` as a number of JSON's grammar, which may also begin with zeros
// ("-1.5e3", "007"). Empty if it is none.
[[nodiscard]] std::optional<Decimal> ReadDecimal(std::string_view text);

// A number times a unit, without its sign.
struct Scaled {
  int64_t value = 0;  // rounded down
  bool more = false;  // something was cut off
};
// Exact for any number of digits. Empty if the product is above INT64_MAX. REQUIRED:
// 0 <= unit < 10^17.
[[nodiscard]] std::optional<Scaled> Scale(const Decimal& number, int64_t unit);

}  // namespace expirer
