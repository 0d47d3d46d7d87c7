// Seeds through the simulated world (sim/world.h).
//
//   sim_test [--seed S] [--seeds N] [--events N] [--often] [--tell] [gtest's flags]
//     worlds of N seeds from S on (also: EXPIRER_SEED; default: any), each of so many
//     events; --often: crashes of one in 10 to 50 turns in each of them
//   sim_test --crashes N ...
//     as many seeds as it takes for N crashes, and one line for the table
//   sim_test --expect-failure P2,I3 ...
//     a control: exit 0 as soon as one of the seeds breaks one of those promises
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <random>
#include <sstream>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "app/version.h"
#include "base/log.h"
#include "gtest/gtest.h"
#include "sim/world.h"

namespace expirer::sim {
namespace {

struct Flags {
  std::optional<uint64_t> seed;
  uint64_t seeds = 100;
  uint64_t events = 1'000;
  uint64_t crashes = 0;
  bool often = false;
  bool tell = false;
  std::string expect_failure;
};
Flags& TheFlags() {
  static Flags flags;
  return flags;
}

std::string Commit() {
  const std::string text = VersionText();
  const size_t at = text.find("commit ") + 7;
  return text.substr(at, text.find('\n', at) - at);
}

Report RunSeed(uint64_t seed, uint64_t events, bool often = false) {
  const Report report = World({seed, events, often, TheFlags().tell}).Run();
  if (report.failure.empty()) return report;
  fmt::print(
      "sim: seed {}, commit {}: {}; again: sim_test --seed {} --seeds 1 --events {}{}\n",
      seed, Commit(), report.failure, seed, events, often ? " --often" : "");
  std::fflush(stdout);
  return report;
}

// Of many seeds.
struct Sum {
  uint64_t seeds = 0;
  uint64_t lost = 0;
  uint64_t early = 0;
  uint64_t silent = 0;
  uint64_t other = 0;
  Report all;

  void Add(const Report& report) {
    ++seeds;
    all.turns += report.turns;
    all.events += report.events;
    all.sent += report.sent;
    all.acked += report.acked;
    all.fired += report.fired;
    all.doubled += report.doubled;
    all.crashes += report.crashes;
    all.io_faults += report.io_faults;
    all.digest = (all.digest ^ report.digest) * 1099511628211U;
    if (report.failure.empty()) return;
    const std::string_view kind =
        std::string_view(report.failure).substr(0, report.failure.find(':'));
    if (kind == "P1" || kind == "P2" || kind == "I3" || kind == "liveness")
      ++lost;
    else if (kind == "P3")
      ++early;
    else if (kind == "P4")
      ++silent;
    else
      ++other;
  }
};

// A line of the table in tests/README.md; a failed seed counts once, by the first
// promise it broke. early: also after a cancel, or out of order.
void PrintRow(uint64_t first, const Sum& sum) {
  fmt::print(
      "sim: {} events in {} turns, {} attempts, {} failed accesses, digest {:016x}\n",
      sum.all.events, sum.all.turns, sum.all.sent, sum.all.io_faults, sum.all.digest);
  fmt::print(
      "sim: | {} | {} to {} | {} | {} | {} | {} lost | {} early | {} doubled | {} "
      "silent | {} other |\n",
      Commit(), first, first + sum.seeds - 1, sum.all.crashes, sum.all.acked,
      sum.all.fired, sum.lost, sum.early, sum.all.doubled, sum.silent, sum.other);
  std::fflush(stdout);
}

TEST(Sim, PromisesHoldInEverySeed) {
  const Flags& flags = TheFlags();
  const uint64_t first = flags.seed.value_or(std::random_device()());
  fmt::print("sim: seeds from {} on (EXPIRER_SEED={} runs them again)\n", first, first);
  Sum sum;
  const auto more = [&] {
    return flags.crashes > 0 ? sum.all.crashes < flags.crashes : sum.seeds < flags.seeds;
  };
  while (more()) {
    const uint64_t seed = first + sum.seeds;
    const Report report = RunSeed(seed, flags.events, flags.often);
    EXPECT_EQ(report.failure, "") << "seed " << seed;
    sum.Add(report);
  }
  PrintRow(first, sum);
  // Worlds in which nothing goes wrong prove nothing.
  if (sum.seeds >= 100) {
    EXPECT_GT(sum.all.sent, 60 * sum.seeds);
    EXPECT_GT(sum.all.crashes, sum.seeds);
    EXPECT_GT(sum.all.io_faults, sum.seeds / 8);
  }
}

TEST(Sim, SeedsThatOnceFailedHold) {
  std::ifstream file("tests/sim/seeds.txt");
  ASSERT_TRUE(file.is_open()) << "run from the root of the tree";
  std::string line;
  while (std::getline(file, line)) {
    std::istringstream fields(line);
    uint64_t seed = 0;
    uint64_t events = 0;
    std::string how;
    if (line.starts_with("#") || !(fields >> seed >> events >> how)) continue;
    EXPECT_EQ(RunSeed(seed, events, how == "often").failure, "") << line;
  }
}

// But for what RocksDB's threads leave to chance, now and then (tests/README.md).
TEST(Sim, SeedsAreTheSameTwice) {
  constexpr uint64_t kSeeds = 12;
  uint64_t same = 0;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    const Report one = RunSeed(seed, 600);
    const Report two = RunSeed(seed, 600);
    same += one.digest == two.digest && one.turns == two.turns ? 1 : 0;
    if (one.digest != two.digest) fmt::print("sim: seed {} differed\n", seed);
  }
  EXPECT_GE(same, kSeeds - 3);
}

// The fault that EXPIRER_MUTANT names must be seen.
int ExpectFailure() {
  const Flags& flags = TheFlags();
  const uint64_t first = flags.seed.value_or(1);
  for (uint64_t seed = first; seed < first + flags.seeds; ++seed) {
    const Report report = RunSeed(seed, flags.events, flags.often);
    const std::string kind = report.failure.substr(0, report.failure.find(':'));
    if (kind.empty() || flags.expect_failure.find(kind) == std::string::npos) continue;
    fmt::print("sim: control: seen in seed {}, as it must be\n", seed);
    return 0;
  }
  fmt::print("sim: control: {} was broken in none of {} seeds: this test sees nothing\n",
             flags.expect_failure, flags.seeds);
  return 1;
}

bool Whole(std::string_view text, uint64_t* value) {
  const auto [stop, error] =
      std::from_chars(text.data(), text.data() + text.size(), *value);
  return error == std::errc() && stop == text.data() + text.size();
}

// False for what it does not know.
bool ParseFlags(int argc, char** argv) {
  Flags& flags = TheFlags();
  uint64_t seed = 0;
  if (const char* given = std::getenv("EXPIRER_SEED"); given != nullptr) {
    if (!Whole(given, &seed)) return false;
    flags.seed = seed;
  }
  for (int i = 1; i < argc; ++i) {
    const std::string_view flag = argv[i];
    const std::string_view value = i + 1 < argc ? argv[i + 1] : "";
    if (flag == "--tell" || flag == "--often") {
      (flag == "--tell" ? flags.tell : flags.often) = true;
      continue;
    }
    ++i;
    if (flag == "--seed" && Whole(value, &seed)) {
      flags.seed = seed;
      continue;
    }
    if (flag == "--crashes" && Whole(value, &flags.crashes)) continue;
    if (flag == "--seeds" && Whole(value, &flags.seeds)) continue;
    if (flag == "--events" && Whole(value, &flags.events)) continue;
    if (flag == "--expect-failure" && !value.empty()) {
      flags.expect_failure = value;
      continue;
    }
    std::fprintf(stderr, "sim_test: cannot take %s\n", argv[i - 1]);
    return false;
  }
  return true;
}

}  // namespace
}  // namespace expirer::sim

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (!expirer::sim::ParseFlags(argc, argv)) return 2;
  // Above every level: what is refused and retried here is no operator's news.
  expirer::SetLog(static_cast<expirer::Level>(4), expirer::LogFormat::kText);
  if (!expirer::sim::TheFlags().expect_failure.empty())
    return expirer::sim::ExpectFailure();
  return RUN_ALL_TESTS();
}
