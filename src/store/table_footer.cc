#include "store/table_footer.h"

#include <cstdint>

namespace expirer {
namespace {

constexpr uint8_t kXxh3 = 4;
constexpr uint64_t kVersion = 5;
constexpr uint64_t kMagic = 0x88e241b785f4cff7;

uint64_t Little(std::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = bytes.size(); i > 0; --i)
    value = value << 8 | static_cast<uint8_t>(bytes[i - 1]);
  return value;
}

}  // namespace

std::string_view TableFooterDamage(std::string_view footer) {
  if (footer.size() != kTableFooterBytes) return "it is too short for a table";
  if (Little(footer.substr(45)) != kMagic) return "it does not end as a table does";
  if (Little(footer.substr(41, 4)) != kVersion ||
      static_cast<uint8_t>(footer[0]) != kXxh3)
    return "its footer is damaged";
  return "";
}

}  // namespace expirer
