// Fails the N-th file operation of a fixed workload, for every N: nothing that a
// Sync promised is lost, the failure of a write is never passed over, and the
// next start is whole.
#include <cstdio>
#include <map>

#include <fmt/format.h>

#include "faults/workload.h"
#include "gtest/gtest.h"
#include "sched/audit.h"
#include "support/failing_fs.h"
#include "support/seed.h"

namespace expirer {
namespace {

using How = Faults::How;

constexpr uint64_t kWrites = 80;
constexpr uint64_t kSyncEvery = 7;
constexpr uint64_t kStep = 5;

const Model& TheModel() {
  static const Model model(kWrites);
  return model;
}

// What a run of the workload came to.
struct Outcome {
  uint64_t synced = 0;   // writes that a Sync promised
  uint64_t written = 0;  // that Write took
  absl::Status error;    // the first that was told
};

// One process: opens, goes on where the store stands, to `until` writes, and
// closes. Ends at the first error, as the service does.
void Live(const std::shared_ptr<rocksdb::FileSystem>& files, uint64_t until,
          Outcome* outcome) {
  auto store = Store::Open(OptionsOn(files));
  outcome->error = store.status();
  if (!store.ok()) return;
  const auto found = WritesIn(**store);
  outcome->error = found.status();
  if (!found.ok()) return;
  EXPECT_GE(*found, outcome->synced);
  for (uint64_t n = *found + 1; n <= until; ++n) {
    outcome->error = WriteNumber(n, store->get());
    if (!outcome->error.ok()) return;
    outcome->written = n;
    if (n % kSyncEvery != 0) continue;
    outcome->error = (*store)->Sync();
    if (!outcome->error.ok()) return;
    outcome->synced = n;
  }
}

// Two processes, the second of which finds what the first one left.
Outcome RunWorkload(const std::shared_ptr<rocksdb::FileSystem>& files) {
  Outcome outcome;
  Live(files, kWrites / 2, &outcome);
  if (outcome.error.ok()) Live(files, kWrites, &outcome);
  return outcome;
}

// The next start, on a disk that is well again.
void ExpectWhole(const std::shared_ptr<PageFs>& disk, const Outcome& outcome) {
  auto store = Store::Open(OptionsOn(disk));
  ASSERT_TRUE(store.ok()) << store.status();
  Audit(**store, [](const std::string& what) { ADD_FAILURE() << "audit: " << what; });
  const auto found = WritesIn(**store);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_GE(*found, outcome.synced) << "what was synced is lost";
  // A write that was reported as failed may have reached the disk.
  ASSERT_LE(*found, outcome.written + 1);
  const auto dump = DumpOf(**store);
  ASSERT_TRUE(dump.ok()) << dump.status();
  EXPECT_EQ(*dump, TheModel().After(*found)) << "not what stood after that write";
}

// Whether an error must be told: no answer of the store may rest on it.
bool MustBeTold(const std::string& what) {
  return what.find(".log") != std::string::npos &&
         (what.starts_with("append") || what.starts_with("sync"));
}

class Sweep : public testing::TestWithParam<How> {};

TEST_P(Sweep, EveryFileOperationMayFail) {
  const How how = GetParam();
  std::map<std::string, uint64_t> kinds;
  uint64_t told = 0;
  // EXPIRER_SWEEP_STEP=1 runs every N, EXPIRER_SWEEP_AT one alone, and without
  // them each kStep-th, beginning with EXPIRER_SEED: an N is four starts of a
  // store, which mostly wait for RocksDB's threads.
  const uint64_t only = FromEnv("EXPIRER_SWEEP_AT", 0);
  const uint64_t step = FromEnv("EXPIRER_SWEEP_STEP", kStep);
  const uint64_t first = only != 0 ? only : 1 + TestSeed() % step;
  uint64_t n = first;
  uint64_t runs = 0;
  for (bool hit = true; hit && !HasFailure(); n += step, ++runs) {
    const std::string name = fmt::format("EXPIRER_SWEEP_AT={} how={}", n, int(how));
    SCOPED_TRACE(name);
    NameRunning(name);
    auto disk = std::make_shared<PageFs>();
    auto faults = std::make_shared<Faults>();
    faults->FailAt(n, how);
    const Outcome outcome = RunWorkload(std::make_shared<FailingFs>(disk, faults));
    const std::string what = faults->what();
    hit = !what.empty();
    SCOPED_TRACE(what);
    told += outcome.error.ok() ? 0 : 1;
    ++kinds[what.substr(0, what.find(' '))];
    // A sync that is left to the closing is promised to nobody.
    if (MustBeTold(what) && outcome.written < kWrites) {
      EXPECT_FALSE(outcome.error.ok()) << "passed over in silence";
    }
    ExpectWhole(disk->AfterKill(), outcome);
    ExpectWhole(disk->AfterPowerLoss(n), outcome);
    if (only != 0) break;
  }
  std::printf("%lu of %lu operations, %lu errors told:", runs, n - step, told);
  for (const auto& [kind, count] : kinds)
    if (!kind.empty()) std::printf(" %s %lu", kind.c_str(), count);
  std::printf("\n");
}

std::string NameOf(const testing::TestParamInfo<How>& param) {
  constexpr std::string_view kNames[] = {"Undone", "Half", "Done", "ForGood"};
  return std::string(kNames[static_cast<int>(param.param)]);
}
INSTANTIATE_TEST_SUITE_P(Fails, Sweep,
                         testing::Values(How::kUndone, How::kHalf, How::kDone,
                                         How::kForGood),
                         NameOf);

// The control: a process that takes its writes for durable without a sync.
TEST(SweepControl, AProcessThatDoesNotSyncIsCaught) {
  auto disk = std::make_shared<PageFs>();
  const auto store = Store::Open(OptionsOn(disk));
  ASSERT_TRUE(store.ok()) << store.status();
  for (uint64_t n = 1; n <= 20; ++n) ASSERT_TRUE(WriteNumber(n, store->get()).ok());
  uint64_t lost = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const auto found = Store::Open(OptionsOn(disk->AfterPowerLoss(seed)));
    ASSERT_TRUE(found.ok()) << found.status();
    lost += *WritesIn(**found) < 20 ? 1 : 0;
  }
  EXPECT_GT(lost, 0u);
}

}  // namespace
}  // namespace expirer
