#include "app/interrupt.h"

#include <atomic>
#include <csignal>
#include <initializer_list>

namespace expirer {
namespace {

std::atomic<bool> interrupted{false};

}  // namespace

void CatchInterrupts() {
  for (const int signal : {SIGINT, SIGTERM})
    std::signal(signal, [](int) { interrupted = true; });
}

bool Interrupted() { return interrupted; }

}  // namespace expirer
