// The part of one lane in memory: every row of the lane at or before the horizon (I3). It
// only helps to find rows; the store has them. A row that was cancelled or moved is noted
// as gone. It is never at the top, and is removed from the heap once half of the heap is
// gone. So neither memory nor wake-ups grow if keys are moved often.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "base/status.h"
#include "sched/timer_heap.h"
#include "store/store.h"

namespace expirer {

// Core thread only.
class TimerWindow {
 public:
  // Starts empty, with nothing loaded: every row is at or after `low_bound_ms`.
  TimerWindow(Lane lane, int64_t low_bound_ms);

  // A row was written. It is held if it is at or before the horizon.
  void Insert(TimerEntry entry) {
    if (entry <= horizon_) PutBack(entry);
  }
  // Puts back a row that was taken out, because its attempt was lost.
  void PutBack(TimerEntry entry) {
    heap_.Push(entry);
    SkipGone();
  }
  // Call before a row is deleted for good, held or not: it will not be found any more. If
  // the call is left out, the row is found missing later.
  void Forget(TimerEntry entry);

  [[nodiscard]] bool empty() const { return heap_.empty(); }
  [[nodiscard]] size_t size() const { return heap_.size(); }
  // REQUIRES: not empty.
  [[nodiscard]] const TimerEntry& top() const { return heap_.top(); }
  void Pop() {
    heap_.Pop();
    SkipGone();
  }

  // Like TimerHeap::VisitUntil.
  template <typename Visit>
  void VisitUntil(int64_t key_ms, Visit visit) const {
    heap_.VisitUntil(key_ms, [&](const TimerEntry& entry) {
      return gone_.contains(entry.seq) || visit(entry);
    });
  }

  // Whether all rows of the lane are held.
  [[nodiscard]] bool complete() const { return horizon_ == kForever; }
  [[nodiscard]] const TimerEntry& horizon() const { return horizon_; }

  using Seen = absl::FunctionRef<void(const JobKey& key, std::string_view row)>;
  // Loads at most `rows_max` further rows, from the horizon on, and calls `seen` with
  // each.
  absl::Status Refill(const Store& store, size_t rows_max, Seen seen);
  // Forgets all but the `count` earliest entries and lowers the horizon to the
  // last of them. REQUIRES: 0 < count <= size().
  void Trim(size_t count) {
    horizon_ = heap_.KeepLeast(count);
    SkipGone();
  }

  // No row of the lane is before this time, except rows that were taken out and are not
  // deleted yet.
  [[nodiscard]] TimerEntry Lowest() const {
    if (!heap_.empty()) return heap_.top();
    return horizon_;
  }

 private:
  static constexpr TimerEntry kForever{std::numeric_limits<int64_t>::max(),
                                       std::numeric_limits<uint64_t>::max()};
  // With fewer entries it is not worth while.
  static constexpr size_t kSweepMin = 1'024;

  void SkipGone() {
    while (!gone_.empty() && !heap_.empty() && gone_.erase(heap_.top().seq) > 0)
      heap_.Pop();
  }

  const Lane lane_;
  TimerHeap heap_;
  absl::flat_hash_set<uint64_t> gone_;  // by seq; held, but for what a Trim let go
  TimerEntry horizon_;
};

}  // namespace expirer
