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

rocksdb::IOStatus ReadFully(rocksdb::FSSequentialFile* file, std::string* buffer,
                            std::string_view* bytes) {
  rocksdb::IOStatus s;
  size_t filled = 0;
  for (rocksdb::Slice got; filled < buffer->size(); filled += got.size()) {
    char* const at = buffer->data() + filled;
    s = file->Read(buffer->size() - filled, rocksdb::IOOptions(), &got, at, nullptr);
    if (!s.ok() || got.empty()) break;
    if (got.data() != at) buffer->replace(filled, got.size(), got.data(), got.size());
  }
  *bytes = std::string_view(*buffer).substr(0, filled);
  return s;
}

rocksdb::IOStatus SyncDirectory(rocksdb::FileSystem* files, const std::string& dir) {
  std::unique_ptr<rocksdb::FSDirectory> directory;
  rocksdb::IOStatus s =
      files->NewDirectory(dir, rocksdb::IOOptions(), &directory, nullptr);
  return s.ok() ? directory->Fsync(rocksdb::IOOptions(), nullptr) : s;
}

}  // namespace expirer
