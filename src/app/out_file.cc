#include "app/out_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>

namespace expirer {

std::string RegularFilePath(const std::string& path) {
  struct stat there {};
  const bool exists = stat(path.c_str(), &there) == 0;
  if (exists && !S_ISREG(there.st_mode)) return "";
  std::string at = path;
  for (int links = 0; links < 40; ++links) {  // as many as the kernel follows
    std::error_code none;
    const std::filesystem::path to = std::filesystem::read_symlink(at, none);
    if (none) break;
    at = (std::filesystem::path(at).parent_path() / to).string();  // or `to` alone
  }
  return at;
}

absl::Status SyncDirectory(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = descriptor >= 0 && fsync(descriptor) == 0;
  const int error = errno;
  if (descriptor >= 0) close(descriptor);
  if (synced || error == EINVAL) return absl::OkStatus();  // not every disk can
  return Internal(path + ": cannot be synced: " + std::strerror(error));
}

absl::Status OutFile::Failed(const std::string& what) const {
  return Internal((path_.empty() ? "stdout" : path_) + ": " + what + ": " +
                  std::strerror(errno));
}

absl::Status OutFile::Open() {
  if (path_.empty()) {
    file_ = stdout;
    return absl::OkStatus();
  }
  target_ = RegularFilePath(path_);
  if (target_.empty()) {
    const int descriptor = open(path_.c_str(), O_WRONLY | O_CLOEXEC);
    if (descriptor < 0) return Failed("cannot be written");
    file_ = fdopen(descriptor, "wb");
    return absl::OkStatus();
  }
  std::string name = target_ + ".XXXXXX";
  const int descriptor = mkstemp(name.data());  // 0600
  if (descriptor < 0) return Failed("cannot be written");
  written_ = std::move(name);
  if (access_ == FileAccess::kAsUsual) {
    const mode_t mask = umask(0);
    umask(mask);
    fchmod(descriptor, 0666 & ~mask);
  }
  file_ = fdopen(descriptor, "wb");
  return absl::OkStatus();
}

OutFile::~OutFile() {
  if (file_ != nullptr && file_ != stdout) std::fclose(file_);
  if (!written_.empty()) unlink(written_.c_str());
}

void OutFile::Write(std::string_view bytes) {
  if (!good_) return;  // and errno stays
  good_ = std::fwrite(bytes.data(), 1, bytes.size(), file_) == bytes.size();
}

absl::StatusOr<std::string> OutFile::CommitPart() {
  if (!good_) return Failed("writing failed");  // while errno says why
  if (written_.empty()) {
    RETURN_IF_ERROR(CommitAs(""));
    return path_;
  }
  std::string name = target_ + ".part";
  // Another part may be all that is left of a stream that has gone on since.
  for (int i = 2; access(name.c_str(), F_OK) == 0; ++i)
    name = target_ + ".part." + std::to_string(i);
  RETURN_IF_ERROR(CommitAs(name));
  return name;
}

absl::Status OutFile::CommitAs(const std::string& name) {
  if (!good_ || std::fflush(file_) != 0) return Failed("writing failed");
  if (path_.empty()) return absl::OkStatus();
  if (written_.empty()) {
    const bool closed = std::fclose(std::exchange(file_, nullptr)) == 0;
    return closed ? absl::OkStatus() : Failed("writing failed");
  }
  if (fsync(fileno(file_)) != 0) return Failed("syncing failed");
  if (std::rename(written_.c_str(), name.c_str()) != 0) return Failed("renaming failed");
  written_.clear();
  std::fclose(std::exchange(file_, nullptr));
  const std::string directory = std::filesystem::path(name).parent_path().string();
  return SyncDirectory(directory.empty() ? "." : directory);
}

}  // namespace expirer
