#include "job/time_value.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "base/decimal.h"
#include "base/duration.h"
#include "base/rfc3339.h"
#include "job/job.h"
#include "job/template.h"

namespace expirer {
namespace {

// Numbers of ms below this (1973) are seconds (the year 5138).
constexpr int64_t kSecondsBelow = 100'000'000'000;

// The number in ms without its sign; INT64_MAX if it is too large.
Scaled ToMs(const Decimal& number, int64_t unit_ms) {
  return Scale(number, unit_ms).value_or(Scaled{INT64_MAX, false});
}

// A number for an error message.
std::string Shown(std::string_view number) {
  return number.size() <= 32 ? std::string(number) : Quote(number);
}

absl::StatusOr<int64_t> DueFromNumber(const Decimal& number, std::string_view text,
                                      int64_t unit_ms) {
  const auto [ms, up] = ToMs(number, unit_ms);
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

}  // namespace

std::string_view DueForm(int64_t unit_ms) {
  return unit_ms == 1 ? "an RFC 3339 time or a number of ms"
                      : "an RFC 3339 time or a number of seconds";
}

std::string_view DelayForm(int64_t unit_ms) {
  return unit_ms == 1 ? "a duration or a number of ms"
                      : "a duration or a number of seconds";
}

absl::StatusOr<int64_t> DueMs(std::string_view text, int64_t unit_ms) {
  if (const std::optional<Decimal> number = ReadDecimal(text))
    return DueFromNumber(*number, text, unit_ms);
  absl::StatusOr<int64_t> ms = ParseRfc3339(text);
  if (ms.ok()) return ms;
  return Invalid(fmt::format("expected {}, found {}: {}", DueForm(unit_ms), Quote(text),
                             Message(ms.status())));
}

absl::StatusOr<int64_t> DelayMs(std::string_view text, int64_t unit_ms) {
  if (const std::optional<Decimal> number = ReadDecimal(text)) {
    const auto [ms, up] = ToMs(*number, unit_ms);
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
  return Invalid(fmt::format("{}{}, found {}", expected,
                             !plain         ? ""
                             : unit_ms == 1 ? ", or a number of ms"
                                            : ", or a number of seconds",
                             Quote(text)));
}

}  // namespace expirer
