#include "base/rfc3339.h"

#include <cstddef>
#include <utility>

#include <fmt/format.h>

#include "base/clock.h"

namespace expirer {
namespace {

constexpr int64_t kDayMs = 86'400'000;
constexpr int64_t kMinuteMs = 60'000;
constexpr int64_t kNsEndMs = 9'214'646'400'000;  // 2262-01-01; 2^63 ns end that April

// What ParseRfc3339 found wrong; kNone is success.
enum class Fault {
  kNone,
  kShort,
  kShape,
  kMonth,
  kDay,
  kHour,
  kMinute,
  kSecond,
  kFraction,
  kOffset,
  kTrailing,
  kPrecision,
  kRange,
};

const char* Reason(Fault fault) {
  switch (fault) {
    case Fault::kShort: return "it is too short for a date and a time with an offset";
    case Fault::kShape: return "expected YYYY-MM-DDThh:mm:ss";
    case Fault::kMonth: return "the month is outside 01-12";
    case Fault::kDay: return "there is no such day";
    case Fault::kHour: return "the hour is outside 00-23";
    case Fault::kMinute: return "the minute is outside 00-59";
    case Fault::kSecond: return "the second is outside 00-59";
    case Fault::kFraction: return "expected digits after the point";
    case Fault::kOffset: return "expected an offset, Z or +hh:mm";
    case Fault::kTrailing: return "there are bytes after the offset";
    case Fault::kPrecision: return "it is finer than a nanosecond";
    case Fault::kRange: return "it is outside 1970-2261";
    case Fault::kNone: break;
  }
  return "";
}

unsigned Digit(char c) { return static_cast<unsigned char>(c) - unsigned{'0'}; }

// Two digits as a number, or a value above 99 when either is no digit.
unsigned Two(const char* at) {
  const unsigned tens = Digit(at[0]);
  const unsigned ones = Digit(at[1]);
  return tens > 9 || ones > 9 ? 1000 : tens * 10 + ones;
}

int DaysInMonth(unsigned year, unsigned month) {
  constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return month == 2 && leap ? 29 : kDays[month - 1];
}

// What stands after the point of the seconds.
struct Fraction {
  int64_t ns = 0;
  bool rest = false;  // and something finer than that
};

// Reads ".digits" at `*at`, if it stands there.
Fault ReadFraction(std::string_view text, size_t* at, Fraction* fraction) {
  *fraction = {};
  if (*at >= text.size() || text[*at] != '.') return Fault::kNone;
  const size_t first = ++*at;
  int64_t scale = 100'000'000;
  for (; *at < text.size() && Digit(text[*at]) <= 9; ++*at) {
    fraction->ns += scale * static_cast<int64_t>(Digit(text[*at]));
    if (scale == 0 && text[*at] != '0') fraction->rest = true;
    scale /= 10;
  }
  return *at == first ? Fault::kFraction : Fault::kNone;
}

// Reads the offset, which must be the rest of the text, as minutes.
Fault ReadOffset(std::string_view rest, int64_t* minutes) {
  *minutes = 0;
  if (rest.empty()) return Fault::kOffset;
  if (rest[0] == 'Z' || rest[0] == 'z')
    return rest.size() == 1 ? Fault::kNone : Fault::kTrailing;
  if ((rest[0] != '+' && rest[0] != '-') || rest.size() < 6 || rest[3] != ':')
    return Fault::kOffset;
  const unsigned hour = Two(rest.data() + 1);
  const unsigned minute = Two(rest.data() + 4);
  if (hour > 23 || minute > 59) return Fault::kOffset;
  if (rest.size() > 6) return Fault::kTrailing;
  *minutes = hour * 60 + minute;
  if (rest[0] == '-') *minutes = -*minutes;
  return Fault::kNone;
}

// True when `ms`, the start of a minute after a second 60, is the midnight
// after June 30 or December 31.
bool EndsLeapMonth(int64_t ms, unsigned year) {
  if (ms % kDayMs != 0) return false;
  const int64_t day = ms / kDayMs;
  // An offset can carry the instant into a neighbouring year.
  for (int64_t y : {int64_t{year} - 1, int64_t{year}, int64_t{year} + 1})
    if (day == DaysFromCivil(y, 7, 1) || day == DaysFromCivil(y, 1, 1)) return true;
  return day == DaysFromCivil(int64_t{year} + 2, 1, 1);
}

// The whole seconds, in milliseconds, and what is left.
Fault Parse(std::string_view text, int64_t* ms, Fraction* fraction) {
  if (text.size() < 20) return Fault::kShort;
  const char* s = text.data();
  const unsigned century = Two(s), decade = Two(s + 2);
  const unsigned month = Two(s + 5), day = Two(s + 8);
  const unsigned hour = Two(s + 11), minute = Two(s + 14), second = Two(s + 17);
  const bool digits = century < 100 && decade < 100 && month < 100 && day < 100 &&
                      hour < 100 && minute < 100 && second < 100;
  if (!digits || s[4] != '-' || s[7] != '-' || (s[10] != 'T' && s[10] != 't') ||
      s[13] != ':' || s[16] != ':') {
    return Fault::kShape;
  }
  const unsigned year = century * 100 + decade;
  if (month < 1 || month > 12) return Fault::kMonth;
  if (day < 1 || day > static_cast<unsigned>(DaysInMonth(year, month)))
    return Fault::kDay;
  if (hour > 23) return Fault::kHour;
  if (minute > 59) return Fault::kMinute;
  if (second > 60) return Fault::kSecond;
  size_t at = 19;
  int64_t offset_minutes = 0;
  if (const Fault fault = ReadFraction(text, &at, fraction); fault != Fault::kNone)
    return fault;
  if (const Fault fault = ReadOffset(text.substr(at), &offset_minutes);
      fault != Fault::kNone) {
    return fault;
  }
  const int64_t days =
      DaysFromCivil(year, static_cast<int>(month), static_cast<int>(day));
  const int64_t whole_ms = days * kDayMs +
                           (hour * 60 + minute - offset_minutes) * kMinuteMs +
                           int64_t{second} * 1000;
  if (second == 60 && !EndsLeapMonth(whole_ms, year)) return Fault::kSecond;
  *ms = whole_ms;
  return Fault::kNone;
}

struct Civil {
  int64_t year;
  int month;
  int day;
};

// The inverse of DaysFromCivil (Howard Hinnant's civil_from_days).
Civil CivilFromDays(int64_t days) {
  days += 719'468;
  const int64_t era = (days >= 0 ? days : days - 146'096) / 146'097;
  const int64_t doe = days - era * 146'097;
  const int64_t yoe = (doe - doe / 1'460 + doe / 36'524 - doe / 146'096) / 365;
  const int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
  const int64_t mp = (5 * doy + 2) / 153;
  const int month = static_cast<int>(mp < 10 ? mp + 3 : mp - 9);
  return {yoe + era * 400 + (month <= 2 ? 1 : 0), month,
          static_cast<int>(doy - (153 * mp + 2) / 5 + 1)};
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

// Appends date and time of `seconds`, then the fraction and Z.
void Append(int64_t seconds, int64_t fraction, int digits, std::string* out) {
  const auto [days, second] = Split(seconds, 86'400);
  const Civil date = CivilFromDays(days);
  if (date.year < 0 || date.year > 9999) {
    *out += fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:0{}}Z", date.year,
                        date.month, date.day, second / 3600, second / 60 % 60,
                        second % 60, fraction, digits);
    return;
  }
  char text[] = "0000-00-00T00:00:00.000000000Z";
  Put(text, 4, date.year);
  Put(text + 5, 2, date.month);
  Put(text + 8, 2, date.day);
  Put(text + 11, 2, second / 3600);
  Put(text + 14, 2, second / 60 % 60);
  Put(text + 17, 2, second % 60);
  Put(text + 20, digits, fraction);
  text[20 + digits] = 'Z';
  out->append(text, static_cast<size_t>(21 + digits));
}

}  // namespace

absl::StatusOr<int64_t> ParseRfc3339(std::string_view text) {
  int64_t ms = 0;
  Fraction fraction;
  const Fault fault = Parse(text, &ms, &fraction);
  if (fault != Fault::kNone) return Invalid(Reason(fault));
  const bool up = fraction.rest || fraction.ns % kNsInMs != 0;
  return ms + fraction.ns / kNsInMs + (up ? 1 : 0);
}

absl::StatusOr<int64_t> ParseRfc3339Ns(std::string_view text) {
  int64_t ms = 0;
  Fraction fraction;
  Fault fault = Parse(text, &ms, &fraction);
  if (fault == Fault::kNone && fraction.rest) fault = Fault::kPrecision;
  if (fault == Fault::kNone && (ms < 0 || ms >= kNsEndMs)) fault = Fault::kRange;
  if (fault != Fault::kNone) return Invalid(Reason(fault));
  return ms * kNsInMs + fraction.ns;
}

// Howard Hinnant's days_from_civil: years begin in March, so that the leap
// day is the last of its year; an era is 400 years of 146,097 days.
int64_t DaysFromCivil(int64_t year, int month, int day) {
  if (month <= 2) --year;
  const int64_t era = (year >= 0 ? year : year - 399) / 400;
  const int64_t yoe = year - era * 400;
  const int64_t doy = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  const int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
  return era * 146'097 + doe - 719'468;
}

std::string FormatRfc3339Ms(int64_t ms) {
  std::string out;
  AppendRfc3339Ms(ms, &out);
  return out;
}

void AppendRfc3339Ms(int64_t ms, std::string* out) {
  const auto [seconds, fraction] = Split(ms, 1000);
  Append(seconds, fraction, 3, out);
}

std::string FormatRfc3339Ns(int64_t ns) {
  std::string out;
  const auto [seconds, fraction] = Split(ns, 1'000'000'000);
  Append(seconds, fraction, 9, &out);
  return out;
}

}  // namespace expirer
