// `cancel`: a job does not fire, or it is said that it may have.
#include "api/verb.h"
#include "json/writer.h"
#include "sched/core.h"

namespace expirer {
namespace {

struct CancelCommand : JobCommand {
  using JobCommand::JobCommand;
  [[nodiscard]] Kind kind() const override { return Kind::kChanges; }
  absl::StatusOr<bool> Apply(Core& core, Piece*) override;
  absl::StatusOr<Reply> Answer(Core& core) override;

  std::string_view outcome = "unknown";
};

absl::StatusOr<bool> CancelCommand::Apply(Core& core, Piece*) {
  ASSIGN_OR_RETURN(const std::optional<Register> known, core.turn.Known(id()));
  // One that is unknown is not remembered, unlike an event's: a slip in a name must not
  // close a key that is yet to come.
  if (!known) return true;
  ASSIGN_OR_RETURN(const bool too_late, core.jobs.CancelNow(job.rule, job.key, *known));
  outcome = too_late ? "too_late" : "cancelled";
  return true;
}

absl::StatusOr<Reply> CancelCommand::Answer(Core&) {
  return Reply{0, JsonObject("job", JobName(job.rule, job.key), "outcome", outcome).text};
}

}  // namespace

extern const Verb kCancel{.name = "cancel",
                          .about = "cancel jobs",
                          .members = "job",
                          .changes = true,
                          .make = &MakeJob<CancelCommand>,
                          .client = {.command = "cancel"}};

}  // namespace expirer
