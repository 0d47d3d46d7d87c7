// The members of Store, shared by open.cc (opening) and store.cc (verbs).
#pragma once

#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "rocksdb/db.h"
#include "rocksdb/listener.h"
#include "rocksdb/write_batch.h"
#include "store/options.h"
#include "store/space.h"
#include "store/store.h"
#include "store/wal_guard.h"

namespace expirer {

// Collects the errors of RocksDB's background threads.
class BackgroundErrors final : public rocksdb::EventListener {
 public:
  void OnBackgroundError(rocksdb::BackgroundErrorReason reason,
                         rocksdb::Status* error) override;
  void OnErrorRecoveryCompleted(rocksdb::Status old_error) override;

  // True if a flush or compaction found no space and RocksDB has not recovered.
  [[nodiscard]] bool no_space() const { return no_space_; }
  void ClearNoSpace() { no_space_ = false; }
  // OK, or the reason why the database stopped for good.
  absl::Status fatal() const;

 private:
  std::atomic<bool> no_space_ = false;
  mutable Mutex mutex_;
  absl::Status fatal_ ABSL_GUARDED_BY(mutex_);
};

struct Store::Rep {
  Rep(const StoreOptions& options, std::string dir);
  ~Rep();

  [[nodiscard]] rocksdb::ColumnFamilyHandle* family(Family which) const {
    return families[which];
  }
  // Syncs, flushes what is in memory, so that the next opening has nothing to replay,
  // and closes RocksDB. The guard holds the lock until it is destroyed.
  void Close();

  const std::string path;
  const bool read_only;
  const SystemClock host_clock;
  const Clock* const clock;
  const std::string id_if_new;
  Present present;
  std::shared_ptr<BackgroundErrors> errors;
  std::shared_ptr<WalGuard> guard;
  std::unique_ptr<rocksdb::Env> env;
  std::unique_ptr<rocksdb::CompactionFilter> expiry;
  std::shared_ptr<rocksdb::Cache> cache;
  std::unique_ptr<rocksdb::DB> db;
  std::vector<rocksdb::ColumnFamilyHandle*> families;  // at least kFamilies

  // For each key written since SetSavepoint: its value before; empty = it had none.
  using Marked = std::map<std::pair<uint32_t, std::string>, std::optional<std::string>>;
  // Call before a write: adds the values that `batch` will replace to `marked`.
  absl::Status NoteReplaced(const rocksdb::WriteBatch& batch);

  // Core thread only.
  std::optional<Marked> marked;
  SpaceGauge space;
  bool full = false;        // a write found no space
  int64_t asked_at_ms = 0;  // monotonic; when Writable last tried
};

}  // namespace expirer
