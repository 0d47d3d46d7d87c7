#include "store/synced_file.h"

#include <optional>

#include "base/coding.h"
#include "store/rocks.h"
#include "xxhash.h"

namespace expirer {
namespace {

constexpr std::string_view kMagic = "expsync1";
constexpr size_t kSlotBytes = 16384;
constexpr size_t kHeadBytes = 8 + 8 + 4;
constexpr size_t kLogBytes = 24;
// Live logs are few (wal_bytes_max over half a memtable); this is a fence.
constexpr size_t kLogsMax = (kSlotBytes - kHeadBytes - 8) / kLogBytes;

struct Slot {
  uint64_t sequence = 0;
  std::vector<SyncedLog> logs;
  size_t place = 0;  // which of the two it stood in
};

std::string EncodeSlot(const Slot& slot) {
  std::string out(kMagic);
  PutLittle(&out, slot.sequence, 8);
  PutLittle(&out, slot.logs.size(), 4);
  for (const SyncedLog& log : slot.logs) {
    PutLittle(&out, log.id, 8);
    PutLittle(&out, log.bytes, 8);
    PutLittle(&out, log.digest, 8);
  }
  PutLittle(&out, XXH3_64bits(out.data(), out.size()), 8);
  return out;
}

std::optional<Slot> DecodeSlot(std::string_view bytes) {
  if (bytes.size() < kHeadBytes || bytes.substr(0, 8) != kMagic) return {};
  const uint64_t count = Little(bytes.substr(16, 4));
  if (count > kLogsMax) return {};
  const size_t end = kHeadBytes + count * kLogBytes;
  if (bytes.size() < end + 8 ||
      Little(bytes.substr(end, 8)) != XXH3_64bits(bytes.data(), end))
    return {};
  Slot slot{Little(bytes.substr(8, 8)), {}, 0};
  for (size_t i = 0; i < count; ++i) {
    const std::string_view log = bytes.substr(kHeadBytes + i * kLogBytes);
    slot.logs.push_back(
        {Little(log.substr(0, 8)), Little(log.substr(8, 8)), Little(log.substr(16, 8))});
  }
  return slot;
}

std::string PathIn(const std::string& dir) {
  return dir + "/" + std::string(SyncedFile::kName);
}

// Makes the name durable too.
rocksdb::IOStatus Create(rocksdb::FileSystem* files, const std::string& dir) {
  std::string bytes = EncodeSlot({});
  bytes.resize(2 * kSlotBytes, '\0');
  rocksdb::IOStatus s =
      rocksdb::WriteStringToFile(files, bytes, PathIn(dir), /*should_sync=*/true);
  return s.ok() ? SyncDirectory(files, dir) : s;
}

absl::StatusOr<Slot> ReadNewest(rocksdb::FileSystem* files, const std::string& dir) {
  const rocksdb::IOOptions io;
  const std::string path = PathIn(dir);
  rocksdb::IOStatus s = files->FileExists(path, io, nullptr);
  if (s.IsNotFound()) return NotFound(path + " is missing");
  std::unique_ptr<rocksdb::FSSequentialFile> file;
  if (s.ok()) s = files->NewSequentialFile(path, rocksdb::FileOptions(), &file, nullptr);
  std::string buffer(2 * kSlotBytes, '\0');
  std::string_view bytes;
  if (s.ok()) s = ReadFully(file.get(), &buffer, &bytes);
  if (!s.ok()) return FromRocks(s, "reading " + path);
  std::optional<Slot> newest;
  for (size_t place = 0; place < 2; ++place) {
    auto slot =
        DecodeSlot(std::string_view(buffer).substr(place * kSlotBytes, kSlotBytes));
    if (!slot || (newest && newest->sequence > slot->sequence)) continue;
    newest = std::move(slot);
    newest->place = place;
  }
  if (!newest) return Corrupt(path + " is damaged");
  return *std::move(newest);
}

}  // namespace

absl::StatusOr<std::vector<SyncedLog>> SyncedFile::Read(rocksdb::FileSystem* files,
                                                        const std::string& dir) {
  ASSIGN_OR_RETURN(Slot slot, ReadNewest(files, dir));
  return std::move(slot.logs);
}

absl::StatusOr<std::unique_ptr<SyncedFile>> SyncedFile::Open(rocksdb::FileSystem* files,
                                                             const std::string& dir) {
  const std::string path = PathIn(dir);
  absl::StatusOr<Slot> newest = ReadNewest(files, dir);
  if (absl::IsNotFound(newest.status()) || absl::IsDataLoss(newest.status())) {
    RETURN_IF_ERROR(FromRocks(Create(files, dir), "creating " + path));
    newest = ReadNewest(files, dir);
  }
  RETURN_IF_ERROR(newest.status());
  std::unique_ptr<rocksdb::FSRandomRWFile> file;
  RETURN_IF_ERROR(
      FromRocks(files->NewRandomRWFile(path, rocksdb::FileOptions(), &file, nullptr),
                "opening " + path));
  // After a killed process the newest slot may not be durable yet; it must be
  // before the other is overwritten.
  RETURN_IF_ERROR(
      FromRocks(file->Sync(rocksdb::IOOptions(), nullptr), "syncing " + path));
  return std::unique_ptr<SyncedFile>(
      new SyncedFile(std::move(file), newest->sequence, 1 - newest->place));
}

rocksdb::IOStatus SyncedFile::Write(const std::vector<SyncedLog>& logs) {
  if (logs.size() > kLogsMax)
    return rocksdb::IOStatus::IOError("too many write-ahead logs for SYNCED");
  const std::string bytes = EncodeSlot({++sequence_, logs, 0});
  written_ = true;
  return file_->Write(slot_ * kSlotBytes, bytes, rocksdb::IOOptions(), nullptr);
}

rocksdb::IOStatus SyncedFile::Sync() {
  if (!written_) return rocksdb::IOStatus::OK();
  rocksdb::IOStatus s = file_->Sync(rocksdb::IOOptions(), nullptr);
  if (!s.ok()) return s;
  written_ = false;
  slot_ = 1 - slot_;
  return s;
}

}  // namespace expirer
