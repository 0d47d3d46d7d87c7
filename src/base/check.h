// CHECK: an invariant of our own that must hold, on in production too. A
// failure is a bug in expirer: it prints where and what, and aborts, because
// going on could break a promise (a restart replays from the store).
#pragma once

#include <cstdio>
#include <cstdlib>

namespace expirer {

[[noreturn]] inline void CheckFailed(const char* file, int line, const char* what) {
  std::fprintf(stderr, "level=fatal msg=\"invariant broken\" at=%s:%d check=\"%s\"\n",
               file, line, what);
  std::fflush(stderr);
  std::abort();
}

}  // namespace expirer

#define CHECK(condition)        \
  (static_cast<bool>(condition) \
       ? static_cast<void>(0)   \
       : ::expirer::CheckFailed(__FILE__, __LINE__, #condition))
