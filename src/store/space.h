// Free space, asked for cheaply: a cached figure, counted down by what was
// written since.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/status.h"

namespace rocksdb {
class FileSystem;
}  // namespace rocksdb

namespace expirer {

// Free for an unprivileged process on the volume of `path`. `files` null = the
// host's.
[[nodiscard]] absl::StatusOr<uint64_t> FreeBytesOf(rocksdb::FileSystem* files,
                                                   const std::string& path);

// One thread.
class SpaceGauge {
 public:
  // RocksDB aborts or stalls when it runs into a full volume while writing:
  // below this nothing is written any more. Room for a log's last append and
  // the start of a flush.
  static constexpr uint64_t kReserveBytes = 32 << 20;
  // More than the reserve before writing begins again, lest it flutter.
  static constexpr uint64_t kResumeBytes = kReserveBytes + (16 << 20);

  // `clock` outlives it.
  SpaceGauge(std::shared_ptr<rocksdb::FileSystem> files, std::string path,
             const Clock* clock)
      : files_(std::move(files)), path_(std::move(path)), clock_(clock) {}

  // False when writing `bytes` would eat into the reserve. A failing statvfs
  // counts as room: the write itself will tell.
  [[nodiscard]] bool HasRoom(uint64_t bytes);
  void Wrote(uint64_t bytes) { since_ += bytes; }
  [[nodiscard]] absl::StatusOr<uint64_t> Free() const {
    return FreeBytesOf(files_.get(), path_);
  }

 private:
  const std::shared_ptr<rocksdb::FileSystem> files_;
  const std::string path_;
  const Clock* const clock_;
  uint64_t free_ = 0;
  uint64_t since_ = 0;       // written since free_ was read
  int64_t read_at_ms_ = -1;  // monotonic; -1 = never
};

}  // namespace expirer
