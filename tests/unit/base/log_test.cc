#include "base/log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/log_gatherer.h"

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

TEST(Log, AValueIsCutAtACharacter) {
  const std::string value = std::string(kLogValueBytesMax - 1, 'a') + "\xC3\xBC";
  const std::string line =
      FormatLogLine(LogFormat::kText, kNow, Level::kInfo, "m", {{"v", value}});
  EXPECT_NE(line.find("aaa...\""), std::string::npos);
  EXPECT_EQ(line.find('\xC3'), std::string::npos);
}

// In a process of its own, which has the write end of `pipe` as stderr: the exit code
// of `body`, or 200 when it does not return in time.
template <typename Body>
int WithStderr(int pipe, const Body& body) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);  // hangs: dies of SIGALRM
    dup2(pipe, STDERR_FILENO);
    exit(body());
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 200;
}

TEST(Log, InTheBackgroundNeitherALineNorTheExitWaitsForStderr) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  EXPECT_EQ(WithStderr(ends[1],
                       [] {
                         LogInBackground();
                         constexpr uint64_t kLines = 10'000;
                         for (uint64_t i = 0; i < kLines; ++i)
                           Log(Level::kWarn, "nobody reads this", {{"line", i}});
                         FlushLog();
                         const LogCounts use = LogUse();
                         return use.dropped > 0 && use.buffered > 0 ? 7 : 1;
                       }),
            7);
  close(ends[0]);
  close(ends[1]);
}

TEST(Log, FlushLogWritesWhatTheBackgroundHolds) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  EXPECT_EQ(WithStderr(ends[1],
                       [] {
                         LogInBackground();
                         for (int i = 0; i < 20; ++i)
                           LogGathered(Level::kWarn, "again", "r", "no_stream");
                         FlushLog();
                         return 7;
                       }),
            7);
  close(ends[1]);
  char text[4096];
  const ssize_t got = read(ends[0], text, sizeof text);
  close(ends[0]);
  ASSERT_GT(got, 0);
  const std::string lines(text, static_cast<size_t>(got));
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 2) << lines;
  EXPECT_NE(lines.find("rule=r reason=no_stream more=19\n"), std::string::npos) << lines;
}

struct Gathered {
  std::vector<std::string> lines;
  LogGatherer gatherer{
      [this](Level, std::string_view message, std::span<const Field> fields) {
        lines.emplace_back(message);
        for (const Field& field : fields)
          lines.back() += " " + field.name + "=" + field.text;
      }};
  void Add(int64_t now_ms, std::string_view rule, std::string_view reason, int job) {
    const Field field{"job", job};
    gatherer.Add(now_ms, Level::kWarn, "failed", rule, reason, {&field, 1});
  }
};

TEST(LogGatherer, TheFirstLineIsWrittenAtOnceAndTheRestOnceAMinuteWithACount) {
  Gathered log;
  for (int i = 0; i < 3'000; ++i) log.Add(i, "r", "no_stream", i);
  EXPECT_EQ(log.lines, std::vector<std::string>{"failed rule=r reason=no_stream job=0"});
  log.gatherer.Tick(LogGatherer::kEveryMs - 1);
  EXPECT_EQ(log.lines.size(), 1U);
  log.gatherer.Tick(LogGatherer::kEveryMs);
  ASSERT_EQ(log.lines.size(), 2U);
  EXPECT_EQ(log.lines[1], "failed rule=r reason=no_stream job=2999 more=2999");
  log.gatherer.Tick(10 * LogGatherer::kEveryMs);
  EXPECT_EQ(log.lines.size(), 2U) << "nothing came since";
  log.Add(10 * LogGatherer::kEveryMs, "r", "no_stream", 1);
  EXPECT_EQ(log.lines.size(), 3U) << "a first one again";
}

TEST(LogGatherer, EachRuleAndReasonHasALineOfItsOwn) {
  Gathered log;
  for (const char* rule : {"a", "b"})
    for (const char* reason : {"refused", "timeout", "refused"})
      log.Add(0, rule, reason, 0);
  EXPECT_EQ(log.lines.size(), 4U);
}

TEST(LogGatherer, BeyondItsBoundKindsAreToldTogether) {
  Gathered log;
  for (size_t i = 0; i < 2 * LogGatherer::kKindsMax; ++i)
    log.Add(0, "rule" + std::to_string(i), "refused", 0);
  EXPECT_EQ(log.lines.size(), LogGatherer::kKindsMax + 1);
  log.gatherer.Flush();
  EXPECT_EQ(log.lines.size(), LogGatherer::kKindsMax + 2);
  EXPECT_NE(log.lines.back().find(" more=1023"), std::string::npos) << log.lines.back();
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
