// `expirer replay` as people run it: what it prints, where, and how it ends.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/clock.h"
#include "base/rfc3339.h"
#include "replay/run.h"

namespace expirer {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

constexpr char kTrace[] = "examples/rules/order-expiry.trace.jsonl";
constexpr char kRules[] = "examples/rules/order-expiry.yaml";
constexpr char kFires[] = "examples/rules/order-expiry.fires.jsonl";

class ReplayCommand : public testing::Test {
 protected:
  struct Result {
    int code = 0;
    std::string out;
    std::string err;
  };
  // `expirer replay` with these arguments, as a shell takes them.
  Result Replay(const std::string& arguments) {
    const char* binary = std::getenv("EXPIRER_BIN");
    const std::string command =
        "TMPDIR=" + temp_ + " " + (binary != nullptr ? binary : "build/dev/expirer") +
        " replay " + arguments + " >" + Path("stdout") + " 2>" + Path("stderr");
    const int status = std::system(command.c_str());
    EXPECT_TRUE(WIFEXITED(status)) << command;
    EXPECT_TRUE(std::filesystem::is_empty(temp_)) << "no store is left behind";
    return {WEXITSTATUS(status), ReadWhole(Path("stdout")), ReadWhole(Path("stderr"))};
  }
  [[nodiscard]] std::string Path(const std::string& name) const {
    return dir_.path() + "/" + name;
  }
  void Write(const std::string& name, const std::string& text) {
    std::ofstream(Path(name), std::ios::binary) << text;
  }
  // The files of the test's folder, but for those of a command itself.
  [[nodiscard]] std::vector<std::string> Files() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(dir_.path())) {
      const std::string name = entry.path().filename();
      if (name != "stdout" && name != "stderr" && name != "temp") names.push_back(name);
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  const TempDir dir_;
  const std::string temp_ = [this] {
    std::filesystem::create_directory(Path("temp"));
    return Path("temp");
  }();
};

TEST_F(ReplayCommand, PrintsFiresOnStdoutAndTheSummaryOnStderr) {
  const Result run = Replay(std::string("--config ") + kRules + " --trace " + kTrace);
  EXPECT_EQ(run.code, 0);
  EXPECT_EQ(run.out, ReadWhole(kFires));
  EXPECT_EQ(run.err,
            "events    6\n"
            "scheduled 3\n"
            "moved     0\n"
            "cancelled 2\n"
            "fired     1\n"
            "skipped   0\n"
            "rejected  0\n"
            "ignored   0\n"
            "pending   0\n"
            "first     2027-02-01T10:00:00.000Z\n"
            "last      2027-02-01T10:20:00.000Z\n");
  EXPECT_EQ(Replay(std::string("--trace ") + kTrace).out, run.out)
      << "without a config the built-in rule";
}

TEST_F(ReplayCommand, WritesTheFileOfFiresWholeOrNotAtAll) {
  const std::string out = " --out " + Path("out");
  EXPECT_EQ(Replay(std::string("--trace ") + kTrace + out).code, 0);
  EXPECT_EQ(ReadWhole(Path("out")), ReadWhole(kFires));
  EXPECT_THAT(Files(), testing::ElementsAre("out"));

  Write("bad.jsonl", ReadWhole(kTrace) + "{\"at\":1}\n");
  const Result bad =
      Replay("--trace " + Path("bad.jsonl") + out + " --report " + Path("report.html"));
  EXPECT_EQ(bad.code, 1);
  EXPECT_EQ(bad.err, Path("bad.jsonl") + ":7: `at`: expected a string, it is a number\n");
  EXPECT_EQ(ReadWhole(Path("out")), ReadWhole(kFires)) << "what was there before";
  EXPECT_THAT(Files(), testing::ElementsAre("bad.jsonl", "out"));

  const Result nowhere =
      Replay(std::string("--trace ") + kTrace + " --out " + Path("no/such/folder"));
  EXPECT_EQ(nowhere.code, 1);
  EXPECT_THAT(nowhere.err, HasSubstr("cannot be written: No such file or directory"));
}

TEST_F(ReplayCommand, KeepsTheStoreInAnEmptyDirectoryOnly) {
  const std::string command =
      std::string("--trace ") + kTrace + " --store " + Path("store");
  EXPECT_EQ(Replay(command).code, 0);
  EXPECT_TRUE(std::filesystem::exists(Path("store/CURRENT")));
  const Result again = Replay(command);
  EXPECT_EQ(again.code, 2);
  EXPECT_EQ(again.err, "--store " + Path("store") + ": expected an empty directory\n");
  EXPECT_THAT(again.out, IsEmpty());
  std::filesystem::create_directory(Path("empty"));
  EXPECT_EQ(Replay(std::string("--trace ") + kTrace + " --store " + Path("empty")).code,
            0);
}

TEST_F(ReplayCommand, EndsWhereItIsTold) {
  const Result run =
      Replay(std::string("--trace ") + kTrace + " --until 2027-02-01T10:14:59.999Z");
  EXPECT_EQ(run.code, 0);
  EXPECT_THAT(run.out, IsEmpty());
  EXPECT_THAT(run.err, HasSubstr("pending   2\n"));
}

// A due time and a line within the last millisecond, and behind the end.
TEST_F(ReplayCommand, RunsNothingThatIsLaterThanAnEndWithAFraction) {
  const Result before =
      Replay(std::string("--trace ") + kTrace + " --until 2027-02-01T10:14:59.9991Z");
  EXPECT_THAT(before.out, IsEmpty());
  EXPECT_THAT(before.err, HasSubstr("pending   2\n"));
  const std::string line = R"(","subject":"order:created","json":{"id":"a"}})";
  Write("two.jsonl", R"({"at":"2027-02-01T10:00:00.0002Z)" + line + "\n" +
                         R"({"at":"2027-02-01T10:00:00.0007Z)" + line + "\n");
  const std::string until =
      "--trace " + Path("two.jsonl") + " --until 2027-02-01T10:00:00";
  EXPECT_THAT(Replay(until + ".0001Z").err, HasSubstr("events    0\n"));
  EXPECT_THAT(Replay(until + ".0006Z").err, HasSubstr("events    1\n"));
  EXPECT_THAT(Replay(until + ".0007Z").err, HasSubstr("events    2\n"));
  EXPECT_EQ(Replay(until + ".0000000001Z").code, 2) << "finer than any line";
}

TEST_F(ReplayCommand, WritesThroughWhatIsNoFileAndFollowsALink) {
  const std::string run = std::string("--trace ") + kTrace + " --out ";
  ASSERT_EQ(mkfifo(Path("fifo").c_str(), 0600), 0);
  const int reader = open(Path("fifo").c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
  EXPECT_EQ(Replay(run + Path("fifo")).code, 0);
  EXPECT_TRUE(std::filesystem::is_fifo(Path("fifo")));
  std::string got(64'000, '\0');
  got.resize(
      static_cast<size_t>(std::max<ssize_t>(read(reader, got.data(), got.size()), 0)));
  close(reader);
  EXPECT_EQ(got, ReadWhole(kFires));
  std::filesystem::create_symlink("real", Path("link"));
  EXPECT_EQ(Replay(run + Path("link")).code, 0);
  EXPECT_TRUE(std::filesystem::is_symlink(Path("link")));
  EXPECT_EQ(ReadWhole(Path("real")), ReadWhole(kFires));
}

TEST_F(ReplayCommand, NoControlCharacterOfAnEventReachesTheTerminal) {
  const std::string event = R"({"id":"a\u001b[2J\u009b\u202e\nb","expiresAt":")" +
                            FormatRfc3339Ms(SystemClock().NowMs() + 3'600'000) + "\"}";
  const Result told = Replay("--event order:created '" + event + "'");
  EXPECT_EQ(told.code, 0) << told.err;
  EXPECT_THAT(told.out,
              HasSubstr("schedules the key a\\u001b[2J\\u009b\\u202e\\nb, due"));
  for (const char* raw : {"\x1b", "\xC2\x9B", "\xE2\x80\xAE"})
    EXPECT_THAT(told.out, Not(HasSubstr(raw)));
}

TEST_F(ReplayCommand, TellsWhichLinesWereRejectedAndWhy) {
  Write("bad.jsonl",
        R"({"at":"2027-02-01T10:00:00Z","subject":"order:created","json":{"id":"a"}})"
        "\n");
  const Result run = Replay("--trace " + Path("bad.jsonl"));
  EXPECT_EQ(run.code, 0);
  EXPECT_THAT(run.err,
              StartsWith(Path("bad.jsonl") + ":1: order-expiration rejects it: due "));
  EXPECT_THAT(run.err, HasSubstr("rejected  1\n"));
}

TEST_F(ReplayCommand, DiffPrintsTheJobsThatDiffer) {
  Write("same.yaml", ReadWhole(kRules));
  const std::string diff = std::string("--config ") + kRules + " --trace " + kTrace;
  const Result same = Replay(diff + " --diff " + Path("same.yaml"));
  EXPECT_EQ(same.code, 0);
  EXPECT_THAT(same.out, IsEmpty());
  EXPECT_THAT(same.err, EndsWith("jobs that differ: 0\n"));

  std::string rules = ReadWhole(kRules);
  rules.erase(
      rules.find("      - { subject: \"payment:created\""),
      std::string("      - { subject: \"payment:created\", key: /orderId }\n").size());
  Write("unpaid.yaml", rules);
  const Result unpaid = Replay(diff + " --diff " + Path("unpaid.yaml"));
  EXPECT_EQ(unpaid.code, 0);
  EXPECT_THAT(unpaid.out, StartsWith(R"({"job":"order-expiration/a2","before":[],)"
                                     R"("after":[{"at":"2027-02-01T10:15:01.000Z")"));
  EXPECT_THAT(unpaid.err, EndsWith("jobs that differ: 1\n"));
}

TEST_F(ReplayCommand, ReportsOnOnePage) {
  const Result run =
      Replay(std::string("--trace ") + kTrace + " --report " + Path("report.html"));
  EXPECT_EQ(run.code, 0);
  EXPECT_EQ(run.out, ReadWhole(kFires));
  const std::string html = ReadWhole(Path("report.html"));
  EXPECT_THAT(html, HasSubstr("order-expiry.trace.jsonl"));
  EXPECT_THAT(html, Not(HasSubstr("http")));
  EXPECT_THAT(html, EndsWith("</html>\n"));
}

TEST_F(ReplayCommand, EventTellsWhatOneMessageWouldDo) {
  const std::string due = FormatRfc3339Ms(SystemClock().NowMs() + 3'600'000);
  const Result run =
      Replay("--event order:created '{\"id\":\"a1\",\"expiresAt\":\"" + due + "\"}'");
  EXPECT_EQ(run.code, 0);
  EXPECT_THAT(run.out, StartsWith("order-expiration schedules the key a1, due " + due +
                                  "\n  order-expiration/a1 fires at " + due +
                                  " to expiration:complete\n"));
  EXPECT_THAT(Replay("--event order:created '[1]'").out, HasSubstr("key /id"))
      << "brackets are the message's own";
  EXPECT_EQ(Replay("--event order..created '{}'").code, 2);
}

// The commands of the README's section, as they stand there.
TEST_F(ReplayCommand, ReadmeCommandsRun) {
  const std::string readme = ReadWhole("README.md");
  const size_t section = readme.find("\n## Replay\n");
  ASSERT_NE(section, readme.npos);
  const std::string prefix = "\nexpirer replay ";
  size_t commands = 0;
  for (size_t at = readme.find(prefix, section); at != readme.npos;
       at = readme.find(prefix, at + 1), ++commands) {
    const size_t from = at + prefix.size();
    std::string arguments = readme.substr(from, readme.find('\n', from) - from);
    for (const std::string file : {"fires.jsonl", "evening.html"}) {
      const size_t name = arguments.find(" " + file);
      if (name != arguments.npos) arguments.replace(name + 1, file.size(), Path(file));
    }
    EXPECT_EQ(Replay(arguments).code, 0) << arguments;
  }
  EXPECT_EQ(commands, 5u);
  EXPECT_THAT(Files(), testing::ElementsAre("evening.html", "fires.jsonl"));
}

// The lines that the README shows are lines of a trace.
TEST(ReadmeTrace, IsOne) {
  const std::string readme = ReadWhole("README.md");
  size_t at = readme.find("```json\n", readme.find("\n## Replay\n"));
  ASSERT_NE(at, readme.npos);
  at += std::string("```json\n").size();
  std::istringstream lines(readme.substr(at, readme.find("```", at) - at));
  size_t count = 0;
  for (std::string line; std::getline(lines, line); ++count) (void)ParsedTraceLine(line);
  EXPECT_EQ(count, 4u);
}

TEST_F(ReplayCommand, UsageIsTwo) {
  EXPECT_EQ(Replay("").code, 2);
  EXPECT_EQ(Replay("--trace a --event b c").code, 2);
  EXPECT_EQ(Replay("--event b c --out d").code, 2);
  EXPECT_EQ(Replay("--event b").code, 2);
  EXPECT_EQ(Replay(std::string("--trace ") + kTrace + " --until tomorrow").code, 2);
  EXPECT_EQ(Replay(std::string("--config no.yaml --trace ") + kTrace).code, 2);
  EXPECT_EQ(Replay(std::string("--diff no.yaml --trace ") + kTrace).code, 2);
  EXPECT_EQ(Replay("--trace no.jsonl").code, 1);
  EXPECT_EQ(Replay("--help").code, 0);
}

}  // namespace
}  // namespace expirer
