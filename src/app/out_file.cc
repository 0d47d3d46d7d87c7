#include "app/out_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace expirer {

absl::Status OutFile::Failed(const std::string& what) const {
  return Internal((path_.empty() ? "stdout" : path_) + ": " + what + ": " +
                  std::strerror(errno));
}

absl::Status OutFile::Open() {
  if (path_.empty()) {
    file_ = stdout;
    return absl::OkStatus();
  }
  std::string name = path_ + ".XXXXXX";
  const int descriptor = mkstemp(name.data());
  if (descriptor < 0) return Failed("cannot be written");
  written_ = std::move(name);
  const mode_t mask = umask(0);
  umask(mask);
  fchmod(descriptor, 0666 & ~mask);  // as any new file, not mkstemp's 0600
  file_ = fdopen(descriptor, "wb");
  return absl::OkStatus();
}

OutFile::~OutFile() {
  if (written_.empty()) return;
  std::fclose(file_);
  unlink(written_.c_str());
}

void OutFile::Write(std::string_view bytes) {
  if (!good_) return;  // and errno stays
  good_ = std::fwrite(bytes.data(), 1, bytes.size(), file_) == bytes.size();
}

absl::StatusOr<std::string> OutFile::CommitPart() {
  if (!good_) return Failed("writing failed");  // while errno says why
  std::string name = path_.empty() ? "" : path_ + ".part";
  // Another part may be all that is left of a stream that has gone on since.
  for (int i = 2; !name.empty() && access(name.c_str(), F_OK) == 0; ++i)
    name = path_ + ".part." + std::to_string(i);
  RETURN_IF_ERROR(CommitAs(name));
  return name;
}

absl::Status OutFile::CommitAs(const std::string& name) {
  if (!good_ || std::fflush(file_) != 0) return Failed("writing failed");
  if (path_.empty()) return absl::OkStatus();
  if (std::rename(written_.c_str(), name.c_str()) != 0) return Failed("renaming failed");
  std::fclose(std::exchange(file_, nullptr));
  written_.clear();
  return absl::OkStatus();
}

}  // namespace expirer
