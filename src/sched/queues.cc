#include "sched/queues.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/check.h"
#include "store/meta.h"

namespace expirer {

Queues::Queues(const std::vector<Rule>& rules) {
  for (size_t i = 0; i < rules.size(); ++i) {
    const Rule& rule = rules[i];
    const auto index = static_cast<RuleIndex>(i);
    OfRule& of = by_rule_.emplace_back();
    of.name = rule.name;
    of.entries = {static_cast<QueueIndex>(queues_.size()),
                  static_cast<QueueIndex>(rule.publish.size())};
    for (const Publish& publish : rule.publish) {
      queues_.push_back({QueueName(rule, publish),
                         {},
                         index,
                         false,
                         rule.reopen,
                         publish.via,
                         false,
                         rule.retry,
                         publish.late});
    }
    const auto late = std::find_if(rule.cancel.begin(), rule.cancel.end(),
                                   [](const Entry& e) { return e.late.has_value(); });
    if (late == rule.cancel.end()) continue;
    of.late_cancels = static_cast<QueueIndex>(queues_.size());
    queues_.push_back({QueueName(rule, *late->late),
                       {},
                       index,
                       false,
                       true,
                       late->late->via,
                       true,
                       rule.retry,
                       {}});
  }
  round_trips_ = static_cast<QueueIndex>(queues_.size());
  const auto no_rule = static_cast<RuleIndex>(rules.size());
  queues_.push_back({std::string(kRoundTripQueue),
                     {},
                     no_rule,
                     true,
                     true,
                     Transport::kCore,
                     false,
                     RetryPolicy(),
                     LatePolicy()});
}

void Queues::AddOrphan(const std::string& name) {
  const bool late_cancels = name.ends_with(".late");
  const auto no_rule = static_cast<RuleIndex>(by_rule_.size());
  queues_.push_back({name,
                     {},
                     Owner(name).value_or(no_rule),
                     true,
                     true,
                     Transport::kJetStream,
                     late_cancels,
                     RetryPolicy(),
                     LatePolicy()});
}

absl::Status Queues::LoadFirstNames(const Store& store, WriteSet* set) {
  std::map<std::string, std::string, std::less<>> first_names;  // by today's
  std::set<std::string, std::less<>> taken;                     // by another rule
  RETURN_IF_ERROR(
      store.VisitMeta(kMetaFirstName, [&](std::string_view key, std::string_view value) {
        first_names[std::string(key.substr(kMetaFirstName.size()))] = value;
        taken.emplace(value);
        return absl::OkStatus();
      }));
  for (Queue& queue : queues_) {
    const std::string rule = queue.name.substr(0, queue.name.find('.'));
    auto first = first_names.find(rule);
    if (first == first_names.end()) {
      std::string name = rule;
      for (int n = 2; taken.contains(name); ++n) name = rule + "~" + std::to_string(n);
      if (name != rule) set->PutMeta(std::string(kMetaFirstName) + rule, name);
      first = first_names.emplace(rule, std::move(name)).first;
    }
    queue.first_name = first->second + queue.name.substr(rule.size());
  }
  return absl::OkStatus();
}

void Queues::AddRemoved(const std::string& name) {
  if (const std::optional<RuleIndex> rule = Owner(name))
    by_rule_[*rule].removed.push_back(name);
}

// Late cancels are no entry: no cancel closes them.
std::optional<RuleIndex> Queues::Owner(std::string_view name) const {
  const std::string_view rule = name.substr(0, name.find('.'));
  if (name.substr(rule.size()) == ".late") return std::nullopt;
  for (size_t i = 0; i < by_rule_.size(); ++i)
    if (by_rule_[i].name == rule) return static_cast<RuleIndex>(i);
  return std::nullopt;
}

QueueIndex Queues::LateCancels(RuleIndex rule) const {
  // Only cancels of entries with `late` have anything to publish, and these rules
  // are those of the evaluator that made them.
  CHECK(by_rule_[rule].late_cancels.has_value());
  return *by_rule_[rule].late_cancels;
}

std::optional<RuleIndex> Queues::RuleOf(std::string_view name) const {
  for (const Queue& queue : queues_) {
    const std::string_view rest = std::string_view(queue.name).substr(0, name.size());
    const bool prefix = rest == name && (queue.name.size() == name.size() ||
                                         queue.name[name.size()] == '.');
    if (prefix && !queue.orphan) return queue.rule;
  }
  return std::nullopt;
}

std::optional<QueueIndex> Queues::Find(std::string_view name) const {
  for (size_t i = 0; i < queues_.size(); ++i)
    if (queues_[i].name == name) return static_cast<QueueIndex>(i);
  return std::nullopt;
}

}  // namespace expirer
