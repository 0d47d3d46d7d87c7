// Converts RocksDB's statuses and slices to ours, and uses its files. Only for files of
// src/store and its tests.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "rocksdb/file_system.h"
#include "rocksdb/slice.h"
#include "rocksdb/status.h"

namespace expirer {

// The status with the message "context: RocksDB's own words". kDataLoss, with advice,
// for corruption and missing files; kResourceExhausted if there is no space left;
// kNotFound; kInternal for other errors.
absl::Status FromRocks(const rocksdb::Status& status, std::string_view context);

[[nodiscard]] inline rocksdb::Slice ToSlice(std::string_view bytes) {
  return {bytes.data(), bytes.size()};
}
[[nodiscard]] inline std::string_view ToView(const rocksdb::Slice& slice) {
  return {slice.data(), slice.size()};
}

// Reads from `file`, which may read short, until `buffer` is full or the file ends.
// Replaces `bytes` by what was read, a view of `buffer`.
[[nodiscard]] rocksdb::IOStatus ReadFully(rocksdb::FSSequentialFile* file,
                                          std::string* buffer, std::string_view* bytes);
// Makes the names in a directory durable.
[[nodiscard]] rocksdb::IOStatus SyncDirectory(rocksdb::FileSystem* files,
                                              const std::string& dir);

}  // namespace expirer
