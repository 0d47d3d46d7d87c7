#include "sched/gates.h"

#include <algorithm>
#include <limits>

#include "base/log.h"
#include "sched/share.h"

namespace expirer {
namespace {

constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

}  // namespace

Gates::Gates(const std::vector<Rule>& rules, int64_t settle_ms, size_t in_flight_max)
    : rules_(rules),
      settle_ms_(settle_ms),
      in_flight_max_(in_flight_max),
      gates_(rules.size() + 1) {
  gates_.back().open = true;  // nobody reads cancels for rules that are gone
  for (size_t i = 0; i < rules.size(); ++i) gates_[i].pace = Pace(rules[i].rate);
}

// Up to now things were as the last turn left them; but of a time in which no turn
// was taken at all, only a second counts: nothing was read in it.
void Gates::SetNow(Instant now) {
  constexpr int64_t kCountedMs = 1'000;
  const int64_t passed_ms = std::min(now.mono_ms - now_.mono_ms, kCountedMs);
  for (Gate& gate : gates_) {
    // Everything up to the moment at which the clock first showed this is read.
    if (now.wall_ms < now_.wall_ms)
      gate.read_to_ms = std::min(gate.read_to_ms, now.wall_ms);
    if (Waits(gate)) gate.waited_ms += passed_ms;
  }
  now_ = now;
}

void Gates::Set(Reason reason, bool holds) {
  reasons_ = holds ? reasons_ | Bit(reason) : reasons_ & ~Bit(reason);
}

bool Gates::open() const { return reasons_ == 0; }

void Gates::Apply(const RuleRead& event) {
  Gate& gate = gates_[event.rule];
  gate.reading = event.state != RuleRead::State::kAway;
  if (!gate.reading) return Close(&gate, event.at.mono_ms);
  // By the clock of today: it may have stepped back since.
  const int64_t ago_ms = std::max<int64_t>(now_.mono_ms - event.at.mono_ms, 0);
  gate.read_to_ms = std::min(event.at.wall_ms, now_.wall_ms - ago_ms);
  const bool caught_up = event.state == RuleRead::State::kCaughtUp;
  // What was found out before the gate closed says nothing of the time up to then.
  if (!caught_up || event.at.mono_ms < gate.closed_mono_ms) return;
  gate.open = true;
  gate.gave_up = false;
  gate.waited_ms = 0;
}

void Gates::Close(bool outage) {
  for (size_t i = 0; i < rules_.size(); ++i)
    if (outage || !gates_[i].gave_up) Close(&gates_[i], now_.mono_ms);
}

void Gates::Close(Gate* gate, int64_t mono_ms) {
  gate->open = false;
  gate->gave_up = false;
  gate->closed_mono_ms = std::max(gate->closed_mono_ms, mono_ms);
}

bool Gates::Waits(const Gate& gate) const {
  if (gate.open || Holds(Reason::kRebuilding)) return false;
  return !Holds(Reason::kNoConnection) && !Holds(Reason::kNotAdmitted) && gate.reading;
}

size_t Gates::OpenOverdue() {
  size_t opened = 0;
  for (size_t i = 0; i < rules_.size(); ++i) {
    Gate& gate = gates_[i];
    if (!Waits(gate) || gate.waited_ms < settle_ms_) continue;
    gate.open = true;
    gate.gave_up = true;
    gate.waited_ms = 0;
    ++opened;
    Log(Level::kWarn,
        "the rule did not catch up within limits.settle: its overdue jobs fire although "
        "cancels may be unread",
        {{"rule", rules_[i].name}, {"settle_ms", settle_ms_}});
  }
  return opened;
}

int64_t Gates::NextOverdueMs() const {
  int64_t next_ms = kNever;
  for (const Gate& gate : gates_)
    if (Waits(gate))
      next_ms = std::min(next_ms, now_.mono_ms + settle_ms_ - gate.waited_ms);
  return next_ms;
}

size_t Gates::closed() const {
  return static_cast<size_t>(std::count_if(gates_.begin(), gates_.end(),
                                           [](const Gate& gate) { return !gate.open; }));
}

int64_t Gates::OpenTo(RuleIndex rule) const {
  return gates_[rule].open ? kNever : gates_[rule].read_to_ms;
}

bool Gates::HasRoom(RuleIndex rule, size_t used) const {
  return shares_ ? MayTake(gates_[rule].in_flight, used, in_flight_max_)
                 : used < in_flight_max_;
}

void Gates::Begin(RuleIndex rule) {
  gates_[rule].pace.Take(now_.mono_ms);
  ++gates_[rule].in_flight;
}

}  // namespace expirer
