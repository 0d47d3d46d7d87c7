#include "store/store.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <thread>

#include <fmt/format.h>

#include "base/coding.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "rocksdb/db.h"
#include "rocksdb/perf_context.h"
#include "store/committer.h"
#include "store/meta.h"
#include "support/page_fs.h"
#include "support/volume.h"

namespace expirer {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// A directory of its own for each test, empty at its start.
std::string TestDir() {
  const auto* info = testing::UnitTest::GetInstance()->current_test_info();
  const std::string dir =
      fmt::format("{}/expirer_{}_{}_{}", std::filesystem::temp_directory_path().string(),
                  getpid(), info->test_suite_name(), info->name());
  std::filesystem::remove_all(dir);
  return dir;
}

class StoreTest : public testing::Test {
 protected:
  StoreTest() : dir_(TestDir()) { options_.path = dir_; }
  ~StoreTest() override {
    store_.reset();
    std::filesystem::remove_all(dir_);
  }
  absl::Status Open() {
    store_.reset();
    auto opened = Store::Open(options_);
    if (opened.ok()) store_ = *std::move(opened);
    return opened.status();
  }
  void MustOpen() {
    const absl::Status status = Open();
    ASSERT_TRUE(status.ok()) << status;
  }
  absl::Status Write() {
    const absl::Status status = store_->Write(&set_);
    set_.Clear();
    return status;
  }

  const std::string dir_;
  StoreOptions options_;
  std::unique_ptr<Store> store_;
  WriteSet set_;
};

Register Closed(int64_t expires_ms) {
  Register reg;
  reg.state = JobState::kFired;
  reg.schedule.emplace();
  reg.expires_ms = expires_ms;
  return reg;
}

Register Pending(const JobKey& key) {
  Register reg;
  reg.schedule.emplace();
  reg.job = key;
  return reg;
}

TEST_F(StoreTest, WhatWasWrittenIsReadBackAlsoAfterReopening) {
  MustOpen();
  const std::string id = store_->id();
  const JobKey key{3, 1000, 7};
  set_.PutJob(key, "row");
  set_.PutRegister(MakeId("r", "k"), EncodeRegister(Pending(key)));
  set_.PutDead("r\0x", "dead");
  set_.PutMeta("next_seq", "8");
  EXPECT_FALSE(set_.empty());
  EXPECT_GT(set_.bytes(), 20U);
  ASSERT_TRUE(Write().ok());
  EXPECT_TRUE(set_.empty());
  for (int round = 0; round < 2; ++round) {
    std::string value;
    EXPECT_TRUE(*store_->GetJob(key, &value));
    EXPECT_EQ(value, "row");
    EXPECT_EQ(**store_->GetRegister(MakeId("r", "k")), Pending(key));
    EXPECT_TRUE(*store_->GetDead("r\0x", &value));
    EXPECT_TRUE(*store_->GetMeta("next_seq", &value));
    EXPECT_EQ(value, "8");
    EXPECT_FALSE(*store_->GetJob({3, 1000, 8}, &value));
    EXPECT_FALSE(store_->GetRegister(MakeId("r", "other"))->has_value());
    MustOpen();
    EXPECT_EQ(store_->id(), id);
  }
  EXPECT_EQ(id.size(), 32U);
}

TEST_F(StoreTest, ManyRegistersReadAtOnceAreWhatEachIsAloneAlsoAfterReopening) {
  MustOpen();
  std::vector<std::string> ids;
  for (uint64_t n = 0; n < 100; ++n) {  // more than RocksDB takes in one go
    ids.push_back(MakeId("r", std::to_string(n * 7 % 100)));
    if (n % 3 == 0) set_.PutRegister(ids.back(), EncodeRegister(Pending({1, 1000, n})));
    if (n % 3 == 1) set_.PutRegister(ids.back(), EncodeRegister(Closed(1000)));
  }
  ids.push_back(ids.front());  // twice
  ASSERT_TRUE(Write().ok());
  for (int round = 0; round < 2; ++round) {
    for (const int64_t now_ms : {999, 1000}) {  // before and after the closed expire
      store_->SetNow(now_ms);
      std::vector<std::optional<Register>> found(1, Register());
      ASSERT_TRUE(store_->GetRegisters(ids, &found).ok());
      ASSERT_EQ(found.size(), ids.size());
      size_t known = 0;
      for (size_t i = 0; i < ids.size(); ++i) {
        EXPECT_EQ(found[i], *store_->GetRegister(ids[i])) << ids[i];
        known += found[i] ? 1 : 0;
      }
      EXPECT_EQ(known, now_ms < 1000 ? 68U : 35U);
    }
    MustOpen();
  }
}

TEST_F(StoreTest, DeletedEntriesAreGone) {
  MustOpen();
  set_.PutJob({1, 1, 1}, "row");
  set_.PutRegister("id", EncodeRegister(Pending({1, 1, 1})));
  ASSERT_TRUE(Write().ok());
  set_.DeleteJob({1, 1, 1});
  set_.DeleteRegister("id");
  ASSERT_TRUE(Write().ok());
  std::string row;
  EXPECT_FALSE(*store_->GetJob({1, 1, 1}, &row));
  EXPECT_FALSE(store_->GetRegister("id")->has_value());
}

TEST_F(StoreTest, TakeBackLosesWhatWasWrittenSinceTheMarkAndNothingElse) {
  MustOpen();
  const JobKey kept{1, 1000, 1};
  const JobKey lost{1, 1000, 2};
  set_.PutJob(kept, "before");
  set_.PutMeta("gone", "before");
  set_.PutMeta("changed", "before");
  ASSERT_TRUE(Write().ok());
  store_->SetSavepoint();
  set_.DeleteJob(kept);
  set_.PutJob(lost, "after");
  set_.DeleteMeta("gone");
  set_.PutMeta("changed", "after");
  ASSERT_TRUE(Write().ok());
  set_.PutJob(kept, "after");
  set_.PutMeta("changed", "again");
  set_.PutMeta("made", "after");
  ASSERT_TRUE(Write().ok());
  ASSERT_TRUE(store_->TakeBack().ok());
  set_.PutMeta("later", "later");
  ASSERT_TRUE(Write().ok());
  for (const bool reopened : {false, true}) {
    if (reopened) MustOpen();
    std::string value;
    EXPECT_TRUE(*store_->GetJob(kept, &value));
    EXPECT_EQ(value, "before");
    EXPECT_FALSE(*store_->GetJob(lost, &value));
    EXPECT_TRUE(*store_->GetMeta("gone", &value));
    EXPECT_EQ(value, "before");
    EXPECT_TRUE(*store_->GetMeta("changed", &value));
    EXPECT_EQ(value, "before");
    EXPECT_FALSE(*store_->GetMeta("made", &value));
    EXPECT_TRUE(*store_->GetMeta("later", &value));
  }
}

TEST_F(StoreTest, EveryStoreHasItsOwnId) {
  MustOpen();
  const std::string first = store_->id();
  store_.reset();
  std::filesystem::remove_all(dir_);
  MustOpen();
  EXPECT_NE(store_->id(), first);
}

std::vector<uint64_t> Seqs(Store* store, Lane lane, const JobKey& from) {
  std::vector<uint64_t> seqs;
  auto scan = store->ScanDue(lane);
  for (scan->Seek(from); scan->Valid(); scan->Next()) seqs.push_back(scan->key().seq);
  EXPECT_TRUE(scan->status().ok());
  return seqs;
}

TEST_F(StoreTest, ScanStaysInItsLaneInOrder) {
  MustOpen();
  set_.PutJob({1, 99, 1}, "");
  set_.PutJob({2, 300, 2}, "");
  set_.PutJob({2, 20, 3}, "");
  set_.PutJob({2, 20, 4}, "");
  set_.PutJob({3, 0, 5}, "");
  set_.PutJob({UINT16_MAX, 0, 6}, "");
  ASSERT_TRUE(Write().ok());
  EXPECT_THAT(Seqs(store_.get(), 2, {2, 0, 0}), ElementsAre(3, 4, 2));
  EXPECT_THAT(Seqs(store_.get(), 2, {2, 20, 4}), ElementsAre(4, 2));
  EXPECT_THAT(Seqs(store_.get(), UINT16_MAX, {UINT16_MAX, 0, 0}), ElementsAre(6));
  EXPECT_THAT(Seqs(store_.get(), 4, {4, 0, 0}), ElementsAre());
}

TEST_F(StoreTest, ScanSeesTheStoreAsItWasWhenMade) {
  MustOpen();
  set_.PutJob({1, 10, 1}, "old");
  ASSERT_TRUE(Write().ok());
  auto scan = store_->ScanDue(1);
  set_.PutJob({1, 10, 1}, "new");
  set_.PutJob({1, 20, 2}, "");
  ASSERT_TRUE(Write().ok());
  scan->Seek({1, 0, 0});
  ASSERT_TRUE(scan->Valid());
  EXPECT_EQ(scan->value(), "old");
  scan->Next();
  EXPECT_FALSE(scan->Valid());
}

TEST_F(StoreTest, AScanToATimeDoesNotWalkWhatWasDeletedAfterIt) {
  MustOpen();
  set_.PutJob({1, 10, 1}, "");
  for (uint64_t seq = 2; seq < 2'000; ++seq) set_.PutJob({1, 20, seq}, "");
  for (uint64_t seq = 2; seq < 2'000; ++seq) set_.DeleteJob({1, 20, seq});
  ASSERT_TRUE(Write().ok());
  const auto walked = [&](int64_t until_ms) {
    const auto scan = store_->ScanDue(1, until_ms);
    rocksdb::SetPerfLevel(rocksdb::PerfLevel::kEnableCount);
    rocksdb::get_perf_context()->Reset();
    scan->Seek({1, 10, 1});
    EXPECT_TRUE(scan->Valid());
    scan->Next();
    EXPECT_FALSE(scan->Valid());
    EXPECT_TRUE(scan->status().ok());
    rocksdb::SetPerfLevel(rocksdb::PerfLevel::kDisable);
    return rocksdb::get_perf_context()->internal_delete_skipped_count;
  };
  EXPECT_EQ(walked(19), 0u);
  EXPECT_EQ(walked(20), 1'998u);
}

TEST_F(StoreTest, VisitKeepsToThePrefixAndStopsWhenTold) {
  MustOpen();
  for (const char* key : {"a", "lane/1", "lane/2", "lane0", "z"}) set_.PutMeta(key, "");
  ASSERT_TRUE(Write().ok());
  std::vector<std::string> keys;
  const auto collect = [&](std::string_view key, std::string_view) {
    keys.emplace_back(key);
    return absl::OkStatus();
  };
  EXPECT_TRUE(store_->VisitMeta("lane/", collect).ok());
  EXPECT_THAT(keys, ElementsAre("lane/1", "lane/2"));
  int calls = 0;
  const absl::Status stop = store_->VisitMeta("", [&](auto, auto) {
    ++calls;
    return NotFound("enough");
  });
  EXPECT_TRUE(absl::IsNotFound(stop));
  EXPECT_EQ(calls, 1);
}

TEST_F(StoreTest, ExpiredRegistersAreAbsentAndLiveOnesNever) {
  MustOpen();
  set_.PutRegister("closed", EncodeRegister(Closed(1000)));
  set_.PutRegister("live", EncodeRegister(Pending({1, 1, 1})));
  ASSERT_TRUE(Write().ok());
  store_->SetNow(999);
  EXPECT_TRUE(store_->GetRegister("closed")->has_value());
  store_->SetNow(1000);
  EXPECT_FALSE(store_->GetRegister("closed")->has_value());
  store_->SetNow(500);
  EXPECT_TRUE(store_->GetRegister("closed")->has_value());
  store_->ForgetEarly("close", 2000);
  EXPECT_TRUE(store_->GetRegister("closed")->has_value());
  store_->ForgetEarly("closed", 1000);
  EXPECT_FALSE(store_->GetRegister("closed")->has_value());
  EXPECT_TRUE(store_->GetRegister("live")->has_value());
  std::vector<std::string> ids;
  EXPECT_TRUE(store_
                  ->VisitRegisters("",
                                   [&](std::string_view id, auto) {
                                     ids.emplace_back(id);
                                     return absl::OkStatus();
                                   })
                  .ok());
  EXPECT_THAT(ids, ElementsAre("live"));
}

TEST_F(StoreTest, SecondHandleIsRefused) {
  MustOpen();
  const auto second = Store::Open(options_);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(second.status()),
              HasSubstr("store " + dir_ + " is in use by another process (lock file"));
  set_.PutMeta("still", "works");
  EXPECT_TRUE(Write().ok());
}

TEST_F(StoreTest, LockedIsToldOfAStoreThatNobodyElseHas) {
  int told = 0;
  options_.locked = [&told] { ++told; };
  MustOpen();
  EXPECT_EQ(told, 1);
  EXPECT_FALSE(Store::Open(options_).ok());
  EXPECT_EQ(told, 1);
}

TEST_F(StoreTest, SecondProcessIsRefused) {
  MustOpen();
  const pid_t child = fork();
  if (child == 0) {
    // exec-less child: only what fork leaves usable.
    std::filesystem::path lock = dir_ + "/LOCK";
    const FILE* file = std::fopen(lock.c_str(), "r+");
    struct flock wanted {};
    wanted.l_type = F_WRLCK;
    wanted.l_whence = SEEK_SET;
    _exit(file != nullptr &&
                  fcntl(fileno(const_cast<FILE*>(file)), F_SETLK, &wanted) == -1
              ? 0
              : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0) << "the lock is not held";
}

TEST_F(StoreTest, LockIsGivenBackOnClose) {
  MustOpen();
  MustOpen();
  EXPECT_TRUE(Open().ok());
}

TEST_F(StoreTest, ReadOnlySeesEverythingBesideTheWriter) {
  MustOpen();
  set_.PutMeta("a", "1");
  ASSERT_TRUE(Write().ok());
  ASSERT_TRUE(store_->Sync().ok());
  set_.PutMeta("b", "2");
  ASSERT_TRUE(Write().ok());
  StoreOptions reading = options_;
  reading.read_only = true;
  auto reader = Store::Open(reading);
  ASSERT_TRUE(reader.ok()) << reader.status();
  std::string value;
  EXPECT_TRUE(*(*reader)->GetMeta("a", &value));
  EXPECT_TRUE(*(*reader)->GetMeta("b", &value));
  EXPECT_EQ((*reader)->id(), store_->id());
  reader->reset();
  set_.PutMeta("c", "3");
  EXPECT_TRUE(Write().ok());
  EXPECT_TRUE(store_->Sync().ok());
  MustOpen();
}

TEST_F(StoreTest, AStoppedStoreIsReadUnderItsLock) {
  MustOpen();
  StoreOptions reading = options_;
  reading.read_only = reading.stopped = true;
  auto reader = Store::Open(reading);
  EXPECT_EQ(reader.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(reader.status()), HasSubstr("is in use by another process"));
  store_.reset();
  reader = Store::Open(reading);
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_THAT(Message(Open()), HasSubstr("is in use by another process"));
  reader->reset();
  MustOpen();
}

std::map<std::string, std::string> FilesIn(const std::string& dir) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(dir)) {
    std::ifstream file(entry.path(), std::ios::binary);
    files[entry.path().filename()] =
        std::string(std::istreambuf_iterator<char>(file), {});
  }
  return files;
}

TEST_F(StoreTest, ReadingAStoppedStoreChangesNoFile) {
  MustOpen();
  set_.PutMeta("a", "1");
  ASSERT_TRUE(Write().ok());
  store_.reset();
  std::filesystem::remove(dir_ + "/LOCK");  // as in a copy
  const auto before = FilesIn(dir_);
  options_.read_only = options_.stopped = true;
  MustOpen();
  std::string value;
  EXPECT_TRUE(*store_->GetMeta("a", &value));
  EXPECT_TRUE(store_->VerifyTables().ok());
  store_.reset();
  EXPECT_EQ(FilesIn(dir_), before);
}

TEST_F(StoreTest, ANewStoreTakesTheIdItIsGiven) {
  options_.id_if_new = std::string(32, 'a');
  MustOpen();
  EXPECT_EQ(store_->id(), options_.id_if_new);
  options_.id_if_new = std::string(32, 'b');
  MustOpen();
  EXPECT_EQ(store_->id(), std::string(32, 'a'));
}

TEST_F(StoreTest, ReadOnlyOfNothingIsNotFoundAndMakesNothing) {
  options_.read_only = true;
  EXPECT_TRUE(absl::IsNotFound(Open()));
  EXPECT_FALSE(std::filesystem::exists(dir_));
}

TEST_F(StoreTest, FileInPlaceOfTheDirectoryIsRefused) {
  std::ofstream(dir_) << "not a store";
  const absl::Status status = Open();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(status), HasSubstr("is a file, expected a directory"));
}

TEST_F(StoreTest, NewerFormatIsRefused) {
  MustOpen();
  std::string format;
  PutVarint(&format, kFormatVersion + 1);
  set_.PutMeta(kMetaFormat, format);
  ASSERT_TRUE(Write().ok());
  const absl::Status status = Open();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(status),
              HasSubstr(fmt::format("has format {}", kFormatVersion + 1)));
}

TEST_F(StoreTest, ForeignRocksDbIsRefusedAndLeftAlone) {
  rocksdb::Options options;
  options.create_if_missing = true;
  rocksdb::DB* db = nullptr;
  ASSERT_TRUE(rocksdb::DB::Open(options, dir_, &db).ok());
  ASSERT_TRUE(db->Put({}, "mine", "1").ok());
  delete db;
  const absl::Status status = Open();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(status), HasSubstr("not a store of expirer"));
  EXPECT_FALSE(std::filesystem::exists(dir_ + "/SYNCED"));
  ASSERT_TRUE(rocksdb::DB::Open(options, dir_, &db).ok());
  std::string value;
  EXPECT_TRUE(db->Get({}, "mine", &value).ok());
  delete db;
}

TEST_F(StoreTest, SizesAndFreeSpaceAreReported) {
  MustOpen();
  set_.PutMeta("a", std::string(100000, 'x'));
  ASSERT_TRUE(Write().ok());
  EXPECT_GT(store_->Sizes().disk_bytes, 100000U);
  EXPECT_GT(store_->Sizes().memtable_bytes, 100000U);
  EXPECT_GT(store_->Room()->bytes, 0U);
}

TEST_F(StoreTest, ReadOnlyVolumeIsRefused) {
  Volume volume(dir_, "size=64m");
  if (!volume.mounted()) GTEST_SKIP() << "mount: " << std::strerror(errno);
  options_.path = dir_ + "/store";
  MustOpen();
  store_.reset();
  ASSERT_TRUE(volume.MakeReadOnly());
  const absl::Status status = Open();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(status), HasSubstr("is not writable"));
  options_.read_only = true;
  EXPECT_TRUE(Open().ok());
  store_.reset();
  options_.stopped = true;
  EXPECT_TRUE(Open().ok()) << "nobody can write it, so no lock is needed";
  store_.reset();
}

class FullVolumeTest : public StoreTest {
 protected:
  static constexpr int kMegabytes = 96;

  // Writes numbered rows until one is refused; returns how many there are.
  uint64_t WriteUntilRefused(uint64_t from) {
    for (uint64_t n = from;; ++n) {
      set_.Clear();
      set_.PutJob({1, static_cast<int64_t>(n), n}, Noise(4000, n));
      const absl::Status status = store_->Write(&set_);
      if (status.ok()) {
        if (n % 32 == 0) {
          EXPECT_TRUE(store_->Sync().ok());
        }
        continue;
      }
      EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
      return n;
    }
  }
  static std::string Noise(size_t size, uint64_t seed) {
    std::string bytes(size, '\0');
    for (char& c : bytes) {
      seed = seed * 6364136223846793005U + 1442695040888963407U;
      c = static_cast<char>(seed >> 56);
    }
    return bytes;
  }
  uint64_t Count() {
    uint64_t rows = 0;
    auto scan = store_->ScanDue(1);
    for (scan->Seek({1, 0, 0}); scan->Valid(); scan->Next())
      EXPECT_EQ(scan->key().seq, rows++);
    EXPECT_TRUE(scan->status().ok()) << scan->status();
    return rows;
  }
  bool WaitWritable() {
    for (int i = 0; i < 600; ++i) {
      if (store_->Writable()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    return false;
  }
};

TEST_F(FullVolumeTest, WriteIsRefusedWholeAndGoesOnWhenThereIsSpace) {
  Volume volume(dir_, fmt::format("size={}m", kMegabytes));
  if (!volume.mounted()) GTEST_SKIP() << "mount: " << std::strerror(errno);
  options_.path = dir_ + "/store";
  options_.memtable_bytes = 4 << 20;
  MustOpen();
  volume.TakeBytes(30);
  uint64_t rows = WriteUntilRefused(0);
  ASSERT_GT(rows, 100U);
  EXPECT_FALSE(store_->Writable());
  EXPECT_TRUE(absl::IsResourceExhausted(store_->Write(&set_)));
  EXPECT_EQ(Count(), rows) << "a refused write was applied";
  EXPECT_TRUE(store_->Sync().ok());
  volume.Release();
  ASSERT_TRUE(WaitWritable());
  EXPECT_TRUE(store_->Write(&set_).ok()) << "the same set, again";
  ++rows;
  EXPECT_TRUE(store_->Sync().ok());
  MustOpen();
  EXPECT_EQ(Count(), rows);
  store_.reset();
}

// Space taken away behind our back: RocksDB itself runs into the wall.
TEST_F(FullVolumeTest, VolumeFilledByOthersIsSurvived) {
  Volume volume(dir_, fmt::format("size={}m", kMegabytes));
  if (!volume.mounted()) GTEST_SKIP() << "mount: " << std::strerror(errno);
  options_.path = dir_ + "/store";
  options_.memtable_bytes = 4 << 20;
  MustOpen();
  uint64_t rows = 0;
  for (; rows < 2000; ++rows) {
    set_.Clear();
    set_.PutJob({1, static_cast<int64_t>(rows), rows}, Noise(4000, rows));
    ASSERT_TRUE(store_->Write(&set_).ok());
    if (rows == 1500) volume.TakeBytes(kMegabytes);  // as much as fits
    if (absl::IsResourceExhausted(store_->Write(&set_))) break;
  }
  rows = WriteUntilRefused(rows);
  EXPECT_TRUE(store_->Sync().ok());
  volume.Release();
  ASSERT_TRUE(WaitWritable());
  const uint64_t more = rows + 500;
  for (; rows < more; ++rows) {
    set_.Clear();
    set_.PutJob({1, static_cast<int64_t>(rows), rows}, "later");
    ASSERT_TRUE(store_->Write(&set_).ok());
  }
  ASSERT_TRUE(store_->Sync().ok());
  MustOpen();
  EXPECT_EQ(Count(), rows);
  store_.reset();
}

TEST_F(FullVolumeTest, WithoutInodesWriteIsRefusedAndGoesOnWhenThereAreSome) {
  Volume volume(dir_, "size=256m,nr_inodes=300");
  if (!volume.mounted()) GTEST_SKIP() << "mount: " << std::strerror(errno);
  options_.path = dir_ + "/store";
  MustOpen();
  set_.PutMeta("a", "1");
  ASSERT_TRUE(store_->Write(&set_).ok());
  volume.TakeInodes();
  const absl::Status refused = store_->Write(&set_);
  EXPECT_TRUE(absl::IsResourceExhausted(refused)) << refused;
  EXPECT_THAT(Message(refused), HasSubstr("and 0 inodes are free"));
  EXPECT_FALSE(store_->Writable());
  volume.Release();
  ASSERT_TRUE(WaitWritable());
  EXPECT_TRUE(store_->Write(&set_).ok());
  store_.reset();
}

TEST_F(FullVolumeTest, AStartBelowTheReserveIsRefusedBeforeAnythingIsWritten) {
  Volume volume(dir_, fmt::format("size={}m,nr_inodes=300", kMegabytes));
  if (!volume.mounted()) GTEST_SKIP() << "mount: " << std::strerror(errno);
  options_.path = dir_ + "/store";
  MustOpen();
  store_.reset();
  bool locked = false;
  options_.locked = [&] { locked = true; };
  const auto expect_refused = [&](const char* why) {
    locked = false;
    const auto before = RoomOn(nullptr, dir_)->bytes;
    const absl::Status refused = Open();
    EXPECT_TRUE(absl::IsResourceExhausted(refused)) << refused;
    EXPECT_THAT(Message(refused), HasSubstr(why));
    EXPECT_TRUE(locked) << "the process that waits has the store";
    EXPECT_EQ(RoomOn(nullptr, dir_)->bytes, before);
  };
  volume.TakeBytes(70);
  expect_refused("writes nothing below 32000000 bytes or 64 inodes");
  volume.TakeBytes(kMegabytes);
  expect_refused("has no room: 0 bytes");
  volume.Release();
  volume.TakeInodes();
  expect_refused("and 0 inodes are free");
  volume.Release();
  MustOpen();
  store_.reset();
}

// As of a volume that others fill after it was asked.
class SaysThereIsRoom final : public rocksdb::FileSystemWrapper {
 public:
  SaysThereIsRoom() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "SaysThereIsRoom"; }
  rocksdb::IOStatus GetFreeSpace(const std::string&, const rocksdb::IOOptions&,
                                 uint64_t* bytes, rocksdb::IODebugContext*) override {
    *bytes = uint64_t{1} << 40;
    return rocksdb::IOStatus::OK();
  }
};

// The store of a process that was killed with rows in its log, opened again
// and again on a volume that others fill in a moment.
class KilledStoreTest : public FullVolumeTest {
 protected:
  static constexpr uint64_t kRows = 8;
  KilledStoreTest() {
    options_.memtable_bytes = 4 << 20;
    options_.file_system = std::make_shared<SaysThereIsRoom>();
  }
  void MakeKilled() {
    options_.path = dir_ + "/live";
    MustOpen();
    for (uint64_t n = 0; n < kRows; ++n) {
      set_.Clear();
      set_.PutJob({1, static_cast<int64_t>(n), n}, Noise(4000, n));
      ASSERT_TRUE(store_->Write(&set_).ok());
    }
    ASSERT_TRUE(store_->Sync().ok());
    std::filesystem::copy(dir_ + "/live", dir_ + "/killed");
    store_.reset();
  }
  // True when it opened while `fill` had taken the room; then `make_room`, and it
  // opens and has all rows.
  bool OpensOn(const std::function<void()>& fill,
               const std::function<void()>& make_room) {
    options_.path = dir_ + "/store";
    std::filesystem::copy(dir_ + "/killed", options_.path);
    fill();
    const absl::Status opened = Open();
    EXPECT_TRUE(opened.ok() || absl::IsResourceExhausted(opened)) << opened;
    make_room();
    MustOpen();
    EXPECT_EQ(Count(), kRows);
    store_.reset();
    std::filesystem::remove_all(options_.path);
    return opened.ok();
  }
};

// RocksDB's files of an opening each run into the wall, one after another.
TEST_F(KilledStoreTest, AnOpeningThatRunsOutOfBytesSaysSoAndLosesNothing) {
  Volume volume(dir_, "size=8m");
  if (!volume.mounted()) GTEST_SKIP() << "mount: " << std::strerror(errno);
  MakeKilled();
  for (int pages = 0; pages <= 32; ++pages) {
    SCOPED_TRACE(pages);
    const bool opened = OpensOn(
        [&] {
          volume.TakeBytes(8);
          volume.GiveBack(pages * 4096U);
        },
        [&] { volume.Release(); });
    if (pages == 0 || pages == 32) {
      EXPECT_EQ(opened, pages == 32);
    }
  }
}

TEST_F(KilledStoreTest, AnOpeningThatRunsOutOfInodesSaysSoAndLosesNothing) {
  Volume volume(dir_, "size=8m,nr_inodes=300");
  if (!volume.mounted()) GTEST_SKIP() << "mount: " << std::strerror(errno);
  MakeKilled();
  for (int free = 0; free <= 12; ++free) {
    SCOPED_TRACE(free);
    const bool opened =
        OpensOn([&] { volume.TakeInodes(free); }, [&] { volume.Release(); });
    if (free == 0 || free == 12) {
      EXPECT_EQ(opened, free == 12);
    }
  }
}

// The log itself finds no space, by injection.
TEST(NoSpaceInTheLog, NothingIsAppliedAndWritingResumes) {
  auto disk = std::make_shared<PageFs>();
  StoreOptions options;
  options.path = "/store";
  options.file_system = disk;
  auto store = Store::Open(options);
  ASSERT_TRUE(store.ok()) << store.status();
  WriteSet set;
  set.PutMeta("a", "1");
  ASSERT_TRUE((*store)->Write(&set).ok());
  disk->OnAppend([](const std::string& path) {
    return path.find(".log") == std::string::npos
               ? rocksdb::IOStatus::OK()
               : rocksdb::IOStatus::NoSpace("injected");
  });
  set.Clear();
  set.PutMeta("b", "2");
  EXPECT_TRUE(absl::IsResourceExhausted((*store)->Write(&set)));
  EXPECT_TRUE(absl::IsResourceExhausted((*store)->Write(&set)));
  std::string value;
  EXPECT_FALSE(*(*store)->GetMeta("b", &value));
  EXPECT_TRUE((*store)->Sync().ok()) << "what was written before is safe";
  disk->OnAppend(nullptr);
  for (int i = 0; i < 600 && !(*store)->Writable(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  ASSERT_TRUE((*store)->Write(&set).ok());
  ASSERT_TRUE((*store)->Sync().ok());
  options.file_system = disk->AfterPowerLoss(3);
  auto again = Store::Open(options);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(*(*again)->GetMeta("a", &value));
  EXPECT_TRUE(*(*again)->GetMeta("b", &value));
}

TEST_F(StoreTest, SyncThreadReportsTicketsInOrderUpToTheLast) {
  MustOpen();
  std::vector<uint64_t> reported;
  {
    SyncThread committer(
        store_.get(), [&](uint64_t ticket) { reported.push_back(ticket); },
        [](const absl::Status& status) { ADD_FAILURE() << status; });
    for (uint64_t ticket = 1; ticket <= 200; ++ticket) {
      set_.PutMeta("n", std::to_string(ticket));
      ASSERT_TRUE(Write().ok());
      committer.Request(ticket);
    }
  }
  ASSERT_FALSE(reported.empty());
  EXPECT_TRUE(std::is_sorted(reported.begin(), reported.end()));
  EXPECT_EQ(reported.back(), 200U);
}

TEST_F(StoreTest, SyncThreadTellsHowLongEachSyncTook) {
  MustOpen();
  std::atomic<uint64_t> synced = 0;
  SyncThread committer(
      store_.get(), [&](uint64_t ticket) { synced = ticket; },
      [](const absl::Status& status) { ADD_FAILURE() << status; });
  for (uint64_t ticket = 1; ticket <= 3; ++ticket) {
    set_.PutMeta("n", std::to_string(ticket));
    ASSERT_TRUE(Write().ok());
    committer.Request(ticket);
    while (synced < ticket) std::this_thread::yield();
  }
  const Buckets took = committer.sync_us();
  uint64_t syncs = 0;
  for (const uint64_t count : took.counts()) syncs += count;
  EXPECT_EQ(syncs, 3U);
  EXPECT_GT(took.sum(), 0U);
}

TEST(SyncThread, FailedSyncIsReportedOnceAndNothingAfterIt) {
  auto disk = std::make_shared<PageFs>();
  StoreOptions options;
  options.path = "/store";
  options.file_system = disk;
  auto store = Store::Open(options);
  ASSERT_TRUE(store.ok()) << store.status();
  WriteSet set;
  set.PutMeta("a", "1");
  ASSERT_TRUE((*store)->Write(&set).ok());
  disk->OnSync([](const std::string&) { return rocksdb::IOStatus::IOError("injected"); });
  std::atomic<int> synced = 0;
  std::atomic<int> failed = 0;
  {
    SyncThread committer(
        store->get(), [&](uint64_t) { ++synced; },
        [&](const absl::Status&) { ++failed; });
    committer.Request(1);
    committer.Request(2);
  }
  EXPECT_EQ(synced, 0);
  EXPECT_EQ(failed, 1);
}

}  // namespace
}  // namespace expirer
