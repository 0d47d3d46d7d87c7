#include "sched/lifecycle.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/check.h"
#include "base/log.h"
#include "base/rfc3339.h"
#include "json/writer.h"
#include "sched/core.h"

namespace expirer {

void Lifecycle::Open(QueueIndex queue, const std::string& id, Job job,
                     const std::optional<Register>& known, Register reg,
                     int64_t not_before_ms) {
  const Register* from = known ? &*known : nullptr;
  // An attempt at the same due time is out: this job waits for how it ends. Should
  // this process end before that, it is a job like any other.
  InFlight* attempt = known && known->job ? AttemptOf(*known->job) : nullptr;
  if (attempt != nullptr && attempt->due_ms != job.due_ms) attempt = nullptr;
  const bool moved = known && !IsClosed(known->state);
  if (moved) {
    TakeAway(core_.queues[queue].name, job.key, *known, InFlight::Fate::kReplaced);
    core_.Count(&Outcomes::moved, queue);
  }
  core_.Count(&Outcomes::scheduled, queue);
  Announce(moved ? JobEvent::kMoved : JobEvent::kScheduled, queue, job.key, job.due_ms,
           {.target = job.target});
  job.stored_ms = core_.now.wall_ms;
  const LatePolicy& late = core_.queues[queue].late;
  const int64_t late_ms = core_.now.wall_ms - job.due_ms;
  const bool too_late = attempt == nullptr && !job.late_judged &&
                        late.action != LateAction::kFire && late_ms > 0 &&
                        late_ms > late.after_ms &&
                        (late.action != LateAction::kDead || !core_.DeadFull());
  if (late.action == LateAction::kFire && !job.late_judged && late_ms > 0 &&
      late_ms > late.after_ms)
    Announce(JobEvent::kLate, queue, job.key, job.due_ms,
             {.target = job.target, .reason = "came too late", .lateness_ms = late_ms});
  job.late_judged = job.late_judged || late_ms > 0;
  LaneState& lane = core_.lanes.First(queue);
  const int64_t at_ms = std::max({job.due_ms, core_.now.wall_ms, not_before_ms});
  if (too_late) {  // closed before it was ever live: no row is written
    InFlight never;
    never.row = {lane.lane, at_ms, core_.turn.TakeSeq()};
    never.key = job.key;
    never.target = job.target;
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

absl::StatusOr<bool> Lifecycle::ReuseIfSame(const std::string& id, const Job& job,
                                            const Register& known) {
  if (!IsLive(known.state) || known.schedule->due_ms != job.due_ms) return false;
  std::string row;
  ASSIGN_OR_RETURN(const bool found, core_.turn.ReadRow(*known.job, &row));
  JobView view;
  if (!found || !DecodeJob(row, &view).ok() || !SameContent(view, job)) return false;
  ASSIGN_OR_RETURN(Job kept, DecodeJob(row));
  if (kept.id_form == IdForm::kSource) {
    kept.id_form = IdForm::kGiven;
    kept.id_source = SourceHash(core_.streams.NameOf(kept.source.stream), kept.source);
  }
  kept.source = job.source;
  core_.turn.RewriteRow(*known.job, EncodeJob(kept));
  if (InFlight* const attempt = core_.in_flight.OfRow(known.job->seq))
    attempt->source = job.source;
  ++core_.stats.unchanged;
  Register to = known;
  to.schedule->position = job.source;
  core_.turn.Put(id, &known, to);
  return true;
}

JobKey Lifecycle::Place(LaneState* lane, int64_t at_ms, const Job& job,
                        const std::string& id, const Register* from, Register to) {
  const JobKey row{lane->lane, at_ms, core_.turn.TakeSeq()};
  core_.turn.PutRow(lane, row, job.due_ms, EncodeJob(job));
  to.state = lane->retry ? JobState::kRetrying : JobState::kPending;
  to.job = row;
  to.brief = BriefOf(job);
  core_.turn.Put(id, from, std::move(to));
  return row;
}

absl::StatusOr<bool> Lifecycle::JudgeTimeAnew(const LaneState& of, const JobKey& key,
                                              std::string_view row) {
  if (HasAttempt(key.seq)) return false;  // until that has ended
  ASSIGN_OR_RETURN(Job job, DecodeJob(row));
  const Queue& queue = core_.queues[of.queue];
  const std::string id = MakeId(queue.name, job.key);
  int64_t wait_ms = queue.late_cancels ? core_.options.publish_timeout_ms : 0;
  if (of.retry)
    wait_ms =
        core_.DeadFull() ? queue.retry.max_ms : BackoffMs(queue.retry, id, job.sends);
  int64_t at_ms = std::max(job.due_ms, core_.now.wall_ms + wait_ms);
  if (at_ms >= key.key_ms) return false;
  JobView view;
  RETURN_IF_ERROR(DecodeJob(row, &view));
  const InFlight described = Describe(key, view);
  // A first attempt's row at its due time says that there was none (MaybeSent).
  if (described.unanswered && !of.retry) at_ms = std::max(at_ms, job.due_ms + 1);
  ASSIGN_OR_RETURN(const std::optional<Register> known, core_.turn.Known(id));
  if (at_ms >= key.key_ms || !known || known->job != key) return false;
  core_.lanes.Forget(key);
  core_.past.Forget(key.seq);
  if (core_.past.MayHaveFired(key.seq, job.due_ms)) {
    Close(described, JobEnd::Dead(DeadKind::kMayHaveFired, row, "may have fired"));
    return true;
  }
  job.unanswered = described.unanswered;
  core_.turn.DropRow(key);
  Place(&core_.lanes.Numbered(of.lane), at_ms, job, id, &*known, *known);
  return true;
}

void Lifecycle::TakeAway(std::string_view rule, std::string_view key,
                         const Register& known, InFlight::Fate fate) {
  if (known.state == JobState::kDead) {
    core_.turn.DropDead(DeadJobKey(rule, key));
    return;
  }
  // No caller has a closed one, and DecodeRegister refuses a live one without row.
  CHECK(IsLive(known.state) && known.job);
  core_.turn.DropRow(*known.job);
  core_.lanes.Forget(*known.job);
  core_.past.Forget(known.job->seq);
  const auto waiting = waiting_.find(known.job->seq);
  if (waiting == waiting_.end()) {
    core_.in_flight.SetFate(known.job->seq, fate);
    return;
  }
  InFlight* const attempt = core_.in_flight.OfRow(waiting->second);
  attempt->successor.reset();
  if (fate == InFlight::Fate::kCancelled) attempt->fate = fate;
  core_.lanes.Numbered(known.job->lane)
      .out.erase(TimerEntry{known.job->key_ms, known.job->seq});
  waiting_.erase(waiting);
}

absl::StatusOr<bool> Lifecycle::CloseCancelled(std::string_view rule,
                                               std::string_view key,
                                               const Register& known, Register* to) {
  ASSIGN_OR_RETURN(const bool sent, MaybeSent(rule, key, known));
  if (!sent) to->job.reset();
  if (InFlight* const attempt = known.job ? AttemptOf(*known.job) : nullptr)
    to->job = attempt->row;
  TakeAway(rule, key, known, InFlight::Fate::kCancelled);
  if (sent) {
    ++core_.stats.too_late;
  } else if (const std::optional<QueueIndex> queue = core_.queues.Find(rule)) {
    core_.Count(&Outcomes::cancelled, *queue);
    Announce(JobEvent::kCancelled, *queue, key, known.schedule->due_ms,
             {.target = known.brief ? known.brief->target : std::string_view()});
  } else {
    ++core_.stats.cancelled;
  }
  return sent;
}

Position Lifecycle::PositionNow(const Register& known) {
  Position position;
  position.seq = core_.turn.TakeSeq();
  position.time_ns = core_.now.wall_ms * 1'000'000;
  const auto follow = [&position](const Position& other) {
    position.time_ns = std::max(position.time_ns, other.time_ns + 1);
    position.version = std::max(position.version, other.version);  // none is the least
  };
  if (known.schedule) follow(known.schedule->position);
  if (known.cancel) follow(*known.cancel);
  return position;
}

absl::StatusOr<bool> Lifecycle::CancelNow(std::string_view rule, std::string_view key,
                                          const Register& known) {
  const std::optional<QueueIndex> queue = core_.queues.Find(rule);
  const RegisterPolicy policy =
      queue ? core_.Policy(*queue) : RegisterPolicy{true, core_.options.history_ms};
  CancelResult result = ApplyCancel(known, PositionNow(known), policy, core_.now.wall_ms);
  bool too_late = known.state != JobState::kCancelled;
  if (result.effect == CancelEffect::kClose) {
    ASSIGN_OR_RETURN(too_late, CloseCancelled(rule, key, known, &result.reg));
  } else {
    // Closed already. Cancelled, but an attempt may have been stored by then.
    too_late = too_late || known.job.has_value();
    if (too_late) ++core_.stats.too_late;
  }
  if (result.effect != CancelEffect::kNone)
    core_.turn.Put(MakeId(rule, key), &known, result.reg);
  return too_late;
}

void Lifecycle::Close(const InFlight& attempt, JobEnd end) {
  if (end.state == JobState::kDead && end.kind != DeadKind::kMayHaveFired) {
    const std::string& name =
        core_.queues[core_.lanes.Numbered(attempt.row.lane).queue].name;
    LogGathered(Level::kError, "a job is given up and kept in the dead store", name,
                kDeadReasons[static_cast<size_t>(end.kind)],
                {{"job", JobName(name, attempt.key)},
                 {"target", attempt.target},
                 {"why", end.reason}});
  }
  core_.turn.DropRow(attempt.row);
  const Register from = RegisterOf(attempt);
  Close(attempt, &from, from, std::move(end));
}

void Lifecycle::Close(const InFlight& attempt, const Register* from, Register to,
                      JobEnd end) {
  const QueueIndex queue = core_.lanes.Numbered(attempt.row.lane).queue;
  to.state = end.state;
  to.job = attempt.row;
  to.brief.reset();
  if (IsClosed(end.state))
    to.expires_ms = ExpiryMs(core_.now.wall_ms, attempt.due_ms, core_.Policy(queue));
  if (end.state == JobState::kFired) NoteFire(attempt, &to);
  const int64_t late_ms = core_.now.wall_ms - attempt.due_ms;
  const auto announce = [&](JobEvent what) {
    Announce(what, queue, attempt.key, attempt.due_ms,
             {.target = attempt.target, .reason = end.reason, .lateness_ms = late_ms});
  };
  const bool dead = end.state == JobState::kDead;
  if (end.state == JobState::kSkipped || (dead && end.kind == DeadKind::kTooLate))
    announce(JobEvent::kLate);
  if (end.state == JobState::kSkipped) {
    core_.Count(&Outcomes::skipped, queue);
    announce(JobEvent::kSkipped);
  }
  if (dead) {
    CountDead(queue, end.kind);
    announce(JobEvent::kDead);
    if (end.kind == DeadKind::kMayHaveFired) ++core_.stats.may_have_fired;
    if (attempt.unanswered || end.kind == DeadKind::kMayHaveFired)
      MarkUnanswered(&end.row);
    Dead entry;
    entry.reason = std::move(end.reason);
    entry.at_ms = core_.now.wall_ms;
    entry.source = attempt.source;
    entry.job_row = std::move(end.row);
    core_.turn.PutDead(DeadJobKey(core_.queues[queue].name, attempt.key), entry);
  }
  core_.turn.Put(IdOf(attempt), from, std::move(to));
}

JobEnd Lifecycle::AsLate(const LatePolicy& late, std::string_view row,
                         std::string_view reason) {
  if (late.action == LateAction::kSkip) return {JobState::kSkipped};
  return JobEnd::Dead(DeadKind::kTooLate, row, reason);
}

void Lifecycle::Quarantine(const LaneState& lane, const JobKey& key, std::string_view row,
                           const absl::Status& why) {
  const std::string& rule = core_.queues[lane.queue].name;
  CountDead(lane.queue, DeadKind::kMalformed);
  LogGathered(Level::kError, "a stored job cannot be read and is kept in the dead store",
              rule, kDeadReasons[static_cast<size_t>(DeadKind::kMalformed)],
              {{"key_ms", key.key_ms}, {"seq", key.seq}, {"why", Message(why)}});
  core_.turn.DropRow(key);
  Dead dead;
  dead.reason = Message(why);
  dead.at_ms = core_.now.wall_ms;
  dead.payload = row;
  core_.turn.PutDead(DeadJobKey(rule, "malformed-" + std::to_string(key.seq)), dead);
  // Whose key it was nobody knows, so its register stays live, and counted so,
  // until a newer event of the key finds it.
  core_.counts.Add(rule, &RuleCounts::dead_jobs, +1);
}

void Lifecycle::CountDead(QueueIndex queue, DeadKind kind) {
  core_.Count(&Outcomes::dead, queue);
  ++core_.stats.outcomes[queue].dead_by[static_cast<size_t>(kind)];
}

void Lifecycle::NoteFire(const InFlight& attempt, Register* reg) const {
  reg->times = {.received_ms = attempt.received_ms,
                .stored_ms = attempt.stored_ms,
                .published_ms = attempt.published_ms,
                .acked_ms = core_.now.wall_ms};
  reg->collision = attempt.collision;
  const QueueIndex queue = core_.lanes.Numbered(attempt.row.lane).queue;
  Announce(
      JobEvent::kFired, queue, attempt.key, attempt.due_ms,
      {.target = attempt.target, .lateness_ms = attempt.published_ms - attempt.due_ms});
}

bool Lifecycle::Announces(JobEvent what, QueueIndex queue) const {
  const RuleIndex rule = core_.queues[queue].rule;  // none for an orphan
  return rule < core_.rules.size() &&
         (core_.rules[rule].events >> static_cast<unsigned>(what) & 1U) != 0;
}

void Lifecycle::Announce(JobEvent what, QueueIndex queue, std::string_view key,
                         int64_t due_ms, const EventDetails& details) const {
  if (!Announces(what, queue)) return;
  const Queue& of = core_.queues[queue];
  const std::string& rule = core_.rules[of.rule].name;
  const std::string_view kind = kJobEvents[static_cast<size_t>(what)];
  Json body =
      JsonObject("kind", kind, "at", FormatRfc3339Ms(core_.now.wall_ms), "job",
                 JobName(of.name, key), "rule", rule, "due", FormatRfc3339Ms(due_ms),
                 "target", IfAny(details.target), "reason", IfAny(details.reason),
                 "lateness_ms", details.lateness_ms);
  core_.ledger.OnceDurable(
      [&inbound = core_.inbound, body = std::move(body.text),
       to = fmt::format("{}.v1.event.{}.{}", core_.options.name, kind, rule)] {
        inbound.Announce(to, body);
      });
}

absl::Status Lifecycle::CloseSuccessor(const InFlight& attempt) {
  const JobKey& row = *attempt.successor;
  LaneState& lane = core_.lanes.Numbered(row.lane);
  const std::string id = MakeId(core_.queues[lane.queue].name, attempt.key);
  ASSIGN_OR_RETURN(const std::optional<Register> known, core_.turn.Known(id));
  waiting_.erase(row.seq);
  lane.out.erase(TimerEntry{row.key_ms, row.seq});
  if (!known || known->job != row)
    return Corrupt("the register of " +
                   JobName(core_.queues[lane.queue].name, attempt.key) +
                   " names another row than the one that waits for its attempt");
  core_.turn.DropRow(row);
  Close(attempt, &*known, *known, {JobState::kFired});
  return absl::OkStatus();
}

void Lifecycle::ReleaseSuccessor(const InFlight& attempt) {
  if (!attempt.successor) return;
  const TimerEntry entry{attempt.successor->key_ms, attempt.successor->seq};
  waiting_.erase(entry.seq);
  LaneState& lane = core_.lanes.Numbered(attempt.successor->lane);
  if (lane.out.erase(entry) > 0) lane.window.PutBack(entry);
  core_.past.NotePutBack(entry.key_ms);
}

bool Lifecycle::HasAttempt(uint64_t seq) const {
  return core_.in_flight.Holds(seq) || waiting_.contains(seq);
}

InFlight* Lifecycle::AttemptOf(const JobKey& row) {
  const auto waiting = waiting_.find(row.seq);
  return core_.in_flight.OfRow(waiting == waiting_.end() ? row.seq : waiting->second);
}

absl::StatusOr<bool> Lifecycle::MaybeSent(std::string_view rule, std::string_view key,
                                          const Register& known) const {
  if (!known.job) return false;
  const JobKey& row_key = *known.job;
  if (HasAttempt(row_key.seq)) return true;
  if (IsLive(known.state) && core_.past.MayHaveSent(row_key.seq, row_key.key_ms))
    return true;
  // A row that stands at its due time was never tried.
  if (known.state == JobState::kPending && row_key.key_ms == known.schedule->due_ms)
    return false;
  std::string row;
  if (known.state == JobState::kDead) {
    std::string value;
    ASSIGN_OR_RETURN(const bool found,
                     core_.turn.FindDead(DeadJobKey(rule, key), &value));
    if (!found) return false;
    absl::StatusOr<Dead> dead = DecodeDead(value);
    if (!dead.ok()) return true;  // nobody will ever know
    row = std::move(dead->job_row);
  } else {
    ASSIGN_OR_RETURN(const bool found, core_.turn.ReadRow(row_key, &row));
    if (!found) return false;
  }
  JobView job;
  return DecodeJob(row, &job).ok() && job.unanswered;
}

InFlight Lifecycle::Describe(const JobKey& key, const JobView& job) const {
  return {.row = key,
          .unanswered = job.unanswered || core_.past.MayHaveSent(key.seq, key.key_ms),
          .sends = job.sends,
          .counted_attempts = job.counted_attempts,
          .key = std::string(job.key),
          .target = std::string(job.target),
          .due_ms = job.due_ms,
          .source = job.source,
          .received_ms = job.received_ms,
          .stored_ms = job.stored_ms,
          .published_ms = core_.now.wall_ms};
}

Register Lifecycle::RegisterOf(const InFlight& attempt) {
  Register reg;
  reg.state = core_.lanes.Numbered(attempt.row.lane).retry ? JobState::kRetrying
                                                           : JobState::kPending;
  reg.schedule = Register::Schedule{attempt.source, attempt.due_ms};
  reg.job = attempt.row;
  return reg;
}

std::string Lifecycle::IdOf(const InFlight& attempt) {
  return MakeId(core_.queues[core_.lanes.Numbered(attempt.row.lane).queue].name,
                attempt.key);
}

}  // namespace expirer
