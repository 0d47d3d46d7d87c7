// `dead.purge`: dead entries are removed for good.
#include "api/dead.h"
#include "api/verb.h"
#include "sched/core.h"

namespace expirer {
// A purged job's key is closed like a cancelled one, so that its schedule,
// delivered again, does not revive it.
absl::Status PurgeEntry(Core& core, const std::string& dead_key, const DeadName& name,
                        const Dead& dead) {
  if (!name.job) {
    DropReject(core, dead_key, name.rule, dead);
    return absl::OkStatus();
  }
  core.turn.DropDead(dead_key);
  const std::string id = MakeId(name.rule, name.key);
  ASSIGN_OR_RETURN(const std::optional<Register> known, core.turn.Known(id));
  if (!known || known->state != JobState::kDead) {
    // Of a row nobody could read.
    core.counts.Add(name.rule, &RuleCounts::dead_jobs, -1);
    return absl::OkStatus();
  }
  Register to = *known;
  to.state = JobState::kCancelled;
  to.cancel = core.jobs.PositionNow(*known);
  to.expires_ms =
      ExpiryMs(core.now.wall_ms, known->schedule ? known->schedule->due_ms : 0,
               {true, core.options.history_ms});
  core.turn.Put(id, &*known, to);
  return absl::OkStatus();
}

extern const Verb kPurge{.name = "dead.purge",
                         .about = "remove for good",
                         .members = "rule prefix job id dry_run limit cursor",
                         .changes = true,
                         .make = &MakeDead<true>,
                         .cold = true,
                         .client = {.command = "dead purge"}};

}  // namespace expirer
