#include "sched/outlets.h"

#include <algorithm>

#include "base/check.h"

namespace expirer {

Outlets::Outlets(const std::vector<Rule>& rules) {
  for (size_t i = 0; i < rules.size(); ++i) {
    const Rule& rule = rules[i];
    const auto index = static_cast<RuleIndex>(i);
    OfRule& of = by_rule_.emplace_back();
    of.entries = {static_cast<OutletIndex>(outlets_.size()),
                  static_cast<OutletIndex>(rule.publish.size())};
    for (const Publish& publish : rule.publish) {
      outlets_.push_back({OutletName(rule, publish), index, false, rule.reopen,
                          publish.via, false, rule.retry, publish.late});
    }
    const auto late = std::find_if(rule.cancel.begin(), rule.cancel.end(),
                                   [](const Entry& e) { return e.late.has_value(); });
    if (late == rule.cancel.end()) continue;
    of.late_cancels = static_cast<OutletIndex>(outlets_.size());
    outlets_.push_back({OutletName(rule, *late->late),
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
  outlets_.push_back({std::string(kRoundTripOutlet), no_rule, true, true,
                      Transport::kCore, false, RetryPolicy(), LatePolicy()});
}

void Outlets::AddOrphan(const std::string& name) {
  const bool late_cancels = name.ends_with(".late");
  outlets_.push_back({name, static_cast<RuleIndex>(by_rule_.size()), true, true,
                      Transport::kJetStream, late_cancels, RetryPolicy(), LatePolicy()});
}

OutletIndex Outlets::LateCancels(RuleIndex rule) const {
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
