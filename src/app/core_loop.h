// The loop of the core's thread: calls the scheduler's Step, and waits until it must be
// called again.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "app/config.h"
#include "app/status.h"
#include "base/alarm.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "net/ingress.h"
#include "sched/gap_watch.h"
#include "sched/inbox.h"
#include "sched/scheduler.h"

namespace expirer {

// Core thread, except beat_mono_ms and Told. Its arguments must outlive it.
class CoreLoop {
 public:
  CoreLoop(const Config& config, const Clock* clock, Alarm* alarm, Inbox* inbox)
      : config_(config), clock_(clock), alarm_(alarm), inbox_(inbox) {}

  // Sets the scheduler to run. Gaps are watched from this call on.
  void Begin(Scheduler* scheduler, const Ingress* ingress);
  // Runs one turn; returns when the next must begin. If the store fails it ends the
  // process (I7).
  [[nodiscard]] int64_t Turn();
  // Waits until the wall time `wake_ms`, or until there is something to do.
  void Wait(int64_t wake_ms);

  // The monotonic time of the last turn.
  [[nodiscard]] int64_t beat_mono_ms() const { return beat_mono_ms_; }
  // The counts of the core and the loop, at most kSnapshotMs old. `loop` may be null.
  [[nodiscard]] Stats Told(LoopStats* loop) const;

 private:
  static constexpr int64_t kSnapshotMs = 500;

  [[nodiscard]] Instant Now() const { return {clock_->NowMs(), clock_->MonotonicMs()}; }
  void NoticeGap(Instant now);
  void Tell(Instant now);

  const Config& config_;
  const Clock* const clock_;
  Alarm* const alarm_;
  Inbox* const inbox_;
  const int64_t started_mono_ms_ = clock_->MonotonicMs();
  Scheduler* scheduler_ = nullptr;
  const Ingress* ingress_ = nullptr;
  std::vector<Completion> completions_;
  std::vector<Request> requests_;
  int64_t snapshot_mono_ms_ = 0;
  int64_t beat_wall_ms_ = 0;
  GapWatch gaps_{Now()};
  int64_t waited_late_ms_ = 0;  // the end of the last wait
  int64_t still_ms_ = 0;        // of the last turn
  LoopStats loop_;

  std::atomic<int64_t> beat_mono_ms_{clock_->MonotonicMs()};
  mutable Mutex mutex_;
  Stats told_ ABSL_GUARDED_BY(mutex_);
  LoopStats told_loop_ ABSL_GUARDED_BY(mutex_);
};

// Logs the failure and ends the process: unsynced writes may be lost, and only a restart
// can find out (I7).
[[noreturn]] void Die(std::string_view what, const absl::Status& status);

}  // namespace expirer
