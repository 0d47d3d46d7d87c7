// Power losses on a disk that keeps unsynced pages in any order.
#include <atomic>
#include <cstdlib>
#include <functional>
#include <random>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "gtest/gtest.h"
#include "rocksdb/db.h"
#include "store/store.h"
#include "support/page_fs.h"

namespace expirer {
namespace {

constexpr char kDir[] = "/store";

uint64_t FromEnv(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

StoreOptions SmallOptions(std::shared_ptr<PageFs> disk) {
  StoreOptions options;
  options.path = kDir;
  options.file_system = std::move(disk);
  options.memtable_bytes = 256 << 10;  // logs and flushes change hands often
  options.cache_bytes = 1 << 20;
  options.wal_bytes_max = 512 << 10;
  return options;
}

// Write number n: one row named n, of a size drawn from n, and a register and
// a counter that each write changes.
void Fill(WriteSet* set, uint64_t n, std::mt19937_64* random) {
  set->Clear();
  const size_t size = (*random)() % 8 == 0 ? (*random)() % 60000 : (*random)() % 900;
  set->PutJob({1, static_cast<int64_t>(n), n}, std::string(size, 'j'));
  set->PutRegister(fmt::format("rule/{:x}", n * 0x9e3779b97f4a7c15U),
                   std::string(30, 'r'));
  set->PutMeta("count/n", std::to_string(n));
}

// Rows 1..n with none missing, and the counter saying n; returns n.
uint64_t Recovered(const Store& store) {
  uint64_t n = 0;
  auto scan = store.ScanDue(1);
  for (scan->Seek({1, 0, 0}); scan->Valid(); scan->Next()) {
    ++n;
    EXPECT_EQ(scan->key().seq, n) << "a write is missing before a later one";
  }
  EXPECT_TRUE(scan->status().ok()) << scan->status();
  uint64_t registers = 0;
  EXPECT_TRUE(store
                  .VisitRegisters("rule/",
                                  [&](auto, auto) {
                                    ++registers;
                                    return absl::OkStatus();
                                  })
                  .ok());
  EXPECT_EQ(registers, n);
  std::string counter;
  EXPECT_TRUE(store.GetMeta("count/n", &counter).ok());
  EXPECT_EQ(counter.empty() ? "0" : counter, std::to_string(n));
  return n;
}

struct World {
  std::shared_ptr<PageFs> disk = std::make_shared<PageFs>();
  uint64_t written = 0;
  uint64_t synced_min = 0;
};

// Writes on this thread beside syncs on another, power lost at a random
// moment; returns the disk found after it and what must, and may, be there.
World RunUntilLoss(World world, uint64_t seed, bool sync) {
  std::mt19937_64 random(seed);
  auto opened = Store::Open(SmallOptions(world.disk));
  EXPECT_TRUE(opened.ok()) << opened.status();
  if (!opened.ok()) return world;
  Store& store = **opened;
  const uint64_t found = Recovered(store);
  EXPECT_GE(found, world.synced_min) << "synced writes are lost";
  EXPECT_LE(found, world.written);
  std::atomic<uint64_t> written = found;
  std::atomic<uint64_t> synced = world.synced_min;
  std::atomic<bool> stop = false;
  std::thread syncer([&] {
    while (sync && !stop) {
      const uint64_t ticket = written;
      EXPECT_TRUE(store.Sync().ok());
      synced = ticket;
      std::this_thread::yield();
    }
  });
  WriteSet set;
  const uint64_t last = found + 1 + random() % 200;
  for (uint64_t n = found + 1; n <= last; ++n) {
    Fill(&set, n, &random);
    EXPECT_TRUE(store.Write(&set).ok());
    written = n;
  }
  if (!sync) synced = static_cast<uint64_t>(written);  // the control lies
  World after;
  after.synced_min = synced;
  after.disk = world.disk->AfterPowerLoss(seed);
  after.written = written;
  stop = true;
  syncer.join();
  return after;
}

TEST(PowerLoss, KeepsEverySyncedWriteAndAPrefixOfTheRest) {
  const uint64_t seed = FromEnv("EXPIRER_SEED", 1);
  const uint64_t cycles = FromEnv("EXPIRER_CYCLES", 200);
  World world;
  uint64_t writes = 0;
  for (uint64_t cycle = 0; cycle < cycles; ++cycle) {
    SCOPED_TRACE(fmt::format("EXPIRER_SEED={} cycle={}", seed, cycle));
    if (cycle % 20 == 0) world = World();
    const uint64_t before = world.written;
    world = RunUntilLoss(world, seed * 1000003 + cycle, true);
    writes += world.written - std::min(before, world.written);
    if (HasFailure()) return;
  }
  RecordProperty("writes", static_cast<int>(writes));
}

// The test above would see a loss: without syncs there is one.
TEST(PowerLoss, LosesWritesThatWereNeverSynced) {
  const uint64_t seed = FromEnv("EXPIRER_SEED", 1);
  uint64_t lost = 0;
  for (uint64_t cycle = 0; cycle < 20; ++cycle) {
    const World world = RunUntilLoss({}, seed * 1000003 + cycle, false);
    auto opened = Store::Open(SmallOptions(world.disk));
    ASSERT_TRUE(opened.ok()) << opened.status();
    const uint64_t found = Recovered(**opened);
    EXPECT_LE(found, world.written);
    lost += world.written - found;
  }
  EXPECT_GT(lost, 0U);
}

TEST(PowerLoss, KilledProcessLosesNothingWrittenNorSaysSo) {
  const uint64_t seed = FromEnv("EXPIRER_SEED", 1);
  auto disk = std::make_shared<PageFs>();
  std::mt19937_64 random(seed);
  WriteSet set;
  uint64_t n = 0;
  for (int cycle = 0; cycle < 30; ++cycle) {
    SCOPED_TRACE(fmt::format("EXPIRER_SEED={} cycle={}", seed, cycle));
    auto opened = Store::Open(SmallOptions(disk));
    ASSERT_TRUE(opened.ok()) << opened.status();
    ASSERT_EQ(Recovered(**opened), n) << (*opened)->recovery_note();
    EXPECT_EQ((*opened)->recovery_note(), "");
    for (uint64_t last = n + random() % 300; n < last;) {
      Fill(&set, ++n, &random);
      ASSERT_TRUE((*opened)->Write(&set).ok());
      if (random() % 8 == 0) {
        ASSERT_TRUE((*opened)->Sync().ok());
      }
    }
    disk = disk->AfterKill();
  }
}

// Why the store does not leave an unsynced tail to RocksDB alone. Rows are
// written, half of them synced, and power is lost; each mode opens the disks.
struct Judged {
  int refused = 0;
  int lost = 0;  // opened with fewer rows than were synced
};

Judged JudgeByRocks(rocksdb::WALRecoveryMode mode, bool flip_synced_byte) {
  Judged judged;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    auto disk = std::make_shared<PageFs>();
    const auto env = rocksdb::NewCompositeEnv(disk);
    rocksdb::Options options;
    options.create_if_missing = true;
    options.env = env.get();
    rocksdb::DB* raw = nullptr;
    EXPECT_TRUE(rocksdb::DB::Open(options, kDir, &raw).ok());
    std::unique_ptr<rocksdb::DB> db(raw);
    const auto put = [&](int n) {
      EXPECT_TRUE(db->Put({}, fmt::format("{:04}", n), std::string(700, 'v')).ok());
    };
    for (int n = 0; n < 50; ++n) put(n);
    EXPECT_TRUE(db->SyncWAL().ok());
    for (int n = 50; n < 100; ++n) put(n);
    auto after = disk->AfterPowerLoss(seed);
    if (flip_synced_byte)
      after->Damage(after->Paths(".log").front(),
                    [](std::string* bytes) { (*bytes)[9000] ^= 1; });
    const auto after_env = rocksdb::NewCompositeEnv(after);
    options.env = after_env.get();
    options.wal_recovery_mode = mode;
    rocksdb::DB* reopened = nullptr;
    if (!rocksdb::DB::Open(options, kDir, &reopened).ok()) {
      ++judged.refused;
      continue;
    }
    std::string value;
    if (!reopened->Get({}, "0049", &value).ok()) ++judged.lost;
    delete reopened;
  }
  return judged;
}

TEST(RocksRecovery, ToleratingTornTailsRefusesHealthyStores) {
  const Judged judged =
      JudgeByRocks(rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords, false);
  EXPECT_GT(judged.refused, 0);
  EXPECT_EQ(judged.lost, 0);
}

TEST(RocksRecovery, PointInTimeLosesSyncedRowsInSilence) {
  const Judged healthy =
      JudgeByRocks(rocksdb::WALRecoveryMode::kPointInTimeRecovery, false);
  EXPECT_EQ(healthy.refused, 0);
  EXPECT_EQ(healthy.lost, 0);
  const Judged damaged =
      JudgeByRocks(rocksdb::WALRecoveryMode::kPointInTimeRecovery, true);
  EXPECT_EQ(damaged.refused, 0);
  EXPECT_EQ(damaged.lost, 40);
}

// Why the store does not keep only the number of the last synced write. RocksDB writes
// 96 rows to one log and flushes one family or both, so that a second log begins and
// gets 4 more rows. Everything is synced; then `damage` follows. 32 rows fill a block.
struct Reached {
  bool opened = false;
  bool last_number = false;  // no lower than before the sync
  int rows = 0;
};

Reached ReachByRocks(bool flush_rows, const std::function<void(PageFs* disk)>& damage) {
  auto disk = std::make_shared<PageFs>();
  auto env = rocksdb::NewCompositeEnv(disk);
  rocksdb::Options options;
  options.create_if_missing = true;
  options.create_missing_column_families = true;
  options.env = env.get();
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  const std::vector<rocksdb::ColumnFamilyDescriptor> families = {
      {"default", rocksdb::ColumnFamilyOptions()},
      {"other", rocksdb::ColumnFamilyOptions()}};
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  const auto close = [&] {
    for (rocksdb::ColumnFamilyHandle* handle : std::exchange(handles, {}))
      EXPECT_TRUE(db->DestroyColumnFamilyHandle(handle).ok());
    delete std::exchange(db, nullptr);
  };
  EXPECT_TRUE(rocksdb::DB::Open(options, kDir, families, &handles, &db).ok());
  const auto put = [&](int n) {
    EXPECT_TRUE(db->Put({}, fmt::format("{:04}", n), std::string(997, 'v')).ok());
  };
  for (int n = 0; n < 96; ++n) put(n);
  EXPECT_TRUE(db->Put({}, handles[1], "a", "b").ok());
  EXPECT_TRUE(db->Flush({}, handles[1]).ok());
  if (flush_rows) {
    EXPECT_TRUE(db->Flush({}, handles[0]).ok());
  }
  for (int n = 96; n < 100; ++n) put(n);
  const rocksdb::SequenceNumber last = db->GetLatestSequenceNumber();
  EXPECT_TRUE(db->SyncWAL().ok());
  const auto after = disk->AfterKill();
  close();
  damage(after.get());
  const auto after_env = rocksdb::NewCompositeEnv(after);
  options.env = after_env.get();
  Reached reached;
  reached.opened = rocksdb::DB::Open(options, kDir, families, &handles, &db).ok();
  if (!reached.opened) return reached;
  reached.last_number = db->GetLatestSequenceNumber() >= last;
  std::string value;
  for (int n = 0; n < 100; ++n)
    reached.rows += db->Get({}, fmt::format("{:04}", n), &value).ok() ? 1 : 0;
  close();
  return reached;
}

void DamageManifest(PageFs* disk, const std::function<void(std::string*)>& change) {
  for (const std::string& path : disk->Paths(""))
    if (path.find("MANIFEST") != std::string::npos) disk->Damage(path, change);
}

TEST(RocksRecovery, TheLastNumberDoesNotTellWhatIsMissingBeforeIt) {
  const Reached whole = ReachByRocks(false, [](PageFs*) {});
  EXPECT_TRUE(whole.last_number);
  EXPECT_EQ(whole.rows, 100);
  const auto expect_silent = [](const char* damage, int rows, const Reached& reached) {
    EXPECT_TRUE(reached.opened && reached.last_number) << damage;
    EXPECT_EQ(reached.rows, rows) << damage;
  };
  expect_silent("first log lost", 4, ReachByRocks(false, [](PageFs* disk) {
                  EXPECT_TRUE(disk->DeleteFile(disk->Paths(".log")[0], {}, nullptr).ok());
                }));
  expect_silent("first log cut", 36, ReachByRocks(false, [](PageFs* disk) {
                  disk->Damage(disk->Paths(".log")[0],
                               [](std::string* bytes) { bytes->resize(32768); });
                }));
  expect_silent("pages zeroed", 68, ReachByRocks(false, [](PageFs* disk) {
                  disk->Damage(disk->Paths(".log")[0], [](std::string* bytes) {
                    bytes->replace(32768, 32768, 32768, '\0');
                  });
                }));
  expect_silent("MANIFEST cut", 4, ReachByRocks(true, [](PageFs* disk) {
                  DamageManifest(disk, [](std::string* bytes) {
                    bytes->resize(bytes->size() - 100);
                  });
                }));
}

TEST(RocksRecovery, ATornTailOfTheManifestRefusesAHealthyStore) {
  const Reached torn = ReachByRocks(true, [](PageFs* disk) {
    DamageManifest(disk, [](std::string* bytes) {
      bytes->append("\1\2\3\4\5\0\1 five", 12);  // as long as its header says
    });
  });
  EXPECT_FALSE(torn.opened);
}

}  // namespace
}  // namespace expirer
