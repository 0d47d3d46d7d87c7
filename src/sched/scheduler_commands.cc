// Runs commands (sched/command.h), and does what they ask of the core.
//
// A command counts by arrival: its position is stream 0, numbered by
// turn_.next_seq(), at the time of this host's clock, but always after what is known
// of its key, so it also has the highest version known of it. An older schedule that
// comes again, or late, does not revive the job, and one with a later JetStream time
// opens it anew.

#include <algorithm>

#include "base/mutant.h"
#include "sched/scheduler.h"

namespace expirer {
namespace {

void AddId(const Command& command, Command::Kind kind, std::vector<std::string>* ids) {
  if (command.kind() != kind) return;
  if (std::string id = command.id(); !id.empty()) ids->push_back(std::move(id));
}

void CountLane(const LaneState& lane, const OverdueRows& told, int64_t now_ms,
               Overdue* overdue) {
  size_t visits = 0;
  const auto count = [&](const TimerEntry& entry) {
    if (++visits > Overdue::kVisitsMax) {
      overdue->more = true;
      return false;
    }
    if (!told.Holds(entry.seq)) overdue->Add(entry.key_ms, now_ms);
    return true;
  };
  for (const TimerEntry& entry : lane.out)
    if (entry.key_ms > now_ms || !count(entry)) break;
  lane.window.VisitUntil(now_ms, count);
  if (!lane.window.complete() && lane.window.horizon().key_ms <= now_ms)
    overdue->more = true;
}

}  // namespace

absl::Status Scheduler::ReadAhead(const std::vector<Request>& requests) {
  std::vector<std::string> ids;
  for (const Request& request : requests)
    if (const auto* command = std::get_if<std::unique_ptr<Command>>(&request))
      AddId(**command, Command::Kind::kChanges, &ids);
  return turn_.ReadAhead(std::move(ids));
}

absl::Status Scheduler::Take(std::unique_ptr<Command> command) {
  const Command::Kind kind = command->kind();
  if (kind == Command::Kind::kChanges)
    RETURN_IF_ERROR(command->Apply(core_, nullptr).status());
  if (kind == Command::Kind::kChangesInPieces)
    unfinished_.push_back(std::move(command));
  else
    applied_.push_back(std::move(command));
  return absl::OkStatus();
}

absl::Status Scheduler::ApplyPieces() {
  for (Piece piece; !unfinished_.empty(); unfinished_.pop_front()) {
    ASSIGN_OR_RETURN(const bool done, unfinished_.front()->Apply(core_, &piece));
    if (!done) break;
    applied_.push_back(std::move(unfinished_.front()));
  }
  return absl::OkStatus();
}

absl::Status Scheduler::AnswerCommands() {
  std::vector<std::string> ids;
  for (const auto& command : applied_) AddId(*command, Command::Kind::kReads, &ids);
  RETURN_IF_ERROR(turn_.ReadAhead(std::move(ids)));
  for (const auto& command : applied_) {
    ASSIGN_OR_RETURN(Reply reply, command->Answer(core_));
    ledger_.OnceDurable(
        [this, caller = std::move(command->caller), reply = std::move(reply)] {
          inbound_->Reply(caller, reply.code, reply.body);
        });
  }
  applied_.clear();
  turn_.EndReadAhead();
  return ledger_.Write(&turn_, now_.mono_ms);  // nothing but the replies
}

Position Scheduler::PositionNow(const Register& known) {
  Position position;
  position.seq = turn_.TakeSeq();
  position.time_ns = now_.wall_ms * 1'000'000;
  const auto follow = [&position](const Position& other) {
    position.time_ns = std::max(position.time_ns, other.time_ns + 1);
    if (!Mutant("cancel_hides_version"))
      position.version = std::max(position.version, other.version);  // none is the least
  };
  if (known.schedule) follow(known.schedule->position);
  if (known.cancel) follow(*known.cancel);
  return position;
}

absl::StatusOr<bool> Scheduler::CancelNow(std::string_view rule, std::string_view key,
                                          const Register& known) {
  const std::optional<QueueIndex> queue = queues_.Find(rule);
  const RegisterPolicy policy =
      queue ? Policy(*queue) : RegisterPolicy{true, options_.history_ms};
  CancelResult result = ApplyCancel(known, PositionNow(known), policy, now_.wall_ms);
  bool too_late = known.state != JobState::kCancelled;
  if (result.effect == CancelEffect::kClose) {
    ASSIGN_OR_RETURN(too_late, CloseCancelled(rule, key, known, &result.reg));
  } else {
    // Closed already. Cancelled, but an attempt may have been stored by then.
    too_late = too_late || known.job.has_value();
    if (too_late) ++stats_.too_late;
  }
  if (result.effect != CancelEffect::kNone)
    turn_.Put(MakeId(rule, key), &known, result.reg);
  return too_late;
}

// Whether the target's stream may hold the job's message although no PubAck
// said so: contract section 4, "in flight until PubAck or explicit refusal",
// also when the connection or the process went in between.
absl::StatusOr<bool> Scheduler::MaybeSent(std::string_view rule, std::string_view key,
                                          const Register& known) const {
  if (!known.job) return false;
  const JobKey& row_key = *known.job;
  if (HasAttempt(row_key.seq) || unanswered_.contains(row_key.seq)) return true;
  if (IsLive(known.state) && possibly_sent_.MayHaveSent(row_key.seq, row_key.key_ms))
    return true;
  // A row that stands at its due time was never tried.
  if (known.state == JobState::kPending && row_key.key_ms == known.schedule->due_ms)
    return false;
  std::string row;
  if (known.state == JobState::kDead) {
    std::string value;
    ASSIGN_OR_RETURN(const bool found, turn_.FindDead(DeadJobKey(rule, key), &value));
    if (!found) return false;
    absl::StatusOr<Dead> dead = DecodeDead(value);
    if (!dead.ok()) return true;  // nobody will ever know
    row = std::move(dead->job_row);
  } else {
    ASSIGN_OR_RETURN(const bool found, turn_.ReadRow(row_key, &row));
    if (!found) return false;
  }
  JobView job;
  return DecodeJob(row, &job).ok() && job.unanswered;
}

Overdue Scheduler::CountOverdue(int64_t now_ms) const {
  Overdue overdue;
  overdue_rows_.Count(now_ms, &overdue);
  uint64_t retrying = 0;
  for (const LaneState& lane : lanes_.all()) {
    if (!lane.retry) {
      CountLane(lane, overdue_rows_, now_ms, &overdue);
      continue;
    }
    const auto counts = counts_.rules().find(queues_[lane.queue].name);
    if (counts != counts_.rules().end()) retrying += counts->second.retrying;
  }
  if (retrying > overdue_rows_.retrying()) overdue.more = true;
  return overdue;
}

}  // namespace expirer
