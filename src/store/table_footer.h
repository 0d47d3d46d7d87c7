// Checks the last bytes of a table file, which say how to read the rest.
//
// RocksDB checks every block of a table by a checksum but not the footer (up to
// format version 5, which we write). One flipped bit of the footer can mean "there are
// no checksums": then RocksDB accepts damaged blocks, or fails an assertion, which
// ends the process. All our tables have the same footer form, so a footer of another
// form is damaged.
//
//   | u8 checksum type=4 (XXH3) | 40 bytes: where the metaindex and the index are
//   | le32 format version=5 | le64 magic number |
//
// RocksDB 7.8 parses the two blocks that it reads first, the metaindex and the
// properties, before it checks their checksums (ReadTablePropertiesHelper). In Debian's
// build an assertion ends the process if their last word is damaged. So we check these
// blocks, too.
//
// RocksDB defines the forms in table/format.cc and table/block_based/block.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace expirer {

inline constexpr size_t kTableFooterBytes = 53;

// "" if the footer has the form of our tables, otherwise what is wrong with it.
[[nodiscard]] std::string_view TableFooterDamage(std::string_view footer);

// Behind each block: | u8 compression=0 | le32 checksum |
inline constexpr size_t kBlockTrailerBytes = 5;

// Offset of a block in its table, and its length without the trailer.
struct BlockHandle {
  uint64_t offset = 0;
  uint64_t size = 0;
};

// The metaindex that a footer names; empty if it is malformed. REQUIRED:
// TableFooterDamage(footer) is "".
[[nodiscard]] std::optional<BlockHandle> MetaIndexOf(std::string_view footer);
// The properties block that a metaindex names; empty if there is none. REQUIRED: the
// metaindex is whole; it is given without its trailer.
[[nodiscard]] std::optional<BlockHandle> PropertiesOf(std::string_view metaindex);
// Whether the checksum of an uncompressed block is right. `block` has its trailer.
[[nodiscard]] bool BlockIsWhole(std::string_view block);

}  // namespace expirer
