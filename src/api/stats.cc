// `stats`: the numbers of the core, and of a page of rules.
#include <algorithm>
#include <utility>

#include "api/verb.h"
#include "json/writer.h"
#include "sched/core.h"

namespace expirer {
namespace {

struct StatsCommand : Command {
  absl::StatusOr<Reply> Answer(Core& core) override;

  std::string more;   // members that the asker knows, a fragment of json/writer.h
  std::string after;  // the page has the rules that follow this one
};

Json UseJson(uint64_t used, uint64_t max) { return JsonObject("used", used, "max", max); }

absl::StatusOr<std::unique_ptr<Command>> Make(Query query, const ApiContext& context) {
  auto command = std::make_unique<StatsCommand>();
  command->after = std::move(query.cursor).value_or("");
  if (context.more_stats) command->more = context.more_stats();
  return command;
}

absl::StatusOr<Reply> StatsCommand::Answer(Core& core) {
  const int64_t now_ms = core.now.wall_ms;
  Stats stats = core.Snapshot(now_ms);
  stats.overdue = core.CountOverdue(now_ms);
  const SchedulerOptions& limits = core.options;
  const std::string tail =
      JsonWriter()
          .Add("counters", CountersJson(stats), "limits",
               JsonObject("window", UseJson(stats.window, limits.window), "inflight",
                          UseJson(stats.in_flight, limits.in_flight), "dead",
                          UseJson(core.counts.dead(), limits.dead), "dead_bytes",
                          UseJson(stats.dead_bytes, limits.dead_bytes), "history",
                          UseJson(stats.closed, limits.history_keys)),
               "egress_up", stats.egress_up, "intake_open", stats.intake_open,
               "rules_catching_up", stats.catching_up, "rebuilding", stats.rebuilding)
          .Members(more)
          .Take();
  std::string cursor;
  const auto reply = [&](const Json& rules) {
    return JsonWriter()
        .Object()
        .Members(TotalsJson(stats, now_ms))
        .Add("rules", rules)
        .Members(tail)
        .Add("cursor", IfAny(cursor))
        .Take();
  };
  // The rules that the reply has room for; the rest is the next page's.
  const size_t other = reply(Json()).size() - 1 + kPageEndBytes;
  const size_t bytes_max = caller.bytes_max;
  const Json rules =
      RulesJson(stats, after, bytes_max - std::min(bytes_max, other), &cursor);
  return Reply{0, reply(rules)};
}

}  // namespace

extern const Verb kStats{.name = "stats",
                         .about = "numbers of the running service",
                         .members = "cursor",
                         .make = &Make,
                         .client = {.command = "stats"}};

}  // namespace expirer
