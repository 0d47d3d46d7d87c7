// Runs a trace through the production scheduler, store and rules, in virtual
// time, over the bus in memory.
//
// The clock jumps from one millisecond in which something happens to the next. In each
// of them, in this order:
//   1. all its lines are applied before anything fires: events are delivered in the
//      order of the file, and the link goes down or up;
//   2. rows fire that are due and were durable before; every publish is confirmed;
//   3. for each crash among its lines: everything written since 1 is lost, the store is
//      closed and opened, and the lines are delivered again, since none of them was
//      acked; then 2 again;
//   4. the clock moves on: what was written is durable, the lines are acked, and jobs
//      that arrived in this millisecond and are already due fire.
// While the link is down events wait in their stream. Events of rules with `source:
// core` are lost then, and in a crash, and are never delivered twice.
//
// To be fast, work that nothing depends on is put off to the next millisecond that is
// run, by at most 50 ms: messages while nothing is due, and closing jobs that fired. It
// is never put off past a crash or another `do`, so the fires are the same; only a closed
// key may be forgotten that much later.
//
// The replayer decides what is durable, not the disk: nothing is synced before the store
// is closed, and a crash takes back the writes of its millisecond (Store::TakeBack). So a
// run depends only on its trace and its rules.
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
#include "net/instant_bus.h"
#include "replay/fires.h"
#include "replay/trace.h"
#include "sched/scheduler.h"

namespace expirer {

inline constexpr int64_t kNoEnd = std::numeric_limits<int64_t>::max();
// `redeliver` sends at most so many event lines again.
inline constexpr size_t kRedelivered = 1'000;

struct ReplayOptions {
  std::string store;  // a directory that is empty, or is not there yet
  SchedulerOptions scheduler;
  JobLimits job_limits;
  // The run ends after this millisecond; of its lines only those up to this nanosecond
  // are applied.
  int64_t until_ms = kNoEnd;
  int64_t until_ns_of_ms = 999'999;
  // Hooks; each may be empty. The fire is valid during the call.
  std::function<void(const Fire& fire)> on_fire;
  // Called with a rule's result for a delivered line, but not if it is delivered again.
  std::function<void(const TraceLine& line, const Rule& rule, const Intent& intent)>
      on_intent;
  // Called at the end of each millisecond in which something happened.
  std::function<void(int64_t now_ms, uint64_t pending)> on_passed;
  // Called at the end for each job that has not fired, in the order of ids.
  std::function<void(const std::string& job, int64_t due_ms)> on_pending;
  // Called now and then: true ends the run with kCancelled.
  std::function<bool()> stopped;
};

// The counts of a run. A line that is delivered again counts once, and so does a job that
// fires again.
struct ReplaySummary {
  uint64_t events = 0;
  uint64_t scheduled = 0;  // moved ones included
  uint64_t moved = 0;
  uint64_t cancelled = 0;
  uint64_t too_late = 0;  // cancels of jobs that had fired
  uint64_t fired = 0;
  uint64_t attempts = 0;  // lines of output
  uint64_t skipped = 0;
  uint64_t dead = 0;
  uint64_t rejected = 0;
  uint64_t ignored = 0;  // events that belong to no rule
  uint64_t crashes = 0;
  uint64_t redelivered = 0;  // event lines sent again by `redeliver`
  uint64_t pending = 0;
  int64_t first_ms = 0;  // first event or fire; 0 = none
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

  // Adds the next line. REQUIRES: it is not before the last one. Returns false and does
  // nothing if it lies after the end. An error comes from the store or the disk.
  absl::StatusOr<bool> Take(TraceLine line);
  // Runs until nothing is pending, until the end that was set, or, if the link is down,
  // until nothing more can fire. Then closes the store.
  absl::Status Finish();
  // After Finish.
  [[nodiscard]] const ReplaySummary& summary() const { return summary_; }

 private:
  using LinePtr = std::shared_ptr<const TraceLine>;
  struct Waiting {
    LinePtr line;
    bool again = false;  // was delivered before
  };

  // The parts of a process that are only in memory.
  struct Process;

  absl::Status Open();
  void MarkDurable();
  absl::Status Crash();
  void CountProcess(const Stats& stats);
  [[nodiscard]] Instant Now() const;
  void JumpTo(int64_t ms);

  absl::Status RunMillisecond();
  absl::Status RunBefore(int64_t end_ms);
  [[nodiscard]] bool Owes() const;
  [[nodiscard]] bool MayWait() const;
  absl::Status Pass();
  absl::Status PassWhole();
  absl::Status Work();
  absl::Status Turn();
  void ApplyLine(const LinePtr& line);
  void Deliver(const Waiting& waiting);
  [[nodiscard]] bool DeliverTo(RuleIndex rule, const Waiting& waiting);
  [[nodiscard]] const std::string* StreamName(std::string_view name);
  void NoteDue(const Intent& intent);
  void CutLink();
  void MendLink();
  void PostCaughtUp(bool caught_up);
  void Noticed(int64_t ms);
  absl::Status TellPending() const;

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
  bool catching_up_ = false;       // report next that the rules have caught up
  bool passing_ = false;           // the clock moves on, so writes may become durable
  bool begun_whole_ = false;       // it was reported that the rules have caught up
  int64_t whole_ms_ = 0;           // the last time when nothing was put off
  int64_t first_due_ms_ = kNoEnd;  // earliest due time of messages that no turn has taken

  ReplaySummary summary_;
};

}  // namespace expirer
