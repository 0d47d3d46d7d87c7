#include "base/rfc3339.h"

#include <cstdlib>
#include <random>
#include <string>

#include <gtest/gtest.h>

#include "absl/time/time.h"

namespace expirer {
namespace {

// ms of `text`, or -1 with a test failure.
int64_t Ms(const std::string& text) {
  const absl::StatusOr<int64_t> ms = ParseRfc3339(text);
  EXPECT_TRUE(ms.ok()) << text << ": " << ms.status();
  return ms.ok() ? *ms : -1;
}

std::string Why(const std::string& text) {
  const absl::StatusOr<int64_t> ms = ParseRfc3339(text);
  EXPECT_FALSE(ms.ok()) << text << " is taken for " << (ms.ok() ? *ms : 0);
  return ms.ok() ? "" : Message(ms.status());
}

TEST(Rfc3339, ReadsTimesOfAnyOffset) {
  EXPECT_EQ(Ms("1970-01-01T00:00:00Z"), 0);
  EXPECT_EQ(Ms("2026-11-22T17:48:44.123Z"), 1795369724123);
  EXPECT_EQ(Ms("2026-11-22t17:48:44.123z"), 1795369724123);
  EXPECT_EQ(Ms("2026-11-22T18:48:44.123+01:00"), 1795369724123);
  EXPECT_EQ(Ms("2026-11-22T17:48:44.123-00:00"), 1795369724123);
  EXPECT_EQ(Ms("1999-12-31T23:30:00-01:00"), Ms("2000-01-01T00:30:00Z"));
  EXPECT_EQ(Ms("2000-03-01T00:30:00+01:00"), Ms("2000-02-29T23:30:00Z"));
  EXPECT_EQ(Ms("2026-01-01T00:00:00+23:59"), Ms("2025-12-31T00:01:00Z"));
}

TEST(Rfc3339, KnowsTheCalendar) {
  EXPECT_EQ(Ms("2000-02-29T00:00:00Z") + 86'400'000, Ms("2000-03-01T00:00:00Z"));
  EXPECT_EQ(Ms("2024-02-29T00:00:00Z") + 86'400'000, Ms("2024-03-01T00:00:00Z"));
  for (const char* text :
       {"1900-02-29T00:00:00Z", "2100-02-29T00:00:00Z", "2026-02-29T00:00:00Z",
        "2026-02-30T00:00:00Z", "2026-04-31T00:00:00Z", "2026-01-32T00:00:00Z",
        "2026-01-00T00:00:00Z"}) {
    EXPECT_EQ(Why(text), "there is no such day");
  }
  EXPECT_EQ(Why("2026-13-01T00:00:00Z"), "the month is outside 01-12");
  EXPECT_EQ(Why("2026-00-01T00:00:00Z"), "the month is outside 01-12");
}

TEST(Rfc3339, RoundsFractionsUp) {
  EXPECT_EQ(Ms("1970-01-01T00:00:00.5Z"), 500);
  EXPECT_EQ(Ms("1970-01-01T00:00:00.001Z"), 1);
  EXPECT_EQ(Ms("1970-01-01T00:00:00.0010000Z"), 1);
  EXPECT_EQ(Ms("1970-01-01T00:00:00.0000001Z"), 1);
  EXPECT_EQ(Ms("1970-01-01T00:00:00.1230000000000000000000000000000000000001Z"), 124);
  EXPECT_EQ(Ms("1970-01-01T00:00:00.999999Z"), 1000);
  EXPECT_EQ(Ms("1969-12-31T23:59:59.9999Z"), 0);
}

TEST(Rfc3339, LeavesTheRangeToTheCaller) {
  EXPECT_EQ(Ms("0000-01-01T00:00:00Z"), -62167219200000);
  EXPECT_EQ(Ms("9999-12-31T23:59:59.999Z"), 253402300799999);
  EXPECT_EQ(Ms("9999-12-31T23:59:59.9991Z"), 253402300800000);
  EXPECT_GT(Ms("9999-12-31T23:59:59-01:00"), 253402300799999);
  EXPECT_EQ(Ms("1970-01-01T00:00:00+00:01"), -60000);
}

TEST(Rfc3339, ALeapSecondIsTheSecondAfterIt) {
  EXPECT_EQ(Ms("2016-12-31T23:59:60Z"), Ms("2017-01-01T00:00:00Z"));
  EXPECT_EQ(Ms("2016-12-31T23:59:60.25Z"), Ms("2017-01-01T00:00:00.25Z"));
  EXPECT_EQ(Ms("2015-06-30T23:59:60Z"), Ms("2015-07-01T00:00:00Z"));
  EXPECT_EQ(Ms("2017-01-01T01:59:60+02:00"), Ms("2017-01-01T00:00:00Z"));
  EXPECT_EQ(Ms("2016-12-31T15:59:60-08:00"), Ms("2017-01-01T00:00:00Z"));
  for (const char* text :
       {"2016-12-31T23:58:60Z", "2016-12-30T23:59:60Z", "2016-11-30T23:59:60Z",
        "2016-12-31T22:59:60Z", "2016-12-31T23:59:60+01:00", "2016-12-31T23:59:61Z"}) {
    EXPECT_EQ(Why(text), "the second is outside 00-59");
  }
}

TEST(Rfc3339, RefusesEverythingElse) {
  for (const char* text : {"",
                           "tomorrow",
                           "now",
                           "infinite-future",
                           "2026-11-22",
                           "2026-11-22T17:48:44",
                           "2026-11-22 17:48:44Z",
                           " 2026-11-22T17:48:44Z",
                           "2026-11-22T17:48:44Z ",
                           "2026-11-22T17:48:44 Z",
                           "2026-11-22T17:48Z",
                           "2026-11-22T17:48:44.Z",
                           "2026-11-22T17:48:44,5Z",
                           "2026-11-22T17:48:44+1:00",
                           "2026-11-22T17:48:44+0100",
                           "2026-11-22T17:48:44+01",
                           "2026-11-22T17:48:44+24:00",
                           "2026-11-22T17:48:44+01:60",
                           "2026-11-22T17:48:44+01:00x",
                           "2026-11-22T17:48:44Zx",
                           "2026-11-22T17:48:44ZZ",
                           "2026-11-22T24:00:00Z",
                           "2026-11-22T17:60:00Z",
                           "26-11-22T17:48:44.000Z",
                           "+2026-11-22T17:48:44Z",
                           "-026-11-22T17:48:44Z",
                           "12026-11-22T17:48:44Z",
                           "2026/11/22T17:48:44Z",
                           "2026-11-22T17.48.44Z",
                           "2026-W47-7T17:48:44Z",
                           "2026-11-22T1a:48:44Z",
                           "2026-1-22T017:48:44Z",
                           "2026-11-22T17:48:44.1a3Z",
                           "20261122T174844.123Z",
                           "Sun, 22 Nov 2026 17:48:44 GMT",
                           "1795369724123"}) {
    EXPECT_FALSE(Why(text).empty()) << text;
  }
  EXPECT_FALSE(Why(std::string("2026-11-22T17:48:44Z\0", 21)).empty());
}

TEST(Rfc3339, SaysWhatIsMissing) {
  EXPECT_EQ(Why("tomorrow"), "it is too short for a date and a time with an offset");
  EXPECT_EQ(Why("2026-11-22T17:48:44.123"), "expected an offset, Z or +hh:mm");
  EXPECT_EQ(Why("2026-11-22 17:48:44Z"), "expected YYYY-MM-DDThh:mm:ss");
  EXPECT_EQ(Why("2026-11-22T25:48:44Z"), "the hour is outside 00-23");
  EXPECT_EQ(Why("2026-11-22T17:48:44Z!"), "there are bytes after the offset");
}

TEST(Rfc3339, NanosecondsAreExactOrRefused) {
  const auto ns = [](std::string_view text) { return ParseRfc3339Ns(text).value_or(-1); };
  EXPECT_EQ(ns("1970-01-01T00:00:00Z"), 0);
  EXPECT_EQ(ns("2027-02-01T11:00:00.123456789+01:00"), 1'801'476'000'123'456'789);
  EXPECT_EQ(ns("2027-02-01T10:00:00.5Z"), 1'801'476'000'500'000'000);
  EXPECT_EQ(ns("2027-02-01T10:00:00.1234567890Z"), 1'801'476'000'123'456'789);
  EXPECT_EQ(ns("2261-12-31T23:59:59.999999999Z"), 9'214'646'399'999'999'999);
  EXPECT_EQ(FormatRfc3339Ns(9'214'646'399'999'999'999), "2261-12-31T23:59:59.999999999Z");
  const auto why = [](std::string_view text) {
    return Message(ParseRfc3339Ns(text).status());
  };
  EXPECT_EQ(why("2027-02-01T10:00:00.1234567891Z"), "it is finer than a nanosecond");
  EXPECT_EQ(why("2262-01-01T00:00:00Z"), "it is outside 1970-2261");
  EXPECT_EQ(why("1969-12-31T23:59:59.9Z"), "it is outside 1970-2261");
  EXPECT_EQ(why("2027-02-30T10:00:00Z"), "there is no such day");
}

TEST(Rfc3339, WritesMillisecondsAndNanoseconds) {
  EXPECT_EQ(FormatRfc3339Ms(1795369724123), "2026-11-22T17:48:44.123Z");
  EXPECT_EQ(FormatRfc3339Ms(0), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(FormatRfc3339Ms(-1), "1969-12-31T23:59:59.999Z");
  EXPECT_EQ(FormatRfc3339Ms(253402300799999), "9999-12-31T23:59:59.999Z");
  EXPECT_EQ(FormatRfc3339Ms(253402300800000), "10000-01-01T00:00:00.000Z");
  EXPECT_EQ(FormatRfc3339Ns(1795369724123456789), "2026-11-22T17:48:44.123456789Z");
  EXPECT_EQ(FormatRfc3339Ns(-1), "1969-12-31T23:59:59.999999999Z");
  EXPECT_FALSE(FormatRfc3339Ms(INT64_MIN).empty());
  EXPECT_FALSE(FormatRfc3339Ms(INT64_MAX).empty());
}

unsigned Seed() {
  const char* given = std::getenv("EXPIRER_SEED");
  return given != nullptr ? static_cast<unsigned>(std::atoi(given))
                          : std::random_device()();
}

TEST(Rfc3339, ReadsBackWhatItWritesAndAgreesWithAbseil) {
  const unsigned seed = Seed();
  SCOPED_TRACE("EXPIRER_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  std::uniform_int_distribution<int64_t> any(-62167219200000, 253402300799999);
  std::uniform_int_distribution<int> minutes(-23 * 60 - 59, 23 * 60 + 59);
  for (int i = 0; i < 20'000; ++i) {
    const int64_t ms = any(random);
    const std::string text = FormatRfc3339Ms(ms);
    ASSERT_EQ(Ms(text), ms);
    const int offset = minutes(random);
    const std::string shifted =
        absl::FormatTime("%E4Y-%m-%dT%H:%M:%E3S%Ez", absl::FromUnixMillis(ms),
                         absl::FixedTimeZone(offset * 60));
    // An offset may carry the year out of four digits.
    if (shifted.size() != text.size() + 5 || shifted[0] == '-') continue;
    absl::Time expected;
    ASSERT_TRUE(absl::ParseTime(absl::RFC3339_full, shifted, &expected, nullptr))
        << shifted;
    ASSERT_EQ(Ms(shifted), absl::ToUnixMillis(expected)) << shifted;
    ASSERT_EQ(Ms(shifted), ms) << shifted;
  }
}

TEST(Rfc3339, AnyOneByteChangedIsAnotherTimeOrRefused) {
  const std::string good = "2026-11-22T17:48:44.123+01:00";
  for (size_t at = 0; at < good.size(); ++at) {
    for (int byte = 0; byte < 256; ++byte) {
      std::string text = good;
      text[at] = static_cast<char>(byte);
      const absl::StatusOr<int64_t> ms = ParseRfc3339(text);
      if (text == good || (at == 10 && byte == 't')) {
        EXPECT_TRUE(ms.ok());
      } else if (ms.ok()) {
        EXPECT_NE(*ms, Ms(good)) << text;
      }
    }
  }
}

}  // namespace
}  // namespace expirer
