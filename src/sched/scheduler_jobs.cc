// What becomes of jobs: opened, taken away, fired, retried, given up.

#include <algorithm>

#include "base/check.h"
#include "base/log.h"
#include "base/mutant.h"
#include "job/fired.h"
#include "sched/scheduler.h"

namespace expirer {
namespace {

bool IsRefusal(AttemptEnd end) {
  return end == AttemptEnd::kRefused || end == AttemptEnd::kNever;
}

FailureKind KindOf(AttemptEnd end) {
  switch (end) {
    case AttemptEnd::kNoStream:
    case AttemptEnd::kNoLeader: return FailureKind::kNoStream;
    case AttemptEnd::kRetry: return FailureKind::kTryAgain;
    case AttemptEnd::kTimedOut: return FailureKind::kTimedOut;
    default: return FailureKind::kRefused;
  }
}

}  // namespace

RegisterPolicy Scheduler::Policy(QueueIndex queue) const {
  return {queues_[queue].reopen, options_.history_ms};
}

// The register of an attempt's own generation, as it was when it began.
Register Scheduler::LiveRegister(const InFlight& attempt) {
  Register reg;
  reg.state =
      lanes_.Numbered(attempt.row.lane).retry ? JobState::kRetrying : JobState::kPending;
  reg.schedule = Register::Schedule{attempt.source, attempt.due_ms};
  reg.job = attempt.row;
  return reg;
}

std::string Scheduler::IdOf(const InFlight& attempt) {
  return MakeId(queues_[lanes_.Numbered(attempt.row.lane).queue].name, attempt.key);
}

// Where the job waits next. Its row gets a number of its own, so that the row itself says
// whether an earlier process may have sent it.
JobKey Scheduler::Place(LaneState* lane, int64_t at_ms, const Job& job,
                        const std::string& id, const Register* from, Register to) {
  const JobKey row{lane->lane, at_ms, turn_.TakeSeq()};
  turn_.PutRow(lane, row, job.due_ms, EncodeJob(job));
  to.state = lane->retry ? JobState::kRetrying : JobState::kPending;
  to.job = row;
  to.brief = BriefOf(job);
  turn_.Put(id, from, std::move(to));
  return row;
}

absl::StatusOr<bool> Scheduler::ReuseIfSame(const std::string& id, const Job& job,
                                            const Register& known) {
  if (!IsLive(known.state) || known.schedule->due_ms != job.due_ms) return false;
  std::string row;
  ASSIGN_OR_RETURN(const bool found, turn_.ReadRow(*known.job, &row));
  JobView view;
  if (!found || !DecodeJob(row, &view).ok() || !SameContent(view, job)) return false;
  ASSIGN_OR_RETURN(Job kept, DecodeJob(row));
  if (kept.id_form == IdForm::kSource) {
    kept.id_form = IdForm::kGiven;
    kept.id_source = SourceHash(streams_.NameOf(kept.source.stream), kept.source);
  }
  kept.source = job.source;
  turn_.RewriteRow(*known.job, EncodeJob(kept));
  if (InFlight* const attempt = in_flight_.OfRow(known.job->seq))
    attempt->source = job.source;
  ++stats_.unchanged;
  Register to = known;
  to.schedule->position = job.source;
  turn_.Put(id, &known, to);
  return true;
}

InFlight* Scheduler::AttemptOf(const JobKey& row) {
  const auto waiting = waiting_.find(row.seq);
  return in_flight_.OfRow(waiting == waiting_.end() ? row.seq : waiting->second);
}

// `not_before_ms`: when its first attempt may begin, where that is later than
// its due time.
void Scheduler::OpenJob(QueueIndex queue, const std::string& id, Job job,
                        const std::optional<Register>& known, Register reg,
                        int64_t not_before_ms) {
  const Register* from = known ? &*known : nullptr;
  // An attempt at the same due time is out: this job waits for how it ends. Should
  // this process end before that, it is a job like any other.
  InFlight* attempt = known && known->job ? AttemptOf(*known->job) : nullptr;
  if (attempt != nullptr && attempt->due_ms != job.due_ms) attempt = nullptr;
  if (known && !IsClosed(known->state)) {
    TakeAway(queues_[queue].name, job.key, *known, InFlight::Fate::kReplaced);
    ++stats_.moved;
    ++OutcomesOf(queue).moved;
  }
  ++stats_.scheduled;
  ++OutcomesOf(queue).scheduled;
  job.stored_ms = now_.wall_ms;
  const LatePolicy& late = queues_[queue].late;
  const int64_t late_ms = now_.wall_ms - job.due_ms;
  const bool too_late = attempt == nullptr && !job.late_judged &&
                        late.action != LateAction::kFire && late_ms > 0 &&
                        late_ms > late.after_ms &&
                        (late.action != LateAction::kDead || !DeadFull());
  job.late_judged = job.late_judged || late_ms > 0;
  LaneState& lane = lanes_.First(queue);
  const int64_t at_ms = std::max({job.due_ms, now_.wall_ms, not_before_ms});
  if (too_late) {  // closed before it was ever live: no row is written
    InFlight never;
    never.row = {lane.lane, at_ms, turn_.TakeSeq()};
    never.key = job.key;
    never.due_ms = job.due_ms;
    never.source = job.source;
    Close(never, from, std::move(reg), AsLate(late, EncodeJob(job), "came too late"));
    return;
  }
  const JobKey row = Place(&lane, at_ms, job, id, from, std::move(reg));
  if (attempt == nullptr) return;
  attempt->successor = row;
  waiting_[row.seq] = attempt->row.seq;
}

// The row or dead entry of a key that is about to get another register.
void Scheduler::TakeAway(std::string_view rule, std::string_view key,
                         const Register& known, InFlight::Fate fate) {
  if (known.state == JobState::kDead) {
    turn_.DropDead(DeadJobKey(rule, key));
    return;
  }
  // No caller has a closed one, and DecodeRegister refuses a live one without row.
  CHECK(IsLive(known.state) && known.job);
  turn_.DropRow(*known.job);
  lanes_.Forget(*known.job);
  unanswered_.erase(known.job->seq);
  const auto waiting = waiting_.find(known.job->seq);
  if (waiting == waiting_.end()) {
    in_flight_.SetFate(known.job->seq, fate);
    return;
  }
  InFlight* const attempt = in_flight_.OfRow(waiting->second);
  attempt->successor.reset();
  if (fate == InFlight::Fate::kCancelled) attempt->fate = fate;
  lanes_.Numbered(known.job->lane)
      .out.erase(TimerEntry{known.job->key_ms, known.job->seq});
  waiting_.erase(waiting);
}

// What the newer schedule asked for, a fire at that due time, has happened.
absl::Status Scheduler::CloseSuccessor(const InFlight& attempt) {
  const JobKey& row = *attempt.successor;
  LaneState& lane = lanes_.Numbered(row.lane);
  const std::string id = MakeId(queues_[lane.queue].name, attempt.key);
  ASSIGN_OR_RETURN(const std::optional<Register> known, turn_.Known(id));
  waiting_.erase(row.seq);
  lane.out.erase(TimerEntry{row.key_ms, row.seq});
  if (!known || known->job != row)
    return Corrupt("the register of " + JobName(queues_[lane.queue].name, attempt.key) +
                   " names another row than the one that waits for its attempt");
  turn_.DropRow(row);
  Close(attempt, &*known, *known, {JobState::kFired});
  return absl::OkStatus();
}

void Scheduler::ReleaseSuccessor(const InFlight& attempt) {
  if (!attempt.successor) return;
  const TimerEntry entry{attempt.successor->key_ms, attempt.successor->seq};
  waiting_.erase(entry.seq);
  LaneState& lane = lanes_.Numbered(attempt.successor->lane);
  if (lane.out.erase(entry) > 0) lane.window.PutBack(entry);
  ahead_rows_.NotePutBack(entry.key_ms);
}

void Scheduler::NoteFire(const InFlight& attempt, Register* reg) const {
  reg->times =
      Times{attempt.received_ms, attempt.stored_ms, attempt.published_ms, now_.wall_ms};
  reg->collision = attempt.collision;
}

// The job of the attempt, or the one described so, ends.
void Scheduler::Close(const InFlight& attempt, End end) {
  if (end.state == JobState::kDead && end.kind != DeadKind::kMayHaveFired) {
    const std::string& name = queues_[lanes_.Numbered(attempt.row.lane).queue].name;
    LogGathered(Level::kError, "a job is given up and kept in the dead store", name,
                kDeadReasons[static_cast<size_t>(end.kind)],
                {{"job", JobName(name, attempt.key)},
                 {"target", attempt.target},
                 {"why", end.reason}});
  }
  turn_.DropRow(attempt.row);
  const Register from = LiveRegister(attempt);
  Close(attempt, &from, from, std::move(end));
}

// `from`: the key's register so far. `to`: its new one; Close adds how the job ended.
void Scheduler::Close(const InFlight& attempt, const Register* from, Register to,
                      End end) {
  const QueueIndex queue = lanes_.Numbered(attempt.row.lane).queue;
  to.state = end.state;
  to.job = attempt.row;
  to.brief.reset();
  if (IsClosed(end.state))
    to.expires_ms = ExpiryMs(now_.wall_ms, attempt.due_ms, Policy(queue));
  if (end.state == JobState::kFired) NoteFire(attempt, &to);
  if (end.state == JobState::kSkipped) {
    ++stats_.skipped;
    ++OutcomesOf(queue).skipped;
  }
  if (end.state == JobState::kDead) {
    CountDead(queue, end.kind);
    if (end.kind == DeadKind::kMayHaveFired) ++stats_.may_have_fired;
    if (attempt.unanswered || end.kind == DeadKind::kMayHaveFired)
      MarkUnanswered(&end.row);
    Dead dead;
    dead.reason = std::move(end.reason);
    dead.at_ms = now_.wall_ms;
    dead.source = attempt.source;
    dead.job_row = std::move(end.row);
    turn_.PutDead(DeadJobKey(queues_[queue].name, attempt.key), dead);
  }
  turn_.Put(IdOf(attempt), from, std::move(to));
}

// By a rule's `late`.
Scheduler::End Scheduler::AsLate(const LatePolicy& late, std::string row,
                                 std::string reason) {
  if (late.action == LateAction::kSkip) return {JobState::kSkipped};
  return {JobState::kDead, DeadKind::kTooLate, std::move(row), std::move(reason)};
}

// A cancel removes the key's job; `to` is the key's new register. Returns whether an
// attempt of the job may have been stored.
absl::StatusOr<bool> Scheduler::CloseCancelled(std::string_view rule,
                                               std::string_view key,
                                               const Register& known, Register* to) {
  ASSIGN_OR_RETURN(const bool sent, MaybeSent(rule, key, known));
  if (!sent) to->job.reset();
  if (InFlight* const attempt = known.job ? AttemptOf(*known.job) : nullptr)
    to->job = attempt->row;
  TakeAway(rule, key, known, InFlight::Fate::kCancelled);
  ++(sent ? stats_.too_late : stats_.cancelled);
  const std::optional<QueueIndex> queue = queues_.Find(rule);
  if (!sent && queue) ++OutcomesOf(*queue).cancelled;
  return sent;
}

// A cancel came while the attempt was in flight, and the attempt succeeded:
// the key fired, and keeps the cancel it had too late.
absl::Status Scheduler::CloseCancelledAsFired(const InFlight& attempt) {
  const LaneState& lane = lanes_.Numbered(attempt.row.lane);
  const std::string id = MakeId(queues_[lane.queue].name, attempt.key);
  ASSIGN_OR_RETURN(const std::optional<Register> known, turn_.Known(id));
  const bool same = known && known->state == JobState::kCancelled && known->job &&
                    *known->job == attempt.row;
  if (!same) return absl::OkStatus();
  Register to = *known;
  to.state = JobState::kFired;
  // An older schedule may have come meanwhile: what fired is the attempt's due.
  to.schedule->due_ms = attempt.due_ms;
  NoteFire(attempt, &to);
  turn_.Put(id, &*known, to);
  return absl::OkStatus();
}

// A cancel came after the fire, or while nobody knows whether there is one: what
// it publishes becomes a job, once per fire, whose due time is the fire's.
absl::Status Scheduler::OpenLateCancel(MessageRequest* message, LateCancel* late,
                                       const Position& position,
                                       const CancelFindings& found) {
  const QueueIndex queue = queues_.LateCancels(message->rule);
  const int64_t fire_ms = found.fired_ms ? *found.fired_ms : found.attempt->due_ms;
  const std::string id = MakeId(queues_[queue].name, late->job.key);
  ASSIGN_OR_RETURN(const std::optional<Register> known, turn_.Known(id));
  if (known && known->schedule && known->schedule->due_ms == fire_ms &&
      known->state != JobState::kCancelled) {
    if (!IsClosed(known->state)) return absl::OkStatus();
    // Kept as long as the fire's own key, which this cancel has just renewed.
    Register renewed = *known;
    renewed.expires_ms =
        std::max(known->expires_ms, ExpiryMs(now_.wall_ms, 0, Policy(queue)));
    turn_.Put(id, &*known, renewed);
    return absl::OkStatus();
  }
  if (!late->trouble.empty())
    return KeepReject(message, queues_[queue].name, position,
                      RejectIntent{late->trouble, RejectKind::kContent}, "");
  Job job = std::move(late->job);
  job.due_ms = fire_ms;
  job.source = position;
  job.received_ms = message->received_ms;
  Register reg;
  reg.schedule = Register::Schedule{position, fire_ms};
  // Should this process end before the attempt does, it fires by itself: in
  // doubt there was a fire.
  const bool in_doubt = !found.fired_ms;
  if (in_doubt) found.attempt->has_late_cancel = true;
  OpenJob(queue, id, std::move(job), known, std::move(reg),
          in_doubt ? now_.wall_ms + options_.publish_timeout_ms : 0);
  return absl::OkStatus();
}

// The attempt that a late cancel's job waited for has ended.
absl::Status Scheduler::DecideLateCancel(const InFlight& attempt, bool fired) {
  if (!attempt.has_late_cancel) return absl::OkStatus();
  const LaneState& lane = lanes_.Numbered(attempt.row.lane);
  const QueueIndex queue = queues_.LateCancels(queues_[lane.queue].rule);
  const std::string id = MakeId(queues_[queue].name, attempt.key);
  ASSIGN_OR_RETURN(const std::optional<Register> known, turn_.Known(id));
  const bool waiting = known && known->state == JobState::kPending && known->job &&
                       known->schedule->due_ms == attempt.due_ms &&
                       !in_flight_.Holds(known->job->seq);
  if (!waiting) return absl::OkStatus();
  Register to = *known;
  if (!fired) {
    TakeAway(queues_[queue].name, attempt.key, *known, InFlight::Fate::kCancelled);
    to.state = JobState::kCancelled;
    to.cancel = known->schedule->position;
    to.expires_ms = ExpiryMs(now_.wall_ms, attempt.due_ms, Policy(queue));
    turn_.Put(id, &*known, to);
    return absl::OkStatus();
  }
  std::string row;
  ASSIGN_OR_RETURN(const bool found, turn_.ReadRow(*known->job, &row));
  if (!found) return absl::OkStatus();
  ASSIGN_OR_RETURN(const Job job, DecodeJob(row));
  turn_.DropRow(*known->job);
  lanes_.Forget(*known->job);
  Place(&lanes_.First(queue), std::max(job.due_ms, now_.wall_ms), job, id, &*known, to);
  return absl::OkStatus();
}

void Scheduler::CountFailure(QueueIndex queue, FailureKind kind) {
  ++OutcomesOf(queue).failed_by[static_cast<size_t>(kind)];
}

// An attempt ended without a confirmation.
absl::Status Scheduler::Retry(const InFlight& attempt, AttemptEnd end,
                              std::string_view why) {
  LaneState& lane = lanes_.Numbered(attempt.row.lane);
  CountFailure(lane.queue, KindOf(end));
  ReleaseSuccessor(attempt);
  // Cancelled or replaced meanwhile: no further attempt of this generation.
  if (attempt.fate != InFlight::Fate::kCurrent) {
    // In doubt (no answer, or a strange one) it counts as fired.
    const bool refused =
        end == AttemptEnd::kNoStream || end == AttemptEnd::kNoLeader || IsRefusal(end);
    return refused ? DecideLateCancel(attempt, false) : absl::OkStatus();
  }
  const Queue& queue = queues_[lane.queue];
  std::string row;
  ASSIGN_OR_RETURN(const bool found, turn_.ReadRow(attempt.row, &row));
  if (!found)
    return Corrupt("the row of " + JobName(queue.name, attempt.key) +
                   " is gone while its attempt was in flight");
  const std::string id = IdOf(attempt);
  const auto counts = counts_.rules().find(queue.name);
  const uint64_t waiting = counts == counts_.rules().end() ? 0 : counts->second.retrying;
  auto next = Decide(queue.retry, {id, attempt.sends, attempt.counted_attempts, waiting},
                     end, why, now_.wall_ms);
  ASSIGN_OR_RETURN(Job job, DecodeJob(row));
  job.sends += 1;
  if (auto* dead = std::get_if<MoveToDead>(&next)) {
    if (!DeadFull()) {
      Close(attempt,
            {JobState::kDead,
             end == AttemptEnd::kNever ? DeadKind::kUndeliverable : DeadKind::kRefused,
             EncodeJob(job), std::move(dead->reason)});
      return absl::OkStatus();
    }
    // The dead store is full: nothing is dropped, so it is tried on.
    next = RetryAt{now_.wall_ms + queue.retry.max_ms, false};
  }
  // Only a refusal says that the message was not stored.
  job.unanswered =
      attempt.unanswered || end == AttemptEnd::kTimedOut || end == AttemptEnd::kRetry;
  job.last_error = why.substr(0, kErrorBytesMax);
  LogGathered(Level::kWarn, "an attempt failed: to be retried", queue.name,
              kFailureReasons[static_cast<size_t>(KindOf(end))],
              {{"job", JobName(queue.name, attempt.key)},
               {"target", attempt.target},
               {"why", why}});
  MoveToRetry(attempt, std::move(job), std::get<RetryAt>(next));
  return absl::OkStatus();
}

void Scheduler::MoveToRetry(const InFlight& attempt, Job job, const RetryAt& when) {
  const LaneState& lane = lanes_.Numbered(attempt.row.lane);
  LaneState& retry = lanes_.Retry(lane.queue);
  const Register from = LiveRegister(attempt);
  ++stats_.retries;
  ++OutcomesOf(lane.queue).retries;
  job.counted_attempts += when.counted ? 1 : 0;
  turn_.DropRow(attempt.row);
  // The due time, too: the clock may have stepped back behind it (I6).
  Place(&retry, std::max({when.at_ms, job.due_ms, now_.wall_ms}), job, IdOf(attempt),
        &from, from);
}

// Only rows in the store can be judged, so it does nothing while changes are staged.
absl::Status Scheduler::JudgeTimesAnew() {
  if (!ahead_rows_.scanning() || !turn_.empty()) return absl::OkStatus();
  const auto judge = [this](const LaneState& of, const JobKey& key,
                            std::string_view row) { return JudgeTimeAnew(of, key, row); };
  ASSIGN_OR_RETURN(const size_t moved,
                   ahead_rows_.Scan(*store_, lanes_, now_.wall_ms, judge));
  moved_back_ += moved;
  if (ahead_rows_.scanning() || moved_back_ == 0) return absl::OkStatus();
  Log(Level::kWarn,
      "the clock was ahead and was set back: overdue jobs and further attempts do not "
      "wait until it shows that time again",
      {{"jobs", std::exchange(moved_back_, 0)}});
  return absl::OkStatus();
}

// Moves a row that is later than if it were written now. Returns whether it moved it.
absl::StatusOr<bool> Scheduler::JudgeTimeAnew(const LaneState& of, const JobKey& key,
                                              std::string_view row) {
  if (HasAttempt(key.seq)) return false;  // until that has ended
  ASSIGN_OR_RETURN(Job job, DecodeJob(row));
  const Queue& queue = queues_[of.queue];
  const std::string id = MakeId(queue.name, job.key);
  int64_t wait_ms = queue.late_cancels ? options_.publish_timeout_ms : 0;
  if (of.retry)
    wait_ms = DeadFull() ? queue.retry.max_ms : BackoffMs(queue.retry, id, job.sends);
  int64_t at_ms = std::max(job.due_ms, now_.wall_ms + wait_ms);
  if (at_ms >= key.key_ms) return false;
  RETURN_IF_ERROR(DecodeJob(row, &view_));
  const InFlight described = Describe(key, view_);
  // A first attempt's row at its due time says that there was none (MaybeSent).
  if (described.unanswered && !of.retry) at_ms = std::max(at_ms, job.due_ms + 1);
  ASSIGN_OR_RETURN(const std::optional<Register> known, turn_.Known(id));
  if (at_ms >= key.key_ms || !known || known->job != key) return false;
  lanes_.Forget(key);
  unanswered_.erase(key.seq);
  if (rebuild_.MayHaveFired(key.seq, job.due_ms)) {
    Close(described,
          {JobState::kDead, DeadKind::kMayHaveFired, std::string(row), "may have fired"});
    return true;
  }
  job.unanswered = described.unanswered;
  turn_.DropRow(key);
  Place(&lanes_.Numbered(of.lane), at_ms, job, id, &*known, *known);
  return true;
}

// A row that no version of expirer wrote: kept as it is, so that nothing is
// lost, and out of the way, so that it stops nothing else.
void Scheduler::Quarantine(const LaneState& lane, const JobKey& key, std::string_view row,
                           const absl::Status& why) {
  const std::string& rule = queues_[lane.queue].name;
  CountDead(lane.queue, DeadKind::kMalformed);
  LogGathered(Level::kError, "a stored job cannot be read and is kept in the dead store",
              rule, kDeadReasons[static_cast<size_t>(DeadKind::kMalformed)],
              {{"key_ms", key.key_ms}, {"seq", key.seq}, {"why", Message(why)}});
  turn_.DropRow(key);
  turn_.PutDead(DeadJobKey(rule, "malformed-" + std::to_string(key.seq)),
                {false, Message(why), now_.wall_ms, {}, "", {}, std::string(row), ""});
  // Whose key it was nobody knows, so its register stays live, and counted so,
  // until a newer event of the key finds it.
  counts_.Add(rule, &RuleCounts::dead_jobs, +1);
}

void Scheduler::CountDead(QueueIndex queue, DeadKind kind) {
  ++stats_.dead;
  Outcomes& outcomes = OutcomesOf(queue);
  ++outcomes.dead;
  ++outcomes.dead_by[static_cast<size_t>(kind)];
}

}  // namespace expirer
