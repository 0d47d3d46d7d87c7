// CHECK: tests an invariant of our own, in production too. A failure is a bug
// in expirer. CHECK then prints the place and the condition and aborts, because
// going on could break a promise; a restart continues from the store.
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
