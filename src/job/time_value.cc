#include "job/time_value.h"

#include <algorithm>
#include <cstddef>
#include <optional>

#include <fmt/format.h>

#include "base/duration.h"
#include "base/rfc3339.h"
#include "job/job.h"
#include "job/template.h"

namespace expirer {
namespace {

// Numbers of ms below this (1973) are seconds (the year 5138).
constexpr int64_t kSecondsBelow = 100'000'000'000;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// A number as JSON writes it.
struct Decimal {
  bool negative = false;
  std::string_view whole;
  std::string_view decimals;
  int64_t exponent = 0;  // far beyond what fits at most

  [[nodiscard]] char Digit(int64_t at) const {
    const auto index = static_cast<size_t>(at);
    if (at < 0 || index >= whole.size() + decimals.size()) return '0';
    return index < whole.size() ? whole[index] : decimals[index - whole.size()];
  }
  [[nodiscard]] int64_t digits() const {
    return static_cast<int64_t>(whole.size() + decimals.size());
  }
};

std::string_view TakeDigits(std::string_view* text) {
  size_t count = 0;
  while (count < text->size() && IsDigit((*text)[count])) ++count;
  const std::string_view digits = text->substr(0, count);
  text->remove_prefix(count);
  return digits;
}

std::optional<Decimal> ReadDecimal(std::string_view text) {
  Decimal number;
  number.negative = text.starts_with('-');
  if (number.negative) text.remove_prefix(1);
  number.whole = TakeDigits(&text);
  if (number.whole.empty()) return std::nullopt;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    number.decimals = TakeDigits(&text);
    if (number.decimals.empty()) return std::nullopt;
  }
  if (text.empty()) return number;
  if (text[0] != 'e' && text[0] != 'E') return std::nullopt;
  text.remove_prefix(1);
  const bool down = text.starts_with('-');
  if (down || text.starts_with('+')) text.remove_prefix(1);
  const std::string_view exponent = TakeDigits(&text);
  if (exponent.empty() || !text.empty()) return std::nullopt;
  for (const char c : exponent)
    number.exponent = std::min<int64_t>(number.exponent * 10 + (c - '0'), INT32_MAX);
  if (down) number.exponent = -number.exponent;
  return number;
}

struct Scaled {
  int64_t ms = 0;   // rounded down; INT64_MAX where it does not fit
  bool up = false;  // there is a part of one more
};

// The number without its sign, times `unit_ms`.
Scaled Scale(const Decimal& number, int64_t unit_ms) {
  const int64_t digits = number.digits();
  int64_t first = 0;
  while (first < digits && number.Digit(first) == '0') ++first;
  if (first == digits) return {};
  const int64_t point = static_cast<int64_t>(number.whole.size()) + number.exponent;
  Scaled scaled;
  for (int64_t at = first; at < point; ++at)
    if (__builtin_mul_overflow(scaled.ms, int64_t{10}, &scaled.ms) ||
        __builtin_add_overflow(scaled.ms, int64_t{number.Digit(at) - '0'}, &scaled.ms))
      return {INT64_MAX, false};
  if (__builtin_mul_overflow(scaled.ms, unit_ms, &scaled.ms)) return {INT64_MAX, false};
  int64_t at = point;
  for (int64_t place = unit_ms / 10; place > 0; place /= 10, ++at)
    if (__builtin_add_overflow(scaled.ms, place * (number.Digit(at) - '0'), &scaled.ms))
      return {INT64_MAX, false};
  for (at = std::max(at, first); at < digits && !scaled.up; ++at)
    scaled.up = number.Digit(at) != '0';
  return scaled;
}

// How numbers are counted.
std::string_view UnitName(int64_t unit_ms) { return unit_ms == 1 ? "ms" : "seconds"; }

// A number for an error message.
std::string Shown(std::string_view number) {
  return number.size() <= 32 ? std::string(number) : Quote(number);
}

absl::StatusOr<int64_t> DueFromNumber(const Decimal& number, std::string_view text,
                                      int64_t unit_ms) {
  const auto [ms, up] = Scale(number, unit_ms);
  const bool negative = number.negative && (ms > 0 || up);
  if (negative || ms == INT64_MAX)
    return Invalid(fmt::format("{} is outside 1970 to 9999", Shown(text)));
  // Before a part was rounded up.
  if (unit_ms == 1 && ms < kSecondsBelow)
    return Invalid(
        fmt::format("{} looks like seconds, expected ms or unit: s", Shown(text)));
  if (unit_ms > 1 && ms > kDueMaxMs)
    return Invalid(fmt::format("{} is outside 1970 to 9999 in seconds, it looks like ms",
                               Shown(text)));
  return up ? ms + 1 : ms;
}

absl::StatusOr<int64_t> DueFromText(std::string_view text, int64_t unit_ms) {
  if (const std::optional<Decimal> number = ReadDecimal(text))
    return DueFromNumber(*number, text, unit_ms);
  absl::StatusOr<int64_t> ms = ParseRfc3339(text);
  if (ms.ok()) return ms;
  return Invalid(fmt::format("expected an RFC 3339 time or a number of {}, found {}: {}",
                             UnitName(unit_ms), Quote(text), Message(ms.status())));
}

absl::StatusOr<int64_t> DelayFromText(std::string_view text, int64_t unit_ms) {
  if (const std::optional<Decimal> number = ReadDecimal(text)) {
    const auto [ms, up] = Scale(*number, unit_ms);
    if (number->negative) return 0;
    if (ms == INT64_MAX)
      return Invalid(
          fmt::format("{} is too long, expected a delay that ends before the year 10000",
                      Shown(text)));
    return up ? ms + 1 : ms;
  }
  const absl::StatusOr<int64_t> ms = ParseSignedDuration(text);
  if (ms.ok()) return std::max<int64_t>(*ms, 0);
  const std::string expected = Message(ms.status());
  const bool plain = expected.ends_with("or PT15M");
  return Invalid(fmt::format(
      "{}{}, found {}", expected,
      plain ? fmt::format(", or a number of {}", UnitName(unit_ms)) : "", Quote(text)));
}

}  // namespace

absl::StatusOr<int64_t> DueMs(const JsonValue& value, int64_t unit_ms,
                              std::string* scratch) {
  if (value.kind == JsonValue::Kind::kNumber) return DueFromText(value.raw, unit_ms);
  if (value.kind != JsonValue::Kind::kString) {
    return Invalid(fmt::format("it is {}, expected an RFC 3339 time or a number of {}",
                               Name(value.kind), UnitName(unit_ms)));
  }
  ASSIGN_OR_RETURN(const std::string_view text, JsonText(value, scratch));
  return DueFromText(text, unit_ms);
}

absl::StatusOr<int64_t> DueMs(std::string_view text, int64_t unit_ms) {
  return DueFromText(text, unit_ms);
}

absl::StatusOr<int64_t> DelayMs(const JsonValue& value, int64_t unit_ms,
                                std::string* scratch) {
  if (value.kind == JsonValue::Kind::kNumber) return DelayFromText(value.raw, unit_ms);
  if (value.kind != JsonValue::Kind::kString) {
    return Invalid(fmt::format("it is {}, expected a duration or a number of {}",
                               Name(value.kind), UnitName(unit_ms)));
  }
  ASSIGN_OR_RETURN(const std::string_view text, JsonText(value, scratch));
  return DelayFromText(text, unit_ms);
}

absl::StatusOr<int64_t> DelayMs(std::string_view text, int64_t unit_ms) {
  return DelayFromText(text, unit_ms);
}

}  // namespace expirer
