#include "sim/ids.h"

#include <algorithm>

#include "job/fired.h"

namespace expirer::sim {
namespace {

// Of SchedulerOptions, which the worlds leave as it is.
constexpr std::string_view kServiceName = "expirer";

std::string IdOf(const std::string& queue, const Event& event, size_t entry) {
  JobView job;
  job.key = event.key;
  job.due_ms = DueOf(event, entry);
  job.source.seq = event.seq;
  job.source.time_ns = event.time_ns;
  return MsgId({kServiceName, queue, queue}, *event.stream, job);
}

}  // namespace

void Ids::Named(const std::vector<Rule>& rules) {
  rules_.resize(rules.size());
  for (size_t i = 0; i < rules.size(); ++i) {
    Names& names = rules_[i];
    names.core = rules[i].source == Transport::kCore;
    if (names.had.empty() || names.had.back() != rules[i].name)
      names.had.push_back(rules[i].name);
  }
}

void Ids::StoreReplaced() {
  for (Names& names : rules_) names.first.clear();
}

std::string Ids::Check(const MemoryBus::Published& message,
                       const std::vector<const Event*>& of, const Queue& queue,
                       size_t entry) {
  const std::string id = message.MsgId();
  Names& names = rules_[queue.rule];
  // What follows the rule's name, `.entry` or nothing.
  const std::string rest = queue.name.substr(names.had.back().size());
  const auto has = [&](const std::string& first) {
    return std::any_of(of.begin(), of.end(), [&](const Event* event) {
      return IdOf(first + rest, *event, entry) == id;
    });
  };
  // Messages of core NATS have a number that only the store knows.
  if (!names.core) {
    // A store that lost its power soon may know none of the names before.
    const auto first = names.first.empty()
                           ? std::find_if(names.had.begin(), names.had.end(), has)
                           : std::find(names.had.begin(), names.had.end(), names.first);
    if (first == names.had.end() || !has(*first)) return "sent with Nats-Msg-Id " + id;
    names.first = *first;
  }
  return CheckSame(message);
}

std::string Ids::CheckSame(const MemoryBus::Published& message) {
  const std::string id = message.MsgId();
  std::string all = message.target + "\n" + message.body;
  for (const auto& [name, value] : message.headers)
    if (name != "Expirer-Attempt" && name != "Expirer-Job")
      all += "\n" + name + ":" + value;
  if (message_of_id_.try_emplace(id, all).first->second == all) return "";
  return "another message was sent with Nats-Msg-Id " + id;
}

}  // namespace expirer::sim
