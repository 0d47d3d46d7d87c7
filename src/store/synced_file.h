// SYNCED: a small file in the store's directory that says how much of each write-ahead
// log was synced. By it an opening distinguishes synced bytes from an unsynced tail.
//
//   two slots of 16 KB, each:
//   | "expsync1" | le64 sequence | le32 n
//   | n x (le64 id, le64 synced bytes, le64 XXH3 of these bytes)
//   | le64 XXH3 of all before |
//   id: number of a write-ahead log, or of a MANIFEST with bit 63 set
//
// The valid slot with the higher sequence counts. Between two fdatasyncs only one slot
// is written; the other holds what the last fdatasync made durable. So a torn write
// never damages both.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "rocksdb/file_system.h"

namespace expirer {

inline constexpr uint64_t kManifestBit = uint64_t{1} << 63;

struct SyncedLog {
  uint64_t id = 0;
  uint64_t bytes = 0;   // synced
  uint64_t digest = 0;  // XXH3-64 of these bytes
  bool operator==(const SyncedLog&) const = default;
};

// Not thread-safe.
class SyncedFile {
 public:
  static constexpr std::string_view kName = "SYNCED";

  // Reads the list that was written last. kNotFound if the file is missing, kDataLoss
  // if neither slot is valid.
  static absl::StatusOr<std::vector<SyncedLog>> Read(rocksdb::FileSystem* files,
                                                     const std::string& dir);

  // Opens or creates the file; it is durable when the call returns.
  static absl::StatusOr<std::unique_ptr<SyncedFile>> Open(rocksdb::FileSystem* files,
                                                          const std::string& dir);

  // Writes the list. It survives the end of the process at once, and a power loss
  // after the next Sync.
  [[nodiscard]] rocksdb::IOStatus Write(const std::vector<SyncedLog>& logs);
  [[nodiscard]] rocksdb::IOStatus Sync();

 private:
  SyncedFile(std::unique_ptr<rocksdb::FSRandomRWFile> file, uint64_t sequence,
             size_t slot)
      : file_(std::move(file)), sequence_(sequence), slot_(slot) {}

  const std::unique_ptr<rocksdb::FSRandomRWFile> file_;
  uint64_t sequence_;     // last written
  size_t slot_;           // to write next; the other one is durable
  bool written_ = false;  // since the last Sync
};

}  // namespace expirer
