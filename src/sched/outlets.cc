#include "sched/outlets.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/check.h"
#include "store/meta.h"

namespace expirer {

Outlets::Outlets(const std::vector<Rule>& rules) {
  for (size_t i = 0; i < rules.size(); ++i) {
    const Rule& rule = rules[i];
    const auto index = static_cast<RuleIndex>(i);
    OfRule& of = by_rule_.emplace_back();
    of.name = rule.name;
    of.entries = {static_cast<OutletIndex>(outlets_.size()),
                  static_cast<OutletIndex>(rule.publish.size())};
    for (const Publish& publish : rule.publish) {
      outlets_.push_back({OutletName(rule, publish),
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
    of.late_cancels = static_cast<OutletIndex>(outlets_.size());
    outlets_.push_back({OutletName(rule, *late->late),
                        {},
                        index,
                        false,
                        true,
                        late->late->via,
                        true,
                        rule.retry,
                        {}});
  }
  round_trips_ = static_cast<OutletIndex>(outlets_.size());
  const auto no_rule = static_cast<RuleIndex>(rules.size());
  outlets_.push_back({std::string(kRoundTripOutlet),
                      {},
                      no_rule,
                      true,
                      true,
                      Transport::kCore,
                      false,
                      RetryPolicy(),
                      LatePolicy()});
}

void Outlets::AddOrphan(const std::string& name) {
  const bool late_cancels = name.ends_with(".late");
  const auto no_rule = static_cast<RuleIndex>(by_rule_.size());
  outlets_.push_back({name,
                      {},
                      Owner(name).value_or(no_rule),
                      true,
                      true,
                      Transport::kJetStream,
                      late_cancels,
                      RetryPolicy(),
                      LatePolicy()});
}

absl::Status Outlets::LoadFirstNames(const Store& store, WriteSet* set) {
  std::map<std::string, std::string, std::less<>> first_names;  // by today's
  std::set<std::string, std::less<>> taken;                     // by another rule
  RETURN_IF_ERROR(
      store.VisitMeta(kMetaFirstName, [&](std::string_view key, std::string_view value) {
        first_names[std::string(key.substr(kMetaFirstName.size()))] = value;
        taken.emplace(value);
        return absl::OkStatus();
      }));
  for (Outlet& outlet : outlets_) {
    const std::string rule = outlet.name.substr(0, outlet.name.find('.'));
    auto first = first_names.find(rule);
    if (first == first_names.end()) {
      std::string name = rule;
      for (int n = 2; taken.contains(name); ++n) name = rule + "~" + std::to_string(n);
      if (name != rule) set->PutMeta(std::string(kMetaFirstName) + rule, name);
      first = first_names.emplace(rule, std::move(name)).first;
    }
    outlet.first_name = first->second + outlet.name.substr(rule.size());
  }
  return absl::OkStatus();
}

void Outlets::AddRemoved(const std::string& name) {
  if (const std::optional<RuleIndex> rule = Owner(name))
    by_rule_[*rule].removed.push_back(name);
}

// Late cancels are no entry: no cancel closes them.
std::optional<RuleIndex> Outlets::Owner(std::string_view name) const {
  const std::string_view rule = name.substr(0, name.find('.'));
  if (name.substr(rule.size()) == ".late") return std::nullopt;
  for (size_t i = 0; i < by_rule_.size(); ++i)
    if (by_rule_[i].name == rule) return static_cast<RuleIndex>(i);
  return std::nullopt;
}

OutletIndex Outlets::LateCancels(RuleIndex rule) const {
  // Only cancels of entries with `late` have anything to publish, and these rules
  // are those of the evaluator that made them.
  CHECK(by_rule_[rule].late_cancels.has_value());
  return *by_rule_[rule].late_cancels;
}

std::optional<RuleIndex> Outlets::RuleOf(std::string_view name) const {
  for (const Outlet& outlet : outlets_) {
    const std::string_view rest = std::string_view(outlet.name).substr(0, name.size());
    const bool prefix = rest == name && (outlet.name.size() == name.size() ||
                                         outlet.name[name.size()] == '.');
    if (prefix && !outlet.orphan) return outlet.rule;
  }
  return std::nullopt;
}

std::optional<OutletIndex> Outlets::Find(std::string_view name) const {
  for (size_t i = 0; i < outlets_.size(); ++i)
    if (outlets_[i].name == name) return static_cast<OutletIndex>(i);
  return std::nullopt;
}

}  // namespace expirer
