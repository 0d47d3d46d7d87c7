#include "base/read_file.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

namespace expirer {

// Uses C's streams: C++'s throw if `path` is a directory.
absl::StatusOr<std::string> ReadFile(const std::string& path) {
  const auto failed = [&] {
    return NotFound(path + " cannot be read: " + std::strerror(errno));
  };
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "rbe"),
                                                   std::fclose);
  if (file == nullptr) return failed();
  std::string text;
  char buffer[4096];
  while (const size_t got = std::fread(buffer, 1, sizeof buffer, file.get()))
    text.append(buffer, got);
  if (std::ferror(file.get()) != 0) return failed();
  return text;
}

}  // namespace expirer
