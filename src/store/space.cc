#include "store/space.h"

#include <sys/statvfs.h>

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "rocksdb/file_system.h"
#include "store/rocks.h"

namespace expirer {
namespace {

constexpr int64_t kReadEveryMs = 100;
// Flushes, compactions and other processes write too. So if less than this is left,
// each write asks the volume again. statvfs takes about a microsecond.
constexpr uint64_t kPlentyBytes = 1 << 30;

}  // namespace

std::string VolumeRoom::ToString() const {
  if (inodes == kNoLimit) return fmt::format("{} bytes are free", bytes);
  return fmt::format("{} bytes and {} inodes are free", bytes, inodes);
}

absl::StatusOr<VolumeRoom> RoomOn(rocksdb::FileSystem* files, const std::string& path) {
  VolumeRoom room;
  if (files != nullptr) {
    RETURN_IF_ERROR(
        FromRocks(files->GetFreeSpace(path, rocksdb::IOOptions(), &room.bytes, nullptr),
                  "free space of " + path));
    return room;
  }
  struct statvfs volume {};
  if (statvfs(path.c_str(), &volume) != 0)
    return Internal("statvfs " + path + ": " + std::strerror(errno));
  room.bytes = static_cast<uint64_t>(volume.f_bavail) * volume.f_frsize;
  if (volume.f_files > 0) room.inodes = volume.f_favail;
  return room;
}

std::string NoRoomOn(const std::string& path, const VolumeRoom& room) {
  return fmt::format(
      "the volume of {} has no room: {}; expirer writes nothing below {} bytes or {} "
      "inodes, and writes again from {} and {} on",
      path, room.ToString(), kReserveBytes, kReserveInodes, kResumeBytes, kResumeInodes);
}

bool SpaceGauge::HasRoom(uint64_t bytes) {
  const int64_t now_ms = clock_->MonotonicMs();
  if (read_at_ms_ < 0 || now_ms - read_at_ms_ >= kReadEveryMs ||
      room_.bytes < kPlentyBytes + since_ + bytes) {
    const absl::StatusOr<VolumeRoom> room = Room();
    if (!room.ok()) return true;
    room_ = *room;
    since_ = 0;
    read_at_ms_ = now_ms;
  }
  return room_.bytes >= since_ + bytes + kReserveBytes && !room_.BelowReserve();
}

}  // namespace expirer
