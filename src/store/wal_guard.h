// Detects every loss of synced writes when a store is opened.
//
// Writing and syncing are separate steps, so a power loss leaves an unsynced tail with
// pages missing in any order. RocksDB cannot distinguish that from damage. One of its
// recovery modes refuses the healthy store; the other also drops synced records,
// silently, after a flipped bit, or if a log was cut or deleted. The guard is a file
// system under RocksDB that distinguishes them. It
//   - counts and digests (XXH3) what is appended to each write-ahead log. After each
//     successful sync it writes to SYNCED (store/synced_file.h) how much of each log
//     was synced, and the digest, both taken before the sync began;
//   - syncs a log at least once before the next one begins. So only the newest may be
//     missing in SYNCED, and a lost log is noticed;
//   - checks at opening, before RocksDB reads, that the synced bytes of every listed
//     log are there, and refuses the store if they are not;
//   - shows RocksDB each log only up to where its unsynced tail is readable
//     (store/wal_scan.h), and no later log. So RocksDB recovers a prefix of what was
//     written, which contains everything synced. The guard cuts nothing on disk:
//     RocksDB deletes the logs when it has flushed what it read.
//
// The guard treats the MANIFEST, RocksDB's list of its tables, in the same way. RocksDB
// syncs it, refuses the store if its unsynced tail is torn, and would not notice missing
// tables if it were cut.
//
// RocksDB checks tables block by block, but not their footer, so the guard checks that
// (store/table_footer.h).
//
// SYNCED itself is made durable when a log is first listed, before a log is deleted, at
// most once a second in between, and at the end. Limit: a power loss (not a killed
// process) may leave SYNCED up to a second behind, and damage to bytes that were synced
// within that second is not detected.
//
// The guard syncs by itself (SyncAll) and does not use DB::SyncWAL: RocksDB 7.8 fails
// an assertion if it must sync a log that has found no space before.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "base/status.h"
#include "rocksdb/file_system.h"
#include "store/synced_file.h"

namespace expirer {

class Wal;  // one log being written

// Thread-safe once opened, as RocksDB requires of a file system.
class WalGuard final : public rocksdb::FileSystemWrapper {
 public:
  // Guards the logs in `dir`, which has no trailing slash. `clock` outlives it.
  WalGuard(const std::shared_ptr<rocksdb::FileSystem>& target, std::string dir,
           const Clock* clock);
  ~WalGuard() override;
  const char* Name() const override { return "ExpirerWalGuard"; }

  // Takes the store's lock, and gives it to RocksDB when that asks for it.
  // kFailedPrecondition if another process has it, kResourceExhausted if there is no
  // room for its file. A reader must not write: with `to_read` it returns OK without
  // the lock if the lock file is missing or cannot be opened.
  absl::Status Lock(bool to_read);
  // Checks the logs and decides how much of each RocksDB will see. If synced bytes are
  // missing or damaged: kDataLoss, or if `recover`, leaves out everything from the first
  // damage on, and note() says what.
  absl::Status Verify(bool recover);
  // Begins to update SYNCED. Call after Verify, before RocksDB opens for writing.
  absl::Status Start();
  // Makes SYNCED durable and releases the lock. Call after RocksDB was closed.
  void Stop();

  // Makes everything durable that was appended to any log before the call. After the
  // first failure every later sync of a log fails, too.
  absl::Status SyncAll();

  // Bytes in all logs that are not deleted yet.
  [[nodiscard]] uint64_t LogBytes();

  // For the operator: what the opening left out; empty = nothing.
  [[nodiscard]] const std::string& note() const { return note_; }
  // False if a log has the right digest but not the log format. Its tail was then not
  // hidden, and RocksDB decides about it.
  [[nodiscard]] bool understood() const { return understood_; }

  rocksdb::IOStatus NewWritableFile(const std::string& name,
                                    const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* result,
                                    rocksdb::IODebugContext* dbg) override;
  rocksdb::IOStatus NewSequentialFile(const std::string& name,
                                      const rocksdb::FileOptions& options,
                                      std::unique_ptr<rocksdb::FSSequentialFile>* result,
                                      rocksdb::IODebugContext* dbg) override;
  rocksdb::IOStatus NewRandomAccessFile(
      const std::string& name, const rocksdb::FileOptions& options,
      std::unique_ptr<rocksdb::FSRandomAccessFile>* result,
      rocksdb::IODebugContext* dbg) override;
  rocksdb::IOStatus DeleteFile(const std::string& name, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* dbg) override;
  rocksdb::IOStatus NewLogger(const std::string& name, const rocksdb::IOOptions& options,
                              std::shared_ptr<rocksdb::Logger>* result,
                              rocksdb::IODebugContext* dbg) override;
  rocksdb::IOStatus LockFile(const std::string& name, const rocksdb::IOOptions& options,
                             rocksdb::FileLock** lock,
                             rocksdb::IODebugContext* dbg) override;
  rocksdb::IOStatus UnlockFile(rocksdb::FileLock* lock, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* dbg) override;

 private:
  friend class Wal;
  struct Found;

  // The id of a file in SYNCED; 0 if the file is not guarded.
  [[nodiscard]] uint64_t IdOf(const std::string& path) const;
  [[nodiscard]] std::string PathOf(uint64_t id) const;
  // The logs being written, oldest first.
  [[nodiscard]] std::vector<std::shared_ptr<Wal>> OpenLogs();
  absl::StatusOr<std::vector<Found>> FindFiles(bool recover);
  absl::Status Inspect(Found* found);
  absl::Status ChooseManifest(Found* manifest);
  absl::Status ChooseLogs(std::vector<Found>* logs, bool recover);
  [[nodiscard]] rocksdb::IOStatus Unlist(uint64_t id);
  [[nodiscard]] std::string Damage(const Found& found) const;
  void Hide(const Found& found, uint64_t visible, const std::string& why);

  [[nodiscard]] rocksdb::IOStatus SyncOpenLogs();
  // Call after a sync that made `synced` durable: puts it on the list.
  [[nodiscard]] rocksdb::IOStatus Record(const SyncedLog& synced);
  [[nodiscard]] rocksdb::IOStatus WriteList(bool durable)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(list_mutex_);
  [[nodiscard]] rocksdb::IOStatus Failure() const;
  rocksdb::IOStatus Fail(const rocksdb::IOStatus& status);

  // Constant after construction, or after Verify.
  const std::string dir_;
  const Clock* const clock_;
  std::map<uint64_t, uint64_t> visible_;  // id -> bytes RocksDB may see
  std::map<uint64_t, SyncedLog> listed_at_open_;
  std::string note_;
  bool understood_ = true;
  rocksdb::FileLock* lock_ = nullptr;

  std::atomic<bool> failed_ = false;

  Mutex open_mutex_;
  std::map<uint64_t, std::shared_ptr<Wal>> open_ ABSL_GUARDED_BY(open_mutex_);

  Mutex list_mutex_;
  std::map<uint64_t, SyncedLog> list_ ABSL_GUARDED_BY(list_mutex_);
  std::unique_ptr<SyncedFile> synced_ ABSL_GUARDED_BY(list_mutex_);
  int64_t durable_at_ms_ ABSL_GUARDED_BY(list_mutex_) = 0;
};

}  // namespace expirer
