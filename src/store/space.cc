#include "store/space.h"

#include <sys/statvfs.h>

#include <cerrno>
#include <cstring>

#include "rocksdb/file_system.h"
#include "store/rocks.h"

namespace expirer {
namespace {

constexpr int64_t kReadEveryMs = 100;
// Others write too (flushes, compactions, other processes): with less than
// this left, each write looks again. statvfs takes about a microsecond.
constexpr uint64_t kPlentyBytes = 1 << 30;

}  // namespace

absl::StatusOr<uint64_t> FreeBytesOf(rocksdb::FileSystem* files,
                                     const std::string& path) {
  if (files != nullptr) {
    uint64_t bytes = 0;
    RETURN_IF_ERROR(
        FromRocks(files->GetFreeSpace(path, rocksdb::IOOptions(), &bytes, nullptr),
                  "free space of " + path));
    return bytes;
  }
  struct statvfs volume {};
  if (statvfs(path.c_str(), &volume) != 0)
    return Internal("statvfs " + path + ": " + std::strerror(errno));
  return static_cast<uint64_t>(volume.f_bavail) * volume.f_frsize;
}

bool SpaceGauge::HasRoom(uint64_t bytes) {
  const int64_t now_ms = clock_->MonotonicMs();
  if (read_at_ms_ < 0 || now_ms - read_at_ms_ >= kReadEveryMs ||
      free_ < kPlentyBytes + since_ + bytes) {
    const absl::StatusOr<uint64_t> free = Free();
    if (!free.ok()) return true;
    free_ = *free;
    since_ = 0;
    read_at_ms_ = now_ms;
  }
  return free_ >= since_ + bytes + kReserveBytes;
}

}  // namespace expirer
