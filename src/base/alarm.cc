#include "base/alarm.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>

#include "base/check.h"
#include "base/clock.h"

namespace expirer {

Alarm::Alarm()
    : timer_fd_(timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC)),
      event_fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  CHECK(timer_fd_ >= 0);
  CHECK(event_fd_ >= 0);
}

Alarm::~Alarm() {
  close(timer_fd_);
  close(event_fd_);
}

int64_t Alarm::WaitUntil(int64_t wall_ms) {
  // Without an instant the timer is still armed, far ahead: only an armed one
  // reports that the clock was stepped.
  constexpr int64_t kFarMs = 4'000'000'000'000;  // 2096
  if (wall_ms > kFarMs) wall_ms = kFarMs;
  const SystemClock clock;
  const int64_t began_ms = clock.MonotonicMs();
  int64_t wanted_ms = began_ms + std::max<int64_t>(wall_ms - clock.NowMs(), 0);
  itimerspec at{};
  at.it_value.tv_sec = wall_ms / 1000;
  at.it_value.tv_nsec = wall_ms % 1000 * 1'000'000;
  if (wall_ms <= 0) at.it_value.tv_nsec = 1;  // all zero would disarm it
  timerfd_settime(timer_fd_, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &at, nullptr);
  pollfd fds[2] = {{timer_fd_, POLLIN, 0}, {event_fd_, POLLIN, 0}};
  (void)poll(fds, 2, -1);
  uint64_t count = 0;
  if (fds[1].revents != 0) (void)!read(event_fd_, &count, sizeof count);
  // ECANCELED: the clock was stepped, so the caller must read it again.
  if (fds[0].revents != 0) (void)!read(timer_fd_, &count, sizeof count);
  const int64_t woken_ms = woken_mono_ms_.exchange(0);
  if (fds[1].revents != 0 && woken_ms != 0)
    wanted_ms = std::min(wanted_ms, std::max(woken_ms, began_ms));
  return std::max<int64_t>(clock.MonotonicMs() - wanted_ms, 0);
}

void Alarm::Wake() {
  int64_t none = 0;
  woken_mono_ms_.compare_exchange_strong(none, MonotonicMs());
  const uint64_t one = 1;
  (void)!write(event_fd_, &one, sizeof one);
}

}  // namespace expirer
