#include "base/duration.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <span>

#include <fmt/format.h>

#include "base/check.h"
#include "base/decimal.h"

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

// The same for what follows the P of ISO 8601. 0: of no fixed length.
constexpr Unit kIsoTimes[] = {{"Y", 0},          {"M", 0},          {"W", 604'800'000},
                              {"D", 86'400'000}, {"TH", 3'600'000}, {"TM", 60'000},
                              {"TS", 1'000}};

absl::Status BadDuration() {
  return Invalid("expected a duration such as 90s, 15m, 1h30m or PT15M");
}
absl::Status BadBytes() {
  return Invalid("expected a size such as 512MB, 64MiB or 1048576");
}
absl::Status TooLong() { return Invalid("expected a duration below 292 million years"); }

// The unit called `name` among `units`; the end of them if there is none.
const Unit* Find(std::span<const Unit> units, std::string_view name) {
  return std::find_if(units.data(), units.data() + units.size(),
                      [name](const Unit& unit) { return unit.name == name; });
}

// What follows the P of an ISO 8601 duration.
absl::StatusOr<int64_t> ParseIso(std::string_view text) {
  int64_t total = 0;
  bool time = false;
  bool last = false;  // decimals end it
  bool varies = false;
  std::optional<bool> negative;
  const Unit* allowed = kIsoTimes;  // this one and those after it
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
    const std::optional<Decimal> number = TakeDecimal(&text, ".,");
    if (!number || text.empty()) return BadDuration();
    last = !number->decimals.empty();
    const Unit* const unit =
        Find({allowed, std::end(kIsoTimes)}, (time ? "T" : "") + std::string(1, text[0]));
    if (unit == std::end(kIsoTimes)) return BadDuration();
    text.remove_prefix(1);
    allowed = unit + 1;
    varies = varies || unit->size == 0;
    const std::optional<Scaled> part = Scale(*number, unit->size);
    if (!part || __builtin_add_overflow(total, part->value, &total) ||
        __builtin_add_overflow(total, part->more ? 1 : 0, &total))
      return TooLong();
  }
  if (allowed == kIsoTimes) return BadDuration();
  if (varies)
    return Invalid(
        "expected a duration in weeks, days, hours, minutes and seconds (years and "
        "months have no fixed length)");
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
  const Unit* allowed = kTimes;  // this one and those after it
  while (!text.empty()) {
    const std::optional<Decimal> number = TakeDecimal(&text);
    const size_t letters = std::min(text.find_first_of("0123456789.,- "), text.size());
    const Unit* const unit = Find({allowed, std::end(kTimes)}, text.substr(0, letters));
    if (!number || unit == std::end(kTimes)) return BadDuration();
    text.remove_prefix(letters);
    allowed = unit + 1;
    const std::optional<Scaled> part = Scale(*number, unit->size);
    if (part && part->more) return Invalid("expected a whole number of milliseconds");
    if (!part || __builtin_add_overflow(total, part->value, &total)) return TooLong();
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
  const std::string_view digits = TakeDigits(&text);
  if (digits.empty()) return BadBytes();
  if (text.starts_with(' ') && text.size() > 1) text.remove_prefix(1);
  const Unit* const unit = Find(kSizes, text.empty() ? "B" : text);
  if (unit == std::end(kSizes)) return BadBytes();
  const std::optional<Scaled> bytes = Scale({.whole = digits}, unit->size);
  if (!bytes) return Invalid("expected a size below 8 EiB");
  return bytes->value;
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
