#include "base/rfc3339.h"

#include <chrono>
#include <cstddef>
#include <utility>

#include <fmt/format.h>

#include "base/clock.h"

namespace expirer {
namespace {

constexpr int64_t kDayMs = 86'400'000;
constexpr int64_t kMinuteMs = 60'000;
constexpr int64_t kNsEndMs = 9'214'646'400'000;  // 2262-01-01; 2^63 ns end that April

// Why a text is no time; null if it is one.
using Fault = const char*;

using std::chrono::days;
using std::chrono::sys_days;
using std::chrono::year_month_day;

unsigned Digit(char c) { return static_cast<unsigned char>(c) - unsigned{'0'}; }

// Two digits as a number, or a value above 99 when either is no digit.
unsigned Two(const char* at) {
  const unsigned tens = Digit(at[0]);
  const unsigned ones = Digit(at[1]);
  return tens > 9 || ones > 9 ? 1000 : tens * 10 + ones;
}

// What stands after the point of the seconds.
struct Fraction {
  int64_t ns = 0;
  bool rest = false;  // and something finer than that
};

// Reads ".digits" at `*at`, if it stands there.
Fault ReadFraction(std::string_view text, size_t* at, Fraction* fraction) {
  *fraction = {};
  if (*at >= text.size() || text[*at] != '.') return nullptr;
  const size_t first = ++*at;
  int64_t scale = 100'000'000;
  for (; *at < text.size() && Digit(text[*at]) <= 9; ++*at) {
    fraction->ns += scale * static_cast<int64_t>(Digit(text[*at]));
    if (scale == 0 && text[*at] != '0') fraction->rest = true;
    scale /= 10;
  }
  return *at == first ? "expected digits after the point" : nullptr;
}

// Reads the offset, which must be the rest of the text, as minutes.
Fault ReadOffset(std::string_view rest, int64_t* minutes) {
  *minutes = 0;
  if (rest.empty()) return "expected an offset, Z or +hh:mm";
  if (rest[0] == 'Z' || rest[0] == 'z')
    return rest.size() == 1 ? nullptr : "there are bytes after the offset";
  if ((rest[0] != '+' && rest[0] != '-') || rest.size() < 6 || rest[3] != ':')
    return "expected an offset, Z or +hh:mm";
  const unsigned hour = Two(rest.data() + 1);
  const unsigned minute = Two(rest.data() + 4);
  if (hour > 23 || minute > 59) return "expected an offset, Z or +hh:mm";
  if (rest.size() > 6) return "there are bytes after the offset";
  *minutes = hour * 60 + minute;
  if (rest[0] == '-') *minutes = -*minutes;
  return nullptr;
}

// True when `ms`, the start of a minute after a second 60, is the midnight
// after June 30 or December 31.
bool EndsLeapMonth(int64_t ms) {
  const year_month_day date{sys_days{days{ms / kDayMs}}};
  return ms % kDayMs == 0 && date.day() == std::chrono::day(1) &&
         (date.month() == std::chrono::January || date.month() == std::chrono::July);
}

// The whole seconds, in milliseconds, and what is left.
Fault Parse(std::string_view text, int64_t* ms, Fraction* fraction) {
  if (text.size() < 20) return "it is too short for a date and a time with an offset";
  const char* s = text.data();
  const unsigned century = Two(s), decade = Two(s + 2);
  const unsigned month = Two(s + 5), day = Two(s + 8);
  const unsigned hour = Two(s + 11), minute = Two(s + 14), second = Two(s + 17);
  const bool digits = century < 100 && decade < 100 && month < 100 && day < 100 &&
                      hour < 100 && minute < 100 && second < 100;
  if (!digits || s[4] != '-' || s[7] != '-' || (s[10] != 'T' && s[10] != 't') ||
      s[13] != ':' || s[16] != ':') {
    return "expected YYYY-MM-DDThh:mm:ss";
  }
  const year_month_day date(std::chrono::year(static_cast<int>(century * 100 + decade)),
                            std::chrono::month(month), std::chrono::day(day));
  if (!date.month().ok()) return "the month is outside 01-12";
  if (!date.ok()) return "there is no such day";
  if (hour > 23) return "the hour is outside 00-23";
  if (minute > 59) return "the minute is outside 00-59";
  if (second > 60) return "the second is outside 00-59";
  size_t at = 19;
  int64_t offset_minutes = 0;
  if (const Fault fault = ReadFraction(text, &at, fraction)) return fault;
  if (const Fault fault = ReadOffset(text.substr(at), &offset_minutes)) return fault;
  const int64_t whole_ms = sys_days(date).time_since_epoch().count() * kDayMs +
                           (hour * 60 + minute - offset_minutes) * kMinuteMs +
                           int64_t{second} * 1000;
  if (second == 60 && !EndsLeapMonth(whole_ms)) return "the second is outside 00-59";
  *ms = whole_ms;
  return nullptr;
}

// Floor division and its remainder, for times before 1970.
std::pair<int64_t, int64_t> Split(int64_t value, int64_t by) {
  const int64_t rest = value % by;
  return rest < 0 ? std::pair{value / by - 1, rest + by} : std::pair{value / by, rest};
}

void Put(char* at, int width, int64_t value) {
  for (int i = width - 1; i >= 0; --i, value /= 10)
    at[i] = static_cast<char>('0' + value % 10);
}

// `value` as a time: `parts` of it are a second, which gets `digits` after its point.
std::string Format(int64_t value, int64_t parts, int digits) {
  const auto [seconds, fraction] = Split(value, parts);
  const auto [day, second] = Split(seconds, 86'400);
  // The calendar of <chrono> ends with the year 32767; it repeats every 400 years.
  const auto [eras, rest] = Split(day, 146'097);
  const year_month_day date{sys_days{days{rest}}};
  const int64_t year = 400 * eras + static_cast<int>(date.year());
  char text[] = "0000-00-00T00:00:00.000000000Z";
  const bool usual = year >= 0 && year <= 9999;
  if (usual) Put(text, 4, year);
  Put(text + 5, 2, static_cast<unsigned>(date.month()));
  Put(text + 8, 2, static_cast<unsigned>(date.day()));
  Put(text + 11, 2, second / 3600);
  Put(text + 14, 2, second / 60 % 60);
  Put(text + 17, 2, second % 60);
  Put(text + 20, digits, fraction);
  text[20 + digits] = 'Z';
  const std::string_view all(text, static_cast<size_t>(21 + digits));
  return usual ? std::string(all) : fmt::format("{:04}{}", year, all.substr(4));
}

}  // namespace

absl::StatusOr<int64_t> ParseRfc3339(std::string_view text) {
  int64_t ms = 0;
  Fraction fraction;
  if (const Fault fault = Parse(text, &ms, &fraction)) return Invalid(fault);
  const bool up = fraction.rest || fraction.ns % kNsInMs != 0;
  return ms + fraction.ns / kNsInMs + (up ? 1 : 0);
}

absl::StatusOr<int64_t> ParseRfc3339Ns(std::string_view text) {
  int64_t ms = 0;
  Fraction fraction;
  if (const Fault fault = Parse(text, &ms, &fraction)) return Invalid(fault);
  if (fraction.rest) return Invalid("it is finer than a nanosecond");
  if (ms < 0 || ms >= kNsEndMs) return Invalid("it is outside 1970-2261");
  return ms * kNsInMs + fraction.ns;
}

std::string FormatRfc3339Ms(int64_t ms) { return Format(ms, 1'000, 3); }

std::string FormatRfc3339Ns(int64_t ns) { return Format(ns, 1'000'000'000, 9); }

}  // namespace expirer
