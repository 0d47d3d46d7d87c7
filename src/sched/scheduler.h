// The core of expirer. One thread calls Step for every event. Step takes the time as an
// argument and never waits, so production, replay and simulation run the same code over
// the same store.
//
// Invariants (src/README.md): I1 durable before acknowledged, I2 deleted only
// after confirmation, I3 the window covers, I4 one order, I5 bounded, I6 never
// early and never after a confirmed cancel, I7 a failed fsync ends the
// process, I8 nothing unsynced for long and nothing dispatched unsynced, I9 an
// answer closes only its own attempt.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/status.h"
#include "sched/commands.h"
#include "sched/core.h"
#include "sched/recount.h"

namespace expirer {

// Core thread only.
class Scheduler {
 public:
  // Everything passed by pointer, and `rules`, must outlive the scheduler.
  Scheduler(const SchedulerOptions& options, const std::vector<Rule>& rules, Store* store,
            Committer* committer, Egress* egress, Inbound* inbound)
      : core_(options, rules, store, committer, egress, inbound) {}
  ~Scheduler() { core_.messages.LogStale(0); }

  // Reads lanes, counts, streams and times from the store. Call it once, before Step.
  absl::Status Load(Instant now) { return core_.Load(now); }

  // Applies the events, writes the changes, releases the effects that are durable,
  // dispatches due jobs and refills the windows. Removes the events from the vectors,
  // except while the disk has no space: then pass them again. Returns the wall time when
  // it must be called again at the latest. After an error, which is the disk's, the
  // caller must end the process (I7).
  absl::StatusOr<int64_t> Step(Instant now, std::vector<Completion>* completions,
                               std::vector<Request>* requests);

  // Stops beginning attempts (drain).
  void StopDispatch() { core_.gates.Set(Gates::Reason::kDraining, true); }
  // Whether nothing is in flight, unwritten, unsynced or unanswered.
  [[nodiscard]] bool Drained() const;
  [[nodiscard]] size_t in_flight() const { return core_.in_flight.size(); }
  // The number of jobs in the whole store that have not fired yet.
  [[nodiscard]] uint64_t pending() const;
  // The time that the last Step would have returned without the housekeeping of each
  // second: nothing can happen before it without an event. For a clock that jumps, which
  // may skip the housekeeping.
  [[nodiscard]] int64_t next_work_ms() const { return next_work_ms_; }
  [[nodiscard]] const Queues& queues() const { return core_.queues; }
  // See Core.
  [[nodiscard]] Stats Snapshot(int64_t now_ms) const { return core_.Snapshot(now_ms); }
  [[nodiscard]] Overdue CountOverdue(int64_t now_ms) const {
    return core_.CountOverdue(now_ms);
  }

 private:
  absl::Status ApplyCompletions(std::vector<Completion>* completions);
  absl::Status ApplyRequests(std::vector<Request>* requests);
  void ApplyEgress(bool up);
  void ApplyRead(const RuleRead& event);
  void ApplyStoodStill(int64_t ms);
  void ApplyDiskSpace(const DiskSpace& space);
  // Closes the gates, because messages published before now may be unread.
  void LookAgain(bool outage, Inbound::LookHow how);
  void StageHousekeeping();
  absl::Status Write();
  void CountAnew();
  [[nodiscard]] int64_t NextWork(bool refilling);

  Core core_;
  Commands commands_{&core_};
  std::unique_ptr<Recount> recount_;  // while the store is counted again
  int64_t recount_after_mono_ms_ = 0;
  int64_t housekeeping_mono_ms_ = 0;
  int64_t next_work_ms_ = 0;
};

}  // namespace expirer
