// Writes a file that appears whole or not at all.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>

#include "base/status.h"

namespace expirer {

// Who may read a file: whoever the umask allows, or only its owner.
enum class FileAccess { kAsUsual, kPrivate };

// The file is written next to its path, under another name; Commit syncs and renames it.
// Without Commit nothing is left behind. Symbolic links are followed. If there is
// something else than a regular file at the path (a device, a FIFO), or the path is
// empty, which means stdout, it is written to directly, even without Commit.
class OutFile {
 public:
  explicit OutFile(std::string path, FileAccess access = FileAccess::kAsUsual)
      : path_(std::move(path)), access_(access) {}
  ~OutFile();
  OutFile(const OutFile&) = delete;
  OutFile& operator=(const OutFile&) = delete;

  // Call it once, before the others. Fails if the place cannot be written to.
  absl::Status Open();
  // Commit reports a failure; good() is false if one was noticed already.
  void Write(std::string_view bytes);
  [[nodiscard]] bool good() const { return good_; }
  absl::Status Commit() { return CommitAs(target_); }
  // Call it instead of Commit to leave an incomplete file: its path plus ".part", or
  // ".part.2" and so on if that exists. Returns that name; "" for stdout, and the path if
  // it was written to directly.
  absl::StatusOr<std::string> CommitPart();

 private:
  absl::Status CommitAs(const std::string& name);
  absl::Status Failed(const std::string& what) const;

  const std::string path_;
  const FileAccess access_;
  std::string target_;   // path_ without links
  std::string written_;  // the name until Commit; "" = written directly
  std::FILE* file_ = nullptr;
  bool good_ = true;
};

// `path`, or the end of the symbolic link at it, if there is a regular file or nothing.
// "" = there is something else, which a file must not replace.
[[nodiscard]] std::string RegularFilePath(const std::string& path);

// Syncs a directory, so that the names in it are durable.
absl::Status SyncDirectory(const std::string& path);

}  // namespace expirer
