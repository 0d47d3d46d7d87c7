#include "store/options.h"

#include <algorithm>

#include "job/job.h"
#include "rocksdb/filter_policy.h"
#include "rocksdb/table.h"
#include "rocksdb/utilities/table_properties_collectors.h"
#include "rocksdb/write_buffer_manager.h"
#include "store/rocks.h"

namespace expirer {
namespace {

class ExpiryFilter final : public rocksdb::CompactionFilter {
 public:
  explicit ExpiryFilter(const Present* present) : present_(present) {}
  const char* Name() const override { return "ExpirerExpiry"; }
  bool Filter(int /*level*/, const rocksdb::Slice& key, const rocksdb::Slice& value,
              std::string* /*new_value*/, bool* /*value_changed*/) const override {
    return present_->Forgets(ToView(key), ExpiresMs(ToView(value)));
  }

 private:
  const Present* const present_;
};

rocksdb::BlockBasedTableOptions TableOptions(
    const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::BlockBasedTableOptions table;
  // Pinned: 9.x writes 6 by default, which older releases cannot read.
  table.format_version = 5;
  table.checksum = rocksdb::kXXH3;
  table.block_cache = cache;
  table.block_size = 8 << 10;
  // Inside the cache's limit; the busy top level's stay there.
  table.cache_index_and_filter_blocks = true;
  table.cache_index_and_filter_blocks_with_high_priority = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  // In parts of a block's size: of 10 M jobs they do not fit into the cache at
  // once, and whole ones are hundreds of kilobytes each, read again and again.
  table.index_type = rocksdb::BlockBasedTableOptions::kTwoLevelIndexSearch;
  table.partition_filters = true;
  table.metadata_block_size = 16 << 10;
  table.optimize_filters_for_memory = true;
  return table;
}

rocksdb::ColumnFamilyOptions PlainOptions(const rocksdb::BlockBasedTableOptions& table,
                                          uint64_t memtable_bytes) {
  rocksdb::ColumnFamilyOptions family;
  family.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  family.compression = rocksdb::kLZ4Compression;
  family.bottommost_compression = rocksdb::kDisableCompressionOption;
  family.write_buffer_size = memtable_bytes;
  family.max_write_buffer_number = 4;
  family.level_compaction_dynamic_level_bytes = true;
  // In proportion to level 0, as RocksDB's default of 256 MB is to memtables of
  // 64 MB. With 256 MB, 10 M registers lay half in one level and half in the
  // next, and the read of one asked both: 17 us instead of 12.5.
  family.max_bytes_for_level_base = 8 * memtable_bytes;
  return family;
}

rocksdb::ColumnFamilyOptions DueOptions(const rocksdb::BlockBasedTableOptions& table,
                                        uint64_t memtable_bytes) {
  rocksdb::ColumnFamilyOptions family = PlainOptions(table, memtable_bytes);
  // Fired rows are deleted at the front; without this their tombstones stay
  // until their level fills up.
  family.table_properties_collector_factories.push_back(
      rocksdb::NewCompactOnDeletionCollectorFactory(16384, 8192, 0.5));
  // No insert hint: measured, it gained nothing on due times spread over a day
  // and its memory is outside every limit.
  return family;
}

rocksdb::ColumnFamilyOptions IdsOptions(rocksdb::BlockBasedTableOptions table,
                                        uint64_t memtable_bytes,
                                        const rocksdb::CompactionFilter* expiry,
                                        int64_t history_ms) {
  // Nearly every read asks for a key that is not there.
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.whole_key_filtering = true;
  // Read one key at a time, never in order.
  table.block_size = 4 << 10;
  rocksdb::ColumnFamilyOptions family = PlainOptions(table, memtable_bytes);
  family.memtable_prefix_bloom_size_ratio = 0.05;
  family.memtable_whole_key_filtering = true;
  family.compaction_filter = expiry;
  constexpr int64_t kMinuteS = 60;
  constexpr int64_t kDayS = 24 * 60 * kMinuteS;
  family.periodic_compaction_seconds =
      static_cast<uint64_t>(std::clamp(history_ms / 7 / 1'000, kMinuteS, kDayS));
  return family;
}

}  // namespace

void Present::ForgetEarly(std::string_view rule, int64_t floor_ms) {
  MutexLock lock(&mutex_);
  floors_.insert_or_assign(std::string(rule), floor_ms);
  if (floor_ms > highest_ms_.load(std::memory_order_relaxed))
    highest_ms_.store(floor_ms, std::memory_order_relaxed);
}

bool Present::BelowFloor(std::string_view id, int64_t expires_ms) const {
  MutexLock lock(&mutex_);
  for (const std::string_view rule : {std::string_view(), RuleOfName(id)}) {
    const auto floor = floors_.find(rule);
    if (floor != floors_.end() && expires_ms <= floor->second) return true;
  }
  return false;
}

std::unique_ptr<rocksdb::CompactionFilter> MakeExpiryFilter(const Present* present) {
  return std::make_unique<ExpiryFilter>(present);
}

RocksSetup MakeRocksSetup(const StoreOptions& options, rocksdb::Env* env,
                          const rocksdb::CompactionFilter* expiry) {
  RocksSetup setup;
  setup.cache = rocksdb::NewLRUCache(options.cache_bytes, 4, false, 0.5);

  rocksdb::DBOptions& db = setup.db;
  db.env = env;
  db.create_if_missing = true;
  db.create_missing_column_families = true;
  db.paranoid_checks = true;
  db.max_background_jobs = 2;
  db.max_open_files = 256;  // safe under a low `ulimit -n`
  // In simulated time files are opened in one order.
  if (options.clock != nullptr) db.max_file_opening_threads = 1;
  db.skip_stats_update_on_db_open = true;  // start-up is O(window)
  db.max_total_wal_size = options.wal_bytes_max;
  db.recycle_log_file_num = 0;  // the guard digests a log from its first byte
  // All memtables together, charged to the cache: one limit for both.
  db.write_buffer_manager =
      std::make_shared<rocksdb::WriteBufferManager>(options.memtable_bytes, setup.cache);
  // One thread writes.
  db.allow_concurrent_memtable_write = false;
  db.bytes_per_sync = 1 << 20;              // no bursts of write-back beside our syncs
  db.avoid_unnecessary_blocking_io = true;  // files are deleted in background
  db.info_log_level = rocksdb::InfoLogLevel::WARN_LEVEL;
  db.max_log_file_size = 10 << 20;
  db.keep_log_file_num = 5;
  db.stats_dump_period_sec = 0;
  db.stats_persist_period_sec = 0;

  const rocksdb::BlockBasedTableOptions table = TableOptions(setup.cache);
  // due and ids, each one filling and one being flushed. 8 MB of the default
  // 32: larger ones outgrow the processor's caches (+2 us a job at 16 MB),
  // smaller ones cost more in compactions than they save.
  const uint64_t big = options.memtable_bytes / 4;
  const uint64_t small = options.memtable_bytes / 8;
  const rocksdb::ColumnFamilyOptions family_options[kFamilies] = {
      PlainOptions(table, small), DueOptions(table, big),
      IdsOptions(table, big, expiry, options.history_ms), PlainOptions(table, small),
      PlainOptions(table, small)};
  for (uint32_t family = 0; family < kFamilies; ++family)
    setup.families.emplace_back(kFamilyNames[family], family_options[family]);
  return setup;
}

}  // namespace expirer
