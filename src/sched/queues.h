// The queues of the configured rules. A queue has its own jobs, name, lanes and counts. A
// rule has one queue for each publish entry, and one more if late cancels publish
// something.
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

// The queue of the jobs that `doctor --round-trip` sends through a service. No rule may
// be named `api`.
inline constexpr std::string_view kRoundTripQueue = "api.doctor";

struct Queue {
  std::string name;  // <rule>, <rule>.<entry> or <rule>.late; kRoundTripQueue
  // The queue's name by the first name that its rule had in this store. Ids contain it,
  // so that a rename does not change them.
  std::string first_name;
  RuleIndex rule = 0;
  bool orphan = false;  // its rule is not configured
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

  // The index of kRoundTripQueue. Its rule is the number of rules.
  [[nodiscard]] QueueIndex RoundTrips() const { return round_trips_; }

  // Adds a queue for jobs whose rule or publish entry is gone. Only their rows are known,
  // so they are sent to JetStream and retried by the defaults. If a rule lost the publish
  // entry, that is the queue's rule, whose cancels still apply; otherwise its rule is the
  // number of rules.
  void AddOrphan(const std::string& name);

  // Adds a publish entry that a configured rule once had and no longer has. Ignores other
  // names.
  void AddRemoved(const std::string& name);
  [[nodiscard]] const std::vector<std::string>& Removed(RuleIndex rule) const {
    return by_rule_[rule].removed;
  }

  // Sets every first_name. Call once, after the orphans were added. If a rule takes the
  // first name of another rule, it gets a first name of its own (`name~2`), since ids of
  // the two would collide; `set` notes it.
  absl::Status LoadFirstNames(const Store& store, WriteSet* set);

  // The queues of a rule's publish entries, in their order: [first, first + count).
  struct Range {
    QueueIndex first = 0;
    QueueIndex count = 0;
  };
  [[nodiscard]] Range Entries(RuleIndex rule) const { return by_rule_[rule].entries; }
  // The queue of a rule's late cancels. REQUIRES: one of its cancels has `late`.
  [[nodiscard]] QueueIndex LateCancels(RuleIndex rule) const;
  // The rule with this name, or the rule of the queue with this name.
  [[nodiscard]] std::optional<RuleIndex> RuleOf(std::string_view name) const;
  // The queue with this name; empty if no rule has one.
  [[nodiscard]] std::optional<QueueIndex> Find(std::string_view name) const;

 private:
  struct OfRule {
    std::string name;
    Range entries;
    std::vector<std::string> removed;
    std::optional<QueueIndex> late_cancels;
  };
  // The rule that has, or had, a publish entry with this name.
  [[nodiscard]] std::optional<RuleIndex> Owner(std::string_view name) const;

  std::vector<Queue> queues_;
  std::vector<OfRule> by_rule_;
  QueueIndex round_trips_ = 0;
};

}  // namespace expirer
