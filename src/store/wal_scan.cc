#include "store/wal_scan.h"

#include <algorithm>
#include <array>

namespace expirer {
namespace {

constexpr size_t kHeaderBytes = 7;
constexpr size_t kRecyclableHeaderBytes = 11;  // + le32 log number
constexpr size_t kRecordHeadBytes = 12;

enum Type : uint8_t { kZero = 0, kWhole = 1, kFirst = 2, kMiddle = 3, kLast = 4 };
// 5..8 are 1..4 in a recycled file; above come records about the log itself.
constexpr uint8_t kRecyclableWhole = 5;
constexpr uint8_t kRecyclableLast = 8;

std::array<uint32_t, 256> MakeCrcTable() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit)
      crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78U : 0U);
    table[i] = crc;
  }
  return table;
}

uint64_t Little(std::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = bytes.size(); i > 0; --i)
    value = value << 8 | static_cast<uint8_t>(bytes[i - 1]);
  return value;
}

// RocksDB stores checksums masked, lest they are computed over themselves.
uint32_t Unmask(uint32_t masked) {
  const uint32_t rotated = masked - 0xa282ead8U;
  return rotated >> 17 | rotated << 15;
}

}  // namespace

uint32_t Crc32c(std::string_view bytes) {
  static const std::array<uint32_t, 256> table = MakeCrcTable();
  uint32_t crc = 0xffffffffU;
  for (const char byte : bytes)
    crc = table[(crc ^ static_cast<uint8_t>(byte)) & 0xff] ^ (crc >> 8);
  return crc ^ 0xffffffffU;
}

bool WalScan::Block(std::string_view block) {
  size_t at = 0;
  while (block.size() - at >= kHeaderBytes)
    if (!Fragment(block, &at)) return false;
  offset_ += block.size();
  // The leftover of a full block is padding; of a short one, a torn header.
  const bool full = block.size() == kBlockBytes;
  if (full && !inside_) whole_bytes_ = offset_;
  return full;
}

bool WalScan::Fragment(std::string_view block, size_t* at) {
  const std::string_view header = block.substr(*at, kHeaderBytes);
  const size_t length = Little(header.substr(4, 2));
  uint8_t type = static_cast<uint8_t>(header[6]);
  const bool recyclable = type >= kRecyclableWhole && type <= kRecyclableLast;
  const size_t header_bytes = recyclable ? kRecyclableHeaderBytes : kHeaderBytes;
  const size_t end = *at + header_bytes + length;
  const uint64_t file_end = offset_ + end;
  if (type == kZero || end > block.size()) return Stop(file_end);
  if (file_end > trusted_ &&
      Crc32c(block.substr(*at + 6, header_bytes - 6 + length)) !=
          Unmask(static_cast<uint32_t>(Little(header.substr(0, 4)))))
    return Stop(file_end);
  if (recyclable) type = static_cast<uint8_t>(type - 4);

  const std::string_view data = block.substr(*at + header_bytes, length);
  *at = end;
  if (type > kLast) {  // about the log, not a record of ours
    if (!inside_) whole_bytes_ = file_end;
    return true;
  }
  const bool begins = type == kWhole || type == kFirst;
  if (begins == inside_) return Stop(file_end);
  if (begins) record_head_.clear();
  if (record_head_.size() < kRecordHeadBytes)
    record_head_.append(data.substr(0, kRecordHeadBytes - record_head_.size()));
  inside_ = type == kFirst || type == kMiddle;
  return inside_ || Finish(file_end);
}

bool WalScan::Finish(uint64_t end) {
  if (of_ == Of::kManifest) {
    whole_bytes_ = end;
    return true;
  }
  if (record_head_.size() < kRecordHeadBytes) return Stop(end);
  const std::string_view head = record_head_;
  const uint64_t sequence = Little(head.substr(0, 8));
  const uint64_t count = Little(head.substr(8, 4));
  // A hole of exactly whole records shows only in the sequence numbers.
  if (next_sequence_ != 0 && sequence != next_sequence_ && end > trusted_)
    return Stop(end);
  if (first_sequence_ == 0) first_sequence_ = sequence;
  next_sequence_ = sequence + count;
  whole_bytes_ = end;
  return true;
}

bool WalScan::Stop(uint64_t fragment_end) {
  // A fragment wholly inside trusted bytes is as RocksDB wrote it.
  if (fragment_end <= trusted_) understood_ = false;
  return false;
}

}  // namespace expirer
