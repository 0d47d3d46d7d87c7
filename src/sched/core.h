// What the parts of the core work on: time, store and network, the objects that hold
// the state, and the parts themselves. Each part has one duty and keeps to itself what
// no other part needs:
//
//   Messages   what a message asks for
//   Lifecycle  what becomes of a job and its key: opened, moved, taken away, closed
//   Dispatch   sends what is due
//   Attempts   how an attempt ends: confirmed, refused, lost, given up
//   Past       what may have happened that the store does not know
//
// Scheduler (sched/scheduler.h) composes them into a Step. Commands (sched/command.h) use
// them in their turns.
#pragma once

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "job/rules.h"
#include "sched/attempts.h"
#include "sched/counts.h"
#include "sched/dispatch.h"
#include "sched/egress.h"
#include "sched/events.h"
#include "sched/gates.h"
#include "sched/in_flight.h"
#include "sched/lanes.h"
#include "sched/ledger.h"
#include "sched/lifecycle.h"
#include "sched/messages.h"
#include "sched/overdue.h"
#include "sched/past.h"
#include "sched/queues.h"
#include "sched/registers.h"
#include "sched/stats.h"
#include "sched/streams.h"
#include "sched/turn.h"
#include "store/committer.h"
#include "store/store.h"

namespace expirer {

// Limits with their defaults; see the table in README.md.
struct SchedulerOptions {
  std::string name = "expirer";         // prefixes announcements' subjects
  size_t window = 1'000'000;            // entries of 16 bytes in memory
  size_t in_flight = 4'096;             // attempts not answered yet
  size_t batch = 1'024;                 // messages applied and attempts begun in a Step
  uint64_t dead = 100'000;              // entries of the dead store kept whole
  uint64_t dead_bytes = 1'000'000'000;  // bytes of the dead store, likewise
  uint64_t history_keys = 10'000'000;   // closed keys remembered
  int64_t history_ms = 168LL * 3'600'000;  // how long closed keys are remembered
  int64_t unsynced_ms = 50;                // a write waits for its sync at most
  int64_t settle_ms = 30'000;              // a closed gate waits for cancels at most
  int64_t publish_timeout_ms = 3'000;      // for an answer to an attempt
  uint64_t disk_free = 512'000'000;        // below it no more input is taken
  Orphans orphans = Orphans::kRefuse;      // jobs of rules that are gone
  bool wait_for_admission = false;         // nothing fires before Admitted
  bool fire_overdue = false;               // fire jobs that a rebuild finds overdue
  bool recount = false;                    // count the jobs of each rule again
};

// Core thread only. Everything passed to the constructor must outlive it.
struct Core {
  Core(const SchedulerOptions& scheduler_options, const std::vector<Rule>& rules_in_order,
       Store* the_store, Committer* committer, Egress* the_egress, Inbound* the_inbound);
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  // Reads the state from the store, when a process starts at `at`. Errors are the disk's,
  // or kFailedPrecondition for an orphan (Lanes::Load).
  absl::Status Load(Instant at);

  // All counts except `overdue`.
  [[nodiscard]] Stats Snapshot(int64_t now_ms) const;
  // Counts overdue jobs. O(overdue), at most Overdue::kVisitsMax per lane plus as many
  // retrying ones.
  [[nodiscard]] Overdue CountOverdue(int64_t now_ms) const;
  // Whether no further entry of the dead store is kept whole.
  [[nodiscard]] bool DeadFull() const {
    return counts.dead() >= options.dead || counts.dead_bytes() >= options.dead_bytes;
  }
  [[nodiscard]] RegisterPolicy Policy(QueueIndex queue) const {
    return {queues[queue].reopen, options.history_ms};
  }
  [[nodiscard]] RuleIndex RuleOf(const LaneState& lane) const {
    return queues[lane.queue].rule;
  }
  // Counts what became of a job or message of the queue.
  void Count(uint64_t Outcomes::*what, QueueIndex queue) {
    ++(stats.*what);
    ++(stats.outcomes[queue].*what);
  }

  const SchedulerOptions options;
  const std::vector<Rule>& rules;
  Store& store;
  Egress& egress;
  Inbound& inbound;

  Instant now;              // of this turn
  bool intake_open = true;  // false: too little disk space to take in more
  Queues queues;            // changed by Load only
  Lanes lanes;
  OverdueRows overdue_rows;
  Streams streams;
  Counts counts;
  Turn turn;
  Ledger ledger;
  Gates gates;
  InFlightTable in_flight;
  Stats stats;

  Past past{this};
  Lifecycle jobs{this};
  Messages messages{this};
  Attempts attempts{this};
  Dispatch dispatch{this};
};

}  // namespace expirer
