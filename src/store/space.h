// Free space of the store's volume, in bytes and inodes: the reserve that expirer
// leaves free, and a gauge that is cheap to ask.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/status.h"

namespace rocksdb {
class FileSystem;
}  // namespace rocksdb

namespace expirer {

// If less than this is free, expirer writes nothing and opens no store, because
// RocksDB stops or ends the process on a full volume. It is enough for a log's last
// append and the start of a flush.
inline constexpr uint64_t kReserveBytes = 32'000'000;
inline constexpr uint64_t kReserveInodes = 64;
// Writing begins again only if this much is free. It is more than the reserve, so that
// the state does not flutter. limits.disk_free must not be less.
inline constexpr uint64_t kResumeBytes = 48'000'000;
inline constexpr uint64_t kResumeInodes = 96;

// The free space of a volume for an unprivileged process.
struct VolumeRoom {
  static constexpr uint64_t kNoLimit = std::numeric_limits<uint64_t>::max();
  uint64_t bytes = 0;
  uint64_t inodes = kNoLimit;  // kNoLimit if the volume has no limit on files

  [[nodiscard]] bool BelowReserve() const {
    return bytes < kReserveBytes || inodes < kReserveInodes;
  }
  [[nodiscard]] bool MayResume() const {
    return bytes >= kResumeBytes && inodes >= kResumeInodes;
  }
  // "12 bytes and 0 inodes are free"; without inodes if they have no limit.
  [[nodiscard]] std::string ToString() const;
};

// The free space of the volume of `path`. `files` null = the host's.
absl::StatusOr<VolumeRoom> RoomOn(rocksdb::FileSystem* files, const std::string& path);
// A sentence for the operator: why nothing is written to `path`, and how much must be
// free.
[[nodiscard]] std::string NoRoomOn(const std::string& path, const VolumeRoom& room);

// Free space from a cache, less what was written since the cache was filled. One
// thread.
class SpaceGauge {
 public:
  // `clock` outlives it.
  SpaceGauge(std::shared_ptr<rocksdb::FileSystem> files, std::string path,
             const Clock* clock)
      : files_(std::move(files)), path_(std::move(path)), clock_(clock) {}

  // False if writing `bytes` would use some of the reserve. True if the volume cannot
  // be asked: then the write itself fails if there is no room.
  [[nodiscard]] bool HasRoom(uint64_t bytes);
  void Wrote(uint64_t bytes) { since_ += bytes; }
  absl::StatusOr<VolumeRoom> Room() const { return RoomOn(files_.get(), path_); }

 private:
  const std::shared_ptr<rocksdb::FileSystem> files_;
  const std::string path_;
  const Clock* const clock_;
  VolumeRoom room_;
  uint64_t since_ = 0;       // written since room_ was read
  int64_t read_at_ms_ = -1;  // monotonic; -1 = never
};

}  // namespace expirer
