#include "sched/dispatch.h"

#include <algorithm>
#include <limits>
#include <memory>

#include "absl/container/flat_hash_map.h"
#include "sched/core.h"
#include "sched/share.h"

namespace expirer {
namespace {

constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
constexpr TimerEntry kLast{kNever, std::numeric_limits<uint64_t>::max()};

}  // namespace

absl::Status Dispatch::Run() {
  pushed_back_ = false;
  if (!MayFire()) return absl::OkStatus();
  size_t budget = core_.options.batch;
  // One scan a lane, kept while lanes take turns. It ends where this turn does: beyond,
  // rows that were moved away before their time stand by the hundred thousand.
  absl::flat_hash_map<Lane, std::unique_ptr<DueScan>> scans;
  while (budget > 0 && !pushed_back_) {
    LaneState* least = nullptr;
    TimerEntry next = kLast;  // head of the lane after it
    for (LaneState& lane : core_.lanes.all()) {
      if (FireMs(lane) > core_.now.wall_ms) continue;
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
      scan =
          core_.store.ScanDue(least->lane, std::min(core_.now.wall_ms, OpenTo(*least)));
    RETURN_IF_ERROR(RunLane(least, next, scan.get(), &budget));
  }
  if (budget < core_.options.batch) core_.egress.Flush();
  return absl::OkStatus();
}

// Sends the lane's due jobs up to `until`, another lane's head.
absl::Status Dispatch::RunLane(LaneState* lane, TimerEntry until, DueScan* scan,
                               size_t* budget) {
  // Rows between two heads are other keys' that moved in meanwhile or are in
  // flight: a few Nexts are cheaper than a Seek.
  constexpr int kNextsMax = 8;
  bool positioned = false;
  while (*budget > 0 && !pushed_back_ && FireMs(*lane) <= core_.now.wall_ms) {
    const TimerEntry head = lane->window.top();
    if (until < head) break;
    --*budget;
    if (core_.in_flight.Holds(head.seq) || core_.turn.Dropped(head.seq)) {
      lane->window.Pop();
      continue;
    }
    if (core_.jobs.Waits(head.seq)) {  // out of the window until that attempt ends
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
    RETURN_IF_ERROR(Send(lane, key, scan->value()));
  }
  return absl::OkStatus();
}

// Sends one row, unless the lane has to wait (resolving) or all have (pushed_back_).
absl::Status Dispatch::Send(LaneState* lane, const JobKey& key, std::string_view row) {
  if (const absl::Status decoded = DecodeJob(row, &view_); !decoded.ok()) {
    lane->window.Pop();
    core_.jobs.Quarantine(*lane, key, row, decoded);
    return absl::OkStatus();
  }
  if (core_.past.MayHaveFired(key.seq, view_.due_ms)) {
    lane->window.Pop();
    core_.jobs.Close(core_.jobs.Describe(key, view_),
                     JobEnd::Dead(DeadKind::kMayHaveFired, row, "may have fired"));
    return absl::OkStatus();
  }
  if (JudgeLate(lane, key, row)) return absl::OkStatus();
  const Queue& queue = core_.queues[lane->queue];
  std::string why;
  // Behind those that wait for the same target, although it may be known by now.
  const bool behind = queue.via == Transport::kJetStream && aside_.Holds(view_.target);
  const Egress::Target target = behind
                                    ? Egress::Target::kResolving
                                    : core_.egress.Resolve(queue.via, view_.target, &why);
  switch (target) {
    case Egress::Target::kReady: break;
    case Egress::Target::kResolving:
      if (PutAside(lane, key)) return absl::OkStatus();
      [[fallthrough]];
    case Egress::Target::kDown: lane->resolving = true; return absl::OkStatus();
    case Egress::Target::kRefused:
    case Egress::Target::kUnknown:
      lane->window.Pop();
      RETURN_IF_ERROR(core_.attempts.Retry(core_.jobs.Describe(key, view_),
                                           target == Egress::Target::kUnknown
                                               ? AttemptEnd::kNoLeader
                                               : AttemptEnd::kNoStream,
                                           why));
      return absl::OkStatus();
  }
  const auto& headers =
      headers_.Build({core_.options.name, queue.first_name, queue.name},
                     core_.streams.NameOf(view_.source.stream), view_, view_.sends + 1);
  const uint64_t number = core_.in_flight.next();
  const bool sent =
      core_.egress.Publish(number, queue.via, view_.target, headers, view_.body);
  if (!sent) {
    pushed_back_ = true;
    return absl::OkStatus();
  }
  lane->window.Pop();
  lane->out.insert(TimerEntry{key.key_ms, key.seq});
  core_.in_flight.Begin(std::make_unique<InFlight>(core_.jobs.Describe(key, view_)),
                        core_.now.mono_ms + core_.options.publish_timeout_ms);
  core_.past.Forget(key.seq);
  core_.gates.Begin(queue.rule);
  CountSent(lane->queue);
  return absl::OkStatus();
}

int64_t Dispatch::NextMs() const {
  if (!MayFire() || pushed_back_) return kNever;
  int64_t next_ms = kNever;
  for (const LaneState& lane : core_.lanes.all())
    next_ms = std::min(next_ms, std::max(FireMs(lane), core_.now.wall_ms));
  return next_ms;
}

bool Dispatch::MayFire() const { return core_.gates.open() && core_.ledger.MayFire(); }

// The latest row of the lane that may be sent at present.
int64_t Dispatch::OpenTo(const LaneState& lane) const {
  return lane.resolving ? std::numeric_limits<int64_t>::min()
                        : core_.gates.OpenTo(core_.RuleOf(lane));
}

// When the lane's first row may be sent; INT64_MAX if an event decides about that. One
// that is due waits for an event if it has no room or is not durable; one that Dispatch
// had no budget left for does not.
int64_t Dispatch::FireMs(const LaneState& lane) const {
  if (lane.window.empty()) return kNever;
  const TimerEntry& head = lane.window.top();
  if (head.key_ms > OpenTo(lane)) return kNever;
  const bool due = head.key_ms <= core_.now.wall_ms;
  if (due && !core_.gates.HasRoom(core_.RuleOf(lane), core_.in_flight.size()))
    return kNever;
  if (due && !core_.ledger.Durable(head.seq)) return kNever;
  return std::max(head.key_ms, core_.gates.NextAttemptMs(core_.RuleOf(lane)));
}

// True when the rule's `late` takes the job of view_ away: it fell due while no process
// ran, and was found too late.
bool Dispatch::JudgeLate(LaneState* lane, const JobKey& key, std::string_view row) {
  const LatePolicy& late = core_.queues[lane->queue].late;
  if (late.action == LateAction::kFire || view_.late_judged) return false;
  const int64_t late_ms = core_.past.LatenessMs(view_.due_ms);
  if (late_ms == 0 || late_ms <= late.after_ms) return false;
  if (late.action == LateAction::kDead && core_.DeadFull()) return false;
  lane->window.Pop();
  core_.jobs.Close(core_.jobs.Describe(key, view_),
                   Lifecycle::AsLate(late, row, "found too late after a restart"));
  return true;
}

// The job of view_, until its target is known. False where too many wait so already.
bool Dispatch::PutAside(LaneState* lane, const JobKey& key) {
  if (!MayTake(lane->aside, aside_.size(), Aside::kRowsMax)) return false;
  lane->window.Pop();
  lane->out.insert(TimerEntry{key.key_ms, key.seq});
  ++lane->aside;
  aside_.Add(view_.target, key);
  return true;
}

void Dispatch::EndResolving(std::string_view target) {
  for (LaneState& lane : core_.lanes.all()) lane.resolving = false;
  for (const JobKey& row : aside_.Take(target)) {
    LaneState& lane = core_.lanes.Numbered(row.lane);
    --lane.aside;
    if (core_.in_flight.Holds(row.seq)) continue;  // it stood in the window, too
    // Gone by now where its key was moved or cancelled.
    const TimerEntry entry{row.key_ms, row.seq};
    if (lane.out.erase(entry) > 0) lane.window.PutBack(entry);
  }
}

// The job of view_; says so if its rule's `late` fires it.
void Dispatch::CountSent(QueueIndex queue) {
  ++core_.stats.published;
  // A late cancel's due time is that of the fire it came after.
  const int64_t late_ms =
      core_.now.wall_ms -
      (core_.queues[queue].late_cancels ? view_.stored_ms : view_.due_ms);
  core_.stats.sent_late_ms.Add(late_ms);
  // Else one job that fails for hours would look like many that are late.
  if (view_.sends > 0) return;
  core_.stats.outcomes[queue].lateness_ms.Add(late_ms);
  const LatePolicy& late = core_.queues[queue].late;
  if (late.action != LateAction::kFire || view_.late_judged ||
      !core_.jobs.Announces(JobEvent::kLate, queue))
    return;
  const int64_t found_late_ms = core_.past.LatenessMs(view_.due_ms);
  if (found_late_ms > late.after_ms)
    core_.jobs.Announce(JobEvent::kLate, queue, view_.key, view_.due_ms,
                        {.target = view_.target,
                         .reason = "found late after a restart",
                         .lateness_ms = found_late_ms});
}

}  // namespace expirer
