// The store: RocksDB behind a few verbs. Four column families (due, ids, dead,
// meta; bytes in job/job.h and store/meta.h), writes that are visible at once
// and made durable apart by Sync, and an opening that never loses what was
// synced in silence (store/wal_guard.h).
//
// Threads: Write and Writable belong to one thread (the core), Sync to one other
// (the committer); everything else may be called from any. A read sees whole
// writes only; whether they are durable yet only the core can tell.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "job/job.h"
#include "store/space.h"

namespace rocksdb {
class FileSystem;
}  // namespace rocksdb

namespace expirer {

class Clock;

struct StoreOptions {
  std::string path;                    // directory; created when absent
  uint64_t cache_bytes = 64 << 20;     // block cache; memtables are charged to it
  uint64_t memtable_bytes = 32 << 20;  // of all memtables together
  uint64_t wal_bytes_max = 128 << 20;  // bounds the replay at start
  // How long closed keys are remembered. Expired ones leave the disk a seventh of it
  // later, but not sooner than after a minute nor later than after a day.
  int64_t history_ms = 168LL * 3'600'000;
  // Accept that synced jobs are lost: opens with the longest intact prefix of
  // a damaged write-ahead log. Only by a person's flag.
  bool recover_point_in_time = false;
  bool read_only = false;
  // With read_only, for tools: refuse while another process has the store, and
  // keep others out as long as it is open. Where the lock cannot be taken
  // without writing (a read-only volume, a copy without the file LOCK), it is
  // opened without.
  bool stopped = false;
  // The id a store gets that is made by this opening; empty = a new one.
  std::string id_if_new = {};
  // Called once nobody else can have the store and before the checks, which may
  // take a while. Not for read-only.
  std::function<void()> locked = nullptr;
  // For tests: a fault-injecting file system; null = the host's.
  std::shared_ptr<rocksdb::FileSystem> file_system = nullptr;
  // For simulation; null = the host's. Must outlive the store.
  const Clock* clock = nullptr;
};

// Changes applied together or not at all. Reused: Clear keeps the memory.
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
  // A value that was put: it ended where bytes() stood right after. Valid until the
  // next change.
  [[nodiscard]] std::string_view Value(size_t offset, size_t size) const;

 private:
  friend class Store;
  struct Rep;
  std::unique_ptr<Rep> rep_;
};

// Forward over one lane of `due`, in order. Sees the store as it was when the
// scan was made. key() and value() are valid until the next Seek or Next.
class DueScan {
 public:
  ~DueScan();
  // To the first row at or after `key`; `key` must be in the scan's lane.
  void Seek(const JobKey& key);
  void Next();
  // False at the lane's end and on an error: look at status() then.
  [[nodiscard]] bool Valid() const;
  [[nodiscard]] JobKey key() const;
  [[nodiscard]] std::string_view value() const;
  [[nodiscard]] absl::Status status() const;

 private:
  friend class Store;
  struct Rep;
  explicit DueScan(std::unique_ptr<Rep> rep);
  std::unique_ptr<Rep> rep_;
};

// Forward over all entries of one family, as DueScan over a lane.
class EntryScan {
 public:
  ~EntryScan();
  // To the first entry at or after `key`.
  void Seek(std::string_view key);
  void Next();
  [[nodiscard]] bool Valid() const;
  [[nodiscard]] std::string_view key() const;
  [[nodiscard]] std::string_view value() const;
  [[nodiscard]] absl::Status status() const;

 private:
  friend class Store;
  struct Rep;
  explicit EntryScan(std::unique_ptr<Rep> rep);
  std::unique_ptr<Rep> rep_;
};

struct StoreSizes {
  uint64_t disk_bytes = 0;  // live SST and WAL files
  uint64_t memtable_bytes = 0;
  uint64_t cache_bytes = 0;
  // What RocksDB says of itself: how far its background work is behind.
  uint64_t level0_files = 0;
  uint64_t compaction_bytes = 0;   // still to be compacted, estimated
  bool write_stopped = false;      // it lets no write in until it has caught up
  uint64_t background_errors = 0;  // since the opening
};

class Store {
 public:
  // Opens or creates. Errors, each with what to do: another process has the
  // store (kFailedPrecondition), a newer format, damaged files (kDataLoss),
  // a directory that holds something else, no permission, a full volume
  // (kResourceExhausted: nothing was lost, and it may be tried again).
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<Store>> Open(
      const StoreOptions& options);
  // Makes everything written durable, then closes.
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // 32 lower-case hex digits, drawn when the store was created.
  [[nodiscard]] const std::string& id() const { return id_; }
  // What the opening left out of the write-ahead logs: unsynced writes torn by
  // a power loss, or what recover_point_in_time dropped. Empty = nothing.
  [[nodiscard]] const std::string& recovery_note() const { return note_; }

  // Absent and expired entries are both nullopt; expired = closed with
  // expires_ms <= now as last given to SetNow, or not above a floor of ForgetEarly.
  [[nodiscard]] absl::StatusOr<std::optional<Register>> GetRegister(
      std::string_view id) const;
  // The same of each of `ids`, in their order; `found` is replaced. Cheaper than
  // one by one, for they share the way through filters and index.
  [[nodiscard]] absl::Status GetRegisters(
      const std::vector<std::string>& ids,
      std::vector<std::optional<Register>>* found) const;
  // False when the row is absent.
  [[nodiscard]] absl::StatusOr<bool> GetJob(const JobKey& key, std::string* row) const;
  [[nodiscard]] absl::StatusOr<bool> GetDead(std::string_view key,
                                             std::string* value) const;
  [[nodiscard]] absl::StatusOr<bool> GetMeta(std::string_view key,
                                             std::string* value) const;
  using Visit = std::function<absl::Status(std::string_view key, std::string_view value)>;
  // In key order, every entry whose key begins with `prefix`; stops at the
  // first status that is not OK and returns it. Expired registers are absent
  // here too.
  [[nodiscard]] absl::Status VisitMeta(std::string_view prefix, const Visit& visit) const;
  [[nodiscard]] absl::Status VisitDead(std::string_view prefix, const Visit& visit) const;
  [[nodiscard]] absl::Status VisitRegisters(std::string_view prefix,
                                            const Visit& visit) const;
  // Every row of every lane, by its encoded JobKey.
  [[nodiscard]] absl::Status VisitJobs(const Visit& visit) const;
  // Reads every table whole. kDataLoss, naming the first file, where a checksum
  // does not fit.
  [[nodiscard]] absl::Status VerifyTables() const;
  // Ends at `until_ms`, inclusive. Whoever needs no later row says so: a Seek or Next
  // walks all that was deleted before the row it finds.
  static constexpr int64_t kToEnd = std::numeric_limits<int64_t>::max();
  [[nodiscard]] std::unique_ptr<DueScan> ScanDue(Lane lane,
                                                 int64_t until_ms = kToEnd) const;
  [[nodiscard]] std::unique_ptr<EntryScan> ScanDead() const;
  // Expired ones, too.
  [[nodiscard]] std::unique_ptr<EntryScan> ScanRegisters() const;

  // Visible at once, durable after the next successful Sync. kResourceExhausted
  // when there is no space: nothing was applied, and the same set may be
  // written again once Writable(). Any other error is the disk's: end the
  // process (I7).
  [[nodiscard]] absl::Status Write(WriteSet* set);
  // False from a write that found no space until there is space again and
  // RocksDB has recovered; asks at most once a second.
  [[nodiscard]] bool Writable();
  // Makes durable every write that returned before the call. An error is
  // final: end the process (I7).
  [[nodiscard]] absl::Status Sync();

  // For replay, whose crashes must lose the same writes in every run: from
  // SetSavepoint on, a Write first notes what it replaces, at the price of a read for
  // each key; TakeBack puts that back, as if those writes had been lost, and
  // ends it. Neither is known to the disk. Threads: as Write.
  void SetSavepoint();
  [[nodiscard]] absl::Status TakeBack();

  // What the compaction filter and GetRegister take as the present.
  void SetNow(int64_t now_ms);
  // Closed keys of the rule ("": of every rule) that expire at or before this are
  // forgotten early (limits.history).
  void ForgetEarly(std::string_view rule, int64_t floor_ms);

  // What is free on the store's volume.
  [[nodiscard]] absl::StatusOr<VolumeRoom> Room() const;
  [[nodiscard]] StoreSizes Sizes() const;

 private:
  struct Rep;
  explicit Store(std::unique_ptr<Rep> rep);
  [[nodiscard]] std::unique_ptr<EntryScan> Scan(uint32_t family, const char* what) const;
  [[nodiscard]] absl::Status CheckFormat();
  [[nodiscard]] absl::Status WriteIdentity();

  std::unique_ptr<Rep> rep_;
  std::string id_;
  std::string note_;
};

}  // namespace expirer
