// What the threads of an ingress share about its connection: whether it is up, in which
// epoch, and so what may still be posted and pulled over it. Each connect and each loss
// begins an epoch: what was learned in an earlier one is old. It gives the sources room
// in turn, and pulls less after the server ended the connection because too much waited
// for us.
#pragma once

#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "base/mutex.h"
#include "net/pull_source.h"
#include "sched/egress.h"

namespace expirer {

// Whether another bus than an ingress reads the rule.
[[nodiscard]] inline bool ReadElsewhere(const Rule& rule) {
  return rule.source == Transport::kStan;
}

// Thread-safe.
class ReadLink {
 public:
  // Everything given outlives it.
  ReadLink(const std::vector<Rule>* rules, Inbox* inbox, const Clock* clock)
      : rules_(rules), inbox_(inbox), clock_(clock) {}

  // Loop thread of the connection: it came, to this server; it went, so all rules that
  // are read here are away; it ticks.
  void LinkUp(const std::string& server_id);
  void LinkDown();
  void LinkTick();
  // As Inbound::LookAgain; kAnew begins an epoch.
  void LookAgain(Inbound::LookHow how);
  // Nothing is posted or opened any more.
  void Stop();
  // As Inbound::SetIntake.
  void SetIntake(bool open);
  // Lets Await return.
  void Wake();
  // Closes the rule's gate, until its silent consumer answers that no message waits.
  // Sets `*unheard` before the control thread can see the wake.
  void Unheard(RuleIndex rule, std::atomic<bool>* unheard);

  struct State {
    bool up = false;
    bool look = false;  // LookAgain was called since the last Await
    uint64_t epoch = 0;
  };
  // Waits for a Wake, at most `wait_ms`. One thread.
  [[nodiscard]] State Await(int64_t wait_ms);

  [[nodiscard]] bool stopping() const { return stopping_; }
  [[nodiscard]] bool intake() const { return intake_; }
  // Whether `epoch` goes on. The others do nothing if it does not.
  [[nodiscard]] bool Holds(uint64_t epoch) const;
  void Post(const RuleRead& read, uint64_t epoch);
  void Open(PullSource* pull, size_t batch, size_t bytes, uint64_t epoch);

  // `pull` stays until nothing of this is called any more.
  void Add(PullSource* pull);
  // As PullSource::Tick, of each.
  void TickPulls();

  [[nodiscard]] Instant Now() const { return {clock_->NowMs(), clock_->MonotonicMs()}; }

 private:
  void ClosePulls(bool abandon);
  [[nodiscard]] std::vector<PullSource*> Pulls() const;
  void FindWaitingMessages();
  void AskForLess();
  void PostAway() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::vector<Rule>* const rules_;
  Inbox* const inbox_;
  const Clock* const clock_;
  std::atomic<bool> stopping_ = false;
  std::atomic<bool> intake_ = true;
  mutable Mutex mutex_;
  bool awake_ ABSL_GUARDED_BY(mutex_) = false;
  bool look_wanted_ ABSL_GUARDED_BY(mutex_) = false;
  bool up_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t epoch_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<PullSource*> pulls_ ABSL_GUARDED_BY(mutex_);
  std::atomic<size_t> first_pull_ = 0;  // of the next TickPulls

  // Loop thread only.
  std::string server_id_;               // of the last connection
  uint64_t received_ = 0;               // messages, of all pulls, at the last tick
  int64_t message_ms_ = INT64_MIN / 2;  // when a tick last saw some
  bool was_reading_ = false;            // when the connection went
  int64_t less_since_ms_ = 0;           // 0 = as much as may be is asked for
};

}  // namespace expirer
