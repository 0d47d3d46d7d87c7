#include "store/wal_guard.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "base/decimal.h"
#include "store/info_log.h"
#include "store/rocks.h"
#include "store/table_footer.h"
#include "store/wal_scan.h"
#include "xxhash.h"

namespace expirer {

using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

namespace {

// Far more than a metaindex or the properties of a table take.
constexpr uint64_t kFirstBlockMax = 1 << 20;

// Checks the footer of a table of `size` bytes, and the two blocks that RocksDB parses
// before it checks their checksums.
IOStatus CheckTable(const std::string& name, const rocksdb::FSRandomAccessFile& file,
                    uint64_t size) {
  std::string buffer;
  Slice block;
  // `block` is empty if the table has no such bytes.
  const auto read = [&](uint64_t offset, uint64_t bytes) {
    block.clear();
    if (bytes > kFirstBlockMax || offset > size || bytes > size - offset)
      return IOStatus::OK();
    buffer.resize(bytes);
    return file.Read(offset, bytes, IOOptions(), &block, buffer.data(), nullptr);
  };
  const uint64_t footer_bytes = std::min<uint64_t>(size, kTableFooterBytes);
  IOStatus s = read(size - footer_bytes, footer_bytes);
  if (!s.ok()) return s;
  const std::string_view damage = TableFooterDamage(ToView(block));
  if (!damage.empty()) return IOStatus::Corruption(name, std::string(damage));
  std::optional<BlockHandle> next = MetaIndexOf(ToView(block));
  for (const bool metaindex : {true, false}) {
    if (next) s = read(next->offset, next->size + kBlockTrailerBytes);
    if (!s.ok()) return s;
    if (!next || !BlockIsWhole(ToView(block)))
      return IOStatus::Corruption(name, "its metaindex or properties block is damaged");
    block.remove_suffix(kBlockTrailerBytes);
    if (metaindex) next = PropertiesOf(ToView(block));
  }
  return s;
}

constexpr int64_t kDurableEveryMs = 1000;

constexpr std::string_view kWhatToDo =
    "restore a backup, or start once with --recover=point-in-time, which "
    "drops everything after that point";

// XXH3-64 of a stream.
class Digest {
 public:
  Digest() : state_(XXH3_createState(), &XXH3_freeState) {
    CHECK(state_ != nullptr);
    XXH3_64bits_reset(state_.get());
  }
  void Add(std::string_view bytes) {
    XXH3_64bits_update(state_.get(), bytes.data(), bytes.size());
  }
  [[nodiscard]] uint64_t value() const { return XXH3_64bits_digest(state_.get()); }

 private:
  std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state_;
};

uint64_t NumberOf(std::string_view text) {
  const std::string_view digits = TakeDigits(&text);
  return text.empty() && digits.size() <= 18 ? Scale({.whole = digits}, 1)->value : 0;
}

constexpr std::string_view kLogEnd = ".log";
constexpr std::string_view kManifestBegin = "MANIFEST-";

// "000123.log" -> 123, "MANIFEST-000123" -> 123 with kManifestBit; else 0.
uint64_t IdOfName(std::string_view name) {
  if (name.ends_with(kLogEnd))
    return NumberOf(name.substr(0, name.size() - kLogEnd.size()));
  if (!name.starts_with(kManifestBegin)) return 0;
  const uint64_t number = NumberOf(name.substr(kManifestBegin.size()));
  return number == 0 ? 0 : number | kManifestBit;
}

bool IsManifest(uint64_t id) { return (id & kManifestBit) != 0; }

// A log as RocksDB will see it: without the bytes after `limit`.
class ShortenedFile final : public rocksdb::FSSequentialFileOwnerWrapper {
 public:
  ShortenedFile(std::unique_ptr<rocksdb::FSSequentialFile>&& file, uint64_t limit)
      : FSSequentialFileOwnerWrapper(std::move(file)), rest_(limit) {}

  IOStatus Read(size_t n, const IOOptions& options, Slice* result, char* scratch,
                IODebugContext* dbg) override {
    n = static_cast<size_t>(std::min<uint64_t>(n, rest_));
    IOStatus s = target()->Read(n, options, result, scratch, dbg);
    if (s.ok()) rest_ -= result->size();
    return s;
  }
  IOStatus Skip(uint64_t n) override {
    n = std::min(n, rest_);
    rest_ -= n;
    return target()->Skip(n);
  }

 private:
  uint64_t rest_;
};

}  // namespace

// One log (or MANIFEST) being written. Append comes from RocksDB's writer; Sync from our
// committer and RocksDB's flushes; Detach when RocksDB closes the file.
class Wal {
 public:
  Wal(uint64_t id, rocksdb::FSWritableFile* file, WalGuard* guard)
      : id_(id), guard_(guard), file_(file) {}

  void Appended(const Slice& data, bool whole) {
    MutexLock lock(&bytes_mutex_);
    // After a failed append we do not know what the file contains from here on. The
    // digest so far stays true; nothing later is counted.
    if (!whole) tracked_ = false;
    if (!tracked_) return;
    digest_.Add(ToView(data));
    bytes_ += data.size();
  }

  IOStatus Sync(const IOOptions& options, IODebugContext* dbg) {
    MutexLock lock(&sync_mutex_);
    return SyncLocked(options, dbg);
  }

  IOStatus SyncIfNeeded() {
    MutexLock lock(&sync_mutex_);
    if (file_ == nullptr || bytes() == recorded_) return IOStatus::OK();
    return SyncLocked(IOOptions(), nullptr);
  }

  bool NeverSynced() {
    MutexLock lock(&sync_mutex_);
    return recorded_ == 0;
  }

  // After this the file is no longer touched. A second call does nothing.
  IOStatus Detach() {
    IOStatus s = SyncIfNeeded();
    MutexLock lock(&sync_mutex_);
    file_ = nullptr;
    return s;
  }

  uint64_t bytes() {
    MutexLock lock(&bytes_mutex_);
    return bytes_;
  }

 private:
  // Captured before the sync begins, which may not cover later appends.
  SyncedLog Capture() {
    MutexLock lock(&bytes_mutex_);
    return {id_, bytes_, digest_.value()};
  }

  IOStatus SyncLocked(const IOOptions& options, IODebugContext* dbg)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(sync_mutex_) {
    // RocksDB replaces a MANIFEST it could not sync; a log is not replaced.
    const bool final = !IsManifest(id_);
    if (IOStatus s = guard_->Failure(); final && !s.ok()) return s;
    const SyncedLog captured = Capture();
    IOStatus s = file_->Sync(options, dbg);
    if (s.ok() && captured.bytes > recorded_) s = guard_->Record(captured);
    if (!s.ok()) return final ? guard_->Fail(s) : s;
    recorded_ = captured.bytes;
    return s;
  }

  const uint64_t id_;
  WalGuard* const guard_;

  Mutex sync_mutex_;  // before bytes_mutex_
  rocksdb::FSWritableFile* file_ ABSL_GUARDED_BY(sync_mutex_);
  uint64_t recorded_ ABSL_GUARDED_BY(sync_mutex_) = 0;

  Mutex bytes_mutex_;
  Digest digest_ ABSL_GUARDED_BY(bytes_mutex_);
  uint64_t bytes_ ABSL_GUARDED_BY(bytes_mutex_) = 0;
  bool tracked_ ABSL_GUARDED_BY(bytes_mutex_) = true;
};

namespace {

class WalFile final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  WalFile(std::unique_ptr<rocksdb::FSWritableFile>&& file, std::shared_ptr<Wal> wal)
      : FSWritableFileOwnerWrapper(std::move(file)), wal_(std::move(wal)) {}
  ~WalFile() override { wal_->Detach().PermitUncheckedError(); }

  IOStatus Append(const Slice& data, const IOOptions& options,
                  IODebugContext* dbg) override {
    IOStatus s = target()->Append(data, options, dbg);
    wal_->Appended(data, s.ok());
    return s;
  }
  IOStatus Append(const Slice& data, const IOOptions& options,
                  const rocksdb::DataVerificationInfo& info,
                  IODebugContext* dbg) override {
    IOStatus s = target()->Append(data, options, info, dbg);
    wal_->Appended(data, s.ok());
    return s;
  }
  // Only direct I/O, which we never ask for, writes logs by position.
  IOStatus PositionedAppend(const Slice&, uint64_t, const IOOptions&,
                            IODebugContext*) override {
    return IOStatus::NotSupported("write-ahead logs are appended to");
  }
  IOStatus PositionedAppend(const Slice&, uint64_t, const IOOptions&,
                            const rocksdb::DataVerificationInfo&,
                            IODebugContext*) override {
    return IOStatus::NotSupported("write-ahead logs are appended to");
  }
  IOStatus Truncate(uint64_t size, const IOOptions& options,
                    IODebugContext* dbg) override {
    wal_->Appended(Slice(), false);
    return target()->Truncate(size, options, dbg);
  }
  IOStatus Sync(const IOOptions& options, IODebugContext* dbg) override {
    return wal_->Sync(options, dbg);
  }
  // RocksDB calls it only with the option use_fsync, which we never set.
  IOStatus Fsync(const IOOptions& options, IODebugContext* dbg) override {
    return Sync(options, dbg);
  }
  IOStatus Close(const IOOptions& options, IODebugContext* dbg) override {
    const IOStatus synced = wal_->Detach();
    IOStatus s = target()->Close(options, dbg);
    return synced.ok() ? s : synced;
  }

 private:
  const std::shared_ptr<Wal> wal_;
};

}  // namespace

// A file present or listed at opening.
struct WalGuard::Found {
  uint64_t id = 0;
  uint64_t size = 0;
  bool exists = false;
  SyncedLog listed;    // bytes == 0: not listed, nothing of it was synced
  bool intact = true;  // the listed bytes are there, as they were
  WalFound scan;
};

WalGuard::WalGuard(const std::shared_ptr<rocksdb::FileSystem>& target, std::string dir,
                   const Clock* clock)
    : FileSystemWrapper(target), dir_(std::move(dir)), clock_(clock) {}

WalGuard::~WalGuard() { Stop(); }

absl::Status WalGuard::Lock(bool to_read) {
  const std::string path = dir_ + "/LOCK";
  if (to_read && !target()->FileExists(path, IOOptions(), nullptr).ok())
    return absl::OkStatus();
  const IOStatus s = target()->LockFile(path, IOOptions(), &lock_, nullptr);
  if (s.ok()) return absl::OkStatus();
  lock_ = nullptr;
  const std::string words = s.ToString();
  // RocksDB's words for a lock held in this process and in another one.
  if (words.find("lock hold by current process") != std::string::npos ||
      words.find("While lock file") != std::string::npos)
    return Refused(
        fmt::format("store {} is in use by another process (lock file {})", dir_, path));
  if (to_read) return absl::OkStatus();
  if (s.IsNoSpace()) return FromRocks(s, "making " + path);
  return Refused(fmt::format("store {} is not writable: {}", dir_, words));
}

absl::Status WalGuard::Verify(bool recover) {
  ASSIGN_OR_RETURN(std::vector<Found> files, FindFiles(recover));
  std::vector<Found> logs;
  for (Found& file : files) {
    if (IsManifest(file.id)) {
      RETURN_IF_ERROR(ChooseManifest(&file));
    } else {
      logs.push_back(file);
    }
  }
  return ChooseLogs(&logs, recover);
}

absl::StatusOr<std::vector<WalGuard::Found>> WalGuard::FindFiles(bool recover) {
  std::vector<std::string> names;
  RETURN_IF_ERROR(
      FromRocks(target()->GetChildren(dir_, IOOptions(), &names, nullptr), dir_));
  std::map<uint64_t, Found> found;
  bool has_current = false;
  bool has_log = false;
  bool has_table = false;
  for (const std::string& name : names) {
    has_current |= name == "CURRENT";
    has_table |= name.ends_with(".sst");
    if (const uint64_t id = IdOfName(name); id != 0) found[id].exists = true;
  }
  const auto listed = SyncedFile::Read(target(), dir_);
  if (listed.ok())
    for (const SyncedLog& log : *listed) found[log.id].listed = log;
  std::vector<Found> files;
  for (auto& [id, file] : found) {
    file.id = id;
    has_log |= !IsManifest(id);
    files.push_back(file);
  }
  // A first start that was cut short leaves neither logs nor tables.
  if (!has_current && !has_log && !has_table) return std::vector<Found>();
  if (!has_current)
    return Corrupt(
        fmt::format("store {} has data but no file CURRENT, which names its state; "
                    "restore a backup",
                    dir_));
  if (listed.ok()) return files;
  if (!absl::IsNotFound(listed.status()) && !absl::IsDataLoss(listed.status()))
    return listed.status();
  if (!recover)
    return Corrupt(
        fmt::format("store {}: {}, so nothing proves its write-ahead logs whole; {}",
                    dir_, Message(listed.status()), kWhatToDo));
  note_ += Message(listed.status()) + "; ";
  return files;
}

absl::Status WalGuard::Inspect(Found* found) {
  const std::string path = PathOf(found->id);
  std::unique_ptr<rocksdb::FSSequentialFile> file;
  RETURN_IF_ERROR(
      FromRocks(target()->NewSequentialFile(path, FileOptions(), &file, nullptr), path));
  const uint64_t trusted = found->intact ? found->listed.bytes : 0;
  WalScan scan(IsManifest(found->id) ? WalScan::Of::kManifest : WalScan::Of::kLog,
               trusted);
  Digest digest;
  std::string buffer(WalScan::kBlockBytes, '\0');
  std::string_view block = buffer;
  bool scanning = true;
  for (found->size = 0; block.size() == buffer.size(); found->size += block.size()) {
    RETURN_IF_ERROR(FromRocks(ReadFully(file.get(), &buffer, &block), path));
    if (found->size < trusted) digest.Add(block.substr(0, trusted - found->size));
    if (scanning) scanning = scan.Block(block);
  }
  found->intact = found->intact && found->size >= trusted &&
                  (trusted == 0 || digest.value() == found->listed.digest);
  found->scan = scan.found();
  return absl::OkStatus();
}

std::string WalGuard::Damage(const Found& found) const {
  const std::string what = !found.exists ? "is missing"
                           : found.size < found.listed.bytes
                               ? fmt::format("was cut to {} bytes", found.size)
                               : "is damaged within them";
  return fmt::format("{}: its first {} bytes were synced and it {}", PathOf(found.id),
                     found.listed.bytes, what);
}

absl::Status WalGuard::ChooseManifest(Found* manifest) {
  manifest->intact = manifest->exists;
  if (manifest->exists) RETURN_IF_ERROR(Inspect(manifest));
  // RocksDB would delete tables that it does not list, so no flag overrides this.
  if (!manifest->intact) return Corrupt(Damage(*manifest) + "; restore a backup");
  if (manifest->listed.bytes > 0) listed_at_open_[manifest->id] = manifest->listed;
  // RocksDB does not write to it once it has a newer one, so it never acted on the torn
  // part.
  if (manifest->scan.understood) visible_[manifest->id] = manifest->scan.whole_bytes;
  return absl::OkStatus();
}

absl::Status WalGuard::ChooseLogs(std::vector<Found>* logs, bool recover) {
  uint64_t last_synced = 0;
  for (const Found& log : *logs)
    if (log.listed.bytes > 0) last_synced = log.id;

  bool damaged = false;  // a synced byte is gone: nothing after it is shown
  bool torn = false;     // an unsynced tail is: nothing unsynced after it is
  uint64_t next_sequence = 0;
  for (Found& log : *logs) {
    log.intact = log.exists;
    if (log.exists) RETURN_IF_ERROR(Inspect(&log));
    if (!log.intact) {
      const std::string words = Damage(log);
      if (!recover) return Corrupt(fmt::format("{}; {}", words, kWhatToDo));
      note_ += words + "; ";
      damaged = true;
      if (!log.exists) continue;
      RETURN_IF_ERROR(Inspect(&log));  // now by its own checksums
      Hide(log, log.scan.whole_bytes, "after the damage");
      continue;
    }
    const bool synced = log.listed.bytes > 0;
    const bool followed = log.id < last_synced;
    if (damaged) {
      Hide(log, 0, "after the damage");
      continue;
    }
    if (synced) listed_at_open_[log.id] = log.listed;
    // Taken off the list to be deleted: RocksDB needs no byte of it.
    if (!synced && followed) continue;
    if (!log.scan.understood) {
      understood_ = false;
      next_sequence = 0;
      continue;
    }
    const bool gap = next_sequence != 0 && log.scan.first_sequence != 0 &&
                     log.scan.first_sequence != next_sequence;
    if (!synced && (torn || gap)) {
      torn = true;
      Hide(log, 0, "unsynced, after a hole");
      continue;
    }
    // A log that a synced one follows was finished and synced to its end, or it
    // is of an earlier process that was killed: then RocksDB flushed all that it
    // recovered of it before the next log began, and had no time to delete it.
    if (followed) {
      visible_[log.id] = std::min(log.scan.whole_bytes, log.listed.bytes);
    } else if (log.scan.whole_bytes < log.size) {
      Hide(log, log.scan.whole_bytes, "unsynced and torn");
      torn = true;
    }
    if (log.scan.next_sequence != 0) next_sequence = log.scan.next_sequence;
  }
  return absl::OkStatus();
}

void WalGuard::Hide(const Found& log, uint64_t visible, const std::string& why) {
  visible_[log.id] = visible;
  if (visible < log.size)
    note_ += fmt::format("{}: left out {} bytes from {} on ({}); ", PathOf(log.id),
                         log.size - visible, visible, why);
}

absl::Status WalGuard::Start() {
  auto synced = SyncedFile::Open(target(), dir_);
  RETURN_IF_ERROR(synced.status());
  MutexLock lock(&list_mutex_);
  synced_ = *std::move(synced);
  list_ = listed_at_open_;
  return FromRocks(WriteList(true), dir_ + "/SYNCED");
}

void WalGuard::Stop() {
  {
    MutexLock lock(&list_mutex_);
    if (synced_ != nullptr && !failed_) {
      // Best effort: the older slot is true as well.
      WriteList(true).PermitUncheckedError();
    }
    synced_.reset();
  }
  if (lock_ != nullptr)
    target()->UnlockFile(lock_, IOOptions(), nullptr).PermitUncheckedError();
  lock_ = nullptr;
}

absl::Status WalGuard::SyncAll() {
  return FromRocks(SyncOpenLogs(), "syncing the store");
}

IOStatus WalGuard::SyncOpenLogs() {
  IOStatus s = Failure();
  // Oldest first, each whole: what is durable is always a prefix, and a log is
  // listed only after those before it are synced to their ends. Appends go to
  // the newest only; one begun after OpenLogs is left to the next sync.
  for (const auto& wal : OpenLogs())
    if (s.ok()) s = wal->SyncIfNeeded();
  return s;
}

std::vector<std::shared_ptr<Wal>> WalGuard::OpenLogs() {
  MutexLock lock(&open_mutex_);
  std::vector<std::shared_ptr<Wal>> logs;
  for (const auto& [number, wal] : open_) logs.push_back(wal);
  return logs;
}

uint64_t WalGuard::LogBytes() {
  MutexLock lock(&open_mutex_);
  uint64_t bytes = 0;
  for (const auto& [number, wal] : open_) bytes += wal->bytes();
  return bytes;
}

IOStatus WalGuard::Record(const SyncedLog& synced) {
  MutexLock lock(&list_mutex_);
  if (synced_ == nullptr) return IOStatus::OK();
  const bool first = list_.count(synced.id) == 0;
  // The log's name must be durable before SYNCED insists on it.
  if (first)
    if (IOStatus s = SyncDirectory(target(), dir_); !s.ok()) return s;
  list_[synced.id] = synced;
  const int64_t now_ms = clock_->MonotonicMs();
  return WriteList(first || now_ms - durable_at_ms_ >= kDurableEveryMs);
}

IOStatus WalGuard::WriteList(bool durable) {
  std::vector<SyncedLog> logs;
  logs.reserve(list_.size());
  for (const auto& [number, log] : list_) logs.push_back(log);
  IOStatus s = synced_->Write(logs);
  if (!s.ok() || !durable) return s;
  durable_at_ms_ = clock_->MonotonicMs();
  return synced_->Sync();
}

// Durable before it returns, and in both slots: SYNCED may never insist on a
// file that is gone, also when its newer slot is damaged.
IOStatus WalGuard::Unlist(uint64_t id) {
  MutexLock lock(&list_mutex_);
  if (list_.erase(id) == 0 || synced_ == nullptr) return IOStatus::OK();
  if (IOStatus s = WriteList(true); !s.ok()) return s;
  return WriteList(true);
}

// A sync that failed may not be tried again: the kernel may have dropped the
// dirty pages and would say OK.
IOStatus WalGuard::Failure() const {
  return failed_ ? IOStatus::IOError("an earlier sync failed") : IOStatus::OK();
}

IOStatus WalGuard::Fail(const IOStatus& status) {
  failed_ = true;
  return status;
}

uint64_t WalGuard::IdOf(const std::string& path) const {
  if (path.compare(0, dir_.size(), dir_) != 0 ||
      path.find_first_not_of('/', dir_.size()) != path.rfind('/') + 1)
    return 0;
  return IdOfName(std::string_view(path).substr(path.rfind('/') + 1));
}

std::string WalGuard::PathOf(uint64_t id) const {
  return IsManifest(id) ? fmt::format("{}/MANIFEST-{:06}", dir_, id & ~kManifestBit)
                        : fmt::format("{}/{:06}.log", dir_, id);
}

IOStatus WalGuard::NewWritableFile(const std::string& name, const FileOptions& options,
                                   std::unique_ptr<rocksdb::FSWritableFile>* result,
                                   IODebugContext* dbg) {
  const uint64_t id = IdOf(name);
  if (id == 0) return target()->NewWritableFile(name, options, result, dbg);
  // A number given again, after a loss took back its first use.
  if (IOStatus s = Unlist(id); !s.ok()) return s;
  // A log's predecessor is listed before it begins, so that one lost whole
  // cannot go unnoticed. With a committer at work it was listed long ago.
  const auto logs = OpenLogs();
  IOStatus s = IOStatus::OK();
  if (!IsManifest(id) && !logs.empty() && logs.back()->NeverSynced()) s = SyncOpenLogs();
  if (s.ok()) s = target()->NewWritableFile(name, options, result, dbg);
  if (!s.ok()) return s;
  auto wal = std::make_shared<Wal>(id, result->get(), this);
  *result = std::make_unique<WalFile>(std::move(*result), wal);
  if (IsManifest(id)) return s;  // synced by RocksDB alone
  MutexLock lock(&open_mutex_);
  open_[id] = std::move(wal);
  return s;
}

IOStatus WalGuard::NewSequentialFile(const std::string& name, const FileOptions& options,
                                     std::unique_ptr<rocksdb::FSSequentialFile>* result,
                                     IODebugContext* dbg) {
  IOStatus s = target()->NewSequentialFile(name, options, result, dbg);
  if (!s.ok() || visible_.empty()) return s;
  const auto shown = visible_.find(IdOf(name));
  if (shown != visible_.end())
    *result = std::make_unique<ShortenedFile>(std::move(*result), shown->second);
  return s;
}

IOStatus WalGuard::NewRandomAccessFile(
    const std::string& name, const FileOptions& options,
    std::unique_ptr<rocksdb::FSRandomAccessFile>* result, IODebugContext* dbg) {
  IOStatus s = target()->NewRandomAccessFile(name, options, result, dbg);
  if (!s.ok() || !name.ends_with(".sst")) return s;
  uint64_t size = 0;
  s = target()->GetFileSize(name, IOOptions(), &size, dbg);
  return s.ok() ? CheckTable(name, **result, size) : s;
}

IOStatus WalGuard::DeleteFile(const std::string& name, const IOOptions& options,
                              IODebugContext* dbg) {
  if (const uint64_t id = IdOf(name); id != 0) {
    {
      MutexLock lock(&open_mutex_);
      open_.erase(id);
    }
    if (IOStatus s = Unlist(id); !s.ok()) return s;
  }
  return target()->DeleteFile(name, options, dbg);
}

IOStatus WalGuard::NewLogger(const std::string& name, const IOOptions& /*options*/,
                             std::shared_ptr<rocksdb::Logger>* result,
                             IODebugContext* /*dbg*/) {
  *result = std::make_shared<InfoLog>(target(), name);
  return IOStatus::OK();
}

IOStatus WalGuard::LockFile(const std::string& name, const IOOptions& options,
                            rocksdb::FileLock** lock, IODebugContext* dbg) {
  if (lock_ == nullptr || name != dir_ + "/LOCK")
    return target()->LockFile(name, options, lock, dbg);
  *lock = lock_;
  return IOStatus::OK();
}

IOStatus WalGuard::UnlockFile(rocksdb::FileLock* lock, const IOOptions& options,
                              IODebugContext* dbg) {
  if (lock == lock_) return IOStatus::OK();  // kept until Stop
  return target()->UnlockFile(lock, options, dbg);
}

}  // namespace expirer
