#include "store/rocks.h"

namespace expirer {

absl::Status FromRocks(const rocksdb::Status& status, std::string_view context) {
  if (status.ok()) return absl::OkStatus();
  const std::string message = std::string(context) + ": " + status.ToString();
  if (status.IsNoSpace()) return NoSpace(message);
  // A missing file of ours counts as damage, too.
  if (status.IsCorruption() || status.IsPathNotFound())
    return Corrupt(message + "; restore a backup");
  if (status.IsNotFound()) return NotFound(message);
  return Internal(message);
}

}  // namespace expirer
