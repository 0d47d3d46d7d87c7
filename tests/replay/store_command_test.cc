// `expirer store …` as people run it, on stores that `replay` made; and what a
// dump carries over.
#include <sys/stat.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "app/store_dump.h"
#include "replay/run.h"
#include "sched/audit.h"

namespace expirer {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

constexpr char kTrace[] = "examples/rules/order-expiry.trace.jsonl";
// One order is pending, one is paid, one is not there yet.
constexpr char kUntil[] = "2027-02-01T10:00:05Z";

class StoreCommand : public testing::Test {
 protected:
  struct Result {
    int code = 0;
    std::string out;
    std::string err;
  };
  static std::string Binary() {
    const char* binary = std::getenv("EXPIRER_BIN");
    return std::filesystem::absolute(binary != nullptr ? binary : "build/dev/expirer");
  }
  Result Run(const std::string& arguments) {
    const std::string command = "cd " + dir_.path() +
                                " && unset EXPIRER_STORE EXPIRER_CONFIG && " + Binary() +
                                " " + arguments + " >stdout 2>stderr";
    const int status = std::system(command.c_str());
    EXPECT_TRUE(WIFEXITED(status)) << command;
    return {WEXITSTATUS(status), ReadWhole(Path("stdout")), ReadWhole(Path("stderr"))};
  }
  Result Store(const std::string& arguments) { return Run("store " + arguments); }
  [[nodiscard]] std::string Path(const std::string& name) const {
    return dir_.path() + "/" + name;
  }
  // A store that a run was stopped in, and its dump in the file `dump`.
  void MakeStore() {
    const std::string trace = std::filesystem::absolute(kTrace).string();
    ASSERT_EQ(Run("replay --trace " + trace + " --store s --until " + kUntil).code, 0);
    const Result dumped = Store("dump --store s --out dump");
    ASSERT_EQ(dumped.code, 0) << dumped.err;
    EXPECT_EQ(dumped.out, "");
    EXPECT_EQ(dumped.err, "3 jobs, 3 keys, 0 dead\n");
  }
  std::vector<std::string> DumpLines() {
    std::ifstream file(Path("dump"));
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    return lines;
  }
  void WriteDump(const std::vector<std::string>& lines) {
    std::ofstream file(Path("dump"), std::ios::binary);
    for (const std::string& line : lines) file << line << "\n";
  }
  // Loading the dump fails with this and leaves nothing.
  void ExpectRefused(const std::string& message) {
    const Result loaded = Store("load dump --store new");
    EXPECT_EQ(loaded.code, 1);
    EXPECT_THAT(loaded.err, StartsWith(message));
    EXPECT_FALSE(std::filesystem::exists(Path("new"))) << "nothing half-loaded";
  }

  const TempDir dir_;
};

TEST_F(StoreCommand, AStoreAndItsDumpAreTheirOwnersAloneWhateverTheUmask) {
  const mode_t before = umask(0);
  MakeStore();
  EXPECT_EQ(Store("load --store loaded dump").code, 0);
  umask(before);
  const auto mode = [this](const std::string& name) {
    return static_cast<unsigned>(std::filesystem::status(Path(name)).permissions());
  };
  EXPECT_EQ(mode("dump"), 0600u);
  EXPECT_EQ(mode("s"), 0700u);
  EXPECT_EQ(mode("loaded"), 0700u);
  for (const auto& entry : std::filesystem::directory_iterator(Path("loaded")))
    EXPECT_EQ(mode("loaded/" + entry.path().filename().string()), 0600u) << entry;
}

TEST_F(StoreCommand, OutputThatDoesNotReachStdoutIsAFailure) {
  MakeStore();
  std::ofstream(Path("config.yaml")) << "name: shop\n";
  for (const std::string command :
       {"version", "--help", "config default", "config show", "config check config.yaml",
        "store stats --store s", "store stats --json --store s", "store verify --store s",
        "store dump --store s", "replay --event order:created '{}'"}) {
    const Result full = Run(command + " >/dev/full 2>told; code=$?; exit $code");
    EXPECT_EQ(full.code, 1) << command;
    EXPECT_THAT(ReadWhole(Path("told")),
                EndsWith("stdout: writing failed: No space left on device\n"))
        << command;
  }
}

TEST_F(StoreCommand, WithClosedStreamsNoFileTakesTheirPlace) {
  MakeStore();
  EXPECT_EQ(Run("store dump --store s >&- 2>told; code=$?; exit $code").code, 1);
  EXPECT_THAT(ReadWhole(Path("told")), HasSubstr("stdout: writing failed"));
  EXPECT_EQ(Run("store load --store l dump <&- >&- 2>&-; code=$?; exit $code").code, 0);
  for (const char* store : {"s", "l"})
    EXPECT_EQ(Store(std::string("verify --store ") + store).code, 0);
  EXPECT_EQ(std::filesystem::file_size(Path("s/LOCK")), 0u);
}

TEST_F(StoreCommand, AnEmptyPathIsRefused) {
  for (const std::string command :
       {"store stats --store ''", "doctor --store ''", "health --store ''",
        "config check ''", "replay --trace x --out ''"}) {
    const Result run = Run(command);
    EXPECT_EQ(run.code, 2) << command;
    EXPECT_THAT(run.out + run.err, HasSubstr("expected a path, found nothing"))
        << command;
  }
}

TEST_F(StoreCommand, BeyondTheLimitOfAFilesSizeItSaysSo) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "ThreadSanitizer writes a file of its own before main";
#endif
  MakeStore();
  const std::string command = "cd " + dir_.path() + " && { ulimit -f 0; " + Binary() +
                              " store dump --store s --out big; } 2>&1 | cat >told";
  EXPECT_EQ(std::system(command.c_str()), 0);
  EXPECT_EQ(ReadWhole(Path("told")), "big: writing failed: File too large\n");
}

TEST_F(StoreCommand, DumpOfALoadedDumpIsTheSameByteForByte) {
  MakeStore();
  const Result loaded = Store("load dump --store deep/er");
  EXPECT_EQ(loaded.code, 0) << loaded.err;
  EXPECT_EQ(loaded.err, "3 jobs, 3 keys, 0 dead\n");
  EXPECT_EQ(Store("dump --store deep/er").out, ReadWhole(Path("dump")));
  EXPECT_EQ(Store("verify --store deep/er").code, 0);
  // Also through a pipe, and into a volume that was just formatted.
  std::filesystem::create_directories(Path("new/lost+found"));
  EXPECT_EQ(Store("dump --store s | " + Binary() + " store load - --store new").code, 0);
  EXPECT_EQ(Store("verify --store new").code, 0);
}

TEST_F(StoreCommand, VerifyAndStatsTellTheNumbers) {
  MakeStore();
  const Result whole = Store("verify --store s");
  EXPECT_EQ(whole.code, 0);
  EXPECT_EQ(whole.out, "s: ok, 3 jobs, 3 keys, 0 dead\n");
  EXPECT_EQ(Store("verify --store s --json").out,
            "{\"ok\":true,\"errors\":0,\"jobs\":3,\"registers\":3,\"dead\":0}\n");
  const Result stats = Store("stats --store s");
  EXPECT_EQ(stats.code, 0);
  EXPECT_THAT(stats.out, HasSubstr("pending   3\n"));
  EXPECT_THAT(stats.out, HasSubstr("next      2027-02-01T10:15:00.000Z\n"));
  EXPECT_THAT(stats.out, HasSubstr("order-expiration"));
  EXPECT_THAT(Store("stats --store s --json").out, HasSubstr("\"pending\":3,"));
}

TEST_F(StoreCommand, WhatIsNoStoreIsRefusedWithOneSentence) {
  for (const std::string command : {"verify", "stats", "dump"}) {
    const Result missing = Store(command + " --store none");
    EXPECT_EQ(missing.code, 1);
    EXPECT_EQ(missing.err, "store none does not exist\n");
    std::filesystem::create_directories(Path("empty"));
    const Result empty = Store(command + " --store empty");
    EXPECT_EQ(empty.code, 1);
    EXPECT_EQ(empty.err, "empty holds no store\n");
    EXPECT_TRUE(std::filesystem::is_empty(Path("empty")));
  }
  EXPECT_EQ(Store("verify").err, "store data does not exist\n") << "the config's default";
  EXPECT_EQ(Store("load").code, 2);
  EXPECT_EQ(Store("").code, 2);
}

TEST_F(StoreCommand, VerifyTellsADamagedTable) {
  MakeStore();
  for (const auto& entry : std::filesystem::directory_iterator(Path("s")))
    if (entry.path().extension() == ".sst") {
      std::fstream table(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
      table.seekp(20).put('\x55');
    }
  const Result damaged = Store("verify --store s");
  EXPECT_EQ(damaged.code, 1);
  EXPECT_EQ(damaged.out, "s: not whole\n");
  EXPECT_THAT(damaged.err, HasSubstr(".sst"));
  EXPECT_THAT(Store("verify --store s --json").out, StartsWith("{\"error\":\""));
  const Result dumped = Store("dump --store s --out dump2");
  EXPECT_EQ(dumped.code, 1);
  EXPECT_FALSE(std::filesystem::exists(Path("dump2"))) << "whole or not at all";
}

TEST_F(StoreCommand, LoadWantsAnEmptyDirectory) {
  MakeStore();
  const Result loaded = Store("load dump --store s");
  EXPECT_EQ(loaded.code, 2);
  EXPECT_THAT(loaded.err, EndsWith("a store is loaded into an empty directory only\n"));
  EXPECT_EQ(Store("verify --store s").code, 0);
}

TEST_F(StoreCommand, ABadLineIsNamedAndNothingIsLoaded) {
  MakeStore();
  const std::vector<std::string> whole = DumpLines();
  ASSERT_GT(whole.size(), 8u);
  const size_t jobs = whole.size() - 4;  // where the three jobs begin

  auto lines = whole;
  lines[jobs] = lines[jobs].substr(0, 30);
  WriteDump(lines);
  ExpectRefused("dump:" + std::to_string(jobs + 1) + ": it ");

  lines = whole;
  std::swap(lines[jobs], lines[jobs + 1]);
  WriteDump(lines);
  ExpectRefused("dump:" + std::to_string(jobs + 2) +
                ": expected it before the line above, which has a higher key");

  lines = whole;
  lines.insert(lines.begin() + static_cast<long>(jobs), lines[jobs]);
  WriteDump(lines);
  ExpectRefused("dump:" + std::to_string(jobs + 2) +
                ": expected it before the line above, which has a higher key");

  lines = whole;
  lines.erase(lines.begin() + static_cast<long>(jobs));
  WriteDump(lines);
  ExpectRefused("dump:" + std::to_string(whole.size() - 1) +
                ": the number of lines above differs");

  lines = whole;
  lines.pop_back();
  WriteDump(lines);
  ExpectRefused("dump:" + std::to_string(whole.size()) +
                ": the dump is cut off: it has no last line");

  lines = whole;
  lines.push_back("{}");
  WriteDump(lines);
  ExpectRefused("dump:" + std::to_string(whole.size() + 1) +
                ": expected nothing after the last line");

  lines = whole;
  lines[0] =
      R"({"expirer_dump":1,"format":99,"store":"0123456789abcdef0123456789abcdef"})";
  WriteDump(lines);
  ExpectRefused("dump:1: dump 1 of format 99 is from a newer version of expirer");

  lines = whole;
  lines.erase(lines.begin());
  WriteDump(lines);
  ExpectRefused("dump:1: expected the first line of a dump");

  WriteDump({});
  ExpectRefused("dump:1: it is empty");
  std::filesystem::remove(Path("dump"));
  ExpectRefused("dump: cannot be read: ");
}

TEST_F(StoreCommand, LinesThatDoNotFitTogetherAreNotLoaded) {
  MakeStore();
  auto lines = DumpLines();
  // A job less, and the last line says so: each line for itself is right.
  lines.erase(lines.end() - 2);
  std::string& end = lines.back();
  const size_t at = end.find("\"jobs\":3");
  ASSERT_NE(at, std::string::npos);
  end.replace(at, 8, "\"jobs\":2");
  WriteDump(lines);
  ExpectRefused("dump: its lines do not fit together: ");
}

// A store as a replay leaves it at `until_ms`, loaded out of its own dump.
void ExpectCarriedOver(const std::string& rules, const std::string& trace,
                       int64_t until_ms) {
  SCOPED_TRACE(trace);
  const TempDir dir;
  const Config config = ConfigOf(rules);
  {
    ReplayOptions options = OptionsOf(config, dir.path() + "/store");
    options.until_ms = until_ms;
    Replayer replayer(std::move(options), config.rules);
    for (const TraceLine& line : ReadTrace(trace)) {
      const auto taken = replayer.Take(line);
      ASSERT_TRUE(taken.ok()) << taken.status();
      if (!*taken) break;
    }
    ASSERT_TRUE(replayer.Finish().ok());
  }
  const auto dump = [&](const std::string& name) {
    std::string text;
    const auto store = Store::Open({.path = dir.path() + name, .read_only = true});
    EXPECT_TRUE(store.ok()) << store.status();
    if (!store.ok()) return text;
    Audit(**store, [](const std::string& what) { ADD_FAILURE() << what; });
    const auto counts =
        DumpStore(**store, [&](std::string_view piece) { text += piece; });
    EXPECT_TRUE(counts.ok()) << counts.status();
    return text;
  };
  const std::string before = dump("/store");
  std::ofstream(dir.path() + "/dump", std::ios::binary) << before;
  const auto loaded = LoadStore(
      {.file = dir.path() + "/dump", .dir = dir.path() + "/loaded", .stopped = nullptr});
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(dump("/loaded"), before);
}

TEST(StoreDump, CarriesOverWhateverATraceLeaves) {
  for (const std::string folder : {"tests/replay/golden", "examples/rules"})
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      const std::string trace = entry.path();
      const size_t end = trace.rfind(".trace.jsonl");
      if (end == std::string::npos) continue;
      const std::string rules = trace.substr(0, end) + ".yaml";
      const std::vector<TraceLine> lines = ReadTrace(trace);
      ExpectCarriedOver(std::filesystem::exists(rules) ? rules : "", trace,
                        lines[lines.size() / 2].at_ms());
    }
}

TEST(StoreDump, EndsWhenItIsToldTo) {
  const TempDir dir;
  std::ofstream(dir.path() + "/dump") << "{\"expirer_dump\":1,\"format\":3,\"store\":"
                                         "\"0123456789abcdef0123456789abcdef\"}\n";
  std::ofstream more(dir.path() + "/dump", std::ios::app);
  for (int i = 0; i < 2000; ++i)
    more << "{\"meta\":\"x" << 10'000 + i << "\",\"value\":\"\"}\n";
  more.close();
  const auto loaded =
      LoadStore({.file = dir.path() + "/dump", .dir = dir.path() + "/new", .stopped = [] {
                   return true;
                 }});
  EXPECT_THAT(Message(loaded.status()), HasSubstr("interrupted"));
  EXPECT_FALSE(std::filesystem::exists(dir.path() + "/new"));
}

}  // namespace
}  // namespace expirer
