// Never loses synced writes in silence.
//
// Writes and syncs are apart, so a power loss leaves an unsynced tail with
// pages missing in any order. RocksDB cannot tell that from damage: of its
// recovery modes one refuses the healthy store, the other also drops synced
// records after a flipped bit, a cut or a deleted log without a word. The
// guard can: a file system under RocksDB that
//   - counts and digests (XXH3) what is appended to each write-ahead log, and
//     after each successful sync writes to SYNCED (store/synced_file.h) how
//     much of each log was synced and its digest, as captured before the sync
//     began;
//   - syncs a log at least once before the next one is begun: so only the
//     newest may be unlisted, and a log lost whole is missed;
//   - at opening, before RocksDB, proves for every log listed that these bytes
//     are all there, and refuses the store otherwise;
//   - shows RocksDB each log only up to where its unsynced tail makes sense
//     (store/wal_scan.h), and none of the later logs: so what is recovered is
//     a prefix of what was written and holds everything synced. Nothing is cut
//     on disk: the logs go when RocksDB has flushed what it read.
//
// The MANIFEST, RocksDB's list of its tables, is guarded alike: RocksDB syncs
// it, refuses the store when its unsynced tail is torn, and would miss tables
// in silence if it were cut.
//
// Of the tables, which RocksDB checks block by block, it looks at the footer,
// which nothing checks (store/table_footer.h).
//
// SYNCED itself is made durable when a log is first listed, before one is
// deleted, at most once a second between, and at the end. Limit that remains:
// a power loss (not a killed process) may leave SYNCED up to a second behind;
// damage to synced bytes of just that second would go unseen.
//
// Syncing is the guard's own (SyncAll), not DB::SyncWAL: after a log found no
// space, RocksDB 7.8 aborts on an assertion when it is asked to sync that log.
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

// Thread-safe once opened, as RocksDB's file systems must be.
class WalGuard final : public rocksdb::FileSystemWrapper {
 public:
  // Guards the logs in `dir`, which has no trailing slash. `clock` outlives it.
  WalGuard(const std::shared_ptr<rocksdb::FileSystem>& target, std::string dir,
           const Clock* clock);
  ~WalGuard() override;
  const char* Name() const override { return "ExpirerWalGuard"; }

  // Takes the store's lock and hands it to RocksDB when that asks for it.
  // kFailedPrecondition when another process has it, kResourceExhausted when there
  // is no room for its file. Not for read-only.
  [[nodiscard]] absl::Status Lock();
  // The same for a reader, which must not write: OK without the lock where
  // there is no file to lock or it cannot be opened.
  [[nodiscard]] absl::Status LockToRead();
  // Checks the logs; decides what of them RocksDB gets to see. kDataLoss when
  // synced bytes are not there, unless `recover`: then everything from the
  // first damage on is left out, and note() says what.
  [[nodiscard]] absl::Status Verify(bool recover);
  // Begins to keep SYNCED; after Verify, before RocksDB opens for writing.
  [[nodiscard]] absl::Status Start();
  // Makes SYNCED durable and gives back the lock; after RocksDB was closed.
  void Stop();

  // Makes durable everything appended to any log before the call. The first
  // failure is final: every later sync of a log fails too.
  [[nodiscard]] absl::Status SyncAll();

  // Appended to logs that are not deleted yet.
  [[nodiscard]] uint64_t LogBytes();

  // What was left out at opening, for the operator; empty = nothing.
  [[nodiscard]] const std::string& note() const { return note_; }
  // False when a log, intact by its digest, did not read as log format: its
  // tail was left as it is, for RocksDB to judge.
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

  // What SYNCED calls the file of this path; 0 for one that is not guarded.
  [[nodiscard]] uint64_t IdOf(const std::string& path) const;
  [[nodiscard]] std::string PathOf(uint64_t id) const;
  // By number, oldest first.
  [[nodiscard]] std::vector<std::shared_ptr<Wal>> OpenLogs();
  [[nodiscard]] absl::StatusOr<std::vector<Found>> FindFiles(bool recover);
  [[nodiscard]] absl::Status Inspect(Found* found);
  [[nodiscard]] absl::Status ChooseManifest(Found* manifest);
  [[nodiscard]] absl::Status ChooseLogs(std::vector<Found>* logs, bool recover);
  [[nodiscard]] rocksdb::IOStatus Unlist(uint64_t id);
  [[nodiscard]] std::string Damage(const Found& found) const;
  void Hide(const Found& found, uint64_t visible, const std::string& why);

  [[nodiscard]] rocksdb::IOStatus SyncOpenLogs();
  // After a sync of `wal` that covered `synced`.
  [[nodiscard]] rocksdb::IOStatus Record(const SyncedLog& synced);
  [[nodiscard]] rocksdb::IOStatus WriteList(bool durable)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(list_mutex_);
  [[nodiscard]] rocksdb::IOStatus SyncDirectory();
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
  bool in_use_ = false;  // why Lock failed

  std::atomic<bool> failed_ = false;

  Mutex open_mutex_;
  std::map<uint64_t, std::shared_ptr<Wal>> open_ ABSL_GUARDED_BY(open_mutex_);

  Mutex list_mutex_;
  std::map<uint64_t, SyncedLog> list_ ABSL_GUARDED_BY(list_mutex_);
  std::unique_ptr<SyncedFile> synced_ ABSL_GUARDED_BY(list_mutex_);
  int64_t durable_at_ms_ ABSL_GUARDED_BY(list_mutex_) = 0;
};

}  // namespace expirer
