#include "base/duration.h"

#include <random>
#include <string>

#include <gtest/gtest.h>

namespace expirer {
namespace {

int64_t Ms(const std::string& text) {
  const absl::StatusOr<int64_t> ms = ParseDuration(text);
  EXPECT_TRUE(ms.ok()) << text << ": " << ms.status();
  return ms.ok() ? *ms : -1;
}

int64_t Size(const std::string& text) {
  const absl::StatusOr<int64_t> bytes = ParseBytes(text);
  EXPECT_TRUE(bytes.ok()) << text << ": " << bytes.status();
  return bytes.ok() ? *bytes : -1;
}

TEST(Duration, ReadsEveryUnit) {
  EXPECT_EQ(Ms("50ms"), 50);
  EXPECT_EQ(Ms("90s"), 90'000);
  EXPECT_EQ(Ms("15m"), 900'000);
  EXPECT_EQ(Ms("2h"), 7'200'000);
  EXPECT_EQ(Ms("168h"), 604'800'000);
  EXPECT_EQ(Ms("7d"), 604'800'000);
  EXPECT_EQ(Ms("0s"), 0);
  EXPECT_EQ(Ms("1h30m"), 5'400'000);
  EXPECT_EQ(Ms("1d2h3m4s5ms"), 93'784'005);
}

TEST(Duration, TakesDecimalsThatAreExact) {
  EXPECT_EQ(Ms("1.5h"), 5'400'000);
  EXPECT_EQ(Ms("0.001s"), 1);
  EXPECT_EQ(Ms("0.5000s"), 500);
  EXPECT_EQ(Ms("0.12345m"), 7'407);
  for (const char* text : {"0.5ms", "0.0001s", "0.00000000000000001h", "1.0005s"})
    EXPECT_EQ(Message(ParseDuration(text).status()),
              "expected a whole number of milliseconds");
}

TEST(Duration, ReadsIso8601) {
  EXPECT_EQ(Ms("PT15M"), 900'000);
  EXPECT_EQ(Ms("P2DT3H"), 183'600'000);
  EXPECT_EQ(Ms("P1W"), 604'800'000);
  EXPECT_EQ(Ms("P1DT2H3M4.005S"), 93'784'005);
  EXPECT_EQ(Ms("PT0S"), 0);
  EXPECT_EQ(Ms("PT1,5H"), 5'400'000);
  EXPECT_EQ(Ms("PT0.123456789S"), 124) << "as clocks write it; parts of one round up";
  for (const char* text :
       {"P",      "PT",   "P1",    "P1T",       "P1H",     "PT1D", "PT1H1D",
        "PT1M1H", "P1S",  "PT1.H", "PT.5H",     "PT1h",    "pt1h", "T1H",
        "P-",     "P1DT", "PT1M ", "PT1.5H30M", "P1W2D3W", "PT1S1"})
    EXPECT_FALSE(ParseDuration(text).ok()) << text;
  for (const char* text : {"P1Y", "P1M", "P1Y2M3DT4H"})
    EXPECT_EQ(Message(ParseDuration(text).status()),
              "expected a duration in weeks, days, hours, minutes and seconds (years and "
              "months have no fixed length)");
  EXPECT_FALSE(ParseDuration("P99999999999999D").ok());
}

TEST(Duration, ASignedOneMayBeNegative) {
  const auto signed_ms = [](std::string_view text) {
    return ParseSignedDuration(text).value_or(INT64_MIN);
  };
  EXPECT_EQ(signed_ms("90s"), 90'000);
  EXPECT_EQ(signed_ms("+90s"), 90'000);
  EXPECT_EQ(signed_ms("-72h"), -259'200'000);
  EXPECT_EQ(signed_ms("-PT15M"), -900'000);
  EXPECT_EQ(signed_ms("PT-15M"), -900'000) << "as Java writes it";
  EXPECT_EQ(signed_ms("-PT-15M"), INT64_MIN);
  EXPECT_EQ(signed_ms("PT1H-30M"), INT64_MIN);
  EXPECT_EQ(signed_ms("--1s"), INT64_MIN);
  for (const char* text : {"-90s", "-PT15M", "PT-15M", "+PT15M"})
    EXPECT_FALSE(ParseDuration(text).ok()) << text;
}

TEST(Duration, RefusesWhatIsNoDuration) {
  for (const char* text :
       {"",     " ",      "90",    "s",    "90 s", " 90s",  "90s ",  "-90s",
        "+90s", "90S",    "90sec", "1.h",  ".5h",  "1..5h", "30m1h", "1h1h",
        "1h30", "1h 30m", "1e3s",  "1,5h", "5us",  "1w",    "0x1s"}) {
    EXPECT_FALSE(ParseDuration(text).ok()) << text;
  }
}

TEST(Duration, NeverOverflows) {
  EXPECT_EQ(Ms("9223372036854775807ms"), INT64_MAX);
  EXPECT_FALSE(ParseDuration("9223372036854775808ms").ok());
  EXPECT_FALSE(ParseDuration("9223372036854775807s").ok());
  EXPECT_FALSE(ParseDuration("9223372036854775s808ms").ok());
  EXPECT_FALSE(ParseDuration("99999999999999999999999999h").ok());
}

TEST(Duration, WritesTheFormOfTheConfig) {
  EXPECT_EQ(FormatDuration(0), "0s");
  EXPECT_EQ(FormatDuration(50), "50ms");
  EXPECT_EQ(FormatDuration(604'800'000), "168h");
  EXPECT_EQ(FormatDuration(5'400'000), "1h30m");
  EXPECT_EQ(FormatDuration(90'001), "1m30s1ms");
}

TEST(Duration, ReadsBackWhatItWrites) {
  std::mt19937_64 random(20261122);
  for (int i = 0; i < 10'000; ++i) {
    const auto ms = static_cast<int64_t>(random() >> (1 + random() % 63));
    EXPECT_EQ(Ms(FormatDuration(ms)), ms);
    EXPECT_EQ(Size(FormatBytes(ms)), ms);
  }
}

TEST(Bytes, ReadsDecimalAndBinaryUnits) {
  EXPECT_EQ(Size("0"), 0);
  EXPECT_EQ(Size("1048576"), 1'048'576);
  EXPECT_EQ(Size("512MB"), 512'000'000);
  EXPECT_EQ(Size("512 MB"), 512'000'000);
  EXPECT_EQ(Size("64MiB"), 67'108'864);
  EXPECT_EQ(Size("1kB"), 1'000);
  EXPECT_EQ(Size("1KB"), 1'000);
  EXPECT_EQ(Size("1KiB"), 1'024);
  EXPECT_EQ(Size("17B"), 17);
  EXPECT_EQ(Size("3TB"), 3'000'000'000'000);
}

TEST(Bytes, RefusesWhatIsNoSize) {
  for (const char* text :
       {"", "MB", "-1", "1.5MB", "512  MB", "512mb", "512M", "512MB ", " 1", "1e6",
        "1,000", "9223372036854775808", "9000000000GiB"}) {
    EXPECT_FALSE(ParseBytes(text).ok()) << text;
  }
}

TEST(Bytes, WritesTheLargestUnitThatDivides) {
  EXPECT_EQ(FormatBytes(512'000'000), "512MB");
  EXPECT_EQ(FormatBytes(67'108'864), "64MiB");
  EXPECT_EQ(FormatBytes(1'001), "1001");
  EXPECT_EQ(FormatBytes(0), "0");
}

}  // namespace
}  // namespace expirer
