// A file that is there whole or not at all.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>

#include "base/status.h"

namespace expirer {

// Who may read a file: as the umask says, or its owner alone.
enum class FileAccess { kAsUsual, kPrivate };

// Written beside its path, under another name, synced and renamed by Commit; without
// one it leaves nothing behind. A symbolic link is followed. What is there and no
// regular file (a device, a FIFO) is written through, as is stdout, which an empty path
// means: it holds what was written also without Commit.
class OutFile {
 public:
  explicit OutFile(std::string path, FileAccess access = FileAccess::kAsUsual)
      : path_(std::move(path)), access_(access) {}
  ~OutFile();
  OutFile(const OutFile&) = delete;
  OutFile& operator=(const OutFile&) = delete;

  // Once, before the others; says at once where nothing could be written.
  [[nodiscard]] absl::Status Open();
  // A failure is told by Commit; good() knows of those that were noticed.
  void Write(std::string_view bytes);
  [[nodiscard]] bool good() const { return good_; }
  [[nodiscard]] absl::Status Commit() { return CommitAs(target_); }
  // Instead of Commit, what is there of a file that did not become whole: under
  // its path with ".part" behind it, or ".part.2" and so on where that is taken;
  // the name is returned, "" for stdout, and the path for what is written through.
  [[nodiscard]] absl::StatusOr<std::string> CommitPart();

 private:
  [[nodiscard]] absl::Status CommitAs(const std::string& name);
  [[nodiscard]] absl::Status Failed(const std::string& what) const;

  const std::string path_;
  const FileAccess access_;
  std::string target_;   // path_ without links
  std::string written_;  // the name it has until Commit; "" = written through
  std::FILE* file_ = nullptr;
  bool good_ = true;
};

// `path`, or where the symbolic link there leads in the end, if that is a place for a
// regular file or holds one. "" = there is something else, which a file must not
// replace.
[[nodiscard]] std::string RegularFilePath(const std::string& path);

// Makes the names in a directory durable.
[[nodiscard]] absl::Status SyncDirectory(const std::string& path);

}  // namespace expirer
