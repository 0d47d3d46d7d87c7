// Threads that do not run while time passes, and what is known of how far rules
// are read: by the process, and by right.
#include <algorithm>
#include <limits>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "sim/process.h"

namespace expirer::sim {

// It takes a turn whenever it wants one, or something came; after some of them it
// is enough.
void World::Live(int64_t ms) {
  constexpr int kTurnsMax = 3;
  constexpr int64_t kLateMs = 3;
  for (int turn = 0; turn < kTurnsMax && !died_ && !oracle_->failed(); ++turn) {
    if (turn > 0) Step();
    const int64_t wait_ms = process_->inbox.empty()
                                ? std::max(process_->wake_ms - clock_.NowMs(), int64_t{0})
                                : 0;
    const int64_t slice_ms = std::min(ms, wait_ms + draws_.Between(0, kLateMs));
    Pass(slice_ms);
    if (ingress_up_ && !deaf_) pulse_.beat_mono_ms = clock_.MonotonicMs();
    ms -= slice_ms;
    if (ms <= 0) return;
  }
}

// Of the process, of the core alone, or of the thread that reads.
void World::Freeze() {
  const int64_t ms =
      draws_.Between(Pulse::kBeatMs + Pulse::kGapMs, draws_.Chance(50) ? 200 : 3'000);
  const uint64_t kind = draws_.Below(3);
  Note(fmt::format("freeze of kind {} for {} ms", kind, ms));
  if (kind == 2)
    GoDeaf(ms);
  else
    StandStill(ms, /*intake=*/kind == 1);
}

void World::StandStill(int64_t ms, bool intake) {
  constexpr int kSlices = 4;
  Process& process = *process_;
  int64_t wanted_ms = process.inbox.empty() ? process.wake_ms : clock_.NowMs();
  for (int slice = 0; slice < kSlices; ++slice) {
    Pass(ms / kSlices);
    Produce();
    if (!intake) continue;
    Deliver();
    CarryAcks();
    if (!process.inbox.empty()) wanted_ms = std::min(wanted_ms, clock_.NowMs());
    if (ingress_up_) pulse_.beat_mono_ms = clock_.MonotonicMs();
  }
  process.late_ms = std::max<int64_t>(clock_.NowMs() - wanted_ms, 0);
  if (intake || !ingress_up_) return;
  OutOfStep();
  // Which of the two threads runs first then is anybody's guess.
  if (draws_.Chance(50)) pulse_ = {clock_.MonotonicMs(), pulse_.gaps + 1, ms};
}

void World::GoDeaf(int64_t ms) {
  const int64_t until_ms = clock_.MonotonicMs() + ms;
  deaf_ = true;
  for (int turn = 0; turn < 20 && clock_.MonotonicMs() < until_ms; ++turn) {
    Produce();
    AnswerAttempts();
    Live(std::min(draws_.Between(1, 200), until_ms - clock_.MonotonicMs()));
    if (died_ || oracle_->failed()) break;
    Step();
    if (died_ || oracle_->failed()) break;
    Sync();
  }
  deaf_ = false;
  if (!ingress_up_ || died_) return;
  const int64_t still_ms = clock_.MonotonicMs() - pulse_.beat_mono_ms;
  pulse_.beat_mono_ms = clock_.MonotonicMs();
  if (still_ms < Pulse::kBeatMs + Pulse::kGapMs) return;
  ++pulse_.gaps;
  pulse_.gap_ms = still_ms;
}

// As app/core_loop.cc does.
void World::NoticeGap() {
  if (quiet_) return;
  Process& process = *process_;
  const GapWatch::Core core{std::exchange(process.late_ms, 0)};
  const int64_t gap_ms = process.gaps.Notice(Now(), core, std::span(&pulse_, 1));
  if (gap_ms == 0) return;
  process.inbox.Complete(StoodStill{gap_ms});
  OutOfStep();
  if (gap_ms < kStandstillMs) return;
  process.owes_note = true;
  BeginNewWaits();
}

// ---- How far rules are read.

// As net/ingress says it when its connection goes, and when it is back.
void World::Away() {
  for (size_t i = 0; i < present_; ++i)
    process_->inbox.Complete(
        RuleRead{static_cast<RuleIndex>(i), RuleRead::State::kAway, Now()});
  OutOfStep();
  BeginNewWaits();
}

// Nothing is known any more of how far rules are read, whether or not the process
// knows that.
void World::OutOfStep() {
  LookAgain();
  for (size_t i = 0; i < rules_.size(); ++i) {
    readings_[i].in_step = false;
    if (!MayGiveUp(readings_[i])) oracle_->OutOfStep(static_cast<RuleIndex>(i));
  }
}

void World::LookAgain() {
  for (Reading& reading : readings_) {
    reading.said = RuleRead::State::kAway;
    reading.mark.reset();
    reading.near = 0;
  }
}

// Where limits.settle had opened the gate.
void World::BeginNewWaits() {
  for (size_t i = 0; i < rules_.size(); ++i) {
    readings_[i].gave_up = false;
    if (!MayGiveUp(readings_[i])) oracle_->OutOfStep(static_cast<RuleIndex>(i));
  }
}

// The control thread of net/ingress.
void World::Read() {
  if (!process_->admitted) return;
  // The round trip that tells how far it is read brings what came before.
  if (ingress_up_ && !deaf_) DeliverCore();
  for (size_t i = 0; ingress_up_ && !deaf_ && i < present_; ++i)
    if (readings_[i].said != RuleRead::State::kCaughtUp)
      ReadRule(static_cast<RuleIndex>(i));
}

void World::ReadRule(RuleIndex rule) {
  constexpr int64_t kNearMs = 1'000;
  Reading& reading = readings_[rule];
  const Consumer& consumer = consumers_[rule];
  const auto say = [&](RuleRead::State state, Instant at) {
    reading.said = state;
    reading.said_at_ms = at.mono_ms;
    process_->inbox.Complete(RuleRead{rule, state, at});
    if (state == RuleRead::State::kCaughtUp) read_anew_[rule] = true;
  };
  if (consumer.ReadUpTo(std::numeric_limits<uint64_t>::max())) {
    say(RuleRead::State::kCaughtUp, Now());
  } else if (reading.mark && consumer.ReadUpTo(reading.mark->first)) {
    const Instant at = reading.mark->second;
    reading.near = Now().mono_ms - at.mono_ms <= kNearMs ? reading.near + 1 : 0;
    say(reading.near > 1 ? RuleRead::State::kCaughtUp : RuleRead::State::kReading, at);
    reading.mark.reset();
  } else if (reading.said == RuleRead::State::kAway) {
    say(RuleRead::State::kReading, {});
  }
  if (!reading.mark) reading.mark.emplace(StreamOf(rule).last(), Now());
}

// Waits are no shorter than by the core's own count.
void World::Pass(int64_t ms) {
  clock_.Advance(ms);
  for (Reading& reading : readings_)
    if (reading.waits || (ingress_up_ && egress_up_ && !reading.caught_up()))
      reading.waited_ms += ms;
}

// Whose gate limits.settle may open in this Step.
bool World::MayGiveUp(const Reading& reading) const {
  return reading.gave_up || reading.waited_ms >= options_.settle_ms;
}

// A gate opened by limits.settle had waited for that long, of time that counts;
// one that was caught up waits anew.
void World::CheckGaveUp() {
  const uint64_t all = process_->scheduler.Snapshot(clock_.NowMs()).settle_timeouts;
  const uint64_t news = all - std::exchange(gave_up_, all);
  const bool held = !process_->completions.empty();
  const auto waited = [this](const Reading& reading) {
    return reading.waited_ms >= options_.settle_ms;
  };
  const auto may =
      static_cast<uint64_t>(std::count_if(readings_.begin(), readings_.end(), waited));
  if (news > may) oracle_->Fail("P3: limits.settle opened a gate before its time");
  for (size_t i = 0; i < rules_.size(); ++i) {
    Reading& reading = readings_[i];
    if (news > 0 && waited(reading)) reading.gave_up = true;
    // Where it is not known which ones did, the next wait may be none.
    if (news == may && waited(reading)) reading.waited_ms = 0;
    reading.waits = held || (ingress_up_ && egress_up_ && !reading.caught_up());
    if (reading.caught_up() && !held) {
      reading.waited_ms = 0;
      reading.gave_up = false;
    }
    reading.in_step = reading.in_step || (reading.told && !held);
    const auto rule = static_cast<RuleIndex>(i);
    if (reading.gave_up || reading.in_step)
      oracle_->InStep(rule);
    else if (!reading.caught_up())
      oracle_->OutOfStep(rule);
  }
}

}  // namespace expirer::sim
