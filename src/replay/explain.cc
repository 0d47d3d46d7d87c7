#include "replay/explain.h"

#include <algorithm>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "absl/strings/escaping.h"
#include "base/rfc3339.h"
#include "base/visible.h"
#include "json/value.h"

namespace expirer {
namespace {

std::string Fired(const Fire& fire) {
  const InstantBus::Published& message = *fire.message;
  std::string text = Visible(fmt::format("  {} fires at {} to {}", fire.job,
                                         FormatRfc3339Ms(fire.at_ms), message.target)) +
                     "\n";
  for (const auto& [name, value] : SentHeaders(message))
    text += "    " + Visible(fmt::format("{}: {}", name, value)) + "\n";
  const bool plain = IsUtf8(message.body);
  return text + "    " +
         (plain ? Visible(message.body) : "base64: " + absl::Base64Escape(message.body)) +
         "\n";
}

struct Explained {
  std::string verdict;  // what the rule makes of the event
  bool schedules = false;
  std::string fires;
};

void Judge(const Intent& intent, Explained* to) {
  if (const auto* schedule = std::get_if<ScheduleIntent>(&intent)) {
    to->schedules = true;
    to->verdict = fmt::format("schedules the key {}, due {}", schedule->job.key,
                              FormatRfc3339Ms(schedule->job.due_ms));
  } else if (const auto* cancel = std::get_if<CancelIntent>(&intent)) {
    to->verdict = "cancels the key " + cancel->key;
  } else if (const auto* reject = std::get_if<RejectIntent>(&intent)) {
    to->verdict = "rejects it: " + reject->reason;
  } else if (std::get<IgnoreIntent>(intent).marker) {
    to->verdict = fmt::format(
        "reads its subject and ignores it: the server made it ({}), and no entry's "
        "`match` asks for that header",
        kMarkerHeader);
  } else {
    to->verdict = "reads its subject and ignores it: no entry's `match` holds";
  }
}

// Whether a queue of that name is one of the rule's.
bool IsOf(const std::string& queue, const Rule& rule) {
  return queue == rule.name || queue.starts_with(rule.name + ".");
}

// Why jobs that were scheduled did not fire.
std::string NotFired(const ReplaySummary& summary, const Rule& rule) {
  std::string text;
  for (const ReplaySummary::Queue& queue : summary.queues) {
    if (!IsOf(queue.name, rule)) continue;
    if (queue.outcomes.skipped > 0)
      text += "  " + queue.name + ": skipped, `late` says so\n";
    if (queue.outcomes.dead > 0)
      text += "  " + queue.name + ": kept as dead, `late` says so\n";
    if (queue.outcomes.rejected > 0)
      text += "  " + queue.name + ": rejected as stale, due before store.history\n";
  }
  return text;
}

}  // namespace

absl::StatusOr<std::string> ExplainEvent(ReplayOptions options,
                                         const std::vector<Rule>& rules,
                                         const TraceLine& line) {
  std::map<std::string, Explained> by_rule;
  options.on_intent = [&](const TraceLine&, const Rule& rule, const Intent& intent) {
    Judge(intent, &by_rule[rule.name]);
  };
  options.on_fire = [&](const Fire& fire) {
    const std::string queue = fire.job.substr(0, fire.job.find('/'));
    for (const Rule& rule : rules)
      if (IsOf(queue, rule)) by_rule[rule.name].fires += Fired(fire);
  };
  Replayer replayer(std::move(options), rules);
  RETURN_IF_ERROR(replayer.Take(line).status());
  RETURN_IF_ERROR(replayer.Finish());
  std::string text;
  for (const Rule& rule : rules) {
    const auto known = by_rule.find(rule.name);
    if (known == by_rule.end()) {
      text += Visible(fmt::format("{} does not read {}", rule.name, line.subject)) + "\n";
      continue;
    }
    const Explained& of = known->second;
    text += Visible(rule.name + " " + of.verdict) + "\n" + of.fires;
    if (of.schedules) text += NotFired(replayer.summary(), rule);
  }
  return text;
}

}  // namespace expirer
