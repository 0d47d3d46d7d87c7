#include "store/wal_scan.h"

#include <algorithm>
#include <array>

#include "base/coding.h"

namespace expirer {
namespace {

constexpr size_t kHeaderBytes = 7;
constexpr size_t kRecordHeadBytes = 12;

enum Type : uint8_t { kZero = 0, kWhole = 1, kFirst = 2, kMiddle = 3, kLast = 4 };
// 5..8 are 1..4 in a recycled file, which we never have (store/options.cc); above come
// records about the log itself.

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

// RocksDB stores checksums masked, lest they are computed over themselves.
uint32_t Unmask(uint32_t masked) {
  const uint32_t rotated = masked - 0xa282ead8U;
  return rotated >> 17 | rotated << 15;
}

uint32_t Crc32c(std::string_view bytes) {
  static const std::array<uint32_t, 256> table = MakeCrcTable();
  uint32_t crc = 0xffffffffU;
  for (const char byte : bytes)
    crc = table[(crc ^ static_cast<uint8_t>(byte)) & 0xff] ^ (crc >> 8);
  return crc ^ 0xffffffffU;
}

}  // namespace

bool WalScan::Block(std::string_view block) {
  size_t at = 0;
  while (block.size() - at >= kHeaderBytes)
    if (!Fragment(block, &at)) return false;
  offset_ += block.size();
  // The leftover of a full block is padding; of a short one, a torn header.
  const bool full = block.size() == kBlockBytes;
  if (full && !inside_) found_.whole_bytes = offset_;
  return full;
}

bool WalScan::Fragment(std::string_view block, size_t* at) {
  const std::string_view header = block.substr(*at, kHeaderBytes);
  const size_t length = Little(header.substr(4, 2));
  const auto type = static_cast<uint8_t>(header[6]);
  const size_t end = *at + kHeaderBytes + length;
  const uint64_t file_end = offset_ + end;
  if (type == kZero || end > block.size()) return Stop(file_end);
  if (file_end > trusted_ &&
      Crc32c(block.substr(*at + 6, 1 + length)) !=
          Unmask(static_cast<uint32_t>(Little(header.substr(0, 4)))))
    return Stop(file_end);

  const std::string_view data = block.substr(*at + kHeaderBytes, length);
  *at = end;
  if (type > kLast) {  // about the log, not a record of ours
    if (!inside_) found_.whole_bytes = file_end;
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
    found_.whole_bytes = end;
    return true;
  }
  if (record_head_.size() < kRecordHeadBytes) return Stop(end);
  const std::string_view head = record_head_;
  const uint64_t sequence = Little(head.substr(0, 8));
  const uint64_t count = Little(head.substr(8, 4));
  // A hole of exactly whole records shows only in the sequence numbers.
  if (found_.next_sequence != 0 && sequence != found_.next_sequence && end > trusted_)
    return Stop(end);
  if (found_.first_sequence == 0) found_.first_sequence = sequence;
  found_.next_sequence = sequence + count;
  found_.whole_bytes = end;
  return true;
}

bool WalScan::Stop(uint64_t fragment_end) {
  // A fragment wholly inside trusted bytes is as RocksDB wrote it.
  if (fragment_end <= trusted_) found_.understood = false;
  return false;
}

}  // namespace expirer
