// The lanes of the configured queues: for each one of first attempts and one
// of retries, each with its own window, bound and gates, so that a rule
// that is paused, refused or catching up never blocks another's jobs.
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

// What becomes of jobs whose rule is gone.
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
  int64_t stored_bound_ms;  // low bound as last written
  bool resolving = false;   // it waits for Egress::Resolve

  // The earliest row not confirmed yet, or where unread rows may begin.
  [[nodiscard]] TimerEntry Lowest() const;
};

// Core thread only.
class Lanes {
 public:
  // Gives lanes to queues that have none yet (staged in `set`) and reads the
  // others'. Lanes with jobs whose queue is not configured are orphans:
  // kRefuse: kFailedPrecondition, naming one. kHold: they stay untouched on
  // disk. kFire: `queues` gets an orphan queue for each. It gets the publish
  // entries that its rules had once, too.
  [[nodiscard]] absl::Status Load(const Store& store, Queues* queues, Orphans orphans,
                                  WriteSet* set);

  [[nodiscard]] LaneState& First(QueueIndex queue) { return lanes_[2 * size_t{queue}]; }
  [[nodiscard]] LaneState& Retry(QueueIndex queue) {
    return lanes_[2 * size_t{queue} + 1];
  }
  // The lane numbered so in the store. REQUIRES: of a configured queue.
  [[nodiscard]] LaneState& Numbered(Lane lane);
  // The row is about to be deleted, as its key was moved or cancelled. Also one of a
  // rule that is not configured.
  void Forget(const JobKey& row);
  [[nodiscard]] std::vector<LaneState>& all() { return lanes_; }
  [[nodiscard]] const std::vector<LaneState>& all() const { return lanes_; }

  // Entries held over all lanes.
  [[nodiscard]] size_t held() const;
  // Loads blocks where a lane runs low, or while everything fits under
  // `window_max`; trims the largest lane when it does not. False = nothing
  // left to load at present. Rows that were due before their time in the store are
  // added to `overdue`.
  [[nodiscard]] absl::StatusOr<bool> Refill(const Store& store, size_t window_max,
                                            OverdueRows* overdue);

  // A row is about to be written at `key_ms`: lowers the stored bound first
  // where the clock stepped back behind it.
  void LowerBound(LaneState* lane, int64_t key_ms, WriteSet* set);
  // Raises the stored bounds that lag behind by a second or more.
  void RaiseBounds(int64_t now_ms, WriteSet* set);

  // Rows a Refill reads at a time: 16,384 take ~10 ms cold.
  static constexpr size_t kBlockRows = 16'384;

 private:
  [[nodiscard]] bool Has(Lane lane) const;

  std::vector<LaneState> lanes_;          // two a queue, in their order
  std::vector<int32_t> index_by_number_;  // lane number -> index, -1 = none
};

}  // namespace expirer
