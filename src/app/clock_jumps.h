// Measures by how much the wall clock was stepped.
#pragma once

#include <cstdint>

namespace expirer {

// One thread; copyable.
class ClockJumps {
 public:
  // Smaller differences come from NTP, which slews the clock, or from the time between
  // reading the two clocks on a busy machine.
  static constexpr int64_t kLeastMs = 100;

  // Compares the times that passed on both clocks since the last call. If the machine
  // slept that counts as a jump ahead, because the monotonic clock stood still.
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
