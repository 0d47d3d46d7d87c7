#include "sched/timer_window.h"

#include <algorithm>

namespace expirer {

// seq 0 is never given to a row, so this horizon lies before the first one.
TimerWindow::TimerWindow(Lane lane, int64_t low_bound_ms)
    : lane_(lane), horizon_{std::max<int64_t>(low_bound_ms, 0), 0} {}

absl::Status TimerWindow::Refill(const Store& store, size_t rows_max, Seen seen) {
  if (complete()) return absl::OkStatus();
  auto scan = store.ScanDue(lane_);
  scan->Seek(JobKey{lane_, horizon_.key_ms, horizon_.seq + 1});
  for (size_t rows = 0; rows < rows_max; ++rows, scan->Next()) {
    if (!scan->Valid()) {
      // Valid() is false on an error too: taking that for the end of the lane
      // would forget the rest of it in silence.
      RETURN_IF_ERROR(scan->status());
      horizon_ = kForever;
      return absl::OkStatus();
    }
    const JobKey key = scan->key();
    horizon_ = TimerEntry{key.key_ms, key.seq};
    heap_.Push(horizon_);
    seen(key, scan->value());
  }
  return absl::OkStatus();
}

void TimerWindow::Forget(TimerEntry entry) {
  if (entry > horizon_) return;
  gone_.insert(entry.seq);
  if (gone_.size() >= kSweepMin && gone_.size() > heap_.size() / 2) {
    heap_.Remove([this](const TimerEntry& one) { return gone_.contains(one.seq); });
    gone_.clear();
  }
  SkipGone();
}

}  // namespace expirer
