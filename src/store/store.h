// The store: RocksDB behind a few verbs. Four column families (due, ids, dead,
// meta; bytes in job/job.h and store/meta.h), writes that are visible at once
// and made durable later by Sync, and an opening that reports every loss of synced
// writes (store/wal_guard.h).
//
// Threads: only one thread (the core) calls Write and Writable, only one (the
// committer) calls Sync; any thread may call the rest. A read sees only whole writes.
// Only the core knows which of them are durable.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "job/job.h"
#include "store/space.h"

namespace rocksdb {
class FileSystem;
class WriteBatch;
}  // namespace rocksdb

namespace expirer {

class Clock;

struct StoreOptions {
  std::string path;                    // directory; created if absent
  uint64_t cache_bytes = 64 << 20;     // block cache; memtables are charged to it
  uint64_t memtable_bytes = 32 << 20;  // of all memtables together
  uint64_t wal_bytes_max = 128 << 20;  // bounds the replay at start
  // How long closed keys are remembered. After that they stay on disk for another
  // seventh of this time, at least a minute and at most a day.
  int64_t history_ms = 168LL * 3'600'000;
  // Opens a damaged store with the longest intact prefix of its write-ahead log, so
  // synced jobs may be lost. Set it only if a person asked for that by a flag.
  bool recover_point_in_time = false;
  bool read_only = false;
  // With read_only, for tools: refuses if another process has the store open, and
  // locks others out. If the lock cannot be taken without writing (a read-only volume,
  // a copy without the file LOCK), it opens the store without the lock.
  bool stopped = false;
  // The id for a store that this opening creates; empty = a random one.
  std::string id_if_new = {};
  // Called once the store is locked, before the checks, which may take a while. Not
  // called if read_only.
  std::function<void()> locked = nullptr;
  // For tests: a fault-injecting file system; null = the host's.
  std::shared_ptr<rocksdb::FileSystem> file_system = nullptr;
  // For simulation; null = the host's. Must outlive the store.
  const Clock* clock = nullptr;
};

// A set of changes that is applied as a whole or not at all. Reuse it: Clear does not
// free its memory.
class WriteSet {
 public:
  WriteSet();
  ~WriteSet();
  WriteSet(WriteSet&&) noexcept;
  WriteSet& operator=(WriteSet&&) noexcept;

  void PutJob(const JobKey& key, std::string_view row);
  void DeleteJob(const JobKey& key);
  void PutRegister(std::string_view id, std::string_view value);
  void DeleteRegister(std::string_view id);
  void PutDead(std::string_view key, std::string_view value);
  void DeleteDead(std::string_view key);
  void PutMeta(std::string_view key, std::string_view value);
  void DeleteMeta(std::string_view key);
  void Clear();
  [[nodiscard]] bool empty() const;
  [[nodiscard]] size_t bytes() const;
  // The bytes [offset, offset + size) of the set. A value that was just put ends at
  // bytes(). Valid until the next change.
  [[nodiscard]] std::string_view Value(size_t offset, size_t size) const;

 private:
  friend class Store;
  std::unique_ptr<rocksdb::WriteBatch> batch_;
};

// Goes forward over entries of one family, in key order. It sees the store as it was
// when the scan was created. key() and value() are valid until the next Seek or Next.
class EntryScan {
 public:
  ~EntryScan();
  // Goes to the first entry at or after `key`.
  void Seek(std::string_view key);
  void Next();
  // False at the end and after an error; status() says which.
  [[nodiscard]] bool Valid() const;
  [[nodiscard]] std::string_view key() const;
  [[nodiscard]] std::string_view value() const;
  absl::Status status() const;

 private:
  friend class Store;
  struct Rep;
  explicit EntryScan(std::unique_ptr<Rep> rep);
  std::unique_ptr<Rep> rep_;
};

// Goes forward over one lane of `due`, like EntryScan over a family.
class DueScan {
 public:
  // Goes to the first row at or after `key`, which must be in the scan's lane.
  void Seek(const JobKey& key);
  void Next();
  [[nodiscard]] bool Valid() const { return rows_->Valid() && malformed_.ok(); }
  [[nodiscard]] JobKey key() const { return key_; }
  [[nodiscard]] std::string_view value() const { return rows_->value(); }
  absl::Status status() const;

 private:
  friend class Store;
  DueScan(Lane lane, std::unique_ptr<EntryScan> rows)
      : lane_(lane), rows_(std::move(rows)) {}
  void DecodeKey();

  const Lane lane_;
  const std::unique_ptr<EntryScan> rows_;
  JobKey key_;
  absl::Status malformed_;
};

struct StoreSizes {
  uint64_t disk_bytes = 0;  // live SST and WAL files
  uint64_t memtable_bytes = 0;
  uint64_t cache_bytes = 0;
  // RocksDB's own figures about the backlog of its background work.
  uint64_t level0_files = 0;
  uint64_t compaction_bytes = 0;   // still to be compacted, estimated
  bool write_stopped = false;      // writes fail until compactions have progressed
  uint64_t background_errors = 0;  // since the opening
};

class Store {
 public:
  // Opens or creates a store. Errors, each with advice: kFailedPrecondition if another
  // process has the store open, its format is newer, the directory holds something
  // else, or permission is missing; kDataLoss if files are damaged; kResourceExhausted
  // if the volume is full (nothing was lost, the call may be repeated).
  static absl::StatusOr<std::unique_ptr<Store>> Open(const StoreOptions& options);
  // Makes all writes durable, then closes the store.
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // 32 lower-case hex digits, drawn when the store was created.
  [[nodiscard]] const std::string& id() const { return id_; }
  // What the opening left out of the write-ahead logs: unsynced writes that a power
  // loss tore, or writes that recover_point_in_time dropped. Empty = nothing.
  [[nodiscard]] const std::string& recovery_note() const { return note_; }

  // Empty if the register is absent or expired. Expired: closed, and its expires_ms is
  // not above SetNow's time or a floor of ForgetEarly.
  absl::StatusOr<std::optional<Register>> GetRegister(std::string_view id) const;
  // Replaces `found` by the registers of `ids`, in their order. Cheaper than single
  // reads, because RocksDB looks up filters and index for all together.
  absl::Status GetRegisters(const std::vector<std::string>& ids,
                            std::vector<std::optional<Register>>* found) const;
  // False if the row is absent.
  absl::StatusOr<bool> GetJob(const JobKey& key, std::string* row) const;
  absl::StatusOr<bool> GetDead(std::string_view key, std::string* value) const;
  absl::StatusOr<bool> GetMeta(std::string_view key, std::string* value) const;
  using Visit = std::function<absl::Status(std::string_view key, std::string_view value)>;
  // Calls `visit` for every entry whose key begins with `prefix`, in key order. Stops
  // at the first status that is not OK and returns it. Leaves out expired registers.
  absl::Status VisitMeta(std::string_view prefix, const Visit& visit) const;
  absl::Status VisitDead(std::string_view prefix, const Visit& visit) const;
  absl::Status VisitRegisters(std::string_view prefix, const Visit& visit) const;
  // Visits every row of every lane; the key is the encoded JobKey.
  absl::Status VisitJobs(const Visit& visit) const;
  // Reads all tables. kDataLoss, naming the first bad file, if a checksum is wrong.
  absl::Status VerifyTables() const;
  // The scan ends at `until_ms`, inclusive. Set it if you need no later row, because a
  // Seek or Next walks over all deleted rows before the row that it finds.
  static constexpr int64_t kToEnd = std::numeric_limits<int64_t>::max();
  [[nodiscard]] std::unique_ptr<DueScan> ScanDue(Lane lane,
                                                 int64_t until_ms = kToEnd) const;
  [[nodiscard]] std::unique_ptr<EntryScan> ScanDead() const;
  // Includes expired registers.
  [[nodiscard]] std::unique_ptr<EntryScan> ScanRegisters() const;

  // Applies `set`: visible at once, durable after the next successful Sync.
  // kResourceExhausted if there is no space: nothing was applied, and the same set may
  // be written again once Writable(). After any other error, which is the disk's, the
  // caller must end the process (I7).
  absl::Status Write(WriteSet* set);
  // False after a write found no space, until there is space and RocksDB has
  // recovered. Checks at most once a second.
  [[nodiscard]] bool Writable();
  // Makes durable every write that returned before the call. After an error the caller
  // must end the process (I7).
  absl::Status Sync();

  // For replay, whose crashes must lose the same writes in every run. After
  // SetSavepoint each Write first notes the values that it replaces, which costs a read
  // per key. TakeBack writes those values back, as if the writes had been lost, and ends
  // the savepoint. The disk does not know of it. Same thread as Write.
  void SetSavepoint();
  absl::Status TakeBack();

  // Sets the present time for the compaction filter and for reads of registers.
  void SetNow(int64_t now_ms);
  // Forgets at once the closed keys of the rule ("" = of every rule) that expire at or
  // before `floor_ms` (limits.history).
  void ForgetEarly(std::string_view rule, int64_t floor_ms);

  // The free space of the store's volume.
  absl::StatusOr<VolumeRoom> Room() const;
  [[nodiscard]] StoreSizes Sizes() const;

 private:
  struct Rep;
  explicit Store(std::unique_ptr<Rep> rep);
  // A scan that ends before the key `end`; empty = at the family's end. Without
  // `fill_cache` it leaves the cache to the core.
  [[nodiscard]] std::unique_ptr<EntryScan> Scan(uint32_t family, std::string end,
                                                bool fill_cache) const;
  // Checks the format of the store; gives a new one its format and id.
  absl::Status CheckFormat();

  std::unique_ptr<Rep> rep_;
  std::string id_;
  std::string note_;
};

}  // namespace expirer
