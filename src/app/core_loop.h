// The loop of the core's thread: turns the scheduler, and waits until it wants to be
// turned again.
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

// Core thread, but for beat_mono_ms and Told. What it is given outlives it.
class CoreLoop {
 public:
  CoreLoop(const Config& config, const Clock* clock, Alarm* alarm, Inbox* inbox)
      : config_(config), clock_(clock), alarm_(alarm), inbox_(inbox) {}

  // From now on `scheduler` is turned. Gaps count from here.
  void Begin(Scheduler* scheduler, const Ingress* ingress);
  // One turn of the core; returns when it wants the next. A store that fails ends the
  // process (I7).
  [[nodiscard]] int64_t Turn();
  // Until the wall time `wake_ms`, or until there is something to do.
  void Wait(int64_t wake_ms);

  // When the core turned last, on the monotonic clock.
  [[nodiscard]] int64_t beat_mono_ms() const { return beat_mono_ms_; }
  // What the core and the loop counted, at most kSnapshotMs old. `loop` may be null.
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

// Logs what failed and ends the process: what was not synced may be gone, and only a
// restart knows (I7).
[[noreturn]] void Die(std::string_view what, const absl::Status& status);

}  // namespace expirer
