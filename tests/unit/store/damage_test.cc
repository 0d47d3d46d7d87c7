// Damage to what was synced is never passed over in silence.
#include <fmt/format.h>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "store/store.h"
#include "store/synced_file.h"
#include "store/table_footer.h"
#include "support/page_fs.h"

namespace expirer {
namespace {

using testing::HasSubstr;

constexpr char kDir[] = "/store";

StoreOptions OptionsOn(std::shared_ptr<PageFs> disk) {
  StoreOptions options;
  options.path = kDir;
  options.file_system = std::move(disk);
  options.memtable_bytes = 4 << 20;
  options.cache_bytes = 1 << 20;
  return options;
}

void WriteRows(Store* store, uint64_t from, uint64_t to) {
  WriteSet set;
  for (uint64_t n = from; n < to; ++n) {
    set.Clear();
    set.PutJob({1, static_cast<int64_t>(n), n}, std::string(500, 'j'));
    ASSERT_TRUE(store->Write(&set).ok());
  }
}

uint64_t CountRows(const Store& store) {
  uint64_t rows = 0;
  auto scan = store.ScanDue(1);
  for (scan->Seek({1, 0, 0}); scan->Valid(); scan->Next()) ++rows;
  EXPECT_TRUE(scan->status().ok()) << scan->status();
  return rows;
}

// 200 synced rows and 100 that are not, left by a killed process.
std::shared_ptr<PageFs> KilledDisk() {
  auto disk = std::make_shared<PageFs>();
  auto store = Store::Open(OptionsOn(disk));
  EXPECT_TRUE(store.ok()) << store.status();
  WriteRows(store->get(), 0, 200);
  EXPECT_TRUE((*store)->Sync().ok());
  WriteRows(store->get(), 200, 300);
  return disk->AfterKill();
}

std::string Log(const PageFs& disk) { return disk.Paths(".log").back(); }

void ExpectDataLoss(const std::shared_ptr<PageFs>& disk, const std::string& words) {
  const auto store = Store::Open(OptionsOn(disk));
  ASSERT_FALSE(store.ok());
  EXPECT_EQ(store.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(Message(store.status()), HasSubstr(words));
  EXPECT_THAT(Message(store.status()), HasSubstr("restore a backup"));
}

// Opens with recover_point_in_time; the rows still there.
uint64_t Recover(const std::shared_ptr<PageFs>& disk) {
  StoreOptions options = OptionsOn(disk);
  options.recover_point_in_time = true;
  uint64_t rows = 0;
  {
    auto store = Store::Open(options);
    EXPECT_TRUE(store.ok()) << store.status();
    if (!store.ok()) return 0;
    EXPECT_NE((*store)->recovery_note(), "");
    rows = CountRows(**store);
  }
  auto again = Store::Open(OptionsOn(disk));
  EXPECT_TRUE(again.ok()) << "the flag is needed once only: " << again.status();
  if (again.ok()) {
    EXPECT_EQ(CountRows(**again), rows);
  }
  return rows;
}

TEST(Damage, FlippedBitInASyncedLogIsRefused) {
  auto disk = KilledDisk();
  const std::string log = Log(*disk);
  disk->Damage(log, [](std::string* bytes) { (*bytes)[50000] ^= 4; });
  ExpectDataLoss(disk, log + ": its first ");
  ExpectDataLoss(disk, "damaged");
  const uint64_t rows = Recover(disk);
  EXPECT_GT(rows, 50U);
  EXPECT_LT(rows, 200U);
}

TEST(Damage, CutSyncedLogIsRefused) {
  auto disk = KilledDisk();
  disk->Damage(Log(*disk), [](std::string* bytes) { bytes->resize(60000); });
  ExpectDataLoss(disk, "was cut to 60000 bytes");
  const uint64_t rows = Recover(disk);
  EXPECT_GT(rows, 50U);
  EXPECT_LT(rows, 200U);
}

TEST(Damage, MissingSyncedLogIsRefused) {
  auto disk = KilledDisk();
  const std::string log = Log(*disk);
  ASSERT_TRUE(disk->DeleteFile(log, {}, nullptr).ok());
  ExpectDataLoss(disk, log + ": its first ");
  ExpectDataLoss(disk, "is missing");
}

TEST(Damage, MissingSyncedFileIsRefused) {
  auto disk = KilledDisk();
  ASSERT_TRUE(disk->DeleteFile("/store/SYNCED", {}, nullptr).ok());
  ExpectDataLoss(disk, "SYNCED is missing");
  EXPECT_EQ(Recover(disk), 300U);
}

TEST(Damage, DamagedSyncedFileIsRefused) {
  auto disk = KilledDisk();
  disk->Damage("/store/SYNCED",
               [](std::string* bytes) { bytes->assign(bytes->size(), '\0'); });
  ExpectDataLoss(disk, "SYNCED is damaged");
}

TEST(Damage, OneDamagedSlotOfSyncedIsSurvived) {
  for (const size_t at : {0, 16384}) {
    auto disk = KilledDisk();
    disk->Damage("/store/SYNCED", [&](std::string* bytes) { (*bytes)[at + 25] ^= 1; });
    auto store = Store::Open(OptionsOn(disk));
    ASSERT_TRUE(store.ok()) << store.status();
    EXPECT_EQ(CountRows(**store), 300U);
  }
}

TEST(Damage, MissingCurrentIsRefused) {
  auto disk = KilledDisk();
  ASSERT_TRUE(disk->DeleteFile("/store/CURRENT", {}, nullptr).ok());
  ExpectDataLoss(disk, "no file CURRENT");
}

TEST(Damage, TornUnsyncedTailOpensWithWhatWasSynced) {
  auto disk = KilledDisk();
  disk->Damage(Log(*disk), [](std::string* bytes) {
    bytes->replace(bytes->size() - 20000, 4096, 4096, '\0');
  });
  auto store = Store::Open(OptionsOn(disk));
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_GE(CountRows(**store), 200U);
  EXPECT_LT(CountRows(**store), 300U);
  EXPECT_THAT((*store)->recovery_note(), HasSubstr("unsynced"));
}

// A set that takes exactly `bytes` in the log, its 7-byte header included.
void FillExactly(WriteSet* set, uint64_t n, size_t bytes) {
  std::string row;
  for (set->Clear(), set->PutJob({1, static_cast<int64_t>(n), n}, row);
       set->bytes() + 7 != bytes; set->PutJob({1, static_cast<int64_t>(n), n}, row)) {
    row.resize(row.size() + bytes - set->bytes() - 7, 'j');
    set->Clear();
  }
}

TEST(Damage, HoleOfWholeRecordsIsNotReplayedOver) {
  auto disk = std::make_shared<PageFs>();
  auto store = Store::Open(OptionsOn(disk));
  ASSERT_TRUE(store.ok()) << store.status();
  // Records tile the log's blocks of 32 KB, so a lost block is a run of whole
  // records: RocksDB skips its zeros without a word.
  WriteSet set;
  FillExactly(&set, 0, 1024 - disk->Bytes(Log(*disk)).size() % 1024);
  ASSERT_TRUE((*store)->Write(&set).ok());
  ASSERT_TRUE((*store)->Sync().ok());
  for (uint64_t n = 1; n < 160; ++n) {
    FillExactly(&set, n, 1024);
    ASSERT_TRUE((*store)->Write(&set).ok());
  }
  auto after = disk->AfterKill();
  ASSERT_EQ(after->Bytes(Log(*after)).size(), 160U * 1024);
  after->Damage(Log(*after),
                [](std::string* bytes) { bytes->replace(32768, 32768, 32768, '\0'); });
  auto again = Store::Open(OptionsOn(after));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(CountRows(**again), 32U);
}

// After a clean close all is in tables.
std::shared_ptr<PageFs> ClosedDisk() {
  auto disk = std::make_shared<PageFs>();
  auto store = Store::Open(OptionsOn(disk));
  EXPECT_TRUE(store.ok()) << store.status();
  WriteRows(store->get(), 0, 2000);
  store->reset();
  return disk;
}

TEST(Damage, FlippedBitInATableIsReportedByScanAndGet) {
  auto disk = ClosedDisk();
  std::string largest;
  for (const std::string& path : disk->Paths(".sst"))
    if (disk->Bytes(path).size() > disk->Bytes(largest).size()) largest = path;
  disk->Damage(largest, [](std::string* bytes) { (*bytes)[bytes->size() / 3] ^= 1; });
  auto store = Store::Open(OptionsOn(disk));
  ASSERT_TRUE(store.ok()) << store.status();
  auto scan = (*store)->ScanDue(1);
  uint64_t rows = 0;
  for (scan->Seek({1, 0, 0}); scan->Valid(); scan->Next()) ++rows;
  EXPECT_LT(rows, 2000U);
  EXPECT_EQ(scan->status().code(), absl::StatusCode::kDataLoss);
  std::string row;
  const auto got = (*store)->GetJob({1, static_cast<int64_t>(rows), rows}, &row);
  EXPECT_EQ(got.status().code(), absl::StatusCode::kDataLoss);
}

// The bit says that the table has no checksums: RocksDB alone would then take
// what stands there as it is.
TEST(Damage, FlippedBitInATablesFooterIsReported) {
  auto disk = ClosedDisk();
  for (const std::string& path : disk->Paths(".sst"))
    disk->Damage(path, [](std::string* bytes) { (*bytes)[bytes->size() - 53] ^= 4; });
  const auto store = Store::Open(OptionsOn(disk));
  ASSERT_FALSE(store.ok());
  EXPECT_EQ(store.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(Message(store.status()), HasSubstr("its footer is damaged"));
  EXPECT_THAT(Message(store.status()), HasSubstr("restore a backup"));
}

// RocksDB itself takes this block apart first, and Debian's build aborts.
TEST(Damage, EveryDamagedByteOfATablesPropertiesIsReported) {
  auto disk = ClosedDisk();
  const std::string path = disk->Paths(".sst").front();
  const std::string whole = disk->Bytes(path);
  const std::string_view footer =
      std::string_view(whole).substr(whole.size() - kTableFooterBytes);
  const BlockHandle metaindex = MetaIndexOf(footer).value();
  const BlockHandle properties =
      PropertiesOf(std::string_view(whole).substr(metaindex.offset, metaindex.size))
          .value();
  ASSERT_GT(properties.size, 100u);
  for (const BlockHandle& block : {metaindex, properties}) {
    const size_t end = block.offset + block.size + kBlockTrailerBytes;
    for (size_t at = block.offset; at < end; at += at + 16 < end ? 7 : 1) {
      disk->Damage(path, [at](std::string* bytes) { (*bytes)[at] ^= 0x41; });
      const auto store = Store::Open(OptionsOn(disk));
      ASSERT_FALSE(store.ok()) << at;
      EXPECT_EQ(store.status().code(), absl::StatusCode::kDataLoss) << store.status();
      EXPECT_THAT(Message(store.status()), HasSubstr("restore a backup"));
      disk->Damage(path, [&whole](std::string* bytes) { *bytes = whole; });
    }
  }
  EXPECT_TRUE(Store::Open(OptionsOn(disk)).ok());
}

TEST(Damage, FlippedBitInTheManifestIsRefused) {
  auto disk = ClosedDisk();
  for (const std::string& path : disk->Paths(""))
    if (path.find("MANIFEST") != std::string::npos)
      disk->Damage(path, [](std::string* bytes) { (*bytes)[60] ^= 1; });
  const auto store = Store::Open(OptionsOn(disk));
  ASSERT_FALSE(store.ok());
  EXPECT_EQ(store.status().code(), absl::StatusCode::kDataLoss);
}

TEST(Damage, FailedSyncIsFinal) {
  auto disk = std::make_shared<PageFs>();
  auto store = Store::Open(OptionsOn(disk));
  ASSERT_TRUE(store.ok()) << store.status();
  WriteRows(store->get(), 0, 10);
  disk->OnSync([](const std::string& path) {
    return path.find(".log") == std::string::npos
               ? rocksdb::IOStatus::OK()
               : rocksdb::IOStatus::IOError("injected");
  });
  EXPECT_FALSE((*store)->Sync().ok());
  disk->OnSync(nullptr);
  // The kernel may have dropped the pages and would now say OK.
  EXPECT_FALSE((*store)->Sync().ok());
}

}  // namespace
}  // namespace expirer
