#include "store/table_footer.h"

#include <string>

#include "base/coding.h"
#include "xxhash.h"

namespace expirer {
namespace {

constexpr uint8_t kXxh3 = 4;
constexpr uint64_t kVersion = 5;
constexpr uint64_t kMagic = 0x88e241b785f4cff7;

std::optional<BlockHandle> ReadHandle(std::string_view bytes) {
  Reader in(bytes);
  BlockHandle handle;
  handle.offset = in.Varint();
  handle.size = in.Varint();
  return in.ok() ? std::optional(handle) : std::nullopt;
}

}  // namespace

std::string_view TableFooterDamage(std::string_view footer) {
  if (footer.size() != kTableFooterBytes) return "it is too short for a table";
  if (Little(footer.substr(45)) != kMagic) return "it does not end like a table";
  if (Little(footer.substr(41, 4)) != kVersion ||
      static_cast<uint8_t>(footer[0]) != kXxh3)
    return "its footer is damaged";
  return "";
}

std::optional<BlockHandle> MetaIndexOf(std::string_view footer) {
  return ReadHandle(footer.substr(1, 40));
}

// Entries, of which a key may begin as the one before does:
//   | varint shared | varint rest of the key | varint value | rest | value |
// then where keys share nothing, le32 each, and le32 how many those are.
std::optional<BlockHandle> PropertiesOf(std::string_view metaindex) {
  if (metaindex.size() < 4) return std::nullopt;
  const uint64_t restarts = Little(metaindex.substr(metaindex.size() - 4));
  if (restarts >= metaindex.size() / 4) return std::nullopt;
  metaindex.remove_suffix(4 * (restarts + 1));
  std::string key;
  while (!metaindex.empty()) {
    Reader in(metaindex);
    const uint64_t shared = in.Varint();
    const uint64_t more = in.Varint();
    const uint64_t length = in.Varint();
    const std::string_view rest = in.rest();
    if (!in.ok() || shared > key.size() || more > rest.size() ||
        length > rest.size() - more)
      return std::nullopt;
    key.resize(shared);
    key.append(rest.substr(0, more));
    if (key == "rocksdb.properties") return ReadHandle(rest.substr(more, length));
    metaindex = rest.substr(more + length);
  }
  return std::nullopt;
}

bool BlockIsWhole(std::string_view block) {
  constexpr uint32_t kLastBytePrime = 0x6b9083d9;
  if (block.size() < kBlockTrailerBytes) return false;
  const std::string_view data = block.substr(0, block.size() - kBlockTrailerBytes);
  const auto compression = static_cast<uint8_t>(block[data.size()]);
  const auto hash = static_cast<uint32_t>(XXH3_64bits(data.data(), data.size()));
  return compression == 0 &&
         Little(block.substr(data.size() + 1)) == (hash ^ compression * kLastBytePrime);
}

}  // namespace expirer
