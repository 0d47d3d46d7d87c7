// The queues of the configured rules: each is a line of jobs of its own, with
// its own names, lanes and counts. A rule has one for each publish entry, and
// one more where late cancels publish something.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "job/rules.h"
#include "sched/events.h"
#include "store/store.h"

namespace expirer {

using QueueIndex = uint16_t;

// Of the jobs that `doctor --round-trip` sends through a service. No rule may be
// named `api`.
inline constexpr std::string_view kRoundTripQueue = "api.doctor";

struct Queue {
  std::string name;  // <rule>, <rule>.<entry> or <rule>.late; kRoundTripQueue
  // The same with the first name the rule had in this store: in ids, so that a
  // rename does not change them.
  std::string first_name;
  RuleIndex rule = 0;
  bool orphan = false;  // of no configured rule
  bool reopen = true;
  Transport via = Transport::kJetStream;
  bool late_cancels = false;  // its jobs were made by cancels after the fire
  RetryPolicy retry;
  LatePolicy late;
};

// Immutable once loaded.
class Queues {
 public:
  explicit Queues(const std::vector<Rule>& rules);

  [[nodiscard]] size_t size() const { return queues_.size(); }
  [[nodiscard]] const Queue& operator[](size_t index) const { return queues_[index]; }
  [[nodiscard]] const std::vector<Queue>& all() const { return queues_; }

  // Of kRoundTripQueue. Its rule is the number of rules.
  [[nodiscard]] QueueIndex RoundTrips() const { return round_trips_; }

  // One for jobs whose rule is gone: nothing but what their rows hold is known
  // of them, so they are sent to JetStream and retried by the defaults. Its
  // rule is the number of rules, or the rule whose publish entry is gone: that
  // one's cancels concern it.
  void AddOrphan(const std::string& name);

  // A publish entry that a configured rule had once and has no more; names of
  // others are passed over.
  void AddRemoved(const std::string& name);
  [[nodiscard]] const std::vector<std::string>& Removed(RuleIndex rule) const {
    return by_rule_[rule].removed;
  }

  // Sets every first_name. Once, after the orphans were added. A rule that takes a
  // name another one had first gets a first name of its own (`name~2`), which `set`
  // notes, since ids of the two would be alike.
  [[nodiscard]] absl::Status LoadFirstNames(const Store& store, WriteSet* set);

  // Of a rule's publish entries, in their order: [first, first + count).
  struct Range {
    QueueIndex first = 0;
    QueueIndex count = 0;
  };
  [[nodiscard]] Range Entries(RuleIndex rule) const { return by_rule_[rule].entries; }
  // Where a rule's late cancels go. REQUIRES: one of its cancels has `late`.
  [[nodiscard]] QueueIndex LateCancels(RuleIndex rule) const;
  // The rule of that name, or that a queue of that name belongs to.
  [[nodiscard]] std::optional<RuleIndex> RuleOf(std::string_view name) const;
  // By name; nothing when no rule has it.
  [[nodiscard]] std::optional<QueueIndex> Find(std::string_view name) const;

 private:
  struct OfRule {
    std::string name;
    Range entries;
    std::vector<std::string> removed;
    std::optional<QueueIndex> late_cancels;
  };
  // The rule whose publish entry has, or had, that name.
  [[nodiscard]] std::optional<RuleIndex> Owner(std::string_view name) const;

  std::vector<Queue> queues_;
  std::vector<OfRule> by_rule_;
  QueueIndex round_trips_ = 0;
};

}  // namespace expirer
