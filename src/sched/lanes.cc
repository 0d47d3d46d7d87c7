#include "sched/lanes.h"

#include <algorithm>
#include <map>

#include "base/check.h"
#include "base/coding.h"
#include "store/meta.h"

namespace expirer {
namespace {

constexpr int64_t kBoundLagMs = 1'000;

std::string BoundKey(Lane lane) {
  std::string key(kMetaBound);
  PutBig16(&key, lane);
  return key;
}

absl::StatusOr<int64_t> StoredBound(const Store& store, Lane lane) {
  std::string value;
  ASSIGN_OR_RETURN(const bool found, store.GetMeta(BoundKey(lane), &value));
  return found ? static_cast<int64_t>(Reader(value).Varint()) : 0;
}

using LaneTable = std::map<std::string, Lane, std::less<>>;

absl::StatusOr<LaneTable> StoredLanes(const Store& store) {
  LaneTable lanes;
  RETURN_IF_ERROR(
      store.VisitMeta(kMetaLane, [&lanes](std::string_view key, std::string_view value) {
        key.remove_prefix(kMetaLane.size());
        lanes[std::string(key)] = static_cast<Lane>(Reader(value).Varint());
        return absl::OkStatus();
      }));
  return lanes;
}

// Whether the lane has any row at all.
absl::StatusOr<bool> HasRows(const Store& store, Lane lane) {
  ASSIGN_OR_RETURN(const int64_t bound, StoredBound(store, lane));
  auto scan = store.ScanDue(lane);
  scan->Seek(JobKey{lane, bound, 0});
  if (scan->Valid()) return true;
  RETURN_IF_ERROR(scan->status());
  return false;
}

// The names of lanes that have jobs and no configured queue.
absl::StatusOr<std::vector<std::string>> FindOrphans(const Store& store,
                                                     const LaneTable& stored,
                                                     const Queues& queues) {
  std::vector<std::string> orphans;
  for (const auto& [name, lane] : stored) {
    if (queues.Find(name).has_value()) continue;
    ASSIGN_OR_RETURN(const bool first, HasRows(store, lane));
    ASSIGN_OR_RETURN(const bool retry, HasRows(store, static_cast<Lane>(lane + 1)));
    if (first || retry) orphans.push_back(name);
  }
  return orphans;
}

}  // namespace

TimerEntry LaneState::Lowest() const {
  const TimerEntry waiting = window.Lowest();
  return out.empty() ? waiting : std::min(*out.begin(), waiting);
}

absl::Status Lanes::Load(const Store& store, Queues* all, Orphans orphans,
                         WriteSet* set) {
  ASSIGN_OR_RETURN(LaneTable stored, StoredLanes(store));
  ASSIGN_OR_RETURN(const auto gone, FindOrphans(store, stored, *all));
  if (orphans == Orphans::kRefuse && !gone.empty())
    return Refused("the store has pending jobs of rule \"" + gone.front() +
                   "\", which is not configured: put the rule back, or start with "
                   "--orphans=hold to leave its jobs untouched in the store, or with "
                   "--orphans=fire to send them when they are due");
  for (const auto& [name, lane] : stored)
    if (!all->Find(name)) all->AddRemoved(name);
  if (orphans == Orphans::kFire)
    for (const std::string& name : gone) all->AddOrphan(name);
  const Queues& queues = *all;
  std::string value;
  ASSIGN_OR_RETURN(const bool found, store.GetMeta(kMetaNextLane, &value));
  uint64_t next = found ? Reader(value).Varint() : 1;
  for (size_t i = 0; i < queues.size(); ++i) {
    auto it = stored.find(queues[i].name);
    if (it == stored.end()) {
      if (next + 1 > UINT16_MAX)
        return Refused("the store has had 32,767 rules, the most it can number");
      it = stored.emplace(queues[i].name, static_cast<Lane>(next)).first;
      set->PutMeta(std::string(kMetaLane) + queues[i].name, Varints(next));
      next += 2;
    }
    for (const bool retry : {false, true}) {
      const auto number = static_cast<Lane>(it->second + (retry ? 1 : 0));
      ASSIGN_OR_RETURN(const int64_t bound, StoredBound(store, number));
      if (index_by_number_.size() <= number) index_by_number_.resize(number + 1, -1);
      index_by_number_[number] = static_cast<int32_t>(lanes_.size());
      lanes_.emplace_back(number, static_cast<QueueIndex>(i), retry, bound);
    }
  }
  set->PutMeta(kMetaNextLane, Varints(next));
  return absl::OkStatus();
}

bool Lanes::Has(Lane lane) const {
  return lane < index_by_number_.size() && index_by_number_[lane] >= 0;
}

LaneState& Lanes::Numbered(Lane lane) {
  // Asked for lanes of attempts and of rows just staged: never a held one's.
  CHECK(Has(lane));
  return lanes_[static_cast<size_t>(index_by_number_[lane])];
}

void Lanes::Forget(const JobKey& row) {
  if (!Has(row.lane)) return;
  LaneState& lane = Numbered(row.lane);
  lane.out.erase({row.key_ms, row.seq});
  lane.window.Forget({row.key_ms, row.seq});
}

size_t Lanes::held() const {
  size_t held = 0;
  for (const LaneState& lane : lanes_) held += lane.window.size();
  return held;
}

absl::StatusOr<bool> Lanes::Refill(const Store& store, size_t window_max,
                                   OverdueRows* overdue) {
  JobView view;
  // A lane never starves for another's size: each may load when it runs low.
  constexpr size_t kLow = kBlockRows / 4;
  size_t total = held();
  bool more = false;
  for (LaneState& lane : lanes_) {
    if (lane.window.complete()) continue;
    if (lane.window.size() >= kLow && total + kBlockRows > window_max) continue;
    const size_t before = lane.window.size();
    const auto seen = [&](const JobKey& key, std::string_view row) {
      // One that is malformed is told when its turn comes.
      if (DecodeJob(row, &view).ok() && view.due_ms < key.key_ms)
        overdue->Add(key.seq, view.due_ms, lane.retry);
    };
    RETURN_IF_ERROR(lane.window.Refill(store, kBlockRows, seen));
    total += lane.window.size() - before;
    more = more || !lane.window.complete();
  }
  // Trimming to three quarters of the limit costs ~20 ms a million entries,
  // once for each quarter of a million further inserts.
  const auto loaded = static_cast<size_t>(
      std::count_if(lanes_.begin(), lanes_.end(),
                    [](const LaneState& lane) { return !lane.window.empty(); }));
  while (total > window_max + kBlockRows * loaded) {
    auto largest = std::max_element(lanes_.begin(), lanes_.end(),
                                    [](const LaneState& a, const LaneState& b) {
                                      return a.window.size() < b.window.size();
                                    });
    const size_t size = largest->window.size();
    const size_t excess = total - window_max / 4 * 3;
    const size_t keep = std::max(size > excess ? size - excess : 0, kLow);
    if (keep >= size) break;
    largest->window.Trim(keep);
    total -= size - keep;
  }
  return more && total + kBlockRows <= window_max;
}

void Lanes::LowerBound(LaneState* lane, int64_t key_ms, WriteSet* set) {
  if (key_ms >= lane->stored_bound_ms) return;
  lane->stored_bound_ms = key_ms;
  set->PutMeta(BoundKey(lane->lane), Varints(key_ms));
}

void Lanes::RaiseBounds(int64_t now_ms, WriteSet* set) {
  for (LaneState& lane : lanes_) {
    const int64_t bound = std::min(lane.Lowest().key_ms, now_ms);
    if (bound < lane.stored_bound_ms + kBoundLagMs) continue;
    lane.stored_bound_ms = bound;
    set->PutMeta(BoundKey(lane.lane), Varints(bound));
  }
}

}  // namespace expirer
