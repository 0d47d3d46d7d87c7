#include "app/core_loop.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/exit_code.h"
#include "base/log.h"
#include "base/stopwatch.h"

namespace expirer {
namespace {

// Answers are gathered only when more than this many are awaited at a time.
constexpr size_t kFewAnswers = 16;
constexpr int64_t kGatherMs = 4;

}  // namespace

void CoreLoop::Begin(Scheduler* scheduler, const Ingress* ingress) {
  scheduler_ = scheduler;
  ingress_ = ingress;
  gaps_ = GapWatch(Now());
  beat_mono_ms_ = clock_->MonotonicMs();
  beat_wall_ms_ = clock_->NowMs();
}

void CoreLoop::NoticeGap(Instant now) {
  const bool busy = inbox_->requests() > config_.core.batch;
  const GapWatch::Core core{waited_late_ms_, still_ms_, busy};
  const int64_t gap_ms = gaps_.Notice(now, core, ingress_->Pulses());
  if (gap_ms > 0) inbox_->Complete(StoodStill{gap_ms});
  loop_.clock_jumps.Notice(now.wall_ms - beat_wall_ms_, now.mono_ms - beat_mono_ms_);
  beat_mono_ms_ = now.mono_ms;
  beat_wall_ms_ = now.wall_ms;
}

int64_t CoreLoop::Turn() {
  // All of it, also what is sent, is judged by this time: what comes after it
  // is the next turn's business, a gap as well.
  const Instant now = Now();
  const int64_t cpu_ms = ThreadCpuMs();
  NoticeGap(now);  // behind all that was posted before
  // Events stay in the vectors while the store has no space.
  const size_t room = requests_.empty() ? config_.core.batch : 0;
  inbox_->Drain(room, &completions_, &requests_);
  const auto wake = scheduler_->Step(now, &completions_, &requests_);
  if (!wake.ok()) Die("the store failed", wake.status());
  if (loop_.recovery_ms < 0) {
    loop_.recovery_ms = clock_->MonotonicMs() - started_mono_ms_;
    loop_.recovery_jobs = scheduler_->pending();
  }
  if (now.mono_ms >= snapshot_mono_ms_ + kSnapshotMs) Tell(now);
  still_ms_ = clock_->MonotonicMs() - now.mono_ms - (ThreadCpuMs() - cpu_ms);
  return *wake;
}

void CoreLoop::Tell(Instant now) {
  snapshot_mono_ms_ = now.mono_ms;
  Stats stats = scheduler_->Snapshot(now.wall_ms);
  stats.overdue = scheduler_->CountOverdue(now.wall_ms);
  MutexLock lock(&mutex_);
  told_ = std::move(stats);
  told_loop_ = loop_;
}

// With many attempts in flight answers come by the thousand: an eighth of
// them at a time, or what a few milliseconds bring, costs a fraction of the
// writes, wake-ups and socket calls of one at a time.
void CoreLoop::Wait(int64_t wake_ms) {
  const size_t eighth = scheduler_->in_flight() / 8;
  const size_t wake_at = eighth > kFewAnswers ? eighth : 1;
  inbox_->SetWakeAt(wake_at);
  waited_late_ms_ = 0;
  const bool more = inbox_->requests() > 0 && requests_.empty();
  if (more || inbox_->completions() >= wake_at) return;
  const int64_t now_ms = clock_->NowMs();
  if (wake_at > 1) wake_ms = std::min(wake_ms, now_ms + kGatherMs);
  if (wake_ms > now_ms) waited_late_ms_ = alarm_->WaitUntil(wake_ms);
}

Stats CoreLoop::Told(LoopStats* loop) const {
  MutexLock lock(&mutex_);
  if (loop != nullptr) *loop = told_loop_;
  return told_;
}

void Die(std::string_view what, const absl::Status& status) {
  Log(Level::kError, what, {{"error", Message(status)}, {"exit", kFailed}});
  FlushLog();
  _exit(kFailed);
}

}  // namespace expirer
