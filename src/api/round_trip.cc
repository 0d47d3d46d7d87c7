#include "api/round_trip.h"

#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include "api/verb.h"
#include "base/rfc3339.h"
#include "json/writer.h"
#include "sched/core.h"

namespace expirer {
namespace {

absl::StatusOr<std::unique_ptr<Command>> Parse(std::string_view text, const ApiContext&) {
  ASSIGN_OR_RETURN(const Query query, ParseRoundTrip(text));
  return std::make_unique<RoundTripCommand>(query);
}

}  // namespace

absl::StatusOr<Query> ParseRoundTrip(std::string_view text) {
  constexpr size_t kIdMax = 40;
  ASSIGN_OR_RETURN(Query query, ParseQuery(text, kRoundTripMembers));
  const std::string id = query.id.value_or("");
  const bool plain = std::all_of(id.begin(), id.end(), [](unsigned char c) {
    return c < 0x80 && std::isalnum(c) != 0;
  });
  if (id.empty() || id.size() > kIdMax || !plain)
    return Invalid(fmt::format("id: expected 1 to {} letters and digits", kIdMax));
  return query;
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

extern const Verb kRoundTrip{.name = "round-trip",
                             .about = "send a job of one's own",
                             .members = kRoundTripMembers,
                             .changes = true,
                             .parse = &Parse};

}  // namespace expirer
