#include "app/output.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

#include "base/visible.h"

namespace expirer {
namespace {

int stdout_error = 0;  // errno of the first failure

}  // namespace

void OpenStandardStreams() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (fcntl(fd, F_GETFD) >= 0) continue;
    // The lowest that is free, so this one.
    (void)!open("/dev/null", fd == STDERR_FILENO ? O_WRONLY : O_RDONLY);
  }
}

void PrintOut(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() &&
      stdout_error == 0)
    stdout_error = errno;
}

void PrintErr(std::string_view text) {
  (void)!std::fwrite(text.data(), 1, text.size(), stderr);
}

void Say(std::string_view line) { PrintErr(Visible(line) + "\n"); }

int Fail(const absl::Status& status, int code) {
  Say(Message(status));
  return code;
}

int CheckedOutput(int code) {
  if (std::fflush(stdout) != 0 && stdout_error == 0) stdout_error = errno;
  if (stdout_error == 0 && std::ferror(stdout) != 0) stdout_error = EIO;
  if (stdout_error == 0 || code != 0) return code;
  Say(std::string("stdout: writing failed: ") + std::strerror(stdout_error));
  return kFailed;
}

}  // namespace expirer
