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
#include <deque>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "base/status.h"
#include "job/fired.h"
#include "job/rules.h"
#include "sched/ahead.h"
#include "sched/aside.h"
#include "sched/counts.h"
#include "sched/dispatcher.h"
#include "sched/egress.h"
#include "sched/events.h"
#include "sched/gates.h"
#include "sched/in_flight.h"
#include "sched/lanes.h"
#include "sched/ledger.h"
#include "sched/overdue.h"
#include "sched/possibly_sent.h"
#include "sched/process_gaps.h"
#include "sched/queues.h"
#include "sched/rebuild.h"
#include "sched/recount.h"
#include "sched/registers.h"
#include "sched/stats.h"
#include "sched/streams.h"
#include "sched/turn.h"
#include "store/committer.h"
#include "store/store.h"

namespace expirer {

// Limits with their defaults; see the table in README.md.
struct SchedulerOptions {
  std::string name = "expirer";            // prefixes announcements' subjects
  size_t window = 1'000'000;               // entries of 16 bytes in memory
  size_t in_flight = 4'096;                // attempts not answered yet
  size_t batch = 1'024;                    // attempts begun in one Step
  uint64_t dead = 100'000;                 // entries of the dead store kept whole
  uint64_t dead_bytes = 1'000'000'000;     // bytes of the dead store, likewise
  uint64_t history_keys = 10'000'000;      // closed keys remembered
  int64_t history_ms = 168LL * 3'600'000;  // how long closed keys are remembered
  int64_t unsynced_ms = 50;                // a write waits for its sync at most
  int64_t settle_ms = 30'000;              // an overdue job waits for cancels at most
  int64_t publish_timeout_ms = 3'000;      // for an answer to an attempt
  uint64_t disk_free = 512'000'000;        // below it no more input is taken
  Orphans orphans = Orphans::kRefuse;      // jobs of rules that are gone
  bool wait_for_admission = false;         // nothing fires before Admitted
  bool fire_overdue = false;               // fire jobs that a rebuild finds overdue
  bool recount = false;                    // count the jobs of each rule again
};

// Core thread only. Everything passed by pointer must outlive the scheduler.
class Scheduler {
 public:
  Scheduler(const SchedulerOptions& options, const std::vector<Rule>& rules, Store* store,
            Committer* committer, Egress* egress, Inbound* inbound);

  ~Scheduler();

  // Reads lanes, counts, streams and times from the store. Call it once, before Step.
  [[nodiscard]] absl::Status Load(Instant now);

  // Applies the events, writes the changes, releases the effects that are durable,
  // dispatches due jobs and refills the windows. Removes the events from the vectors,
  // except while the disk has no space: then pass them again. Returns the wall time when
  // it must be called again at the latest. After an error, which is the disk's, the
  // caller must end the process (I7).
  [[nodiscard]] absl::StatusOr<int64_t> Step(Instant now,
                                             std::vector<Completion>* completions,
                                             std::vector<Request>* requests);

  // Stops beginning attempts (drain).
  void StopDispatch() { gates_.Set(Gates::Reason::kDraining, true); }
  // Whether nothing is in flight, unwritten, unsynced or unanswered.
  [[nodiscard]] bool Drained() const;
  [[nodiscard]] size_t in_flight() const { return in_flight_.size(); }
  // The number of jobs in the whole store that have not fired yet.
  [[nodiscard]] uint64_t pending() const;
  // The time that the last Step would have returned without the housekeeping of each
  // second: nothing can happen before it without an event. For a clock that jumps, which
  // may skip the housekeeping.
  [[nodiscard]] int64_t next_work_ms() const { return next_work_ms_; }
  [[nodiscard]] const Queues& queues() const { return queues_; }

  // All counts except `overdue`.
  [[nodiscard]] Stats Snapshot(int64_t now_ms) const;
  // Counts overdue jobs. O(overdue), at most Overdue::kVisitsMax per lane plus as many
  // retrying ones.
  [[nodiscard]] Overdue CountOverdue(int64_t now_ms) const;

  // What follows is for commands, in Apply and Answer. Errors are the disk's.

  // The place in the order of events that a command has which changes this key.
  [[nodiscard]] Position PositionNow(const Register& known);
  // Cancels a key that is known. True: too late, its job may have been sent.
  [[nodiscard]] absl::StatusOr<bool> CancelNow(std::string_view rule,
                                               std::string_view key,
                                               const Register& known);
  // What a message asks for, at this position.
  [[nodiscard]] absl::Status ApplyMessage(MessageRequest* message, Position position);
  // One of the jobs that a message asks for; returns why it is kept as rejected.
  [[nodiscard]] absl::StatusOr<std::string> ScheduleJob(MessageRequest* message,
                                                        QueueIndex queue, Job job,
                                                        const Position& position);
  // Stores the job of a key as its register says, due at `not_before_ms` at the earliest.
  void OpenJob(QueueIndex queue, const std::string& id, Job job,
               const std::optional<Register>& known, Register reg,
               int64_t not_before_ms = 0);
  // Puts a job into a lane, to be sent at `at_ms` at the earliest.
  JobKey Place(LaneState* lane, int64_t at_ms, const Job& job, const std::string& id,
               const Register* from, Register to);
  // Whether an attempt at the row with this number is not answered, or it waits for one.
  [[nodiscard]] bool HasAttempt(uint64_t seq) const {
    return in_flight_.Holds(seq) || waiting_.contains(seq);
  }
  [[nodiscard]] RegisterPolicy Policy(QueueIndex queue) const;

 private:
  // What a cancel found in the queues of its rule.
  struct CancelFindings {
    bool in_time = false;             // it removed a waiting job
    std::optional<int64_t> fired_ms;  // due time of the latest job that had fired
    InFlight* attempt = nullptr;      // of a job that may have fired: not known yet
  };
  // Step 1: scheduler_apply.cc.
  [[nodiscard]] absl::Status ApplyCompletions(std::vector<Completion>* completions);
  [[nodiscard]] absl::Status ApplyAnswer(const PubAnswer& answer);
  [[nodiscard]] absl::Status CloseNewer(InFlight attempt);
  void NoteCollision(const PubAnswer& answer, InFlight* attempt);
  [[nodiscard]] absl::Status ApplyTimeouts();
  void ApplyRead(const RuleRead& event);
  void ApplyStoodStill(int64_t ms);
  // Closes the gates, because messages published before now may be unread.
  void LookAgain(bool outage, Inbound::LookHow how);
  void ApplyEgress(bool up);
  void EndResolving(std::string_view target);
  [[nodiscard]] std::unique_ptr<InFlight> EndAttempt(uint64_t number);
  void ApplyDiskSpace(const DiskSpace& space);
  [[nodiscard]] absl::Status ApplyRebuildAsked();
  void EndRebuild();
  [[nodiscard]] absl::Status ApplyRequests(std::vector<Request>* requests);
  [[nodiscard]] Position PositionOf(MessageRequest* message);
  void Answer(MessageRequest* message, std::string why);
  [[nodiscard]] absl::Status ApplyScheduleIntent(MessageRequest* message,
                                                 ScheduleIntent intent,
                                                 const Position& position);
  [[nodiscard]] absl::StatusOr<bool> IsOldToAnEntry(QueueIndex queue,
                                                    const std::string& key,
                                                    const Position& position) const;
  [[nodiscard]] absl::Status TakeFromRemoved(RuleIndex rule, const std::string& key,
                                             const Position& position);
  [[nodiscard]] absl::Status ApplyCancelIntent(MessageRequest* message,
                                               CancelIntent* intent,
                                               const Position& position);
  [[nodiscard]] absl::Status CancelJob(const std::string& name, RuleIndex rule,
                                       const std::string& key, const Position& position,
                                       CancelFindings* found);
  [[nodiscard]] absl::Status KeepReject(MessageRequest* message, std::string_view name,
                                        const Position& position,
                                        const RejectIntent& reject, std::string job_row);
  void DropStale(const std::string& stream, uint64_t seq);

  // Commands: scheduler_commands.cc.
  [[nodiscard]] absl::Status ReadAhead(const std::vector<Request>& requests);
  [[nodiscard]] absl::Status Take(std::unique_ptr<Command> command);
  [[nodiscard]] absl::Status ApplyPieces();
  [[nodiscard]] absl::Status AnswerCommands();
  [[nodiscard]] absl::StatusOr<bool> MaybeSent(std::string_view rule,
                                               std::string_view key,
                                               const Register& known) const;
  // Nothing more is kept whole.
  [[nodiscard]] bool DeadFull() const {
    return counts_.dead() >= options_.dead || counts_.dead_bytes() >= options_.dead_bytes;
  }

  // What becomes of jobs: scheduler_jobs.cc.
  // How a job ends.
  struct End {
    JobState state = JobState::kFired;   // or kSkipped, kDead
    DeadKind kind = DeadKind::kRefused;  // kDead: why, as a count
    std::string row = {};                // kDead: its row, which is kept
    std::string reason = {};             // kDead: why, for a person
  };
  void Close(const InFlight& attempt, End end);
  void Close(const InFlight& attempt, const Register* from, Register to, End end);
  [[nodiscard]] static End AsLate(const LatePolicy& late, std::string row,
                                  std::string reason);
  [[nodiscard]] absl::StatusOr<bool> CloseCancelled(std::string_view rule,
                                                    std::string_view key,
                                                    const Register& known, Register* to);
  [[nodiscard]] std::string IdOf(const InFlight& attempt);
  [[nodiscard]] absl::Status OpenLateCancel(MessageRequest* message, LateCancel* late,
                                            const Position& position,
                                            const CancelFindings& found);
  [[nodiscard]] absl::Status DecideLateCancel(const InFlight& attempt, bool fired);
  void TakeAway(std::string_view rule, std::string_view key, const Register& known,
                InFlight::Fate fate);
  [[nodiscard]] absl::Status CloseCancelledAsFired(const InFlight& attempt);
  [[nodiscard]] absl::Status Retry(const InFlight& attempt, AttemptEnd end,
                                   std::string_view why);
  void MoveToRetry(const InFlight& attempt, Job job, const RetryAt& when);
  void CountFailure(QueueIndex queue, FailureKind kind);
  void CountDead(QueueIndex queue, DeadKind kind);
  // If the schedule has the due time and content of the key's job, only notes its newer
  // position and returns true.
  [[nodiscard]] absl::StatusOr<bool> ReuseIfSame(const std::string& id, const Job& job,
                                                 const Register& known);
  // The attempt whose end decides about the row: its own, or one that it waits for.
  [[nodiscard]] InFlight* AttemptOf(const JobKey& row);
  // What becomes of a row that waited for the attempt, which fired or did not.
  [[nodiscard]] absl::Status CloseSuccessor(const InFlight& attempt);
  void ReleaseSuccessor(const InFlight& attempt);
  [[nodiscard]] absl::Status JudgeTimesAnew();
  [[nodiscard]] absl::StatusOr<bool> JudgeTimeAnew(const LaneState& of, const JobKey& key,
                                                   std::string_view row);
  void NoteFire(const InFlight& attempt, Register* reg) const;
  void Quarantine(const LaneState& lane, const JobKey& key, std::string_view row,
                  const absl::Status& why);
  [[nodiscard]] Register LiveRegister(const InFlight& attempt);
  [[nodiscard]] Outcomes& OutcomesOf(QueueIndex queue) { return stats_.outcomes[queue]; }

  // Steps 2 and 3: scheduler.cc.
  void StageHousekeeping();
  void StageSignOfLife();
  [[nodiscard]] absl::Status Write();
  void CountAnew();
  void TellStale(int64_t every_ms);
  [[nodiscard]] int64_t NextWork(bool refilling);

  // Step 4: scheduler_dispatch.cc.
  [[nodiscard]] absl::Status Dispatch();
  [[nodiscard]] absl::Status DispatchLane(LaneState* lane, TimerEntry until,
                                          DueScan* scan, size_t* budget);
  [[nodiscard]] absl::Status DispatchRow(LaneState* lane, const JobKey& key,
                                         std::string_view row);
  [[nodiscard]] int64_t OpenTo(const LaneState& lane) const;
  [[nodiscard]] RuleIndex RuleOf(const LaneState& lane) const {
    return queues_[lane.queue].rule;
  }
  [[nodiscard]] int64_t FireMs(const LaneState& lane) const;
  void CountSent(QueueIndex queue);
  [[nodiscard]] bool PutAside(LaneState* lane, const JobKey& key);
  [[nodiscard]] bool MayFire() const { return gates_.open() && ledger_.MayFire(); }
  [[nodiscard]] bool WaitingLaneBlocks() const;
  [[nodiscard]] bool JudgeLate(LaneState* lane, const JobKey& key, const JobView& job,
                               std::string_view row);
  [[nodiscard]] InFlight Describe(const JobKey& key, const JobView& job) const;

  // The longest time between two Steps.
  static constexpr int64_t kHousekeepingMs = 1'000;

  const SchedulerOptions options_;
  const std::vector<Rule>& rules_;
  Queues queues_;  // changed by Load only
  Store* const store_;
  Committer* const committer_;
  Egress* const egress_;
  Inbound* const inbound_;

  Instant now_;
  Lanes lanes_;
  OverdueRows overdue_rows_;
  Streams streams_;
  Rebuild rebuild_;
  Counts counts_;
  std::unique_ptr<Recount> recount_;  // while the store is counted again
  int64_t recount_after_mono_ms_ = 0;
  ProcessGaps process_gaps_;
  InFlightTable in_flight_;
  Aside aside_;
  Gates gates_;
  FiredHeaders headers_;
  JobView view_;

  Turn turn_{store_, &lanes_, &counts_, &overdue_rows_};
  Ledger ledger_{committer_, options_.unsynced_ms};

  // Stale messages that were dropped since the last log line about them.
  struct StaleDropped {
    uint64_t count = 0;
    uint64_t first_seq = 0;
    uint64_t last_seq = 0;
    int64_t told_mono_ms = std::numeric_limits<int64_t>::min() / 2;
  };
  std::map<std::string, StaleDropped> stale_dropped_;  // by stream

  const Core core_{.options = options_,
                   .now = now_,
                   .intake_open = intake_open_,
                   .queues = queues_,
                   .streams = streams_,
                   .egress = *egress_,
                   .lanes = lanes_,
                   .counts = counts_,
                   .turn = turn_,
                   .jobs = *this};
  std::vector<std::unique_ptr<Command>> applied_;  // answered after the write
  // Not done yet, in order of arrival; they keep their places in the inbox.
  std::deque<std::unique_ptr<Command>> unfinished_;
  // Rows of newer schedules that wait for an attempt at an older one of the same
  // due time: by seq, each with the seq of that attempt's row.
  absl::flat_hash_map<uint64_t, uint64_t> waiting_;
  // Rows waiting to be sent again whose last attempt got no answer: at most
  // limits.inflight for each loss of the connection.
  absl::flat_hash_set<uint64_t> unanswered_;
  PossiblySent possibly_sent_;
  AheadRows ahead_rows_;
  size_t moved_back_ = 0;  // by the scan of ahead_rows_ that has not ended

  int64_t housekeeping_mono_ms_ = 0;
  int64_t alive_mono_ms_ = 0;
  int64_t next_work_ms_ = 0;

  bool leapt_ = false;               // the clock leapt, and the store does not know yet
  int64_t egress_down_mono_ms_ = 0;  // since when it is not
  bool pushed_back_ = false;         // the socket's buffer is full
  bool stalled_ = false;             // the last write found no space
  bool intake_open_ = true;
  bool loaded_ = false;
  Stats stats_;
};

}  // namespace expirer
