// How far the wall clock was stepped while the process looked at it.
#pragma once

#include <cstdint>

namespace expirer {

// One thread; copyable.
class ClockJumps {
 public:
  // Less is what NTP slews between two looks, or the time between reading the
  // two clocks on a busy machine.
  static constexpr int64_t kLeastMs = 100;

  // What passed on both clocks since the look before. A machine that slept counts
  // as a jump ahead: the monotonic clock does not see it.
  void Notice(int64_t wall_ms, int64_t mono_ms) {
    const int64_t jump_ms = wall_ms - mono_ms;
    if (jump_ms >= kLeastMs) forward_ms_ += jump_ms;
    if (jump_ms <= -kLeastMs) backward_ms_ -= jump_ms;
  }
  [[nodiscard]] int64_t forward_ms() const { return forward_ms_; }
  [[nodiscard]] int64_t backward_ms() const { return backward_ms_; }

 private:
  int64_t forward_ms_ = 0;
  int64_t backward_ms_ = 0;
};

}  // namespace expirer
