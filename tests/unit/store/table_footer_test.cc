#include "store/table_footer.h"

#include <cstddef>
#include <string>

#include "gtest/gtest.h"
#include "store/store.h"
#include "support/page_fs.h"

namespace expirer {
namespace {

// Of a table that RocksDB wrote as a store sets it up.
std::string Footer() {
  StoreOptions options;
  options.path = "/store";
  const auto disk = std::make_shared<PageFs>();
  options.file_system = disk;
  EXPECT_TRUE(Store::Open(options).ok());  // closed at once, which writes tables
  const std::string table = disk->Bytes(disk->Paths(".sst").front());
  return table.substr(table.size() - kTableFooterBytes);
}

TEST(TableFooter, OfAStoresTableIsFit) { EXPECT_EQ(TableFooterDamage(Footer()), ""); }

// What tells where the index is need not be seen: a block has its checksum.
TEST(TableFooter, EveryFlippedBitOfWhatSaysHowToReadIsSeen) {
  const std::string footer = Footer();
  for (size_t at = 0; at < footer.size(); ++at) {
    if (at >= 1 && at < 41) continue;
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = footer;
      flipped[at] ^= static_cast<char>(1 << bit);
      EXPECT_NE(TableFooterDamage(flipped), "") << at << "." << bit;
    }
  }
  EXPECT_NE(TableFooterDamage(footer.substr(1)), "");
  EXPECT_NE(TableFooterDamage(""), "");
}

}  // namespace
}  // namespace expirer
