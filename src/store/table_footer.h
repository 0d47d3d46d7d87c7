// The last bytes of a table file, which say how the rest is to be read.
//
// RocksDB checks every block of a table by a checksum but not the footer (up to
// format version 5, which we write). One flipped bit of it can mean "there are
// no checksums": then damaged blocks are taken as they come, or an assertion of
// RocksDB ends the process. All tables of a store are written one way, so what
// says otherwise is damaged.
//
//   | u8 checksum type=4 (XXH3) | 40 bytes: where the metaindex and the index are
//   | le32 format version=5 | le64 magic number |
//
// The two blocks that RocksDB reads first, the metaindex and the properties it
// names, are taken apart before their checksums are looked at (7.8,
// ReadTablePropertiesHelper): an assertion of Debian's build ends the process
// when their last word is damaged. So these are looked at here, too.
//
// The forms are RocksDB's own: table/format.cc and table/block_based/block.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace expirer {

inline constexpr size_t kTableFooterBytes = 53;

// "" for the footer of a table that a store wrote, else what is wrong with it.
[[nodiscard]] std::string_view TableFooterDamage(std::string_view footer);

// Behind each block: | u8 compression=0 | le32 checksum |
inline constexpr size_t kBlockTrailerBytes = 5;

// Where a block begins in its table, and its length without the trailer.
struct BlockHandle {
  uint64_t offset = 0;
  uint64_t size = 0;
};

// Of a footer that is fit. Nothing where it is malformed.
[[nodiscard]] std::optional<BlockHandle> MetaIndexOf(std::string_view footer);
// Of a metaindex that is whole, without its trailer. Nothing where it names none.
[[nodiscard]] std::optional<BlockHandle> PropertiesOf(std::string_view metaindex);
// Whether a block that is not compressed, with its trailer, has its checksum.
[[nodiscard]] bool BlockIsWhole(std::string_view block);

}  // namespace expirer
