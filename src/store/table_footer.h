// The last bytes of a table file, which say how the rest is to be read.
//
// RocksDB checks every block of a table by a checksum but not the footer (up to
// format version 5, which we write). One flipped bit of it can mean "there are
// no checksums": then damaged blocks are taken as they come, or an assertion of
// RocksDB ends the process. All tables of a store are written one way, so what
// says otherwise is damaged.
//
//   | u8 checksum type=4 (XXH3) | 40 bytes: where the index is | le32 format
//   version=5 | le64 magic number |
#pragma once

#include <string_view>

namespace expirer {

inline constexpr size_t kTableFooterBytes = 53;

// "" for the footer of a table that a store wrote, else what is wrong with it.
[[nodiscard]] std::string_view TableFooterDamage(std::string_view footer);

}  // namespace expirer
