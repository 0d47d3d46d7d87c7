// `get`: what is known of one job.
#include "api/verb.h"
#include "sched/core.h"

namespace expirer {
namespace {

struct GetCommand : JobCommand {
  using JobCommand::JobCommand;
  absl::StatusOr<Reply> Answer(Core& core) override;
};

// What the row or the dead entry of a job tells beside its register.
struct Kept {
  std::string row;
  std::string reason;  // why it is dead
};

absl::StatusOr<Kept> ReadKept(Core& core, const JobRef& job, const Register& known) {
  Kept kept;
  if (IsLive(known.state)) {
    if (known.brief) return kept;
    ASSIGN_OR_RETURN(const bool found, core.turn.ReadRow(*known.job, &kept.row));
    if (!found) kept.row.clear();  // held back by a full disk
  } else if (known.state == JobState::kDead) {
    std::string value;
    ASSIGN_OR_RETURN(const bool found,
                     core.turn.FindDead(DeadJobKey(job.rule, job.key), &value));
    absl::StatusOr<Dead> dead = DecodeDead(value);
    if (found && dead.ok())
      kept = {.row = std::move(dead->job_row), .reason = std::move(dead->reason)};
  }
  return kept;
}

absl::StatusOr<Reply> GetCommand::Answer(Core& core) {
  ASSIGN_OR_RETURN(const std::optional<Register> known, core.turn.Known(id()));
  if (!known) return Reply{kNotFound, "no job is known as " + JobName(job.rule, job.key)};
  const std::optional<QueueIndex> queue = core.queues.Find(job.rule);
  JobInfo info;
  info.rule = job.rule;
  info.key = job.key;
  info.state = Name(known->state);
  info.source = known->cancel;
  if (known->schedule) {
    info.due_ms = known->schedule->due_ms;
    info.source = known->schedule->position;
  }
  if (IsLive(known->state)) {
    if (known->brief) {
      info.target = known->brief->target;
      info.attempts = known->brief->sends;
      info.last_error = known->brief->last_error;
    }
    if (!queue) info.state = "held";
    if (known->job->key_ms != *info.due_ms) info.next_ms = known->job->key_ms;
  }
  if (known->job && core.jobs.HasAttempt(known->job->seq)) info.state = "in_flight";
  ASSIGN_OR_RETURN(const Kept kept, ReadKept(core, job, *known));
  JobView view;
  if (!kept.row.empty() && DecodeJob(kept.row, &view).ok()) {
    info.target = view.target;
    info.attempts = view.sends;
    info.last_error = view.last_error;
  }
  if (!kept.reason.empty()) info.last_error = kept.reason;
  std::string warning;
  if (info.target && queue)
    warning = core.egress.Warning(core.queues[*queue].via, *info.target);
  info.warning = warning;
  if (known->state == JobState::kFired) {
    info.times = known->times;
    info.collision = known->collision;
  }
  info.stream = core.streams.NameOf(info.source ? info.source->stream : 0);
  return Reply{0, FormatJobInfo(info, caller.bytes_max)};
}

}  // namespace

extern const Verb kGet{.name = "get",
                       .about = "tell what is known of jobs",
                       .members = "job",
                       .make = &MakeJob<GetCommand>,
                       .client = {.command = "get"}};

}  // namespace expirer
