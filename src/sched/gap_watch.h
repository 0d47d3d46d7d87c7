// Notices that this process, or one of the threads between the socket and the core, did
// not run for a while, because it was stopped, throttled or starved, or its machine was
// paused. Messages that were published in such a gap may be unread, so jobs that came
// due by its end must not fire before a look (StoodStill). A busy thread runs, so it
// makes no gap. All times are arguments, so that the simulation can pass its own.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "sched/events.h"

namespace expirer {

// The pulse of a thread that reads a socket. It turns every kBeatMs, even if nothing
// arrives.
struct Pulse {
  static constexpr int64_t kBeatMs = 20;
  // A thread on a healthy host does not wait so long to run. And nobody relies on a
  // cancel that comes so short before its due time.
  static constexpr int64_t kGapMs = 25;

  int64_t beat_mono_ms = 0;  // of its last turn; 0 = it has no connection to read
  uint64_t gaps = 0;         // times the thread noticed itself that it had not run
  int64_t gap_ms = 0;        // the last one
};

// Core thread only.
class GapWatch {
 public:
  static constexpr size_t kPulsesMax = 2;

  explicit GapWatch(Instant now) : last_(now) {}

  // The state of the core at the beginning of a turn.
  struct Core {
    int64_t late_ms = 0;   // time since it should have run, by a timer or an event
    int64_t still_ms = 0;  // part of its last turn in which it used no processor
    bool behind = false;   // more was delivered than this turn will apply
  };
  // Returns the length of a gap that was not reported yet; 0 = none. A pulse that stopped
  // is reported once when it stops, and once when it goes on.
  [[nodiscard]] int64_t Notice(Instant now, const Core& core,
                               std::span<const Pulse> pulses) {
    const int64_t passed_ms = now.mono_ms - last_.mono_ms;
    const int64_t leap_ms = now.wall_ms - last_.wall_ms - passed_ms;
    last_ = now;
    int64_t gap_ms = passed_ms >= kStandstillMs ? passed_ms : 0;
    const auto add = [&gap_ms](int64_t ms) {
      if (ms >= Pulse::kGapMs) gap_ms = std::max(gap_ms, ms);
    };
    add(leap_ms);
    add(core.late_ms);
    if (core.behind) add(core.still_ms);
    for (size_t i = 0; i < pulses.size() && i < kPulsesMax; ++i) {
      const Pulse& pulse = pulses[i];
      if (pulse.gaps != seen_[i].gaps) add(pulse.gap_ms);
      const int64_t still_ms = now.mono_ms - pulse.beat_mono_ms - Pulse::kBeatMs;
      const bool told = pulse.beat_mono_ms == seen_[i].beat_mono_ms;
      if (pulse.beat_mono_ms != 0 && still_ms >= Pulse::kGapMs && !told) {
        add(still_ms);
        seen_[i].beat_mono_ms = pulse.beat_mono_ms;
      }
      seen_[i].gaps = pulse.gaps;
    }
    return gap_ms;
  }

 private:
  Instant last_;
  std::array<Pulse, kPulsesMax> seen_;
};

}  // namespace expirer
