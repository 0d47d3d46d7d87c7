// `round-trip`: a job of its own that a caller wants to see come back over core NATS,
// on <name>.v1.round-trip.<id>.
#include <algorithm>
#include <cctype>
#include <utility>

#include <fmt/format.h>

#include "api/verb.h"
#include "base/rfc3339.h"
#include "json/writer.h"
#include "sched/core.h"

namespace expirer {
namespace {

// A job like any other: stored, synced, fired when it is due, closed.
struct RoundTripCommand : Command {
  [[nodiscard]] Kind kind() const override { return Kind::kChanges; }
  absl::StatusOr<bool> Apply(Core& core, Piece*) override;
  absl::StatusOr<Reply> Answer(Core&) override { return reply; }

  std::string key;
  uint64_t in_ms = 0;  // until it is due
  Reply reply;
};

// The id is 1 to 40 letters and digits: it ends subject and key.
absl::StatusOr<std::unique_ptr<Command>> Make(Query query, const ApiContext&) {
  constexpr size_t kIdMax = 40;
  auto command = std::make_unique<RoundTripCommand>();
  command->key = std::move(query.id).value_or("");
  command->in_ms = query.in_ms;
  const std::string& id = command->key;
  const bool plain = std::all_of(id.begin(), id.end(), [](unsigned char c) {
    return c < 0x80 && std::isalnum(c) != 0;
  });
  if (id.empty() || id.size() > kIdMax || !plain)
    return Invalid(fmt::format("id: expected 1 to {} letters and digits", kIdMax));
  return command;
}

absl::StatusOr<bool> RoundTripCommand::Apply(Core& core, Piece*) {
  if (!core.intake_open) {
    reply = {kAtLimit, "too little disk space: no job is taken in until there is more"};
    return true;
  }
  const QueueIndex queue = core.queues.RoundTrips();
  const std::string name = JobName(core.queues[queue].name, key);
  const std::string id = MakeId(core.queues[queue].name, key);
  ASSIGN_OR_RETURN(const std::optional<Register> known, core.turn.Known(id));
  if (known) {
    reply = {kConflict, name + " is known already"};
    return true;
  }
  Job job;
  job.key = key;
  job.due_ms = core.now.wall_ms + static_cast<int64_t>(in_ms);
  job.target = core.options.name + ".v1.round-trip." + job.key;
  job.body = JsonObject("job", name);
  job.source = core.jobs.PositionNow(Register());
  job.received_ms = core.now.wall_ms;
  ScheduleResult result =
      ApplySchedule(known, job.source, job.due_ms, core.Policy(queue), core.now.wall_ms);
  reply.body =
      JsonObject("job", name, "due", FormatRfc3339Ms(job.due_ms), "subject", job.target);
  core.jobs.Open(queue, id, std::move(job), known, std::move(result.reg));
  return true;
}

}  // namespace

extern const Verb kRoundTrip{.name = "round-trip",
                             .about = "send a job of one's own",
                             .members = "id in_ms",
                             .changes = true,
                             .make = &Make};

}  // namespace expirer
