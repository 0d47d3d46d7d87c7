// Name and version of the linked RocksDB.
#pragma once

#include <string>

namespace expirer {

[[nodiscard]] std::string StoreLibrary();  // "RocksDB 7.8.3"

}  // namespace expirer
