// A rule's `rate`: decides when its next attempt may begin. All times are arguments, so
// it works the same in virtual time.
#pragma once

#include <cstdint>

namespace expirer {

// Core thread only.
class Pace {
 public:
  // The loop turns at whole milliseconds, and a turn may be a little late. A delay up to
  // this much does not lower the rate. Time that was not used before that only counts as
  // whole attempts, so that the first gap after a pause is a whole one, too.
  static constexpr int64_t kSlackMs = 10;

  Pace() = default;
  // `rate` attempts a second; 0 = no limit.
  explicit Pace(int64_t rate) : gap_ns_(rate == 0 ? 0 : 1'000'000'000 / rate) {}

  [[nodiscard]] bool Allows(int64_t mono_ms) const {
    return gap_ns_ == 0 || next_ns_ <= mono_ms * 1'000'000;
  }
  // The first whole millisecond at which Allows is true.
  [[nodiscard]] int64_t NextMs() const { return (next_ns_ + 999'999) / 1'000'000; }
  // An attempt began. REQUIRES: Allows(mono_ms).
  void Take(int64_t mono_ms) {
    if (gap_ns_ == 0) return;
    constexpr int64_t kSlackNs = kSlackMs * 1'000'000;
    const int64_t now_ns = mono_ms * 1'000'000;
    if (next_ns_ < now_ns - kSlackNs) next_ns_ = now_ns - kSlackNs / gap_ns_ * gap_ns_;
    next_ns_ += gap_ns_;
  }

 private:
  int64_t gap_ns_ = 0;
  int64_t next_ns_ = INT64_MIN / 2;
};

}  // namespace expirer
