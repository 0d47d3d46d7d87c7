// Notices that this process, or one of the threads between the socket and the
// core, did not run for a while: stopped, its machine paused, throttled, starved.
// What was published in such a gap may still be unread, so what came due by its
// end must not fire before a look (StoodStill). A busy thread is none: it runs.
// Pure arithmetic on times that are passed in, as the simulation does, too.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "sched/events.h"

namespace expirer {

// Of a thread that reads a socket: it turns every kBeatMs, also when nothing comes.
struct Pulse {
  static constexpr int64_t kBeatMs = 20;
  // Longer than a healthy host keeps a thread that could run from running; short
  // enough that nobody counts on a cancel that comes so close to its due time.
  static constexpr int64_t kGapMs = 25;

  int64_t beat_mono_ms = 0;  // of its last turn; 0 = it has no connection to read
  uint64_t gaps = 0;         // it found by itself that it had not run for a while
  int64_t gap_ms = 0;        // the last one
};

// Core thread only.
class GapWatch {
 public:
  static constexpr size_t kPulsesMax = 2;

  explicit GapWatch(Instant now) : last_(now) {}

  // The core, at the beginning of a turn.
  struct Core {
    int64_t late_ms = 0;   // it was to run this long ago: a timer, or an event
    int64_t still_ms = 0;  // of its last turn, without using the processor
    bool behind = false;   // more was delivered than this turn will apply
  };
  // How long the gap was that is to be told now; 0 = there was none. A pulse that
  // stopped is told once; that it went on, by itself.
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
