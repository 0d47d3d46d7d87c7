#include "base/thread.h"

#include <unistd.h>

#include <system_error>
#include <utility>

#include "base/exit_code.h"
#include "base/log.h"

namespace expirer {

std::thread StartThread(const std::string& name, std::function<void()> run) {
  try {
    return std::thread([name, run = std::move(run)] {
      NameThread(name);
      run();
    });
  } catch (const std::system_error&) {
    Log(Level::kError, kNoThread, {{"thread", name}, {"exit", kFailed}});
    FlushLog();
    _exit(kFailed);
  }
}

}  // namespace expirer
