// All settings of RocksDB, each with its reason. Figures come from
// bench/store_bench.cc (bench/README.md).
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "base/mutex.h"

#if __has_include("rocksdb/advanced_cache.h")
#include "rocksdb/advanced_cache.h"  // from 8 on cache.h only declares the class
#else
#include "rocksdb/cache.h"
#endif
#include "rocksdb/compaction_filter.h"
#include "rocksdb/db.h"
#include "rocksdb/options.h"
#include "store/store.h"

namespace expirer {

// The present time for the store and RocksDB's background threads.
class Present {
 public:
  void SetNow(int64_t now_ms) { now_ms_.store(now_ms, std::memory_order_relaxed); }
  // Like Store::ForgetEarly.
  void ForgetEarly(std::string_view rule, int64_t floor_ms);

  // Whether the closed key `id` is forgotten: its expires_ms (0 = never) is reached, or
  // is not above the floor of its rule.
  [[nodiscard]] bool Forgets(std::string_view id, int64_t expires_ms) const {
    if (expires_ms <= 0) return false;
    return expires_ms <= now_ms_.load(std::memory_order_relaxed) ||
           (expires_ms <= highest_ms_.load(std::memory_order_relaxed) &&
            BelowFloor(id, expires_ms));
  }

 private:
  [[nodiscard]] bool BelowFloor(std::string_view id, int64_t expires_ms) const;

  std::atomic<int64_t> now_ms_ = 0;
  std::atomic<int64_t> highest_ms_ = 0;  // highest floor: no rule forgets keys above it
  mutable Mutex mutex_;
  std::map<std::string, int64_t, std::less<>> floors_ ABSL_GUARDED_BY(mutex_);
};

// The families, in the order of their creation, which fixes their numbers. A WriteSet
// relies on these, because it is filled before it knows its store.
enum Family : uint32_t { kDefault = 0, kDue = 1, kIds = 2, kDead = 3, kMeta = 4 };
inline constexpr uint32_t kFamilies = 5;
inline constexpr const char* kFamilyNames[kFamilies] = {"default", "due", "ids", "dead",
                                                        "meta"};

// Drops forgotten registers while RocksDB compacts. This only frees space: reads treat
// such registers as absent even before that.
[[nodiscard]] std::unique_ptr<rocksdb::CompactionFilter> MakeExpiryFilter(
    const Present* present);

struct RocksSetup {
  rocksdb::DBOptions db;
  std::vector<rocksdb::ColumnFamilyDescriptor> families;  // in Family's order
  std::shared_ptr<rocksdb::Cache> cache;
};

// `env` and `expiry` must outlive the database.
[[nodiscard]] RocksSetup MakeRocksSetup(const StoreOptions& options, rocksdb::Env* env,
                                        const rocksdb::CompactionFilter* expiry);

}  // namespace expirer
