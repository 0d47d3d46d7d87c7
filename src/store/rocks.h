// The border between RocksDB and expirer: its statuses become ours once, here.
// Only for files of src/store and its tests.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "rocksdb/slice.h"
#include "rocksdb/status.h"

namespace expirer {

// kDataLoss, saying what to do, for corruption and files that are not there;
// kResourceExhausted for no space left, kNotFound, kInternal for the rest;
// "context: RocksDB's own words".
[[nodiscard]] absl::Status FromRocks(const rocksdb::Status& status,
                                     std::string_view context);

[[nodiscard]] inline rocksdb::Slice ToSlice(std::string_view bytes) {
  return {bytes.data(), bytes.size()};
}
[[nodiscard]] inline std::string_view ToView(const rocksdb::Slice& slice) {
  return {slice.data(), slice.size()};
}

}  // namespace expirer
