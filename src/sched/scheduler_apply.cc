// Step 1 of the scheduler: what each event does.

#include <algorithm>
#include <limits>

#include "base/check.h"
#include "base/duration.h"
#include "base/log.h"
#include "base/mutant.h"
#include "base/rfc3339.h"
#include "json/writer.h"
#include "sched/scheduler.h"
#include "store/meta.h"

namespace expirer {
namespace {

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

AttemptEnd EndOf(PubAnswer::Kind kind) {
  switch (kind) {
    case PubAnswer::Kind::kAck: return AttemptEnd::kAck;
    case PubAnswer::Kind::kNoStream: return AttemptEnd::kNoLeader;
    case PubAnswer::Kind::kRefused: return AttemptEnd::kRefused;
    case PubAnswer::Kind::kNever: return AttemptEnd::kNever;
    default: return AttemptEnd::kRetry;
  }
}

}  // namespace

absl::Status Scheduler::ApplyCompletions(std::vector<Completion>* completions) {
  for (const Completion& completion : *completions) {
    absl::Status status;
    std::visit(
        Overloaded{
            [&](const PubAnswer& e) { status = ApplyAnswer(e); },
            [&](const Synced& e) { ledger_.Synced(e.ticket); },
            [&](const EgressChanged& e) { ApplyEgress(e.up); },
            [&](const RuleRead& e) { ApplyRead(e); },
            [&](const StoodStill& e) { ApplyStoodStill(e.ms); },
            [&](const TargetKnown& e) { EndResolving(e.target); },
            [&](const DiskSpace& e) { ApplyDiskSpace(e); },
            [&](const RebuildAsked&) { status = ApplyRebuildAsked(); },
            [&](const Admitted&) { gates_.Set(Gates::Reason::kNotAdmitted, false); },
            [&](const ConsumerFloor& e) {
              turn_.meta()->PutMeta(std::string(kMetaConsumer) + e.key, e.value);
            },
        },
        completion);
    RETURN_IF_ERROR(status);
  }
  completions->clear();
  return absl::OkStatus();
}

void Scheduler::ApplyEgress(bool up) {
  if (!up && !gates_.Holds(Gates::Reason::kNoConnection)) {
    possibly_sent_.BeginDisconnected();
    egress_down_mono_ms_ = now_.mono_ms;
  }
  if (up && possibly_sent_.EndDisconnected(turn_.meta())) ledger_.FireAfterNextWrite();
  gates_.Set(Gates::Reason::kNoConnection, !up);
  EndResolving("");
  // What cut this connection may have cut the other one, which does not know yet.
  if (up) LookAgain(/*outage=*/true, Inbound::LookHow::kQuick);
}

// The jobs of the target ("": of all) are looked at again, each in its turn.
void Scheduler::EndResolving(std::string_view target) {
  for (LaneState& lane : lanes_.all()) lane.resolving = false;
  for (const JobKey& row : aside_.Take(target)) {
    LaneState& lane = lanes_.Numbered(row.lane);
    --lane.aside;
    if (in_flight_.Holds(row.seq)) continue;  // it stood in the window, too
    // Gone by now where its key was moved or cancelled.
    const TimerEntry entry{row.key_ms, row.seq};
    if (lane.out.erase(entry) > 0) lane.window.PutBack(entry);
  }
}

void Scheduler::ApplyRead(const RuleRead& event) {
  gates_.Apply(event);
  if (rebuild_.open && gates_.closed() == 0) EndRebuild();
}

// What an open rebuild had found stays; the time up to which somebody else may
// have fired moves on.
absl::Status Scheduler::ApplyRebuildAsked() {
  rebuild_ = {true, now_.wall_ms, 0};
  rebuild_.Stage(turn_.meta());
  RETURN_IF_ERROR(
      store_->VisitMeta(kMetaConsumer, [this](std::string_view key, std::string_view) {
        turn_.meta()->DeleteMeta(key);  // a consumer made anew begins at the beginning
        return absl::OkStatus();
      }));
  ledger_.OnceDurable([this] { inbound_->RebuildBegun(); });
  gates_.Set(Gates::Reason::kRebuilding, true);
  gates_.Close(/*outage=*/true);
  Log(Level::kWarn, "rebuilding: nothing fires until all streams are read again");
  return absl::OkStatus();
}

void Scheduler::EndRebuild() {
  rebuild_.open = false;
  gates_.Set(Gates::Reason::kRebuilding, false);
  rebuild_.end_seq = options_.fire_overdue ? 0 : turn_.next_seq();
  rebuild_.Stage(turn_.meta());
  uint64_t pending = 0;
  for (const auto& [rule, counts] : counts_.rules()) pending += counts.pending;
  Log(Level::kWarn,
      options_.fire_overdue
          ? "rebuilt: what fell due before it began fires (--fire-overdue)"
          : "rebuilt: what fell due before it began goes to the dead store as may have "
            "fired",
      {{"pending", pending}, {"began", FormatRfc3339Ms(rebuild_.began_ms)}});
}

// Does the same as after a start: jobs that fell due meanwhile wait for the cancels of
// that time. After a long gap they also wait for a sign of life: later readers of the
// store assume that no job with a later time than the last one was sent.
void Scheduler::ApplyStoodStill(int64_t ms) {
  if (ms < kStandstillMs) {
    if (Mutant("short_freeze_unseen")) return;
    ++stats_.gaps;
    return LookAgain(/*outage=*/false, Inbound::LookHow::kQuick);
  }
  Log(Level::kWarn,
      "the process stood still or the clock leapt: overdue jobs wait until the "
      "streams are read",
      {{"ms", ms}});
  ++stats_.standstills;
  leapt_ = true;
  ledger_.FireAfterNextWrite();
  LookAgain(/*outage=*/true, Inbound::LookHow::kAnew);
}

void Scheduler::LookAgain(bool outage, Inbound::LookHow how) {
  gates_.Close(outage);
  inbound_->LookAgain(how);
}

void Scheduler::ApplyDiskSpace(const DiskSpace& space) {
  const bool open =
      space.free_bytes >= options_.disk_free && space.free_inodes >= kResumeInodes;
  if (open == intake_open_) return;
  intake_open_ = open;
  inbound_->SetIntake(open);
  if (open)
    Log(Level::kInfo, "disk space is back: taking in again",
        {{"free_bytes", space.free_bytes}});
  else
    Log(Level::kError, "little disk space: no more input is taken, firing goes on",
        {{"free_bytes", space.free_bytes},
         {"limit_bytes", options_.disk_free},
         {"free_inodes", space.free_inodes},
         {"limit_inodes", kResumeInodes}});
}

// Null for one that is unknown or given up.
std::unique_ptr<InFlight> Scheduler::EndAttempt(uint64_t number) {
  std::unique_ptr<InFlight> attempt = in_flight_.End(number);
  if (attempt == nullptr) return attempt;
  LaneState& lane = lanes_.Numbered(attempt->row.lane);
  lane.out.erase(TimerEntry{attempt->row.key_ms, attempt->row.seq});
  gates_.End(RuleOf(lane));
  return attempt;
}

absl::Status Scheduler::ApplyAnswer(const PubAnswer& answer) {
  const std::unique_ptr<InFlight> attempt = EndAttempt(answer.attempt);
  if (!attempt) {
    ++stats_.strange_answers;
    return absl::OkStatus();
  }
  LaneState& lane = lanes_.Numbered(attempt->row.lane);
  const TimerEntry entry{attempt->row.key_ms, attempt->row.seq};
  if (answer.kind == PubAnswer::Kind::kLost) {
    ++stats_.lost;
    CountFailure(lane.queue, FailureKind::kLost);
    ReleaseSuccessor(*attempt);
    if (attempt->fate != InFlight::Fate::kCurrent) return absl::OkStatus();
    unanswered_.insert(entry.seq);
    // To be sent again in its place as soon as there is a connection.
    lane.window.PutBack(entry);
    ahead_rows_.NotePutBack(entry.key_ms);
    return absl::OkStatus();
  }
  if (answer.kind != PubAnswer::Kind::kAck)
    return Retry(*attempt, EndOf(answer.kind), answer.text);
  ++stats_.fired;
  ++OutcomesOf(lane.queue).fired;
  stats_.acked_late_ms.Add(now_.wall_ms - attempt->due_ms);
  stats_.answer_ms.Add(now_.wall_ms - attempt->published_ms);
  NoteCollision(answer, attempt.get());
  if (attempt->successor)
    RETURN_IF_ERROR(CloseSuccessor(*attempt));
  else if (attempt->fate == InFlight::Fate::kCurrent)
    Close(*attempt, {JobState::kFired});
  else if (attempt->fate == InFlight::Fate::kCancelled)
    RETURN_IF_ERROR(CloseCancelledAsFired(*attempt));
  else if (Mutant("answer_closes_newer"))
    return CloseNewer(*attempt);
  return DecideLateCancel(*attempt, true);
}

// A first attempt that the stream takes for a second one: it holds a message of the
// same id, but not this one.
void Scheduler::NoteCollision(const PubAnswer& answer, InFlight* attempt) {
  const bool maybe_sent = attempt->sends > 0 || attempt->unanswered ||
                          (rebuild_.began_ms > 0 && attempt->due_ms <= rebuild_.began_ms);
  attempt->collision = answer.duplicate && !maybe_sent;
  if (!attempt->collision) return;
  ++stats_.collisions;
  const Queue& queue = queues_[lanes_.Numbered(attempt->row.lane).queue];
  LogGathered(
      Level::kWarn,
      "the target's stream already holds another message with the id of this job, and "
      "did not store this one",
      queue.name, "",
      {{"job", JobName(queue.name, attempt->key)}, {"target", attempt->target}});
}

// A control's fault: the answer to a replaced job closes the one that replaced it.
absl::Status Scheduler::CloseNewer(InFlight attempt) {
  const LaneState& lane = lanes_.Numbered(attempt.row.lane);
  ASSIGN_OR_RETURN(const std::optional<Register> known,
                   turn_.Known(MakeId(queues_[lane.queue].name, attempt.key)));
  if (!known || !IsLive(known->state)) return absl::OkStatus();
  attempt.row = *known->job;
  attempt.due_ms = known->schedule->due_ms;
  attempt.source = known->schedule->position;
  in_flight_.SetFate(attempt.row.seq, InFlight::Fate::kReplaced);
  Close(attempt, {JobState::kFired});
  return absl::OkStatus();
}

absl::Status Scheduler::ApplyTimeouts() {
  while (const std::optional<uint64_t> number = in_flight_.Overdue(now_.mono_ms)) {
    const std::unique_ptr<InFlight> attempt = EndAttempt(*number);
    ++stats_.timeouts;
    egress_->Forget(*number, attempt->target, true);
    RETURN_IF_ERROR(Retry(*attempt, AttemptEnd::kTimedOut, "no answer in time"));
  }
  stats_.settle_timeouts += gates_.OpenOverdue();
  return absl::OkStatus();
}

absl::Status Scheduler::ApplyRequests(std::vector<Request>* requests) {
  RETURN_IF_ERROR(ReadAhead(*requests));
  int64_t messages = 0;
  for (Request& request : *requests) {
    if (auto* const message = std::get_if<MessageRequest>(&request)) {
      ++messages;
      RETURN_IF_ERROR(ApplyMessage(message, PositionOf(message)));
    } else {
      RETURN_IF_ERROR(Take(std::get<std::unique_ptr<Command>>(std::move(request))));
    }
  }
  RETURN_IF_ERROR(ApplyPieces());
  if (messages > 0) stats_.batch.Add(messages);
  requests->clear();
  turn_.EndReadAhead();
  return absl::OkStatus();
}

// Messages of core NATS count by arrival, over the whole life of the store.
Position Scheduler::PositionOf(MessageRequest* message) {
  if (rules_[message->rule].source == Transport::kCore) {
    message->stream_seq = turn_.TakeSeq();
    return Position{0, 0, message->stream_seq, message->time_ns, {}};
  }
  bool rewound = false;
  const Position position =
      streams_.Place(message->rule, message->stream, message->created_ns,
                     message->stream_seq, message->time_ns, &rewound);
  if (rewound) {
    ++stats_.rewinds;
    Log(Level::kWarn, "the stream was rewound: it was purged, restored or created again",
        {{"rule", rules_[message->rule].name},
         {"stream", *message->stream},
         {"sequence", message->stream_seq}});
  }
  return position;
}

// Acks the message once all that was decided on it is durable; `why` not "": it is never
// to be delivered again.
void Scheduler::Answer(MessageRequest* message, std::string why) {
  if (message->reply.empty()) return;
  ledger_.OnceDurable([this, to = std::move(message->reply), why = std::move(why),
                       received_ms = message->received_ms] {
    if (received_ms > 0)  // it may have come while this turn began
      stats_.commit_ms.Add(std::max<int64_t>(now_.wall_ms - received_ms, 0));
    if (why.empty())
      inbound_->Ack(to);
    else
      inbound_->Term(to, why);
  });
}

absl::Status Scheduler::ApplyMessage(MessageRequest* message, Position position) {
  if (auto* schedule = std::get_if<ScheduleIntent>(&message->intent)) {
    position.version = schedule->job.source.version;
    return ApplyScheduleIntent(message, std::move(*schedule), position);
  }
  if (auto* cancel = std::get_if<CancelIntent>(&message->intent)) {
    position.version = cancel->version;
    return ApplyCancelIntent(message, cancel, position);
  }
  if (auto* reject = std::get_if<RejectIntent>(&message->intent)) {
    RETURN_IF_ERROR(
        KeepReject(message, rules_[message->rule].name, position, *reject, ""));
    Answer(message, std::move(reject->reason));
    return absl::OkStatus();
  }
  ++(std::get<IgnoreIntent>(message->intent).marker ? stats_.markers : stats_.ignored);
  Answer(message, "");
  return absl::OkStatus();
}

// One job in each queue, and one answer to the message.
absl::Status Scheduler::ApplyScheduleIntent(MessageRequest* message,
                                            ScheduleIntent intent,
                                            const Position& position) {
  const Queues::Range entries = queues_.Entries(message->rule);
  // The evaluator that made the intent has the same rules.
  CHECK(intent.more.size() + 1 == entries.count);
  const std::string key = intent.job.key;
  ASSIGN_OR_RETURN(std::string stale,
                   ScheduleJob(message, entries.first, std::move(intent.job), position));
  for (size_t i = 0; i < intent.more.size(); ++i) {
    const auto queue = static_cast<QueueIndex>(entries.first + 1 + i);
    ASSIGN_OR_RETURN(std::string why,
                     ScheduleJob(message, queue, std::move(intent.more[i]), position));
    if (!why.empty()) stale = std::move(why);
  }
  if (stale.empty()) RETURN_IF_ERROR(TakeFromRemoved(message->rule, key, position));
  Answer(message, std::move(stale));
  return absl::OkStatus();
}

// Another entry of the queue's rule knows a newer schedule of the key, which came when
// this one was not configured. Cancels are known to all, but for those of the API, which
// concern one entry only.
absl::StatusOr<bool> Scheduler::IsOldToAnEntry(QueueIndex queue, const std::string& key,
                                               const Position& position) const {
  const Queues::Range entries = queues_.Entries(queues_[queue].rule);
  for (size_t i = 0; entries.count > 1 && i < entries.count; ++i) {
    ASSIGN_OR_RETURN(const std::optional<Register> known,
                     turn_.Known(MakeId(queues_[entries.first + i].name, key)));
    if (known && known->schedule && Compare(position, known->schedule->position) < 0)
      return true;
  }
  return false;
}

// What entries that are gone hold of the key is superseded, and the event asks for no
// job there.
absl::Status Scheduler::TakeFromRemoved(RuleIndex rule, const std::string& key,
                                        const Position& position) {
  for (const std::string& name : queues_.Removed(rule)) {
    ASSIGN_OR_RETURN(const std::optional<Register> known, turn_.Known(MakeId(name, key)));
    if (!known || IsClosed(known->state) ||
        Compare(position, known->schedule->position) <= 0)
      continue;
    CancelFindings found;
    RETURN_IF_ERROR(CancelJob(name, rule, key, position, &found));
  }
  return absl::OkStatus();
}

// Returns why the job was kept as rejected, or "" when it was not.
absl::StatusOr<std::string> Scheduler::ScheduleJob(MessageRequest* message,
                                                   QueueIndex queue, Job job,
                                                   const Position& position) {
  const std::string id = MakeId(queues_[queue].name, job.key);
  ASSIGN_OR_RETURN(const std::optional<Register> known, turn_.Known(id));
  ASSIGN_OR_RETURN(const bool old, IsOldToAnEntry(queue, job.key, position));
  if (old) {
    ++stats_.unchanged;
    return std::string();
  }
  RegisterPolicy policy = Policy(queue);
  ScheduleResult result =
      ApplySchedule(known, position, job.due_ms, policy, now_.wall_ms);
  if (result.effect == ScheduleEffect::kStale && message->requeue != nullptr &&
      message->requeue->stale) {
    // A person wants it sent, old and late as it is.
    policy.history_ms = std::numeric_limits<int64_t>::max();
    result = ApplySchedule(known, position, job.due_ms, policy, now_.wall_ms);
    job.late_judged = true;
  }
  job.source = position;
  job.received_ms = message->received_ms;
  switch (result.effect) {
    case ScheduleEffect::kNone: ++stats_.unchanged; break;
    case ScheduleEffect::kRecord:
      ++stats_.unchanged;
      turn_.Put(id, &*known, result.reg);
      break;
    case ScheduleEffect::kOpen: {
      if (known) {
        ASSIGN_OR_RETURN(const bool same, ReuseIfSame(id, job, *known));
        if (same) break;
      }
      OpenJob(queue, id, std::move(job), known, std::move(result.reg));
      break;
    }
    case ScheduleEffect::kStale: {
      std::string why = std::string(kStaleReason) + "due " + FormatRfc3339Ms(job.due_ms) +
                        " is longer ago than store.history remembers, " +
                        FormatDuration(options_.history_ms);
      RETURN_IF_ERROR(KeepReject(message, queues_[queue].name, position,
                                 RejectIntent{why, RejectKind::kStale}, EncodeJob(job)));
      return why;
    }
  }
  return std::string();
}

// A cancel closes the key in every queue. It is late when it found nothing to
// take away in any, and a fire in one.
absl::Status Scheduler::ApplyCancelIntent(MessageRequest* message, CancelIntent* intent,
                                          const Position& position) {
  const Queues::Range entries = queues_.Entries(message->rule);
  CancelFindings found;
  for (size_t i = 0; i < entries.count; ++i) {
    RETURN_IF_ERROR(CancelJob(queues_[entries.first + i].name, message->rule, intent->key,
                              position, &found));
  }
  // What they hold must not fire when such an entry is put back.
  for (const std::string& name : queues_.Removed(message->rule)) {
    if (Mutant("removed_entry_kept")) continue;
    RETURN_IF_ERROR(CancelJob(name, message->rule, intent->key, position, &found));
  }
  const bool too_late = !found.in_time && (found.fired_ms || found.attempt != nullptr);
  if (too_late && intent->late && !Mutant("late_cancel_forgotten"))
    RETURN_IF_ERROR(OpenLateCancel(message, intent->late.get(), position, found));
  Answer(message, "");
  return absl::OkStatus();
}

// `name`: of a queue of the rule, or of one that it had.
absl::Status Scheduler::CancelJob(const std::string& name, RuleIndex rule,
                                  const std::string& key, const Position& position,
                                  CancelFindings* found) {
  const std::string id = MakeId(name, key);
  ASSIGN_OR_RETURN(const std::optional<Register> known, turn_.Known(id));
  const RegisterPolicy policy = Policy(queues_.Entries(rule).first);
  CancelResult result = ApplyCancel(known, position, policy, now_.wall_ms);
  if (result.effect == CancelEffect::kNone) ++stats_.unchanged;
  if (result.effect == CancelEffect::kClose) {
    InFlight* const attempt = known->job ? AttemptOf(*known->job) : nullptr;
    ASSIGN_OR_RETURN(const bool sent, CloseCancelled(name, key, *known, &result.reg));
    if (attempt != nullptr)
      found->attempt = attempt;
    else if (sent)  // nobody will ever know: in doubt there was a fire
      found->fired_ms = std::max(found->fired_ms.value_or(0), known->schedule->due_ms);
    else
      found->in_time = true;
  }
  if (known && known->state == JobState::kFired) {
    if (result.effect == CancelEffect::kRecord) ++stats_.too_late;
    // Also one that is not the newest cancel: only the fire matters.
    if (!policy.reopen || Compare(position, known->schedule->position) > 0)
      found->fired_ms = std::max(found->fired_ms.value_or(0), known->schedule->due_ms);
  }
  if (!known && Mutant("cancel_forgotten")) return absl::OkStatus();
  if (result.effect != CancelEffect::kNone)
    turn_.Put(id, known ? &*known : nullptr, result.reg);
  return absl::OkStatus();
}

// `name`: of the rule, or of the queue whose job it would have been.
absl::Status Scheduler::KeepReject(MessageRequest* message, std::string_view name,
                                   const Position& position, const RejectIntent& reject,
                                   std::string job_row) {
  if (message->requeue != nullptr) {
    message->requeue->refusal = reject.reason;
    return absl::OkStatus();
  }
  const std::string& rule = rules_[message->rule].name;
  const std::string stream(streams_.NameOf(position.stream));
  const std::string key = DeadRejectKey(name, position);
  std::string existing;
  ASSIGN_OR_RETURN(const bool known, turn_.FindDead(key, &existing));
  const uint64_t dead = counts_.dead();
  const bool stale = reject.kind == RejectKind::kStale;
  if (known) {
    ++stats_.unchanged;
  } else if (stale && !Mutant("stale_unbounded") &&
             (counts_.stale() >= options_.dead / 10 || DeadFull())) {
    DropStale(stream, position.seq);
  } else if (dead >= 2 * options_.dead) {
    ++stats_.dropped;
    LogGathered(Level::kError, "the dead store is full: a rejected message is dropped",
                rule, kRejectReasons[static_cast<size_t>(reject.kind)],
                {{"stream", stream}, {"sequence", position.seq}, {"why", reject.reason}});
  } else {
    ++stats_.rejected;
    LogGathered(Level::kWarn, "an event was rejected and is kept in the dead store", rule,
                kRejectReasons[static_cast<size_t>(reject.kind)],
                {{"stream", stream}, {"sequence", position.seq}, {"why", reject.reason}});
    Outcomes& outcomes = OutcomesOf(queues_.Entries(message->rule).first);
    ++outcomes.rejected;
    ++outcomes.rejected_by[static_cast<size_t>(reject.kind)];
    Dead entry;
    entry.reference_only = DeadFull();
    entry.reason = reject.reason;
    entry.at_ms = now_.wall_ms;
    entry.source = position;
    if (message->raw) entry.subject = std::move(message->raw->subject);
    if (!entry.reference_only) {
      entry.job_row = std::move(job_row);
      if (message->raw) {
        entry.headers = std::move(message->raw->headers);
        entry.payload = std::move(message->raw->payload);
      }
    }
    turn_.PutDead(key, entry);
    counts_.Add(name, &RuleCounts::rejected, +1);
    if (stale) counts_.AddStale(+1);
    ledger_.OnceDurable(
        [this, to = options_.name + ".v1.rejected." + rule,
         body = JsonObject("reason", reject.reason, "stream", stream, "seq",
                           position.seq)] { inbound_->Announce(to, body.text); });
  }
  return absl::OkStatus();
}

// Drops a stale message and counts it: old events must leave room for new ones.
void Scheduler::DropStale(const std::string& stream, uint64_t seq) {
  ++stats_.stale_dropped;
  StaleDropped& dropped = stale_dropped_[stream];
  dropped.first_seq = dropped.count == 0 ? seq : std::min(dropped.first_seq, seq);
  dropped.last_seq = std::max(dropped.last_seq, seq);
  ++dropped.count;
}

}  // namespace expirer
