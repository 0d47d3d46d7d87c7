// Finds the end of the readable part of a write-ahead log's unsynced tail.
//
// After a power loss the pages of a log that were never synced may be there or
// not, in any order: whole records, zeros, or records with holes. The scan
// walks RocksDB's log format (stable since LevelDB; header comment of its
// db/log_format.h). It ends before the first record that is torn, fails its checksum,
// or does not follow its predecessor's sequence number. The first `trusted` bytes were
// already checked by digest, so the scan reads them but does not compute their
// checksums. RocksDB's MANIFEST has the same format without the sequence numbers.
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

// What a scan found.
struct WalFound {
  // The end of the last whole record; the file's size if all records are whole.
  uint64_t whole_bytes = 0;
  // The sequence number of the first whole record, and the number that must follow the
  // last one; both 0 if there is no record.
  uint64_t first_sequence = 0;
  uint64_t next_sequence = 0;
  // False if trusted bytes do not have the log format: then the other results are not
  // valid, and RocksDB must decide.
  bool understood = true;
};

class WalScan {
 public:
  static constexpr size_t kBlockBytes = 32768;

  enum class Of { kLog, kManifest };

  WalScan(Of of, uint64_t trusted) : of_(of), trusted_(trusted) {}

  // Reads the file's next block: kBlockBytes, or fewer at its end. Returns false if the
  // rest of the file need not be read.
  bool Block(std::string_view block);

  [[nodiscard]] const WalFound& found() const { return found_; }

 private:
  bool Fragment(std::string_view block, size_t* at);
  bool Stop(uint64_t fragment_end);
  bool Finish(uint64_t end);

  const Of of_;
  const uint64_t trusted_;
  uint64_t offset_ = 0;  // of the block being read
  WalFound found_;
  bool inside_ = false;      // between a first and a last fragment
  std::string record_head_;  // up to 12 bytes of the record being read
};

}  // namespace expirer
