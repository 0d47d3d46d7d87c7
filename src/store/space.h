// Free space of the store's volume, in bytes and in files: the reserve that is
// never eaten into, and a gauge that asks cheaply.
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

// With less than this free nothing is written, and no store is opened: RocksDB
// stops or ends the process when it runs into a full volume. Room for a log's
// last append and the start of a flush.
inline constexpr uint64_t kReserveBytes = 32'000'000;
inline constexpr uint64_t kReserveInodes = 64;
// More than the reserve before writing begins again, lest it flutter. The least
// that limits.disk_free may be.
inline constexpr uint64_t kResumeBytes = 48'000'000;
inline constexpr uint64_t kResumeInodes = 96;

// What a volume has free for an unprivileged process.
struct VolumeRoom {
  static constexpr uint64_t kNoLimit = std::numeric_limits<uint64_t>::max();
  uint64_t bytes = 0;
  uint64_t inodes = kNoLimit;  // files it can still hold; many volumes do not count

  [[nodiscard]] bool BelowReserve() const {
    return bytes < kReserveBytes || inodes < kReserveInodes;
  }
  [[nodiscard]] bool MayResume() const {
    return bytes >= kResumeBytes && inodes >= kResumeInodes;
  }
  // "12 bytes and 0 inodes are free"; inodes only where they are counted.
  [[nodiscard]] std::string ToString() const;
};

// Of the volume that `path` is on. `files` null = the host's.
[[nodiscard]] absl::StatusOr<VolumeRoom> RoomOn(rocksdb::FileSystem* files,
                                                const std::string& path);
// Why nothing is written to `path`, and what it takes.
[[nodiscard]] std::string NoRoomOn(const std::string& path, const VolumeRoom& room);

// Asks cheaply: a cached figure, counted down by what was written since. One
// thread.
class SpaceGauge {
 public:
  // `clock` outlives it.
  SpaceGauge(std::shared_ptr<rocksdb::FileSystem> files, std::string path,
             const Clock* clock)
      : files_(std::move(files)), path_(std::move(path)), clock_(clock) {}

  // False when writing `bytes` would eat into the reserve. Where the volume
  // cannot be asked that counts as room: the write itself will tell.
  [[nodiscard]] bool HasRoom(uint64_t bytes);
  void Wrote(uint64_t bytes) { since_ += bytes; }
  [[nodiscard]] absl::StatusOr<VolumeRoom> Room() const {
    return RoomOn(files_.get(), path_);
  }

 private:
  const std::shared_ptr<rocksdb::FileSystem> files_;
  const std::string path_;
  const Clock* const clock_;
  VolumeRoom room_;
  uint64_t since_ = 0;       // written since room_ was read
  int64_t read_at_ms_ = -1;  // monotonic; -1 = never
};

}  // namespace expirer
