#include "base/clock.h"

#include <time.h>

#include "base/stopwatch.h"

namespace expirer {
namespace {

int64_t ReadMs(clockid_t id) {
  timespec now{};
  clock_gettime(id, &now);
  return static_cast<int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1'000'000;
}

}  // namespace

int64_t MonotonicNs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

int64_t MonotonicMs() { return ReadMs(CLOCK_MONOTONIC); }

int64_t ThreadCpuMs() { return ReadMs(CLOCK_THREAD_CPUTIME_ID); }

int64_t SystemClock::NowMs() const { return ReadMs(CLOCK_REALTIME); }
int64_t SystemClock::MonotonicMs() const { return expirer::MonotonicMs(); }

}  // namespace expirer
