#include "sched/attempts.h"

#include <algorithm>

#include "base/log.h"
#include "sched/core.h"

namespace expirer {
namespace {

AttemptEnd EndOf(PubAnswer::Kind kind) {
  switch (kind) {
    case PubAnswer::Kind::kAck: return AttemptEnd::kAck;
    case PubAnswer::Kind::kNoStream: return AttemptEnd::kNoLeader;
    case PubAnswer::Kind::kRefused: return AttemptEnd::kRefused;
    case PubAnswer::Kind::kNever: return AttemptEnd::kNever;
    default: return AttemptEnd::kRetry;
  }
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

absl::Status Attempts::Apply(const PubAnswer& answer) {
  const std::unique_ptr<InFlight> attempt = Take(answer.attempt);
  if (!attempt) {
    ++core_.stats.strange_answers;
    return absl::OkStatus();
  }
  LaneState& lane = core_.lanes.Numbered(attempt->row.lane);
  const TimerEntry entry{attempt->row.key_ms, attempt->row.seq};
  if (answer.kind == PubAnswer::Kind::kLost) {
    ++core_.stats.lost;
    CountFailure(lane.queue, FailureKind::kLost);
    core_.jobs.ReleaseSuccessor(*attempt);
    if (attempt->fate != InFlight::Fate::kCurrent) return absl::OkStatus();
    // To be sent again in its place as soon as there is a connection.
    lane.window.PutBack(entry);
    core_.past.NoteUnanswered(entry.seq, entry.key_ms);
    return absl::OkStatus();
  }
  if (answer.kind != PubAnswer::Kind::kAck)
    return Retry(*attempt, EndOf(answer.kind), answer.text);
  core_.Count(&Outcomes::fired, lane.queue);
  core_.stats.acked_late_ms.Add(core_.now.wall_ms - attempt->due_ms);
  core_.stats.answer_ms.Add(core_.now.wall_ms - attempt->published_ms);
  NoteCollision(answer, attempt.get());
  if (attempt->successor)
    RETURN_IF_ERROR(core_.jobs.CloseSuccessor(*attempt));
  else if (attempt->fate == InFlight::Fate::kCurrent)
    core_.jobs.Close(*attempt, {JobState::kFired});
  else if (attempt->fate == InFlight::Fate::kCancelled)
    RETURN_IF_ERROR(CloseCancelledAsFired(*attempt));
  return DecideLateCancel(*attempt, true);
}

std::unique_ptr<InFlight> Attempts::Take(uint64_t number) {
  std::unique_ptr<InFlight> attempt = core_.in_flight.End(number);
  if (attempt == nullptr) return attempt;
  LaneState& lane = core_.lanes.Numbered(attempt->row.lane);
  lane.out.erase(TimerEntry{attempt->row.key_ms, attempt->row.seq});
  core_.gates.End(core_.RuleOf(lane));
  return attempt;
}

// A first attempt that the stream takes for a second one: it holds a message of the
// same id, but not this one.
void Attempts::NoteCollision(const PubAnswer& answer, InFlight* attempt) {
  const bool maybe_sent = attempt->sends > 0 || attempt->unanswered ||
                          core_.past.MayHaveFired(attempt->due_ms);
  attempt->collision = answer.duplicate && !maybe_sent;
  if (!attempt->collision) return;
  ++core_.stats.collisions;
  const Queue& queue = core_.queues[core_.lanes.Numbered(attempt->row.lane).queue];
  LogGathered(
      Level::kWarn,
      "the target's stream already holds another message with the id of this job, and "
      "did not store this one",
      queue.name, "",
      {{"job", JobName(queue.name, attempt->key)}, {"target", attempt->target}});
}

absl::Status Attempts::TimeOut() {
  while (const std::optional<uint64_t> number =
             core_.in_flight.Overdue(core_.now.mono_ms)) {
    const std::unique_ptr<InFlight> attempt = Take(*number);
    ++core_.stats.timeouts;
    core_.egress.Forget(*number, attempt->target, true);
    RETURN_IF_ERROR(Retry(*attempt, AttemptEnd::kTimedOut, "no answer in time"));
  }
  core_.stats.settle_timeouts += core_.gates.OpenOverdue();
  return absl::OkStatus();
}

absl::Status Attempts::Retry(const InFlight& attempt, AttemptEnd end,
                             std::string_view why) {
  LaneState& lane = core_.lanes.Numbered(attempt.row.lane);
  const FailureKind kind = KindOf(end);
  CountFailure(lane.queue, kind);
  core_.jobs.ReleaseSuccessor(attempt);
  // Cancelled or replaced meanwhile: no further attempt of this generation.
  if (attempt.fate != InFlight::Fate::kCurrent) {
    // In doubt (no answer, or a strange one) it counts as fired.
    const bool refused = kind == FailureKind::kNoStream || kind == FailureKind::kRefused;
    return refused ? DecideLateCancel(attempt, false) : absl::OkStatus();
  }
  const Queue& queue = core_.queues[lane.queue];
  std::string row;
  ASSIGN_OR_RETURN(const bool found, core_.turn.ReadRow(attempt.row, &row));
  if (!found)
    return Corrupt("the row of " + JobName(queue.name, attempt.key) +
                   " is gone while its attempt was in flight");
  const std::string id = core_.jobs.IdOf(attempt);
  const auto counts = core_.counts.rules().find(queue.name);
  const uint64_t waiting =
      counts == core_.counts.rules().end() ? 0 : counts->second.retrying;
  auto next = Decide(queue.retry, {id, attempt.sends, attempt.counted_attempts, waiting},
                     end, why, core_.now.wall_ms);
  ASSIGN_OR_RETURN(Job job, DecodeJob(row));
  job.sends += 1;
  if (const auto* dead = std::get_if<MoveToDead>(&next)) {
    if (!core_.DeadFull()) {
      const bool never = end == AttemptEnd::kNever;
      core_.jobs.Close(attempt,
                       JobEnd::Dead(never ? DeadKind::kUndeliverable : DeadKind::kRefused,
                                    EncodeJob(job), dead->reason));
      return absl::OkStatus();
    }
    // The dead store is full: nothing is dropped, so it is tried on.
    next = RetryAt{core_.now.wall_ms + queue.retry.max_ms, false};
  }
  // Only a refusal says that the message was not stored.
  job.unanswered =
      attempt.unanswered || end == AttemptEnd::kTimedOut || end == AttemptEnd::kRetry;
  job.last_error = why.substr(0, kErrorBytesMax);
  LogGathered(Level::kWarn, "an attempt failed: to be retried", queue.name,
              kFailureReasons[static_cast<size_t>(kind)],
              {{"job", JobName(queue.name, attempt.key)},
               {"target", attempt.target},
               {"why", why}});
  MoveToRetry(attempt, std::move(job), std::get<RetryAt>(next));
  return absl::OkStatus();
}

void Attempts::MoveToRetry(const InFlight& attempt, Job job, const RetryAt& when) {
  const LaneState& lane = core_.lanes.Numbered(attempt.row.lane);
  LaneState& retry = core_.lanes.Retry(lane.queue);
  const Register from = core_.jobs.RegisterOf(attempt);
  core_.Count(&Outcomes::retries, lane.queue);
  job.counted_attempts += when.counted ? 1 : 0;
  core_.turn.DropRow(attempt.row);
  // The due time, too: the clock may have stepped back behind it (I6).
  core_.jobs.Place(&retry, std::max({when.at_ms, job.due_ms, core_.now.wall_ms}), job,
                   core_.jobs.IdOf(attempt), &from, from);
}

void Attempts::CountFailure(QueueIndex queue, FailureKind kind) {
  ++core_.stats.outcomes[queue].failed_by[static_cast<size_t>(kind)];
}

// A cancel came while the attempt was in flight, and the attempt succeeded:
// the key fired, and keeps the cancel it had too late.
absl::Status Attempts::CloseCancelledAsFired(const InFlight& attempt) {
  const LaneState& lane = core_.lanes.Numbered(attempt.row.lane);
  const std::string id = MakeId(core_.queues[lane.queue].name, attempt.key);
  ASSIGN_OR_RETURN(const std::optional<Register> known, core_.turn.Known(id));
  const bool same = known && known->state == JobState::kCancelled && known->job &&
                    *known->job == attempt.row;
  if (!same) return absl::OkStatus();
  Register to = *known;
  to.state = JobState::kFired;
  // An older schedule may have come meanwhile: what fired is the attempt's due.
  to.schedule->due_ms = attempt.due_ms;
  core_.jobs.NoteFire(attempt, &to);
  core_.turn.Put(id, &*known, to);
  return absl::OkStatus();
}

// The attempt that a late cancel's job waited for has ended.
absl::Status Attempts::DecideLateCancel(const InFlight& attempt, bool fired) {
  if (!attempt.has_late_cancel) return absl::OkStatus();
  const LaneState& lane = core_.lanes.Numbered(attempt.row.lane);
  const QueueIndex queue = core_.queues.LateCancels(core_.queues[lane.queue].rule);
  const std::string id = MakeId(core_.queues[queue].name, attempt.key);
  ASSIGN_OR_RETURN(const std::optional<Register> known, core_.turn.Known(id));
  const bool waiting = known && known->state == JobState::kPending && known->job &&
                       known->schedule->due_ms == attempt.due_ms &&
                       !core_.in_flight.Holds(known->job->seq);
  if (!waiting) return absl::OkStatus();
  Register to = *known;
  if (!fired) {
    core_.jobs.TakeAway(core_.queues[queue].name, attempt.key, *known,
                        InFlight::Fate::kCancelled);
    to.state = JobState::kCancelled;
    to.cancel = known->schedule->position;
    to.expires_ms = ExpiryMs(core_.now.wall_ms, attempt.due_ms, core_.Policy(queue));
    core_.turn.Put(id, &*known, to);
    return absl::OkStatus();
  }
  std::string row;
  ASSIGN_OR_RETURN(const bool found, core_.turn.ReadRow(*known->job, &row));
  if (!found) return absl::OkStatus();
  ASSIGN_OR_RETURN(const Job job, DecodeJob(row));
  core_.turn.DropRow(*known->job);
  core_.lanes.Forget(*known->job);
  core_.jobs.Place(&core_.lanes.First(queue), std::max(job.due_ms, core_.now.wall_ms),
                   job, id, &*known, to);
  return absl::OkStatus();
}

}  // namespace expirer
