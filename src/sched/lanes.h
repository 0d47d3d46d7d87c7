// The lanes of the configured queues: for each one of first attempts and one of
// retries, each with its own window and bound, so that a rule that is paused, refused
// or catching up never blocks another's jobs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/btree_set.h"
#include "base/status.h"
#include "job/rules.h"
#include "sched/overdue.h"
#include "sched/queues.h"
#include "sched/timer_window.h"
#include "store/store.h"

namespace expirer {

// What to do with jobs whose rule is no longer in the config.
enum class Orphans { kRefuse, kHold, kFire };

struct LaneState {
  LaneState(Lane number, QueueIndex of_queue, bool is_retry, int64_t bound_ms)
      : lane(number),
        queue(of_queue),
        retry(is_retry),
        window(number, bound_ms),
        stored_bound_ms(bound_ms) {}

  const Lane lane;
  const QueueIndex queue;
  const bool retry;
  TimerWindow window;
  // Rows taken out of the window and not confirmed: in flight, waiting for another
  // row's attempt, or aside.
  absl::btree_set<TimerEntry> out;
  size_t aside = 0;         // of these, the ones in Aside
  int64_t stored_bound_ms;  // the low bound in the store
  bool resolving = false;   // its target is being resolved

  // No unconfirmed row of the lane lies below this entry.
  [[nodiscard]] TimerEntry Lowest() const;
};

// Core thread only.
class Lanes {
 public:
  // Reads the lanes of the queues, and gives lanes to queues that have none yet, staged
  // in `set`. A lane with jobs whose queue is not configured is an orphan. kRefuse:
  // returns kFailedPrecondition, naming one. kHold: orphans stay untouched on disk.
  // kFire: `queues` gets an orphan queue for each. `queues` also gets the publish entries
  // that the rules once had.
  absl::Status Load(const Store& store, Queues* queues, Orphans orphans, WriteSet* set);

  [[nodiscard]] LaneState& First(QueueIndex queue) { return lanes_[2 * size_t{queue}]; }
  [[nodiscard]] LaneState& Retry(QueueIndex queue) {
    return lanes_[2 * size_t{queue} + 1];
  }
  // The lane with this number in the store. REQUIRES: its queue is in `queues`.
  [[nodiscard]] LaneState& Numbered(Lane lane);
  // Call before a row is deleted because its key was moved or cancelled, even if its rule
  // is not configured.
  void Forget(const JobKey& row);
  [[nodiscard]] std::vector<LaneState>& all() { return lanes_; }
  [[nodiscard]] const std::vector<LaneState>& all() const { return lanes_; }

  // The number of entries in all windows.
  [[nodiscard]] size_t held() const;
  // Loads a block of rows for each lane that runs low. While all rows fit into
  // `window_max`, it loads one for every lane. If they do not fit, trims the largest
  // lane. False = there is nothing to load now. Adds rows that were due before their
  // time in the store to `overdue`.
  absl::StatusOr<bool> Refill(const Store& store, size_t window_max,
                              OverdueRows* overdue);

  // Call before a row is written at `key_ms`: lowers the stored bound if the clock
  // stepped back below it.
  void LowerBound(LaneState* lane, int64_t key_ms, WriteSet* set);
  // Raises the stored bounds that lag behind by a second or more.
  void RaiseBounds(int64_t now_ms, WriteSet* set);

  // Rows that a Refill reads at once: 16,384 take ~10 ms cold.
  static constexpr size_t kBlockRows = 16'384;

 private:
  [[nodiscard]] bool Has(Lane lane) const;

  std::vector<LaneState> lanes_;          // two per queue, in the queues' order
  std::vector<int32_t> index_by_number_;  // lane number -> index, -1 = none
};

}  // namespace expirer
