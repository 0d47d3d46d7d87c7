// Why jobs may not fire now: reasons that hold back every job, and the gate of each
// rule, which is closed while cancels that were published in time may be unread
// (src/README.md, "The gate").
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "job/rules.h"
#include "sched/events.h"
#include "sched/pace.h"

namespace expirer {

// Core thread only. All but SetNow speak of the time that it was last given.
class Gates {
 public:
  // What holds back every job. At first: kNoConnection.
  enum class Reason : uint8_t {
    kDraining,      // no further attempts are to begin
    kNoConnection,  // nothing can be published
    kNotAdmitted,   // another process may have the same name or consumers
    kRebuilding,    // the streams are being read anew from their beginning
  };

  // `rules` outlives the gates. A gate that is waited for opens after `settle_ms`;
  // `in_flight_max`: attempts not answered yet, of all rules.
  Gates(const std::vector<Rule>& rules, int64_t settle_ms, size_t in_flight_max);

  // A turn begins, or the process does.
  void SetNow(Instant now);

  void Set(Reason reason, bool holds);
  [[nodiscard]] bool Holds(Reason reason) const { return (reasons_ & Bit(reason)) != 0; }
  // No reason holds back every job.
  [[nodiscard]] bool open() const;

  // How far a rule's streams were read.
  void Apply(const RuleRead& event);
  // Closes the gates of all rules: what was published up to now may be unread. One that
  // settle_ms opened is closed by an outage only: its rule is known to be behind.
  void Close(bool outage);
  // Opens gates that were waited for too long, with a warning for each. Returns how many.
  [[nodiscard]] size_t OpenOverdue();
  // When OpenOverdue may next open one, on the monotonic clock; INT64_MAX if never.
  [[nodiscard]] int64_t NextOverdueMs() const;
  // How many rules' gates are closed.
  [[nodiscard]] size_t closed() const;

  // The latest due time, of a row in the store, that the rule's gate lets pass.
  [[nodiscard]] int64_t OpenTo(RuleIndex rule) const;
  // Whether limits.inflight, of which `used` are taken, leaves the rule a place. Rules
  // that share it leave room for each other, so that none waits for another's time-outs.
  [[nodiscard]] bool HasRoom(RuleIndex rule, size_t used) const;
  void ShareRoom(bool shares) { shares_ = shares; }
  // The wall time from which on the rule's rate allows its next attempt.
  [[nodiscard]] int64_t NextAttemptMs(RuleIndex rule) const {
    return now_.wall_ms + gates_[rule].pace.NextMs() - now_.mono_ms;
  }
  // An attempt of the rule began, or ended.
  void Begin(RuleIndex rule);
  void End(RuleIndex rule) { --gates_[rule].in_flight; }

 private:
  struct Gate {
    Pace pace;
    size_t in_flight = 0;        // attempts not answered yet
    bool open = false;           // for whatever is due
    bool reading = false;        // its streams are being read
    bool gave_up = false;        // opened by settle_ms, not caught up since
    int64_t read_to_ms = 0;      // closed: open for what is due no later
    int64_t closed_mono_ms = 0;  // caught up means: with what was published by then
    int64_t waited_ms = 0;       // closed, connected and reading, since caught up
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
