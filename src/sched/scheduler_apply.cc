// Step 1 of the scheduler: what each event does.

#include "base/log.h"
#include "base/mutant.h"
#include "base/rfc3339.h"
#include "job/json_view.h"
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
    case PubAnswer::Kind::kNoStream: return AttemptEnd::kNoStream;
    case PubAnswer::Kind::kRefused: return AttemptEnd::kRefused;
    default: return AttemptEnd::kRetry;
  }
}

}  // namespace

absl::Status Scheduler::ApplyCompletions(std::vector<Completion>* completions) {
  for (const Completion& completion : *completions) {
    absl::Status status;
    std::visit(Overloaded{
                   [&](const PubAnswer& e) { status = ApplyAnswer(e); },
                   [&](const Synced& e) { ApplySynced(e.ticket); },
                   [&](const EgressChanged& e) { ApplyEgress(e.up); },
                   [&](const RuleSettled& e) { ApplySettled(e); },
                   [&](const StoodStill& e) { ApplyStoodStill(e.ms); },
                   [&](const TargetKnown&) {
                     for (LaneState& lane : lanes_.all()) lane.looking = false;
                   },
                   [&](const DiskSpace& e) { ApplyDiskSpace(e.free_bytes); },
                   [&](const ConsumerFloor& e) {
                     staged_.PutMeta(std::string(kMetaConsumer) + e.key, e.value);
                   },
               },
               completion);
    RETURN_IF_ERROR(status);
  }
  completions->clear();
  return absl::OkStatus();
}

void Scheduler::ApplySynced(uint64_t ticket) {
  durable_ = std::max(durable_, ticket);
  for (; !seq_by_ticket_.empty() && seq_by_ticket_.front().first <= durable_;
       seq_by_ticket_.pop_front())
    durable_seq_ = seq_by_ticket_.front().second;
}

void Scheduler::ApplyEgress(bool up) {
  egress_up_ = up;
  for (LaneState& lane : lanes_.all()) lane.looking = false;
  if (!up) return;
  // The time an unsettled rule waits at most counts from when it could fire.
  for (RuleGate& gate : gates_) gate.deadline_mono_ms = now_.mono_ms + options_.settle_ms;
}

void Scheduler::ApplySettled(const RuleSettled& event) {
  RuleGate& gate = gates_[event.rule];
  gate.settled = event.settled || Mutant("settle_off");
  gate.deadline_mono_ms = now_.mono_ms + options_.settle_ms;
}

// As after a start: what fell due meanwhile waits for the cancels of that time.
void Scheduler::ApplyStoodStill(int64_t ms) {
  Log(Level::kWarn,
      "the process stood still: overdue jobs wait until the streams are read",
      {{"ms", ms}});
  ++stats_.standstills;
  for (size_t i = 0; i < gates_.size(); ++i)
    ApplySettled(RuleSettled{static_cast<RuleIndex>(i), false});
  inbound_->LookAgain();
}

void Scheduler::ApplyDiskSpace(uint64_t free_bytes) {
  const bool open = free_bytes >= options_.disk_free;
  if (open == intake_open_) return;
  intake_open_ = open;
  inbound_->SetIntake(open);
  if (open)
    Log(Level::kInfo, "disk space is back: taking in again",
        {{"free_bytes", free_bytes}});
  else
    Log(Level::kError, "little disk space: no more input is taken, firing goes on",
        {{"free_bytes", free_bytes}, {"limit_bytes", options_.disk_free}});
}

absl::Status Scheduler::ApplyAnswer(const PubAnswer& answer) {
  const std::unique_ptr<InFlight> attempt = in_flight_.End(answer.attempt);
  if (!attempt) {
    ++stats_.strange_answers;
    return absl::OkStatus();
  }
  LaneState& lane = lanes_.Numbered(attempt->row.lane);
  const TimerEntry entry{attempt->row.key_ms, attempt->row.seq};
  lane.in_flight.erase(entry);
  if (answer.kind == PubAnswer::Kind::kLost) {
    ++stats_.lost;
    if (attempt->fate == InFlight::Fate::kCurrent) unanswered_.insert(entry.seq);
    // To be sent again in its place as soon as there is a connection.
    if (attempt->fate == InFlight::Fate::kCurrent) lane.window.PutBack(entry);
    return absl::OkStatus();
  }
  if (answer.kind != PubAnswer::Kind::kAck)
    return Retry(*attempt, EndOf(answer.kind), answer.text);
  ++stats_.fired;
  stats_.acked_late_ms.Add(now_.wall_ms - attempt->due_ms);
  switch (attempt->fate) {
    case InFlight::Fate::kCurrent: CloseFired(*attempt); break;
    case InFlight::Fate::kCancelled: return CloseCancelledAsFired(*attempt);
    case InFlight::Fate::kReplaced: break;
  }
  return absl::OkStatus();
}

absl::Status Scheduler::ApplyTimeouts() {
  while (const std::optional<uint64_t> number = in_flight_.Overdue(now_.mono_ms)) {
    const std::unique_ptr<InFlight> attempt = in_flight_.End(*number);
    lanes_.Numbered(attempt->row.lane)
        .in_flight.erase(TimerEntry{attempt->row.key_ms, attempt->row.seq});
    ++stats_.timeouts;
    egress_->Forget(*number, attempt->target, true);
    RETURN_IF_ERROR(Retry(*attempt, AttemptEnd::kTimedOut, "no answer in time"));
  }
  for (size_t i = 0; i < gates_.size(); ++i) {
    RuleGate& gate = gates_[i];
    if (gate.settled || now_.mono_ms < gate.deadline_mono_ms) continue;
    gate.settled = true;
    ++stats_.settle_timeouts;
    Log(Level::kWarn,
        "the rule's consumers could not be read to the end in time: overdue jobs fire "
        "all "
        "the same",
        {{"rule", rules_[i].name}, {"settle_ms", options_.settle_ms}});
  }
  return absl::OkStatus();
}

absl::Status Scheduler::ApplyRequests(std::vector<Request>* requests) {
  for (Request& request : *requests) {
    if (auto* message = std::get_if<MessageRequest>(&request))
      RETURN_IF_ERROR(ApplyMessage(message));
    else if (auto* cancel = std::get_if<CancelRequest>(&request))
      RETURN_IF_ERROR(ApplyCancelRequest(cancel));
    else if (auto* dead = std::get_if<DeadRequest>(&request))
      RETURN_IF_ERROR(ApplyDeadRequest(dead));
    else
      reads_.push_back(std::move(request));
  }
  requests->clear();
  return absl::OkStatus();
}

absl::Status Scheduler::ApplyMessage(MessageRequest* message) {
  bool rewound = false;
  Position position =
      streams_.Place(*message->stream, message->stream_seq, message->time_ns, &rewound);
  if (rewound) {
    ++stats_.rewinds;
    Log(Level::kWarn, "the stream begins anew: it was purged, restored or created again",
        {{"stream", *message->stream}, {"sequence", message->stream_seq}});
  }
  if (auto* schedule = std::get_if<ScheduleIntent>(&message->intent)) {
    position.version = schedule->job.source.version;
    return ApplyScheduleIntent(message, std::move(schedule->job), position);
  }
  if (const auto* cancel = std::get_if<CancelIntent>(&message->intent)) {
    position.version = cancel->version;
    return ApplyCancelIntent(*message, *cancel, position);
  }
  if (auto* reject = std::get_if<RejectIntent>(&message->intent))
    return Reject(message, position, std::move(reject->reason), "");
  ++stats_.ignored;
  effects_now_.push_back({Effect::Kind::kAck, std::move(message->reply), ""});
  return absl::OkStatus();
}

absl::Status Scheduler::ApplyScheduleIntent(MessageRequest* message, Job job,
                                            const Position& position) {
  const std::string id = MakeId(rules_[message->rule].name, job.key);
  ASSIGN_OR_RETURN(const std::optional<Register> known, Known(id));
  ScheduleResult result =
      ApplySchedule(known, position, job.due_ms, Policy(message->rule), now_.wall_ms);
  job.source = position;
  job.received_ms = message->received_ms;
  switch (result.effect) {
    case ScheduleEffect::kNone: ++stats_.unchanged; break;
    case ScheduleEffect::kRecord:
      ++stats_.unchanged;
      Remember(message->rule, id, &*known, result.reg);
      break;
    case ScheduleEffect::kOpen:
      RETURN_IF_ERROR(
          OpenJob(message->rule, id, std::move(job), known, std::move(result.reg)));
      break;
    case ScheduleEffect::kStale:
      return Reject(message, position,
                    "stale: due " + FormatRfc3339Ms(job.due_ms) +
                        " is longer ago than store.history remembers",
                    EncodeJob(job));
  }
  effects_now_.push_back({Effect::Kind::kAck, std::move(message->reply), ""});
  return absl::OkStatus();
}

absl::Status Scheduler::ApplyCancelIntent(const MessageRequest& message,
                                          const CancelIntent& intent,
                                          const Position& position) {
  const std::string id = MakeId(rules_[message.rule].name, intent.key);
  ASSIGN_OR_RETURN(const std::optional<Register> known, Known(id));
  CancelResult result = ApplyCancel(known, position, Policy(message.rule), now_.wall_ms);
  if (result.effect == CancelEffect::kNone) ++stats_.unchanged;
  if (result.effect == CancelEffect::kClose) {
    ASSIGN_OR_RETURN(const bool sent,
                     MaybeSent(rules_[message.rule].name, intent.key, *known));
    if (!sent) result.reg.job.reset();
    ++(sent ? stats_.too_late : stats_.cancelled);
    TakeAway(message.rule, intent.key, *known, InFlight::Fate::kCancelled);
  }
  if (result.effect == CancelEffect::kRecord && known && known->state == JobState::kFired)
    ++stats_.too_late;
  if (result.effect != CancelEffect::kNone)
    Remember(message.rule, id, known ? &*known : nullptr, result.reg);
  effects_now_.push_back({Effect::Kind::kAck, message.reply, ""});
  return absl::OkStatus();
}

absl::Status Scheduler::Reject(MessageRequest* message, const Position& position,
                               std::string reason, std::string job_row) {
  const std::string& rule = rules_[message->rule].name;
  const std::string key = DeadRejectKey(rule, position);
  std::string existing;
  ASSIGN_OR_RETURN(bool known, FindDead(key, &existing));
  known = known || staged_dead_.contains(key);
  const uint64_t dead = counts_.dead();
  if (known) {
    ++stats_.unchanged;
  } else if (dead >= 2 * options_.dead) {
    ++stats_.dropped;
    Log(Level::kError, "the dead store is full: a rejected message is dropped",
        {{"rule", rule},
         {"stream", *message->stream},
         {"sequence", message->stream_seq},
         {"reason", reason}});
  } else {
    ++stats_.rejected;
    Dead entry;
    entry.reference_only = dead >= options_.dead;
    entry.reason = reason;
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
    staged_.PutDead(key, EncodeDead(entry));
    staged_dead_.insert(key);
    ++counts_.Change(rule).rejected;
    effects_now_.push_back({Effect::Kind::kAnnounce,
                            options_.name + ".v1.rejected." + rule,
                            "{\"reason\":" + JsonQuoted(reason) +
                                ",\"stream\":" + JsonQuoted(*message->stream) +
                                ",\"seq\":" + std::to_string(message->stream_seq) + "}"});
  }
  effects_now_.push_back(
      {Effect::Kind::kTerm, std::move(message->reply), std::move(reason)});
  return absl::OkStatus();
}

}  // namespace expirer
