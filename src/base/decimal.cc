#include "base/decimal.h"

#include <algorithm>

namespace expirer {

char Decimal::Digit(int64_t at) const {
  const auto index = static_cast<size_t>(at);
  if (at < 0 || index >= whole.size() + decimals.size()) return '0';
  return index < whole.size() ? whole[index] : decimals[index - whole.size()];
}

std::string_view TakeDigits(std::string_view* text) {
  const size_t end = std::min(text->find_first_not_of("0123456789"), text->size());
  const std::string_view digits = text->substr(0, end);
  text->remove_prefix(end);
  return digits;
}

std::optional<Decimal> TakeDecimal(std::string_view* text, std::string_view points) {
  Decimal number;
  number.whole = TakeDigits(text);
  if (number.whole.empty()) return std::nullopt;
  if (text->empty() || points.find(text->front()) == points.npos) return number;
  text->remove_prefix(1);
  number.decimals = TakeDigits(text);
  return number.decimals.empty() ? std::nullopt : std::optional(number);
}

std::optional<Decimal> ReadDecimal(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  std::optional<Decimal> number = TakeDecimal(&text);
  if (!number) return std::nullopt;
  number->negative = negative;
  if (text.empty()) return number;
  if (text[0] != 'e' && text[0] != 'E') return std::nullopt;
  text.remove_prefix(1);
  const bool down = text.starts_with('-');
  if (down || text.starts_with('+')) text.remove_prefix(1);
  const std::string_view exponent = TakeDigits(&text);
  if (exponent.empty() || !text.empty()) return std::nullopt;
  for (const char c : exponent)
    number->exponent = std::min<int64_t>(number->exponent * 10 + (c - '0'), INT32_MAX);
  if (down) number->exponent = -number->exponent;
  return number;
}

std::optional<Scaled> Scale(const Decimal& number, int64_t unit) {
  const auto count = static_cast<int64_t>(number.whole.size() + number.decimals.size());
  const int64_t point = static_cast<int64_t>(number.whole.size()) + number.exponent;
  Scaled scaled;
  for (int64_t at = 0; at < point && (at < count || scaled.value > 0); ++at)
    if (__builtin_mul_overflow(scaled.value, int64_t{10}, &scaled.value) ||
        __builtin_add_overflow(scaled.value, number.Digit(at) - '0', &scaled.value))
      return std::nullopt;
  // The fraction, from its last digit on: what is carried stays below the unit.
  int64_t part = 0;
  for (int64_t at = count - 1; at >= point && (at >= 0 || part > 0); --at) {
    part += (number.Digit(at) - '0') * unit;
    scaled.more = scaled.more || part % 10 != 0;
    part /= 10;
  }
  if (__builtin_mul_overflow(scaled.value, unit, &scaled.value) ||
      __builtin_add_overflow(scaled.value, part, &scaled.value))
    return std::nullopt;
  return scaled;
}

}  // namespace expirer
