// Decides whether jobs may fire now. Some reasons hold back every job. A rule's gate
// holds back its jobs: it is closed while cancels that were published in time may be
// unread (src/README.md, "The gate").
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "job/rules.h"
#include "sched/events.h"
#include "sched/pace.h"

namespace expirer {

// Core thread only. All functions refer to the time that SetNow was last given.
class Gates {
 public:
  // Reasons that hold back every job. Initially kNoConnection holds.
  enum class Reason : uint8_t {
    kDraining,      // no further attempts may begin
    kNoConnection,  // nothing can be published
    kNotAdmitted,   // another process may have the same name or consumers
    kRebuilding,    // the streams are being read again from their beginning
  };

  // `rules` outlives the gates. A closed gate opens after `settle_ms` in which its rule
  // was read. `in_flight_max`: unanswered attempts, over all rules.
  Gates(const std::vector<Rule>& rules, int64_t settle_ms, size_t in_flight_max);

  // Call when the process starts and when a turn begins.
  void SetNow(Instant now);

  void Set(Reason reason, bool holds);
  [[nodiscard]] bool Holds(Reason reason) const { return (reasons_ & Bit(reason)) != 0; }
  // Whether no reason holds back every job.
  [[nodiscard]] bool open() const;

  // Notes how far a rule's streams were read; may open or close its gate.
  void Apply(const RuleRead& event);
  // Closes the gates of all rules, because messages published before now may be unread.
  // Only an outage closes a gate that settle_ms opened: its rule is known to be behind.
  void Close(bool outage);
  // Opens the gates that were closed for settle_ms, and logs a warning for each. Returns
  // how many it opened.
  [[nodiscard]] size_t OpenOverdue();
  // When OpenOverdue may next open a gate, by the monotonic clock; INT64_MAX = never.
  [[nodiscard]] int64_t NextOverdueMs() const;
  // The number of rules whose gates are closed.
  [[nodiscard]] size_t closed() const;

  // The gate lets rows pass whose time in the store is not later than this.
  [[nodiscard]] int64_t OpenTo(RuleIndex rule) const;
  // Whether the rule may begin another attempt, if `used` of limits.inflight are taken.
  // Rules that share it leave room for each other, so that none waits for another's
  // time-outs.
  [[nodiscard]] bool HasRoom(RuleIndex rule, size_t used) const;
  // Whether they do; initially not. Call when the process starts.
  void ShareRoom(bool shares) { shares_ = shares; }
  // The wall time from which on the rule's rate allows its next attempt; may be past.
  [[nodiscard]] int64_t NextAttemptMs(RuleIndex rule) const {
    return now_.wall_ms + gates_[rule].pace.NextMs() - now_.mono_ms;
  }
  // An attempt of the rule began, which HasRoom and NextAttemptMs allowed, or one ended.
  void Begin(RuleIndex rule);
  void End(RuleIndex rule) { --gates_[rule].in_flight; }

 private:
  struct Gate {
    Pace pace;
    size_t in_flight = 0;        // attempts not answered yet
    bool open = false;           // for all due rows
    bool reading = false;        // its streams are being read
    bool gave_up = false;        // opened by settle_ms, not caught up since
    int64_t read_to_ms = 0;      // if closed: rows due up to this time may pass
    int64_t closed_mono_ms = 0;  // the rule has caught up once it has read up to then
    int64_t waited_ms = 0;       // time closed, connected and reading since caught up
  };
  static constexpr unsigned Bit(Reason reason) {
    return 1U << static_cast<unsigned>(reason);
  }
  void Close(Gate* gate, int64_t mono_ms);
  [[nodiscard]] bool Waits(const Gate& gate) const;

  const std::vector<Rule>& rules_;
  const int64_t settle_ms_;
  const size_t in_flight_max_;
  Instant now_;
  unsigned reasons_ = Bit(Reason::kNoConnection);
  bool shares_ = false;      // several rules share limits.inflight
  std::vector<Gate> gates_;  // as rules_, and one for all orphans
};

}  // namespace expirer
