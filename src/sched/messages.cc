#include "sched/messages.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/duration.h"
#include "base/log.h"
#include "base/rfc3339.h"
#include "json/writer.h"
#include "sched/core.h"

namespace expirer {

absl::Status Messages::Apply(MessageRequest* message) {
  return Apply(message, PositionOf(message));
}

absl::Status Messages::Apply(MessageRequest* message, Position position) {
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
        KeepReject(message, core_.rules[message->rule].name, position, *reject, ""));
    Answer(message, std::move(reject->reason));
    return absl::OkStatus();
  }
  ++(std::get<IgnoreIntent>(message->intent).marker ? core_.stats.markers
                                                    : core_.stats.ignored);
  Answer(message, "");
  return absl::OkStatus();
}

// Messages of core NATS count by arrival, over the whole life of the store.
Position Messages::PositionOf(MessageRequest* message) {
  if (core_.rules[message->rule].source == Transport::kCore) {
    message->stream_seq = core_.turn.TakeSeq();
    return {.seq = message->stream_seq, .time_ns = message->time_ns, .version = {}};
  }
  bool rewound = false;
  const Position position =
      core_.streams.Place(message->rule, message->stream, message->created_ns,
                          message->stream_seq, message->time_ns, &rewound);
  if (rewound) {
    ++core_.stats.rewinds;
    Log(Level::kWarn, "the stream was rewound: it was purged, restored or created again",
        {{"rule", core_.rules[message->rule].name},
         {"stream", *message->stream},
         {"sequence", message->stream_seq}});
  }
  return position;
}

// Acks the message once all that was decided on it is durable; `why` not "": it is never
// to be delivered again.
void Messages::Answer(MessageRequest* message, std::string why) {
  if (message->reply.empty()) return;
  core_.ledger.OnceDurable([this, to = std::move(message->reply), why = std::move(why),
                            received_ms = message->received_ms] {
    if (received_ms > 0)  // it may have come while this turn began
      core_.stats.commit_ms.Add(std::max<int64_t>(core_.now.wall_ms - received_ms, 0));
    if (why.empty())
      core_.inbound.Ack(to);
    else
      core_.inbound.Term(to, why);
  });
}

// One job in each queue, and one answer to the message.
absl::Status Messages::ApplyScheduleIntent(MessageRequest* message, ScheduleIntent intent,
                                           const Position& position) {
  const Queues::Range entries = core_.queues.Entries(message->rule);
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
absl::StatusOr<bool> Messages::IsOldToAnEntry(QueueIndex queue, const std::string& key,
                                              const Position& position) const {
  const Queues::Range entries = core_.queues.Entries(core_.queues[queue].rule);
  for (size_t i = 0; entries.count > 1 && i < entries.count; ++i) {
    ASSIGN_OR_RETURN(const std::optional<Register> known,
                     core_.turn.Known(MakeId(core_.queues[entries.first + i].name, key)));
    if (known && known->schedule && Compare(position, known->schedule->position) < 0)
      return true;
  }
  return false;
}

// What entries that are gone hold of the key is superseded, and the event asks for no
// job there.
absl::Status Messages::TakeFromRemoved(RuleIndex rule, const std::string& key,
                                       const Position& position) {
  for (const std::string& name : core_.queues.Removed(rule)) {
    ASSIGN_OR_RETURN(const std::optional<Register> known,
                     core_.turn.Known(MakeId(name, key)));
    if (!known || IsClosed(known->state) ||
        Compare(position, known->schedule->position) <= 0)
      continue;
    CancelFindings found;
    RETURN_IF_ERROR(CancelJob(name, rule, key, position, &found));
  }
  return absl::OkStatus();
}

// Returns why the job was kept as rejected, or "" when it was not.
absl::StatusOr<std::string> Messages::ScheduleJob(MessageRequest* message,
                                                  QueueIndex queue, Job job,
                                                  const Position& position) {
  const std::string id = MakeId(core_.queues[queue].name, job.key);
  ASSIGN_OR_RETURN(const std::optional<Register> known, core_.turn.Known(id));
  ASSIGN_OR_RETURN(const bool old, IsOldToAnEntry(queue, job.key, position));
  if (old) {
    ++core_.stats.unchanged;
    return std::string();
  }
  RegisterPolicy policy = core_.Policy(queue);
  ScheduleResult result =
      ApplySchedule(known, position, job.due_ms, policy, core_.now.wall_ms);
  if (result.effect == ScheduleEffect::kStale && message->requeue != nullptr &&
      message->requeue->stale) {
    // A person wants it sent, old and late as it is.
    policy.history_ms = std::numeric_limits<int64_t>::max();
    result = ApplySchedule(known, position, job.due_ms, policy, core_.now.wall_ms);
    job.late_judged = true;
  }
  job.source = position;
  job.received_ms = message->received_ms;
  switch (result.effect) {
    case ScheduleEffect::kNone: ++core_.stats.unchanged; break;
    case ScheduleEffect::kRecord:
      ++core_.stats.unchanged;
      core_.turn.Put(id, &*known, result.reg);
      break;
    case ScheduleEffect::kOpen: {
      if (known) {
        ASSIGN_OR_RETURN(const bool same, core_.jobs.ReuseIfSame(id, job, *known));
        if (same) break;
      }
      core_.jobs.Open(queue, id, std::move(job), known, std::move(result.reg));
      break;
    }
    case ScheduleEffect::kStale: {
      std::string why = std::string(kStaleReason) + "due " + FormatRfc3339Ms(job.due_ms) +
                        " is longer ago than store.history remembers, " +
                        FormatDuration(core_.options.history_ms);
      RETURN_IF_ERROR(KeepReject(message, core_.queues[queue].name, position,
                                 RejectIntent{why, RejectKind::kStale}, EncodeJob(job)));
      return why;
    }
  }
  return std::string();
}

// A cancel closes the key in every queue. It is late when it found nothing to
// take away in any, and a fire in one.
absl::Status Messages::ApplyCancelIntent(MessageRequest* message, CancelIntent* intent,
                                         const Position& position) {
  const Queues::Range entries = core_.queues.Entries(message->rule);
  CancelFindings found;
  for (size_t i = 0; i < entries.count; ++i) {
    RETURN_IF_ERROR(CancelJob(core_.queues[entries.first + i].name, message->rule,
                              intent->key, position, &found));
  }
  // What they hold must not fire when such an entry is put back.
  for (const std::string& name : core_.queues.Removed(message->rule)) {
    RETURN_IF_ERROR(CancelJob(name, message->rule, intent->key, position, &found));
  }
  const bool too_late = !found.in_time && (found.fired_ms || found.attempt != nullptr);
  if (too_late && intent->late)
    RETURN_IF_ERROR(OpenLateCancel(message, intent->late.get(), position, found));
  Answer(message, "");
  return absl::OkStatus();
}

// `name`: of a queue of the rule, or of one that it had.
absl::Status Messages::CancelJob(const std::string& name, RuleIndex rule,
                                 const std::string& key, const Position& position,
                                 CancelFindings* found) {
  const std::string id = MakeId(name, key);
  ASSIGN_OR_RETURN(const std::optional<Register> known, core_.turn.Known(id));
  const RegisterPolicy policy = core_.Policy(core_.queues.Entries(rule).first);
  CancelResult result = ApplyCancel(known, position, policy, core_.now.wall_ms);
  if (result.effect == CancelEffect::kNone) ++core_.stats.unchanged;
  if (result.effect == CancelEffect::kClose) {
    InFlight* const attempt = known->job ? core_.jobs.AttemptOf(*known->job) : nullptr;
    ASSIGN_OR_RETURN(const bool sent,
                     core_.jobs.CloseCancelled(name, key, *known, &result.reg));
    if (attempt != nullptr)
      found->attempt = attempt;
    else if (sent)  // nobody will ever know: in doubt there was a fire
      found->fired_ms = std::max(found->fired_ms.value_or(0), known->schedule->due_ms);
    else
      found->in_time = true;
  }
  if (known && known->state == JobState::kFired) {
    if (result.effect == CancelEffect::kRecord) ++core_.stats.too_late;
    // Also one that is not the newest cancel: only the fire matters.
    if (!policy.reopen || Compare(position, known->schedule->position) > 0)
      found->fired_ms = std::max(found->fired_ms.value_or(0), known->schedule->due_ms);
  }
  if (result.effect != CancelEffect::kNone)
    core_.turn.Put(id, known ? &*known : nullptr, result.reg);
  return absl::OkStatus();
}

// A cancel came after the fire, or while nobody knows whether there is one: what
// it publishes becomes a job, once per fire, whose due time is the fire's.
absl::Status Messages::OpenLateCancel(MessageRequest* message, LateCancel* late,
                                      const Position& position,
                                      const CancelFindings& found) {
  const QueueIndex queue = core_.queues.LateCancels(message->rule);
  const int64_t fire_ms = found.fired_ms ? *found.fired_ms : found.attempt->due_ms;
  const std::string id = MakeId(core_.queues[queue].name, late->job.key);
  ASSIGN_OR_RETURN(const std::optional<Register> known, core_.turn.Known(id));
  if (known && known->schedule && known->schedule->due_ms == fire_ms &&
      known->state != JobState::kCancelled) {
    if (!IsClosed(known->state)) return absl::OkStatus();
    // Kept as long as the fire's own key, which this cancel has just renewed.
    Register renewed = *known;
    renewed.expires_ms =
        std::max(known->expires_ms, ExpiryMs(core_.now.wall_ms, 0, core_.Policy(queue)));
    core_.turn.Put(id, &*known, renewed);
    return absl::OkStatus();
  }
  if (!late->trouble.empty())
    return KeepReject(message, core_.queues[queue].name, position,
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
  core_.jobs.Open(queue, id, std::move(job), known, std::move(reg),
                  in_doubt ? core_.now.wall_ms + core_.options.publish_timeout_ms : 0);
  return absl::OkStatus();
}

// `name`: of the rule, or of the queue whose job it would have been.
absl::Status Messages::KeepReject(MessageRequest* message, std::string_view name,
                                  const Position& position, const RejectIntent& reject,
                                  std::string job_row) {
  if (message->requeue != nullptr) {
    message->requeue->refusal = reject.reason;
    return absl::OkStatus();
  }
  const std::string& rule = core_.rules[message->rule].name;
  const std::string stream(core_.streams.NameOf(position.stream));
  const std::string key = DeadRejectKey(name, position);
  std::string existing;
  ASSIGN_OR_RETURN(const bool known, core_.turn.FindDead(key, &existing));
  const uint64_t dead = core_.counts.dead();
  const bool stale = reject.kind == RejectKind::kStale;
  const auto kind = static_cast<size_t>(reject.kind);
  const auto log = [&](Level level, std::string_view text) {
    LogGathered(level, text, rule, kRejectReasons[kind],
                {{"stream", stream}, {"sequence", position.seq}, {"why", reject.reason}});
  };
  if (known) {
    ++core_.stats.unchanged;
  } else if (stale &&
             (core_.counts.stale() >= core_.options.dead / 10 || core_.DeadFull())) {
    DropStale(stream, position.seq);
  } else if (dead >= 2 * core_.options.dead) {
    ++core_.stats.dropped;
    log(Level::kError, "the dead store is full: a rejected message is dropped");
  } else {
    log(Level::kWarn, "an event was rejected and is kept in the dead store");
    const QueueIndex first = core_.queues.Entries(message->rule).first;
    core_.Count(&Outcomes::rejected, first);
    ++core_.stats.outcomes[first].rejected_by[kind];
    Dead entry;
    entry.reference_only = core_.DeadFull();
    entry.reason = reject.reason;
    entry.at_ms = core_.now.wall_ms;
    entry.source = position;
    if (message->raw) entry.subject = std::move(message->raw->subject);
    if (!entry.reference_only) {
      entry.job_row = std::move(job_row);
      if (message->raw) {
        entry.headers = std::move(message->raw->headers);
        entry.payload = std::move(message->raw->payload);
      }
    }
    core_.turn.PutDead(key, entry);
    core_.counts.Add(name, &RuleCounts::rejected, +1);
    if (stale) core_.counts.AddStale(+1);
    core_.ledger.OnceDurable(
        [this, to = core_.options.name + ".v1.rejected." + rule,
         body = JsonObject("reason", reject.reason, "stream", stream, "seq",
                           position.seq)] { core_.inbound.Announce(to, body.text); });
  }
  return absl::OkStatus();
}

// Drops a stale message and counts it: old events must leave room for new ones.
void Messages::DropStale(const std::string& stream, uint64_t seq) {
  ++core_.stats.stale_dropped;
  StaleDropped& dropped = stale_dropped_[stream];
  dropped.first_seq = dropped.count == 0 ? seq : std::min(dropped.first_seq, seq);
  dropped.last_seq = std::max(dropped.last_seq, seq);
  ++dropped.count;
}

// Of each stream the first time at once, then all of `every_ms` together.
void Messages::LogStale(int64_t every_ms) {
  for (auto& [stream, dropped] : stale_dropped_) {
    if (dropped.count == 0 || core_.now.mono_ms < dropped.logged_mono_ms + every_ms)
      continue;
    Log(Level::kWarn,
        "stale messages were dropped: due longer ago than store.history remembers, and "
        "a tenth of limits.dead is stale already",
        {{"stream", stream},
         {"dropped", dropped.count},
         {"first_sequence", dropped.first_seq},
         {"last_sequence", dropped.last_seq}});
    dropped = {0, 0, 0, core_.now.mono_ms};
  }
}

}  // namespace expirer
