#include "sched/core.h"

#include <algorithm>

namespace expirer {
namespace {

void CountLane(const LaneState& lane, const OverdueRows& rows, int64_t now_ms,
               Overdue* overdue) {
  size_t visits = 0;
  const auto count = [&](const TimerEntry& entry) {
    if (++visits > Overdue::kVisitsMax) {
      overdue->more = true;
      return false;
    }
    if (!rows.Holds(entry.seq)) overdue->Add(entry.key_ms, now_ms);
    return true;
  };
  for (const TimerEntry& entry : lane.out)
    if (entry.key_ms > now_ms || !count(entry)) break;
  lane.window.VisitUntil(now_ms, count);
  if (!lane.window.complete() && lane.window.horizon().key_ms <= now_ms)
    overdue->more = true;
}

}  // namespace

Core::Core(const SchedulerOptions& scheduler_options,
           const std::vector<Rule>& rules_in_order, Store* the_store,
           Committer* committer, Egress* the_egress, Inbound* the_inbound)
    : options(scheduler_options),
      rules(rules_in_order),
      store(*the_store),
      egress(*the_egress),
      inbound(*the_inbound),
      queues(rules),
      streams(&rules),
      counts(options.history_keys),
      turn(the_store, &lanes, &counts, &overdue_rows),
      ledger(committer, options.unsynced_ms),
      gates(rules, options.settle_ms, options.in_flight) {
  gates.Set(Gates::Reason::kNotAdmitted, options.wait_for_admission);
}

absl::Status Core::Load(Instant at) {
  now = at;
  gates.SetNow(at);
  RETURN_IF_ERROR(lanes.Load(store, &queues, options.orphans, turn.meta()));
  RETURN_IF_ERROR(queues.LoadFirstNames(store, turn.meta()));
  stats.outcomes.resize(queues.size());
  gates.ShareRoom(
      std::any_of(queues.all().begin(), queues.all().end(), [this](const Queue& queue) {
        return queue.rule != queues[0].rule && queue.name != kRoundTripQueue;
      }));
  RETURN_IF_ERROR(streams.Load(store));
  RETURN_IF_ERROR(counts.Load(store));
  if (options.recount) counts.WishRecount();
  RETURN_IF_ERROR(turn.Load());
  ledger.Load(turn.next_seq());
  RETURN_IF_ERROR(past.Load());
  for (const auto& [rule, floor_ms] : counts.floors()) store.ForgetEarly(rule, floor_ms);
  store.SetNow(now.wall_ms);
  return absl::OkStatus();
}

Stats Core::Snapshot(int64_t now_ms) const {
  Stats copy = stats;
  copy.rules = counts.rules();
  copy.closed = counts.closed();
  copy.dead_bytes = counts.dead_bytes();
  copy.miscounts = counts.miscounts();
  copy.in_flight = in_flight.size();
  copy.window = lanes.held();
  copy.egress_up = !gates.Holds(Gates::Reason::kNoConnection);
  copy.intake_open = intake_open;
  copy.rebuilding = gates.Holds(Gates::Reason::kRebuilding);
  copy.catching_up = gates.closed();
  for (const LaneState& lane : lanes.all()) {
    const TimerEntry lowest = lane.Lowest();
    const bool known = !lane.window.empty() || !lane.out.empty();
    if (known && (copy.next_due_ms == 0 || lowest.key_ms < copy.next_due_ms))
      copy.next_due_ms = lowest.key_ms;
    if (!known || lowest.key_ms >= now_ms) continue;
    if (copy.oldest_due_ms == 0 || lowest.key_ms < copy.oldest_due_ms)
      copy.oldest_due_ms = lowest.key_ms;
  }
  const int64_t oldest_ms = overdue_rows.oldest_due_ms();
  if (oldest_ms == 0 || oldest_ms > now_ms) return copy;
  for (int64_t* told_ms : {&copy.next_due_ms, &copy.oldest_due_ms})
    if (*told_ms == 0 || oldest_ms < *told_ms) *told_ms = oldest_ms;
  return copy;
}

Overdue Core::CountOverdue(int64_t now_ms) const {
  Overdue overdue;
  overdue_rows.Count(now_ms, &overdue);
  uint64_t retrying = 0;
  for (const LaneState& lane : lanes.all()) {
    if (!lane.retry) {
      CountLane(lane, overdue_rows, now_ms, &overdue);
      continue;
    }
    const auto of_rule = counts.rules().find(queues[lane.queue].name);
    if (of_rule != counts.rules().end()) retrying += of_rule->second.retrying;
  }
  if (retrying > overdue_rows.retrying()) overdue.more = true;
  return overdue;
}

}  // namespace expirer
