// Step 4 of the scheduler: sends what is due and durable if its rule has caught up, least
// head of the open lanes first, by one forward scan of each lane.

#include <algorithm>
#include <limits>

#include "base/log.h"
#include "base/mutant.h"
#include "sched/scheduler.h"
#include "sched/share.h"

namespace expirer {
namespace {

constexpr TimerEntry kLast{std::numeric_limits<int64_t>::max(),
                           std::numeric_limits<uint64_t>::max()};

}  // namespace

// The latest row of the lane that may be sent at present.
int64_t Scheduler::OpenTo(const LaneState& lane) const {
  return lane.resolving ? std::numeric_limits<int64_t>::min()
                        : gates_.OpenTo(RuleOf(lane));
}

// When the lane's first row may be sent; INT64_MAX if an event decides about that. One
// that is due waits for an event if it has no room or is not durable; one that Dispatch
// had no budget left for does not.
int64_t Scheduler::FireMs(const LaneState& lane) const {
  constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
  if (lane.window.empty()) return kNever;
  const TimerEntry& head = lane.window.top();
  if (head.key_ms > OpenTo(lane)) return kNever;
  const bool due = head.key_ms <= now_.wall_ms;
  if (due && !gates_.HasRoom(RuleOf(lane), in_flight_.size())) return kNever;
  if (due && !ledger_.Durable(head.seq)) return kNever;
  return std::max(head.key_ms, gates_.NextAttemptMs(RuleOf(lane)));
}

// As if all jobs stood in one lane.
bool Scheduler::WaitingLaneBlocks() const {
  return Mutant("one_lane") &&
         std::any_of(
             lanes_.all().begin(), lanes_.all().end(), [this](const LaneState& lane) {
               return !lane.window.empty() && lane.window.top().key_ms > OpenTo(lane) &&
                      lane.window.top().key_ms <= now_.wall_ms;
             });
}

absl::Status Scheduler::Dispatch() {
  if (!MayFire() || WaitingLaneBlocks()) return absl::OkStatus();
  size_t budget = options_.batch;
  // One scan a lane, kept while lanes take turns. It ends where this turn does: beyond,
  // rows that were moved away before their time stand by the hundred thousand.
  absl::flat_hash_map<Lane, std::unique_ptr<DueScan>> scans;
  while (budget > 0 && !pushed_back_) {
    LaneState* least = nullptr;
    TimerEntry next = kLast;  // head of the lane after it
    for (LaneState& lane : lanes_.all()) {
      if (FireMs(lane) > now_.wall_ms) continue;
      if (least == nullptr || lane.window.top() < least->window.top()) {
        if (least != nullptr) next = least->window.top();
        least = &lane;
      } else {
        next = std::min(next, lane.window.top());
      }
    }
    if (least == nullptr) break;
    auto& scan = scans[least->lane];
    if (scan == nullptr)
      scan = store_->ScanDue(least->lane, std::min(now_.wall_ms, OpenTo(*least)));
    RETURN_IF_ERROR(DispatchLane(least, next, scan.get(), &budget));
  }
  if (budget < options_.batch) egress_->Flush();
  return absl::OkStatus();
}

// Sends the lane's due jobs up to `until`, another lane's head.
absl::Status Scheduler::DispatchLane(LaneState* lane, TimerEntry until, DueScan* scan,
                                     size_t* budget) {
  // Rows between two heads are other keys' that moved in meanwhile or are in
  // flight: a few Nexts are cheaper than a Seek.
  constexpr int kNextsMax = 8;
  bool positioned = false;
  while (*budget > 0 && !pushed_back_ && FireMs(*lane) <= now_.wall_ms) {
    const TimerEntry head = lane->window.top();
    if (until < head) break;
    --*budget;
    if (in_flight_.Holds(head.seq) || turn_.Dropped(head.seq)) {
      lane->window.Pop();
      continue;
    }
    if (waiting_.contains(head.seq)) {  // out of the window until that attempt ends
      lane->window.Pop();
      lane->out.insert(head);
      continue;
    }
    const JobKey key{lane->lane, head.key_ms, head.seq};
    for (int i = 0; positioned && i < kNextsMax && scan->Valid() && scan->key() < key;
         ++i)
      scan->Next();
    if (!positioned || (scan->Valid() && scan->key() < key)) scan->Seek(key);
    positioned = true;
    RETURN_IF_ERROR(scan->status());
    if (!scan->Valid() || scan->key() != key) {
      lane->window.Pop();  // cancelled or moved since
      continue;
    }
    RETURN_IF_ERROR(DispatchRow(lane, key, scan->value()));
  }
  return absl::OkStatus();
}

// Sends one row, unless the lane has to wait (resolving) or all have (pushed_back_).
absl::Status Scheduler::DispatchRow(LaneState* lane, const JobKey& key,
                                    std::string_view row) {
  if (const absl::Status decoded = DecodeJob(row, &view_); !decoded.ok()) {
    lane->window.Pop();
    Quarantine(*lane, key, row, decoded);
    return absl::OkStatus();
  }
  if (rebuild_.MayHaveFired(key.seq, view_.due_ms)) {
    lane->window.Pop();
    Close(Describe(key, view_),
          {JobState::kDead, DeadKind::kMayHaveFired, std::string(row), "may have fired"});
    return absl::OkStatus();
  }
  if (JudgeLate(lane, key, view_, row)) return absl::OkStatus();
  const Queue& queue = queues_[lane->queue];
  std::string why;
  // Behind those that wait for the same target, although it may be known by now.
  const bool behind = queue.via == Transport::kJetStream && aside_.Holds(view_.target);
  const Egress::Target target = behind ? Egress::Target::kResolving
                                       : egress_->Resolve(queue.via, view_.target, &why);
  switch (target) {
    case Egress::Target::kReady: break;
    case Egress::Target::kResolving:
      if (PutAside(lane, key)) return absl::OkStatus();
      [[fallthrough]];
    case Egress::Target::kDown: lane->resolving = true; return absl::OkStatus();
    case Egress::Target::kRefused:
    case Egress::Target::kUnknown:
      lane->window.Pop();
      RETURN_IF_ERROR(Retry(Describe(key, view_),
                            target == Egress::Target::kUnknown ? AttemptEnd::kNoLeader
                                                               : AttemptEnd::kNoStream,
                            why));
      return absl::OkStatus();
  }
  const auto& headers =
      headers_.Build({options_.name, queue.first_name, queue.name},
                     streams_.NameOf(view_.source.stream), view_, view_.sends + 1);
  const uint64_t number = in_flight_.next();
  const bool sent =
      egress_->Publish(number, queue.via, view_.target, headers, view_.body);
  if (!sent) {
    pushed_back_ = true;
    return absl::OkStatus();
  }
  lane->window.Pop();
  lane->out.insert(TimerEntry{key.key_ms, key.seq});
  auto attempt = std::make_unique<InFlight>(Describe(key, view_));
  if (Mutant("delete_before_puback")) {
    Close(*attempt, {JobState::kFired});
    attempt->fate = InFlight::Fate::kReplaced;
  }
  unanswered_.erase(key.seq);
  in_flight_.Begin(std::move(attempt), now_.mono_ms + options_.publish_timeout_ms);
  gates_.Begin(queue.rule);
  CountSent(lane->queue);
  return absl::OkStatus();
}

// The job of view_.
void Scheduler::CountSent(QueueIndex queue) {
  ++stats_.published;
  // A late cancel's due time is that of the fire it came after.
  const int64_t late_ms =
      now_.wall_ms - (queues_[queue].late_cancels ? view_.stored_ms : view_.due_ms);
  stats_.sent_late_ms.Add(late_ms);
  // Else one job that fails for hours would look like many that are late.
  if (view_.sends == 0) OutcomesOf(queue).lateness_ms.Add(late_ms);
}

// The job of view_, until its target is known. False where too many wait so already.
bool Scheduler::PutAside(LaneState* lane, const JobKey& key) {
  if (!MayTake(lane->aside, aside_.size(), Aside::kRowsMax)) return false;
  lane->window.Pop();
  lane->out.insert(TimerEntry{key.key_ms, key.seq});
  ++lane->aside;
  aside_.Add(view_.target, key);
  return true;
}

InFlight Scheduler::Describe(const JobKey& key, const JobView& job) const {
  return {key,
          InFlight::Fate::kCurrent,
          job.unanswered || unanswered_.contains(key.seq) ||
              possibly_sent_.MayHaveSent(key.seq, key.key_ms),
          job.sends,
          job.counted_attempts,
          std::string(job.key),
          std::string(job.target),
          job.due_ms,
          job.source,
          job.received_ms,
          job.stored_ms,
          now_.wall_ms};
}

// True when the rule's `late` takes the job away: it fell due while no process
// ran, and was found too late.
bool Scheduler::JudgeLate(LaneState* lane, const JobKey& key, const JobView& job,
                          std::string_view row) {
  const LatePolicy& late = queues_[lane->queue].late;
  if (late.action == LateAction::kFire || job.late_judged || Mutant("late_fires"))
    return false;
  const int64_t late_ms = process_gaps_.LatenessMs(job.due_ms);
  if (late_ms == 0 || late_ms <= late.after_ms) return false;
  if (late.action == LateAction::kDead && DeadFull()) return false;
  lane->window.Pop();
  Close(Describe(key, job),
        AsLate(late, std::string(row), "found too late after a restart"));
  return true;
}

}  // namespace expirer
