// Finds where an unsynced tail of a write-ahead log stops making sense.
//
// After a power loss the pages of a log that were never synced may be there or
// not, in any order: whole records, zeros, or records with holes. The scan
// walks RocksDB's log format (stable since LevelDB; header comment of its
// db/log_format.h) and ends at the last whole record before the first that is
// torn, fails its checksum, or does not follow its predecessor's sequence
// number. What lies before `trusted` bytes was checked by digest already, so
// it is walked but its checksums are not computed again. RocksDB's MANIFEST
// has the same format without the sequence numbers.
//
//   block  := 32,768 bytes of fragments; fewer than 7 left over are zeros
//   header := | masked crc32c of type and data, le32 | le16 length | u8 type |
//   type   := 1 whole record, 2 first, 3 middle, 4 last fragment
//   record := | le64 sequence | le32 count | ...     (a RocksDB write batch)
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace expirer {

[[nodiscard]] uint32_t Crc32c(std::string_view bytes);

class WalScan {
 public:
  static constexpr size_t kBlockBytes = 32768;

  enum class Of { kLog, kManifest };

  WalScan(Of of, uint64_t trusted) : of_(of), trusted_(trusted) {}

  // The file's next block: kBlockBytes, or fewer at its end. Returns false
  // when the rest of the file need not be read.
  bool Block(std::string_view block);

  // End of the last whole record; the file's size when all of it is whole.
  [[nodiscard]] uint64_t whole_bytes() const { return whole_bytes_; }
  // The sequence number of the first whole record, and the one that must
  // follow the last; both 0 when there is no record.
  [[nodiscard]] uint64_t first_sequence() const { return first_sequence_; }
  [[nodiscard]] uint64_t next_sequence() const { return next_sequence_; }
  // False when trusted bytes did not read as log format: then nothing said
  // above holds and RocksDB must decide.
  [[nodiscard]] bool understood() const { return understood_; }

 private:
  bool Fragment(std::string_view block, size_t* at);
  bool Stop(uint64_t fragment_end);
  bool Finish(uint64_t end);

  const Of of_;
  const uint64_t trusted_;
  uint64_t offset_ = 0;  // of the block being read
  uint64_t whole_bytes_ = 0;
  uint64_t first_sequence_ = 0;
  uint64_t next_sequence_ = 0;
  bool understood_ = true;
  bool inside_ = false;      // between a first and a last fragment
  std::string record_head_;  // up to 12 bytes of the record being read
};

}  // namespace expirer
