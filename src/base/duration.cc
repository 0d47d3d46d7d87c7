#include "base/duration.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <optional>

#include <fmt/format.h>

#include "base/check.h"

namespace expirer {
namespace {

struct Unit {
  std::string_view name;
  int64_t size;
};

// From the largest to the smallest: the order in which a duration names them.
constexpr Unit kTimes[] = {
    {"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1}};
constexpr Unit kSizes[] = {{"TiB", int64_t{1} << 40},
                           {"TB", 1'000'000'000'000},
                           {"GiB", int64_t{1} << 30},
                           {"GB", 1'000'000'000},
                           {"MiB", int64_t{1} << 20},
                           {"MB", 1'000'000},
                           {"KiB", int64_t{1} << 10},
                           {"kB", 1'000},
                           {"KB", 1'000},
                           {"B", 1}};

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

absl::Status BadDuration() {
  return Invalid("expected a duration such as 90s, 15m, 1h30m or PT15M");
}
absl::Status BadBytes() {
  return Invalid("expected a size such as 512MB, 64MiB or 1048576");
}

// Takes the leading run of bytes for which `is` holds off `rest`.
std::string_view TakeWhile(std::string_view* rest, bool (*is)(char)) {
  size_t count = 0;
  while (count < rest->size() && is((*rest)[count])) ++count;
  const std::string_view taken = rest->substr(0, count);
  rest->remove_prefix(count);
  return taken;
}

// `digits` times `size`, or nothing when it does not fit.
std::optional<int64_t> Scale(std::string_view digits, int64_t size) {
  int64_t value = 0;
  for (char c : digits) {
    if (__builtin_mul_overflow(value, int64_t{10}, &value)) return std::nullopt;
    if (__builtin_add_overflow(value, int64_t{c - '0'}, &value)) return std::nullopt;
  }
  if (__builtin_mul_overflow(value, size, &value)) return std::nullopt;
  return value;
}

// The decimal part 0.`digits` of `size` milliseconds, or nothing when that is
// not a whole number of them.
std::optional<int64_t> Part(std::string_view digits, int64_t size) {
  while (!digits.empty() && digits.back() == '0') digits.remove_suffix(1);
  // A day has ten factors of two in it: no eleventh decimal can be exact. And
  // 10^10 x 86,400,000 still fits.
  if (digits.size() > 10) return std::nullopt;
  int64_t numerator = 0;
  int64_t denominator = 1;
  for (char c : digits) {
    numerator = numerator * 10 + (c - '0');
    denominator *= 10;
  }
  if (numerator * size % denominator != 0) return std::nullopt;
  return numerator * size / denominator;
}

absl::Status TooLong() { return Invalid("expected a duration below 292 million years"); }

struct IsoUnit {
  char name;
  bool time;     // stands after the T
  int64_t size;  // 0: of no fixed length
};
constexpr IsoUnit kIsoUnits[] = {{'Y', false, 0},           {'M', false, 0},
                                 {'W', false, 604'800'000}, {'D', false, 86'400'000},
                                 {'H', true, 3'600'000},    {'M', true, 60'000},
                                 {'S', true, 1'000}};

// The decimal part 0.`digits` of `size` milliseconds, rounded up.
int64_t PartRoundedUp(std::string_view digits, int64_t size) {
  int64_t numerator = 0;
  int64_t denominator = 1;
  for (size_t i = 0; i < digits.size() && i < 10; ++i) {
    numerator = numerator * 10 + (digits[i] - '0');
    denominator *= 10;
  }
  const bool rest =
      digits.substr(std::min<size_t>(digits.size(), 10)).find_first_not_of('0') !=
      digits.npos;
  const int64_t product = numerator * size;  // below 10^10 x a week of ms
  return product / denominator + (product % denominator != 0 || rest ? 1 : 0);
}

// What follows the P of an ISO 8601 duration.
absl::StatusOr<int64_t> ParseIso(std::string_view text) {
  int64_t total = 0;
  bool time = false;
  bool last = false;  // decimals end it
  bool varies = false;
  std::optional<bool> negative;
  size_t smallest = 0;  // units from here on are still allowed
  while (!text.empty()) {
    if (text[0] == 'T' && !time) {
      time = true;
      text.remove_prefix(1);
      if (text.empty()) return BadDuration();
    }
    const bool minus = text[0] == '-';
    if (last || (negative && *negative != minus)) return BadDuration();
    negative = minus;
    if (minus) text.remove_prefix(1);
    const std::string_view whole = TakeWhile(&text, IsDigit);
    std::string_view decimals;
    if (!text.empty() && (text[0] == '.' || text[0] == ',')) {
      text.remove_prefix(1);
      decimals = TakeWhile(&text, IsDigit);
      last = true;
      if (decimals.empty()) return BadDuration();
    }
    size_t unit = smallest;
    while (
        unit < std::size(kIsoUnits) &&
        (text.empty() || kIsoUnits[unit].name != text[0] || kIsoUnits[unit].time != time))
      ++unit;
    if (whole.empty() || unit == std::size(kIsoUnits)) return BadDuration();
    text.remove_prefix(1);
    smallest = unit + 1;
    const int64_t size = kIsoUnits[unit].size;
    varies = varies || size == 0;
    const std::optional<int64_t> scaled = Scale(whole, size);
    if (!scaled || __builtin_add_overflow(total, *scaled, &total) ||
        __builtin_add_overflow(total, PartRoundedUp(decimals, size), &total))
      return TooLong();
  }
  if (smallest == 0) return BadDuration();
  if (varies)
    return Invalid(
        "expected a duration in weeks, days, hours, minutes and seconds (years and "
        "months "
        "have no fixed length)");
  return *negative ? -total : total;
}

}  // namespace

absl::StatusOr<int64_t> ParseSignedDuration(std::string_view text) {
  const bool negative = text.starts_with('-');
  const bool has_sign = negative || text.starts_with('+');
  if (has_sign) text.remove_prefix(1);
  if (!has_sign && text.starts_with('P')) return ParseIso(text.substr(1));
  ASSIGN_OR_RETURN(const int64_t ms, ParseDuration(text));
  return negative ? -ms : ms;
}

absl::StatusOr<int64_t> ParseDuration(std::string_view text) {
  if (text.starts_with('P')) {
    if (text.find('-') != text.npos) return BadDuration();
    return ParseIso(text.substr(1));
  }
  if (text.empty()) return BadDuration();
  int64_t total = 0;
  size_t smallest = 0;  // units from here on are still allowed
  while (!text.empty()) {
    const std::string_view whole = TakeWhile(&text, IsDigit);
    std::string_view decimals;
    if (!text.empty() && text[0] == '.') {
      text.remove_prefix(1);
      decimals = TakeWhile(&text, IsDigit);
      if (decimals.empty()) return BadDuration();
    }
    const std::string_view name = TakeWhile(&text, IsLetter);
    size_t unit = smallest;
    while (unit < std::size(kTimes) && kTimes[unit].name != name) ++unit;
    if (whole.empty() || unit == std::size(kTimes)) return BadDuration();
    smallest = unit + 1;
    const std::optional<int64_t> scaled = Scale(whole, kTimes[unit].size);
    const std::optional<int64_t> part = Part(decimals, kTimes[unit].size);
    if (!part) return Invalid("expected a whole number of milliseconds");
    if (!scaled || __builtin_add_overflow(total, *scaled, &total) ||
        __builtin_add_overflow(total, *part, &total)) {
      return TooLong();
    }
  }
  return total;
}

std::string FormatDuration(int64_t ms) {
  if (ms == 0) return "0s";
  if (ms < 0) return "-" + FormatDuration(-ms);
  std::string out;
  for (const Unit& unit : kTimes) {
    // Days are read but never written: the hours of a week are `168h`.
    if (unit.name == "d" || ms < unit.size) continue;
    out += fmt::format("{}{}", ms / unit.size, unit.name);
    ms %= unit.size;
  }
  return out;
}

absl::StatusOr<int64_t> ParseBytes(std::string_view text) {
  const std::string_view digits = TakeWhile(&text, IsDigit);
  if (digits.empty()) return BadBytes();
  int64_t size = 1;
  if (!text.empty()) {
    if (text[0] == ' ') text.remove_prefix(1);
    size_t unit = 0;
    while (unit < std::size(kSizes) && kSizes[unit].name != text) ++unit;
    if (unit == std::size(kSizes)) return BadBytes();
    size = kSizes[unit].size;
  }
  const std::optional<int64_t> bytes = Scale(digits, size);
  if (!bytes) return Invalid("expected a size below 8 EiB");
  return *bytes;
}

std::string FormatBytes(int64_t bytes) {
  CHECK(bytes >= 0);
  for (const Unit& unit : kSizes) {
    if (bytes == 0 || unit.size == 1) break;
    if (bytes % unit.size == 0) return fmt::format("{}{}", bytes / unit.size, unit.name);
  }
  return fmt::format("{}", bytes);
}

}  // namespace expirer
