// Time enters expirer only here. Wall-clock time is milliseconds since
// 1970-01-01T00:00:00Z (leap seconds are smeared if the host's clock does so).
#pragma once

#include <cstdint>

namespace expirer {

// Thread-safe. The seam for tests, replay and simulation.
class Clock {
 public:
  virtual ~Clock() = default;
  // Wall-clock time in ms, rounded down; may step both ways.
  [[nodiscard]] virtual int64_t NowMs() const = 0;
  // Monotonic time in ms from an arbitrary origin; never steps back.
  [[nodiscard]] virtual int64_t MonotonicMs() const = 0;
};

// The host's clocks (CLOCK_REALTIME, CLOCK_MONOTONIC).
class SystemClock final : public Clock {
 public:
  [[nodiscard]] int64_t NowMs() const override;
  [[nodiscard]] int64_t MonotonicMs() const override;
};

// SystemClock's monotonic time, for time-outs of requests to the network.
[[nodiscard]] int64_t MonotonicMs();

inline constexpr int64_t kNsInMs = 1'000'000;

// A clock for tests: it moves only by Advance and Step. Not thread-safe.
class VirtualClock final : public Clock {
 public:
  explicit VirtualClock(int64_t now_ms) : now_ms_(now_ms) {}
  [[nodiscard]] int64_t NowMs() const override { return now_ms_; }
  [[nodiscard]] int64_t MonotonicMs() const override { return monotonic_ms_; }
  // Lets `ms` (>= 0) pass on both clocks.
  void Advance(int64_t ms) {
    now_ms_ += ms;
    monotonic_ms_ += ms;
  }
  // Sets the wall clock, forward or back; the monotonic clock does not move.
  void Step(int64_t to_ms) { now_ms_ = to_ms; }

 private:
  int64_t now_ms_;
  int64_t monotonic_ms_ = 0;
};

}  // namespace expirer
