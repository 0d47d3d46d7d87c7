// What dies in a crash: a store opened, the core on it and its two seams.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "sched/scheduler.h"
#include "sim/world.h"
#include "store/committer.h"
#include "support/memory_bus.h"

namespace expirer::sim {

struct World::Process {
  Process(const SchedulerOptions& options, std::vector<Rule> configured,
          std::unique_ptr<Store> opened)
      : rules(std::move(configured)),
        store(std::move(opened)),
        inbox(
            64, [] {}, 16),
        bus(&inbox, MemoryBus::Answers::kByHand),
        scheduler(options, rules, store.get(), &committer, &bus, &bus) {}

  const std::vector<Rule> rules;
  const std::unique_ptr<Store> store;
  ManualCommitter committer;
  Inbox inbox;
  MemoryBus bus;
  Scheduler scheduler;
  std::vector<Completion> completions;
  std::vector<Request> requests;
  bool admitted = false;
  bool rebuild_asked = false;
  bool rebuild_begun = false;                               // durably so
  std::map<std::string, std::set<std::string>> dead_asked;  // entries, by reply subject
  GapWatch gaps{Instant{}};
  int64_t wake_ms = 0;            // as the last Step said
  int64_t late_ms = 0;            // it was to be taken before
  uint64_t faults_before = 0;     // io_faults_ when it began
  uint64_t looks = 0;             // of bus.looks_again() that were seen to
  uint64_t synced = 0;            // newest ticket that is durable
  uint64_t untold = 0;            // one of which the core was not told yet
  uint64_t wanted = 0;            // of the committer, after the last Step
  bool owes_note = true;          // to be durable before anything is sent ...
  uint64_t sends_after = 0;       // ... which it is by this ticket
  int64_t unsynced_since_ms = 0;  // monotonic; 0 = all was asked for
};

}  // namespace expirer::sim
