// `rules`: the rules in effect, a page of them, in the order of the configuration.
#include <algorithm>

#include "api/verb.h"
#include "base/duration.h"
#include "json/writer.h"

namespace expirer {
namespace {

std::string DueOf(const Entry& entry) {
  if (entry.due) return entry.due->Spelling();
  if (entry.delay) return "delay " + entry.delay->Spelling();
  return entry.delay_ms ? "delay " + FormatDuration(*entry.delay_ms) : "its own time";
}

Json RuleJson(const Rule& rule) {
  JsonWriter out;
  out.Object().Add("rule", rule.name, "source",
                   rule.source == Transport::kJetStream ? "jetstream"
                   : rule.source == Transport::kCore    ? "core"
                                                        : "stan");
  out.Array("schedule");
  for (const Entry& entry : rule.schedule)
    out.Item(JsonObject("subject", entry.subject, "stream", IfAny(entry.stream), "due",
                        DueOf(entry)));
  out.End().Array("cancel");
  for (const Entry& entry : rule.cancel)
    out.Item(JsonObject("subject", entry.subject, "stream", IfAny(entry.stream)));
  out.End().Array("publish");
  for (const Publish& publish : rule.publish)
    out.Item(JsonObject("name", IfAny(publish.name), "target", publish.target.Filter()));
  return Json{out.Take()};
}

struct RulesCommand : Command {
  absl::StatusOr<Reply> Answer(Core&) override {
    JsonWriter out;
    out.Object().Array("rules");
    size_t bytes = kPageEndBytes;
    std::string next;
    for (auto rule = begin; rule != rules->end(); ++rule) {
      const Json json = RuleJson(*rule);
      bytes += json.text.size() + 1 + rule->name.size();
      if (rule != begin && bytes > std::min(kPageBytesMax, caller.bytes_max)) break;
      out.Item(json);
      next = rule + 1 == rules->end() ? "" : rule->name;
    }
    return Reply{0, out.End().Add("cursor", IfAny(next)).Take()};
  }

  const std::vector<Rule>* rules = nullptr;
  std::vector<Rule>::const_iterator begin;  // of the page
};

absl::StatusOr<std::unique_ptr<Command>> Make(Query query, const ApiContext& context) {
  auto command = std::make_unique<RulesCommand>();
  command->rules = context.rules;
  command->begin = context.rules->begin();
  if (!query.cursor) return command;
  command->begin =
      std::find_if(context.rules->begin(), context.rules->end(),
                   [&](const Rule& rule) { return rule.name == *query.cursor; });
  if (command->begin == context.rules->end())
    return Invalid("cursor: expected one that rules gave");
  ++command->begin;
  return command;
}

}  // namespace

extern const Verb kRules{
    .name = "rules",
    .about = "list the rules in effect",
    .members = "cursor",
    .make = &Make,
    .client = {.command = "rules", .items = "rules", .columns = "rule source"}};

}  // namespace expirer
