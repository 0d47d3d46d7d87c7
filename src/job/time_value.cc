#include "job/time_value.h"

#include <algorithm>
#include <charconv>

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

bool LooksLikeNumber(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789.-") == text.npos;
}

// A number in plain digits, times `unit_ms`, rounded up.
absl::StatusOr<int64_t> Scaled(std::string_view text, int64_t unit_ms,
                               std::string_view range) {
  if (text.find_first_of("eE") != text.npos)
    return Invalid(Quote(text) + " is not in plain digits");
  const std::string_view whole = text.substr(0, text.find('.'));
  const bool has_point = whole.size() != text.size();
  const std::string_view decimals =
      has_point ? text.substr(whole.size() + 1) : std::string_view();
  if (!std::all_of(decimals.begin(), decimals.end(), IsDigit) ||
      (decimals.empty() && has_point)) {
    return Invalid(Quote(text) + " is not a number");
  }
  int64_t ms = 0;
  const char* const end = whole.data() + whole.size();
  const auto [stop, error] = std::from_chars(whole.data(), end, ms);
  const bool fits = error == std::errc() && stop == end && !whole.starts_with('-') &&
                    !__builtin_mul_overflow(ms, unit_ms, &ms);
  if (!fits) return Invalid(fmt::format("{} is outside {}", Quote(text), range));
  int64_t place = unit_ms / 10;  // what a digit at this place counts
  bool up = false;
  for (const char c : decimals) {
    up = up || (place == 0 && c != '0');
    if (ms <= INT64_MAX - unit_ms) ms += place * (c - '0');
    place /= 10;
  }
  return up && ms < INT64_MAX ? ms + 1 : ms;
}

absl::StatusOr<int64_t> DueFromNumber(std::string_view text, int64_t unit_ms) {
  ASSIGN_OR_RETURN(const int64_t ms, Scaled(text, unit_ms, "1970 to 9999"));
  // By the digits too, before a part was rounded up.
  const bool short_of = ms < kSecondsBelow || text.substr(0, text.find('.')).size() < 12;
  if (unit_ms == 1 && short_of)
    return Invalid(fmt::format("{} looks like seconds, expected ms or unit: s", text));
  if (unit_ms > 1 && ms > kDueMaxMs)
    return Invalid(
        fmt::format("{} is outside 1970 to 9999 in seconds, it looks like ms", text));
  return ms;
}

absl::StatusOr<int64_t> DueFromText(std::string_view text) {
  absl::StatusOr<int64_t> ms = ParseRfc3339(text);
  if (ms.ok()) return ms;
  return Invalid(
      fmt::format("{} is not an RFC 3339 time: {}", Quote(text), Message(ms.status())));
}

constexpr std::string_view kDelayRange = "0 to 292 million years";

absl::StatusOr<int64_t> DelayFromText(std::string_view text) {
  absl::StatusOr<int64_t> ms = ParseDuration(text);
  if (ms.ok()) return ms;
  return Invalid(fmt::format("{}, found {}", Message(ms.status()), Quote(text)));
}

}  // namespace

absl::StatusOr<int64_t> DueMs(const JsonValue& value, int64_t unit_ms,
                              std::string* scratch) {
  if (value.kind == JsonValue::Kind::kNumber) return DueFromNumber(value.raw, unit_ms);
  if (value.kind != JsonValue::Kind::kString) {
    return Invalid(fmt::format("it is {}, expected an RFC 3339 time or a number of {}",
                               Name(value.kind), unit_ms == 1 ? "ms" : "seconds"));
  }
  ASSIGN_OR_RETURN(const std::string_view text, JsonText(value, scratch));
  return DueFromText(text);
}

absl::StatusOr<int64_t> DueMs(std::string_view text, int64_t unit_ms) {
  return LooksLikeNumber(text) ? DueFromNumber(text, unit_ms) : DueFromText(text);
}

absl::StatusOr<int64_t> DelayMs(const JsonValue& value, int64_t unit_ms,
                                std::string* scratch) {
  if (value.kind == JsonValue::Kind::kNumber)
    return Scaled(value.raw, unit_ms, kDelayRange);
  if (value.kind != JsonValue::Kind::kString) {
    return Invalid(fmt::format("it is {}, expected a duration or a number of {}",
                               Name(value.kind), unit_ms == 1 ? "ms" : "seconds"));
  }
  ASSIGN_OR_RETURN(const std::string_view text, JsonText(value, scratch));
  return DelayFromText(text);
}

absl::StatusOr<int64_t> DelayMs(std::string_view text, int64_t unit_ms) {
  return LooksLikeNumber(text) ? Scaled(text, unit_ms, kDelayRange) : DelayFromText(text);
}

}  // namespace expirer
