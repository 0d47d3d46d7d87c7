// One message, one id: that of an event which asks for it, and no other message's.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "sched/queues.h"
#include "sim/event.h"
#include "support/memory_bus.h"

namespace expirer::sim {

class Ids {
 public:
  // The rules have these names from now on; not all of them are news.
  void Named(const std::vector<Rule>& rules);
  // The store is not the one that knew the first names.
  void StoreReplaced();

  // A message of the queue is sent, which one of the events asks for. Returns what
  // is wrong with its id; "" = nothing.
  [[nodiscard]] std::string Check(const MemoryBus::Published& message,
                                  const std::vector<const Event*>& of, const Queue& queue,
                                  size_t entry);
  // As far as it can be told without an event.
  [[nodiscard]] std::string CheckSame(const MemoryBus::Published& message);

 private:
  struct Names {
    std::vector<std::string> had;
    std::string first;  // in its ids, known from the first on; "" = not yet
    bool core = false;
  };

  std::vector<Names> rules_;
  std::map<std::string, std::string> message_of_id_;  // what was sent under it
};

}  // namespace expirer::sim
