// Preloaded into the real binary: its wall clock is ahead by as many nanoseconds as
// the file says that EXPIRER_TEST_CLOCK names (8 bytes), from moment to moment. Waits
// until a time of that clock end as if the kernel's had been stepped.
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>

namespace {

constexpr int64_t kSecond = 1'000'000'000;
// No monotonic clock shows as much, and no wall clock less.
constexpr int64_t kLeastWallSeconds = 1'000'000'000;

int64_t AheadNs() {
  static const volatile int64_t* const shared = []() -> const volatile int64_t* {
    const char* const path = std::getenv("EXPIRER_TEST_CLOCK");
    const int fd = path == nullptr ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return nullptr;
    void* const bytes = mmap(nullptr, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    return bytes == MAP_FAILED ? nullptr : static_cast<const volatile int64_t*>(bytes);
  }
  ();
  return shared == nullptr ? 0 : *shared;
}

void Add(timespec* time, int64_t ns) {
  const int64_t sum = int64_t{time->tv_sec} * kSecond + time->tv_nsec + ns;
  time->tv_sec = sum / kSecond;
  time->tv_nsec = sum % kSecond;
}

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, timespec* time) noexcept {
  const auto result = static_cast<int>(syscall(SYS_clock_gettime, clock, time));
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
    Add(time, AheadNs());
  return result;
}

int gettimeofday(timeval* time, void*) noexcept {
  timespec now{};
  const int result = clock_gettime(CLOCK_REALTIME, &now);
  time->tv_sec = now.tv_sec;
  time->tv_usec = now.tv_nsec / 1'000;
  return result;
}

time_t time(time_t* to) noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  if (to != nullptr) *to = now.tv_sec;
  return now.tv_sec;
}

int pthread_cond_timedwait(pthread_cond_t* condition, pthread_mutex_t* mutex,
                           const timespec* until) {
  using Wait = int (*)(pthread_cond_t*, pthread_mutex_t*, const timespec*);
  static const auto real =
      reinterpret_cast<Wait>(dlsym(RTLD_NEXT, "pthread_cond_timedwait"));
  timespec by_kernel = *until;
  if (until->tv_sec >= kLeastWallSeconds) Add(&by_kernel, -AheadNs());
  return real(condition, mutex, &by_kernel);
}

}  // extern "C"
