// `dead.requeue`: dead jobs are made pending, rejected messages run through their rules
// again.
#include <map>

#include "api/dead.h"
#include "api/verb.h"
#include "sched/core.h"

namespace expirer {
namespace {

using Outcome = DeadCommand::Outcome;
using End = DeadCommand::End;

absl::Status RunAgain(Core& core, std::string_view rule, DeadCommand::Entry* entry,
                      const Dead& dead, Requeue* requeue) {
  MessageRequest message;
  message.rule = *core.queues.RuleOf(rule);
  message.received_ms = core.now.wall_ms;
  message.requeue = requeue;
  if (!dead.job_row.empty()) {  // stale: what was kept is the job
    absl::StatusOr<Job> job = DecodeJob(dead.job_row);
    const std::optional<QueueIndex> queue = core.queues.Find(rule);
    if (job.ok() && queue) {
      const Position position = job->source;
      return core.messages.ScheduleJob(&message, *queue, *std::move(job), position)
          .status();
    }
    requeue->refusal = job.ok() ? std::string(rule) + " publishes nothing any more"
                                : Message(job.status());
  } else if (!entry->intent) {
    requeue->refusal = "it was rejected just now: try again";
  } else if (std::holds_alternative<IgnoreIntent>(*entry->intent)) {
    requeue->refusal = "it concerns no entry of its rule any more";
  } else {
    message.intent = std::move(*entry->intent);
    return core.messages.Apply(&message, dead.source);
  }
  return absl::OkStatus();
}

// A message that was rejected, run through the rules again. Where they reject it
// once more, its entry stays as it is, whatever else came of it.
absl::StatusOr<Outcome> RequeueReject(Core& core, std::string_view rule,
                                      DeadCommand::Entry* entry, const Dead& dead,
                                      bool stale) {
  if (!entry->refusal.empty()) return Outcome{End::kConflicts, entry->refusal};
  Requeue requeue;
  requeue.stale = stale;
  RETURN_IF_ERROR(RunAgain(core, rule, entry, dead, &requeue));
  if (!requeue.refusal.empty())
    return Outcome{End::kStill, "still rejected: " + requeue.refusal};
  DropReject(core, entry->key, rule, dead);
  return Outcome();
}

// A dead job is made pending again, with all its attempts before it.
absl::StatusOr<Outcome> RequeueJob(Core& core, const DeadName& of, const Dead& dead) {
  const std::string name = JobName(of.rule, of.key);
  const std::string id = MakeId(of.rule, of.key);
  ASSIGN_OR_RETURN(const std::optional<Register> known, core.turn.Known(id));
  if (!known || known->state != JobState::kDead)
    return Outcome{End::kConflicts, name + " is not dead"};
  absl::StatusOr<Job> job = DecodeJob(dead.job_row);
  if (!job.ok())
    return Outcome{End::kConflicts, name + " cannot be read: " + dead.reason};
  job->counted_attempts = 0;
  job->late_judged = true;  // a person wants it sent, late as it is
  core.turn.DropDead(DeadJobKey(of.rule, of.key));
  // A row that stands at its due time was never tried (Scheduler::MaybeSent).
  const int64_t from_ms = job->due_ms + (job->unanswered ? 1 : 0);
  core.jobs.Place(&core.lanes.First(*core.queues.Find(of.rule)),
                  std::max(from_ms, core.now.wall_ms), *job, id, &*known, *known);
  return Outcome();
}

}  // namespace

absl::StatusOr<Outcome> RequeueEntry(Core& core, DeadCommand::Entry* entry,
                                     const DeadName& name, const Dead& dead, bool stale) {
  const bool configured = name.job ? core.queues.Find(name.rule).has_value()
                                   : core.queues.RuleOf(name.rule).has_value();
  if (!configured)
    return Outcome{End::kConflicts,
                   "the rule " + std::string(name.rule) + " is not configured"};
  return name.job ? RequeueJob(core, name, dead)
                  : RequeueReject(core, name.rule, entry, dead, stale);
}

absl::Status RunThroughRules(const Store& store, const ApiContext& context,
                             const std::vector<Dead>& rejected,
                             std::vector<DeadCommand::Entry>* entries) {
  ASSIGN_OR_RETURN(const StreamNames streams, NamesOfStreams(store));
  std::map<std::string, RuleEvaluator, std::less<>> evaluators;
  for (size_t i = 0; i < rejected.size(); ++i) {
    const Dead& dead = rejected[i];
    DeadCommand::Entry& entry = (*entries)[i];
    const DeadName name = SplitDeadKey(entry.key).value_or(DeadName{});
    if (name.job) continue;
    entry.source = dead.source;
    if (dead.reference_only)
      entry.refusal =
          "only a reference to the message was kept (limits.dead, limits.dead_bytes)";
    // Stale, with the job that its rule made: the core takes that.
    if (dead.reference_only || !dead.job_row.empty()) continue;
    const std::optional<RuleIndex> rule = context.queues->RuleOf(name.rule);
    if (!rule) {
      entry.refusal = "the rule " + std::string(name.rule) + " is not configured";
      continue;
    }
    auto evaluator = evaluators.find(name.rule);
    if (evaluator == evaluators.end())
      evaluator = evaluators
                      .try_emplace(std::string(name.rule), (*context.rules)[*rule],
                                   context.job_limits)
                      .first;
    EventView event;
    event.subject = dead.subject;
    event.payload = dead.payload;
    event.headers = &dead.headers;
    event.time_ns = dead.source.time_ns;
    const std::string stream = streams(dead.source.stream);
    event.stream = stream;
    entry.intent = evaluator->second.Evaluate(event, context.clock->NowMs());
  }
  return absl::OkStatus();
}

extern const Verb kRequeue{.name = "dead.requeue",
                           .about = "make dead jobs pending, run rejected messages again",
                           .members = "rule prefix job id stale limit cursor",
                           .changes = true,
                           .make = &MakeDead<false>,
                           .cold = true,
                           .client = {.command = "dead requeue"}};

}  // namespace expirer
