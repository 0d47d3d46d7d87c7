// Converts RocksDB's statuses and slices to ours. Only for files of src/store and its
// tests.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "rocksdb/slice.h"
#include "rocksdb/status.h"

namespace expirer {

// The status with the message "context: RocksDB's own words". kDataLoss, with advice,
// for corruption and missing files; kResourceExhausted if there is no space left;
// kNotFound; kInternal for other errors.
[[nodiscard]] absl::Status FromRocks(const rocksdb::Status& status,
                                     std::string_view context);

[[nodiscard]] inline rocksdb::Slice ToSlice(std::string_view bytes) {
  return {bytes.data(), bytes.size()};
}
[[nodiscard]] inline std::string_view ToView(const rocksdb::Slice& slice) {
  return {slice.data(), slice.size()};
}

}  // namespace expirer
