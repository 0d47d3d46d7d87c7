// Runs a trace through the production scheduler, store and rules, in virtual
// time, over the bus in memory.
//
// The clock jumps from one moment at which something happens to the next. In
// each such millisecond, in this order:
//   1. its lines are applied, all of them before anything fires: events are
//      delivered in the order of the file, the link is cut and mended;
//   2. what is due and was durable before fires; every publish is confirmed;
//   3. for each crash among its lines: all that was written since 1 is lost, the
//      store is closed and opened, and the lines are delivered again, since none
//      of them was acked; then 2 again;
//   4. the clock passes on: what was written is durable, the lines are acked,
//      and jobs of this very millisecond that were due already fire.
// While the link is down events wait in their stream; events of rules with
// `source: core` are lost then, and in a crash, and are never delivered twice.
//
// What nobody waits for is not done in each of these milliseconds but together
// with the next one that is run, within 50 ms: messages while nothing is due, and
// the closing of what fired. It is put off over no crash and no other `do`, so
// that no fire can tell; a closed key is forgotten up to as much later.
//
// What is durable is decided here, not by the disk: nothing is synced before the
// store is closed, and a crash takes back the writes of its millisecond
// (Store::TakeBack). So a run depends on nothing but its trace and its rules.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "net/memory_bus.h"
#include "replay/fires.h"
#include "replay/trace.h"
#include "sched/scheduler.h"

namespace expirer {

inline constexpr int64_t kNoEnd = std::numeric_limits<int64_t>::max();
// How many event lines `redeliver` sends again at most.
inline constexpr size_t kRedelivered = 1'000;

struct ReplayOptions {
  std::string store;  // a directory that is empty, or is not there yet
  SchedulerOptions scheduler;
  JobLimits job_limits;
  // The last moment that is run: this millisecond, and of its lines those up to this
  // nanosecond of it.
  int64_t until_ms = kNoEnd;
  int64_t until_ns_of_ms = 999'999;
  // Each may be empty. Of a fire, valid for the call.
  std::function<void(const Fire& fire)> on_fire;
  // What a rule made of a line that was delivered, not of one delivered again.
  std::function<void(const TraceLine& line, const Rule& rule, const Intent& intent)>
      on_intent;
  // At the end of a millisecond in which something happened.
  std::function<void(int64_t now_ms, uint64_t pending)> on_passed;
  // At the end, for each job that has not fired, in the order of its id.
  std::function<void(const std::string& job, int64_t due_ms)> on_pending;
  // Asked now and then: true ends the run with kCancelled.
  std::function<bool()> stopped;
};

// What became of a trace. A line that is delivered again counts once, and so
// does a job that fires a second time.
struct ReplaySummary {
  uint64_t events = 0;
  uint64_t scheduled = 0;  // moved ones included
  uint64_t moved = 0;
  uint64_t cancelled = 0;
  uint64_t too_late = 0;  // cancels of what had fired
  uint64_t fired = 0;
  uint64_t attempts = 0;  // lines of output
  uint64_t skipped = 0;
  uint64_t dead = 0;
  uint64_t rejected = 0;
  uint64_t ignored = 0;  // events that concern no rule
  uint64_t crashes = 0;
  uint64_t redelivered = 0;  // event lines sent again by `redeliver`
  uint64_t pending = 0;
  int64_t first_ms = 0;  // of events and fires; 0 = there was none
  int64_t last_ms = 0;
  struct Queue {
    std::string name;
    Outcomes outcomes;
    uint64_t pending = 0;
  };
  std::vector<Queue> queues;  // in the order of the config
};

// One thread.
class Replayer {
 public:
  // `rules` must outlive it.
  Replayer(ReplayOptions options, const std::vector<Rule>& rules);
  ~Replayer();

  // The next line; REQUIRES: not before the last one. False, and nothing is
  // done, when it lies after the end. An error is the store's or the disk's.
  [[nodiscard]] absl::StatusOr<bool> Take(TraceLine line);
  // Runs on until nothing is pending, or to the end that was set; or until
  // nothing more can fire, since the link is down. Then closes the store.
  [[nodiscard]] absl::Status Finish();
  // After Finish.
  [[nodiscard]] const ReplaySummary& summary() const { return summary_; }

 private:
  using LinePtr = std::shared_ptr<const TraceLine>;
  struct Waiting {
    LinePtr line;
    bool again = false;  // was delivered before
  };

  // A process, as far as it lives in memory.
  struct Process;

  [[nodiscard]] absl::Status Open();
  void MarkDurable();
  [[nodiscard]] absl::Status Crash();
  void CountProcess(const Stats& stats);
  [[nodiscard]] Instant Now() const;
  void JumpTo(int64_t ms);

  [[nodiscard]] absl::Status RunMillisecond();
  [[nodiscard]] absl::Status RunBefore(int64_t end_ms);
  [[nodiscard]] bool Owes() const;
  [[nodiscard]] bool MayWait() const;
  [[nodiscard]] absl::Status Pass();
  [[nodiscard]] absl::Status PassWhole();
  [[nodiscard]] absl::Status Work();
  [[nodiscard]] absl::Status Turn();
  void ApplyLine(const LinePtr& line);
  void Deliver(const Waiting& waiting);
  [[nodiscard]] bool DeliverTo(RuleIndex rule, const Waiting& waiting);
  [[nodiscard]] const std::string* StreamName(std::string_view name);
  void NoteDue(const Intent& intent);
  void CutLink();
  void MendLink();
  void PostCaughtUp(bool caught_up);
  void Noticed(int64_t ms);
  [[nodiscard]] absl::Status TellPending() const;

  const ReplayOptions options_;
  const std::vector<Rule>& rules_;
  std::vector<std::unique_ptr<RuleEvaluator>> evaluators_;
  std::set<std::string, std::less<>> streams_;  // names, stable
  VirtualClock clock_{0};
  bool begun_ = false;

  std::unique_ptr<Store> store_;
  std::unique_ptr<Process> process_;
  Stats durable_;  // of the process, as of MarkDurable

  std::vector<LinePtr> lines_;       // of this millisecond
  std::vector<Waiting> unacked_;     // delivered in it
  std::deque<LinePtr> last_events_;  // at most kRedelivered
  std::deque<Waiting> backlog_;      // in the streams while the link is down
  bool link_up_ = true;
  bool catching_up_ = false;       // the rules are to be told that all is read
  bool passing_ = false;           // what is written may become durable
  bool begun_whole_ = false;       // the rules were told that all is read
  int64_t whole_ms_ = 0;           // when nothing was put off last
  int64_t first_due_ms_ = kNoEnd;  // of what no turn has taken yet

  ReplaySummary summary_;
};

}  // namespace expirer
