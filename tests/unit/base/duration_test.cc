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
