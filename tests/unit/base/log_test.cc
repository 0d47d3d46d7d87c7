#include "base/log.h"

#include <gtest/gtest.h>

#include <string>

namespace expirer {
namespace {

constexpr int64_t kNow = 1'800'000'000'007;  // 2027-01-15T08:00:00.007Z

TEST(Log, ATextLineIsLogfmtWithAQuotedMessage) {
  EXPECT_EQ(FormatLogLine(LogFormat::kText, kNow, Level::kWarn, "target refused",
                          {{"rule", "orders"}, {"attempts", 3}, {"why", "no stream"}}),
            "time=2027-01-15T08:00:00.007Z level=warn msg=\"target refused\" "
            "rule=orders attempts=3 why=\"no stream\"");
}

TEST(Log, AJsonLineKeepsNumbersAndBoolsBare) {
  EXPECT_EQ(FormatLogLine(LogFormat::kJson, kNow, Level::kInfo, "up",
                          {{"server", "n1"}, {"jobs", uint64_t{12}}, {"settled", true}}),
            "{\"time\":\"2027-01-15T08:00:00.007Z\",\"level\":\"info\",\"msg\":\"up\","
            "\"server\":\"n1\",\"jobs\":12,\"settled\":true}");
}

TEST(Log, AHostileValueCannotForgeALine) {
  const std::string line =
      FormatLogLine(LogFormat::kText, kNow, Level::kError, "bad",
                    {{"key", "x\nlevel=info msg=\"all is well\" \x1b[2J\\"}});
  EXPECT_EQ(line.find('\n'), std::string::npos);
  EXPECT_EQ(line.find('\x1b'), std::string::npos);
  EXPECT_NE(line.find("key=\"x\\nlevel=info msg=\\\"all is well\\\" \\u001b[2J\\\\\""),
            std::string::npos);
}

TEST(Log, InvalidUtf8IsReplacedAndValidIsKept) {
  const std::string line =
      FormatLogLine(LogFormat::kJson, kNow, Level::kInfo, "k",
                    {{"v", "\xFF gr\xC3\xBC\xC3\x9F \xED\xA0\x80 \xC2\x9B"}});
  EXPECT_NE(line.find("\xEF\xBF\xBD gr\xC3\xBC\xC3\x9F"), std::string::npos);
  EXPECT_EQ(line.find("\xFF "), std::string::npos);
  EXPECT_EQ(line.find("\xED\xA0\x80"), std::string::npos);
  EXPECT_NE(line.find("\\u009b"), std::string::npos);
}

TEST(Log, AnEmptyOrAmbiguousValueIsQuoted) {
  const std::string line =
      FormatLogLine(LogFormat::kText, kNow, Level::kInfo, "m", {{"a", ""}, {"b", "x=y"}});
  EXPECT_NE(line.find("a=\"\" b=\"x=y\""), std::string::npos);
}

TEST(Log, OnlyTheFourLevelsParse) {
  Level level = Level::kInfo;
  EXPECT_TRUE(ParseLevel("error", &level));
  EXPECT_EQ(level, Level::kError);
  EXPECT_FALSE(ParseLevel("WARN", &level));
  EXPECT_FALSE(ParseLevel("", &level));
  EXPECT_EQ(level, Level::kError);
}

}  // namespace
}  // namespace expirer
