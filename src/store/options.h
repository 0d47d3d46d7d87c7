// How RocksDB is set up: one place, each setting with its reason. Figures are
// of bench/store_bench.cc (bench/README.md).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

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

// The time the store goes by, shared with RocksDB's background threads.
struct Present {
  std::atomic<int64_t> now_ms = 0;
  std::atomic<int64_t> forget_floor_ms = 0;

  // A closed key is forgotten once its expires_ms (0 = never) is reached.
  [[nodiscard]] bool Forgets(int64_t expires_ms) const {
    return expires_ms > 0 &&
           (expires_ms <= now_ms.load(std::memory_order_relaxed) ||
            expires_ms <= forget_floor_ms.load(std::memory_order_relaxed));
  }
};

// The families in the order they are created, which fixes their numbers; a
// WriteSet is filled before it knows its store and relies on them.
enum Family : uint32_t { kDefault = 0, kDue = 1, kIds = 2, kDead = 3, kMeta = 4 };
inline constexpr uint32_t kFamilies = 5;
inline constexpr const char* kFamilyNames[kFamilies] = {"default", "due", "ids", "dead",
                                                        "meta"};

// Drops registers whose time has come while RocksDB compacts. It only gives
// back space: reads treat them as absent before.
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
