#include "store/library.h"

#include <rocksdb/version.h>

namespace expirer {

std::string StoreLibrary() {
  return "RocksDB " + rocksdb::GetRocksVersionAsString(/*with_patch=*/true);
}

}  // namespace expirer
