// A file that is there whole or not at all.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>

#include "base/status.h"

namespace expirer {

// Written beside its path, under another name, and renamed by Commit; without
// one it leaves nothing behind. An empty path is stdout, which holds what was
// written also without Commit.
class OutFile {
 public:
  explicit OutFile(std::string path) : path_(std::move(path)) {}
  ~OutFile();
  OutFile(const OutFile&) = delete;
  OutFile& operator=(const OutFile&) = delete;

  // Once, before the others; says at once where nothing could be written.
  [[nodiscard]] absl::Status Open();
  // A failure is told by Commit; good() knows of those that were noticed.
  void Write(std::string_view bytes);
  [[nodiscard]] bool good() const { return good_; }
  [[nodiscard]] absl::Status Commit() { return CommitAs(path_); }
  // Instead of Commit, what is there of a file that did not become whole: under
  // its path with ".part" behind it, or ".part.2" and so on where that is taken;
  // the name is returned, "" for stdout.
  [[nodiscard]] absl::StatusOr<std::string> CommitPart();

 private:
  [[nodiscard]] absl::Status CommitAs(const std::string& name);
  [[nodiscard]] absl::Status Failed(const std::string& what) const;

  const std::string path_;
  std::string written_;  // the name it has until Commit
  std::FILE* file_ = nullptr;
  bool good_ = true;
};

}  // namespace expirer
