// A catalogue of damage to the files of a store: a start refuses it with a
// message that says what to do, or reading tells it, or all jobs are there; never
// fewer in silence. And `store verify` reports it in each case but the last.
#include <cstdio>
#include <random>

#include <fmt/format.h>

#include "faults/workload.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "sched/audit.h"

namespace expirer {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr uint64_t kWrites = 150;
constexpr uint64_t kSynced = 140;

const Model& TheModel() {
  static const Model model(kWrites);
  return model;
}

// A store as it is found before the damage.
struct Found {
  std::string name;
  std::shared_ptr<PageFs> disk;
  uint64_t synced = 0;  // writes that must be there
};

// `from` + 1 … `to`, every seventh synced, and `synced` the last.
void Write(Store* store, uint64_t from, uint64_t to, uint64_t synced) {
  for (uint64_t n = from + 1; n <= to; ++n) {
    ASSERT_TRUE(WriteNumber(n, store).ok());
    if (n == synced || (n < synced && n % 7 == 0)) {
      ASSERT_TRUE(store->Sync().ok());
    }
  }
}

std::vector<Found> MakeStores() {
  std::vector<Found> stores;
  const auto open = [](const std::shared_ptr<PageFs>& disk) {
    auto store = Store::Open(OptionsOn(disk));
    EXPECT_TRUE(store.ok()) << store.status();
    return *std::move(store);
  };
  {
    auto disk = std::make_shared<PageFs>();
    auto store = open(disk);
    Write(store.get(), 0, kWrites, kSynced);
    stores.push_back({"killed", disk->AfterKill(), kSynced});
  }
  {
    // Twice: the second life's log follows one that was recovered.
    auto disk = std::make_shared<PageFs>();
    auto store = open(disk);
    Write(store.get(), 0, 90, 90);
    auto second = disk->AfterKill();
    auto again = open(second);
    Write(again.get(), 90, 100, 97);
    stores.push_back({"killed twice", second->AfterKill(), 97});
  }
  {
    auto disk = std::make_shared<PageFs>();
    auto store = open(disk);
    Write(store.get(), 0, kWrites, kSynced);
    store.reset();
    stores.push_back({"closed", disk->AfterKill(), kWrites});
  }
  return stores;
}

const std::vector<Found>& Stores() {
  static const std::vector<Found> stores = MakeStores();
  return stores;
}

std::string BaseName(const std::string& path) { return path.substr(path.rfind('/') + 1); }

enum class Result { kRefused, kTold, kAllThere, kSilent };

struct Judgement {
  Result result = Result::kSilent;
  std::string message;  // of a refusal, or what reading told
  std::string verify;   // the first finding; "" = none
};

std::string VerifyFinding(const std::shared_ptr<PageFs>& disk) {
  StoreOptions options = OptionsOn(disk);
  options.read_only = options.stopped = true;
  const auto store = Store::Open(options);
  if (!store.ok()) return Message(store.status());
  std::string first;
  Audit(**store, [&first](const std::string& what) {
    if (first.empty()) first = what;
  });
  return first;
}

// A start on `disk`, which it changes, after a look by verify, which does not.
Judgement Judge(const std::shared_ptr<PageFs>& disk, uint64_t synced,
                bool recover = false) {
  Judgement judged;
  judged.verify = VerifyFinding(disk);
  StoreOptions options = OptionsOn(disk);
  options.recover_point_in_time = recover;
  const auto store = Store::Open(options);
  if (!store.ok()) {
    judged.result = Result::kRefused;
    judged.message = Message(store.status());
    return judged;
  }
  const auto writes = WritesIn(**store);
  const auto dump = DumpOf(**store);
  if (!writes.ok() || !dump.ok()) {
    judged.result = Result::kTold;
    judged.message = Message(writes.ok() ? dump.status() : writes.status());
    return judged;
  }
  const bool whole = *writes >= synced && *writes <= TheModel().writes() &&
                     *dump == TheModel().After(*writes);
  judged.result = whole ? Result::kAllThere : Result::kSilent;
  return judged;
}

using Change = std::function<void(std::string*)>;

struct Damage {
  std::string name;
  Change change;  // null = the file is deleted
};

void FlipAt(std::string* bytes, size_t at, int bit) {
  if (!bytes->empty())
    (*bytes)[std::min(at, bytes->size() - 1)] ^= static_cast<char>(1 << bit);
}

std::vector<Damage> Damages() {
  return {
      {"flip head", [](std::string* b) { FlipAt(b, 2, 3); }},
      {"flip middle", [](std::string* b) { FlipAt(b, b->size() / 2, 0); }},
      {"flip tail", [](std::string* b) { FlipAt(b, b->size() - 1, 7); }},
      {"truncate to nothing", [](std::string* b) { b->clear(); }},
      {"truncate to half", [](std::string* b) { b->resize(b->size() / 2); }},
      {"cut one byte off",
       [](std::string* b) { b->resize(b->size() - (b->empty() ? 0 : 1)); }},
      {"delete", nullptr},
  };
}

void Apply(const Damage& damage, PageFs* disk, const std::string& path) {
  if (damage.change == nullptr) {
    EXPECT_TRUE(disk->DeleteFile(path, {}, nullptr).ok());
  } else {
    EXPECT_TRUE(disk->Damage(path, damage.change));
  }
}

// What holds of every case.
void ExpectNothingSilent(const Judgement& judged) {
  EXPECT_NE(judged.result, Result::kSilent) << "fewer jobs, and nothing said";
  if (judged.result == Result::kRefused || judged.result == Result::kTold) {
    EXPECT_THAT(judged.verify, Not(IsEmpty())) << "verify missed: " << judged.message;
    EXPECT_THAT(judged.message, HasSubstr("restore a backup"));
    EXPECT_THAT(judged.message, HasSubstr("/store"));
  }
}

TEST(Corruption, TheStoresAreWholeBeforeIt) {
  for (const Found& found : Stores()) {
    SCOPED_TRACE(found.name);
    const auto disk = found.disk->AfterKill();
    const Judgement judged = Judge(disk, found.synced);
    EXPECT_EQ(judged.result, Result::kAllThere) << judged.message;
    EXPECT_EQ(judged.verify, "");
  }
  // How many depends on whether a compaction came first.
  EXPECT_GE(Stores()[0].disk->Paths(".sst").size(), 1u);
  EXPECT_GE(Stores()[1].disk->Paths(".log").size(), 1u);
}

TEST(Corruption, OfEveryFileIsRefusedOrToldOrHarmless) {
  for (const Found& found : Stores())
    for (const std::string& path : found.disk->Paths(""))
      for (const Damage& damage : Damages()) {
        SCOPED_TRACE(fmt::format("{}: {} {}", found.name, damage.name, path));
        const auto disk = found.disk->AfterKill();
        Apply(damage, disk.get(), path);
        ExpectNothingSilent(Judge(disk, found.synced));
      }
}

// Which kinds of files a start cannot do without, and which it can.
TEST(Corruption, OfTheFilesThatCountIsRefused) {
  const Found& closed = Stores()[2];
  for (const std::string& path : closed.disk->Paths("")) {
    const std::string name = BaseName(path);
    const bool counts = name == "CURRENT" || name.starts_with("MANIFEST") ||
                        name == "SYNCED" || name.ends_with(".sst");
    for (const Damage& damage : Damages()) {
      // It has two slots, and one is enough.
      if (name == "SYNCED" && damage.change != nullptr &&
          damage.name != "truncate to nothing")
        continue;
      SCOPED_TRACE(damage.name + " " + path);
      const auto disk = closed.disk->AfterKill();
      Apply(damage, disk.get(), path);
      const Judgement judged = Judge(disk, closed.synced);
      // The middle of a small table may be its filter, which no start reads.
      const bool seen = judged.result != Result::kAllThere || !judged.verify.empty();
      EXPECT_EQ(seen, counts) << judged.message;
    }
  }
}

// The control: with --recover=point-in-time a start takes damage for an end.
TEST(CorruptionControl, AStartThatTakesDamageForAnEndIsCaught) {
  const Found& killed = Stores()[0];
  const std::string log = killed.disk->Paths(".log").front();
  const auto disk = killed.disk->AfterKill();
  ASSERT_TRUE(disk->Damage(log, [](std::string* b) { FlipAt(b, b->size() / 3, 1); }));
  EXPECT_EQ(Judge(disk, killed.synced, true).result, Result::kSilent);
}

// ---- At random.

Damage Draw(std::mt19937_64* random) {
  std::mt19937_64& r = *random;
  const uint64_t a = r();
  const uint64_t b = r();
  const auto at = [a](const std::string* s) { return s->empty() ? 0 : a % s->size(); };
  switch (r() % 8) {
    case 0:
    case 1:
    case 2: return {"flip", [=](std::string* s) { FlipAt(s, at(s), b % 8); }};
    case 3:
      return {"overwrite", [=](std::string* s) {
                for (size_t i = at(s); i < s->size() && i < at(s) + b % 600; ++i)
                  (*s)[i] = static_cast<char>(a >> (i % 7 * 8));
              }};
    case 4:
      return {"zero pages", [=](std::string* s) {
                const size_t from = at(s) / 4096 * 4096;
                const size_t count =
                    std::min<size_t>(4096 * (1 + b % 3), s->size() - from);
                s->replace(from, count, count, '\0');
              }};
    case 5: return {"truncate", [=](std::string* s) { s->resize(at(s)); }};
    case 6: return {"append", [=](std::string* s) { s->append(b % 5000, char(a)); }};
    default: return {"delete", nullptr};
  }
}

// EXPIRER_CASES=20000 EXPIRER_SEED=1 for the hand run of tests/README.md.
TEST(Corruption, AtRandomIsRefusedOrToldOrHarmless) {
  const uint64_t cases = FromEnv("EXPIRER_CASES", 300);
  const uint64_t seed = FromEnv("EXPIRER_SEED", 1);
  uint64_t results[4] = {};
  uint64_t reported = 0;
  for (uint64_t n = 0; n < cases; ++n) {
    std::mt19937_64 random(seed + n);
    const Found& found = Stores()[random() % Stores().size()];
    const std::vector<std::string> paths = found.disk->Paths("");
    const std::string path = paths[random() % paths.size()];
    const Damage damage = Draw(&random);
    const std::string name = fmt::format("EXPIRER_CASES=1 EXPIRER_SEED={}: {}: {} {}",
                                         seed + n, found.name, damage.name, path);
    SCOPED_TRACE(name);
    NameRunning(name);
    const auto disk = found.disk->AfterKill();
    Apply(damage, disk.get(), path);
    const Judgement judged = Judge(disk, found.synced);
    ExpectNothingSilent(judged);
    ++results[static_cast<int>(judged.result)];
    reported += judged.verify.empty() ? 0 : 1;
  }
  std::printf(
      "| seed | cases | refused | told when read | all there | silent | verify |\n"
      "| %lu | %lu | %lu | %lu | %lu | %lu | %lu |\n",
      seed, cases, results[0], results[1], results[2], results[3], reported);
}

}  // namespace
}  // namespace expirer
