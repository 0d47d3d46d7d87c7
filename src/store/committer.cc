#include "store/committer.h"

#include <utility>

#include "base/check.h"
#include "base/stopwatch.h"
#include "base/thread.h"

namespace expirer {

SyncThread::SyncThread(Store* store, std::function<void(uint64_t)> synced,
                       std::function<void(const absl::Status&)> failed)
    : store_(store),
      synced_(std::move(synced)),
      failed_(std::move(failed)),
      thread_(StartThread("sync", [this] { Run(); })) {}

SyncThread::~SyncThread() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
}

void SyncThread::Request(uint64_t ticket) {
  MutexLock lock(&mutex_);
  CHECK(ticket >= wanted_);
  wanted_ = ticket;
}

Buckets SyncThread::sync_us() const {
  MutexLock lock(&mutex_);
  return sync_us_;
}

void SyncThread::Run() {
  uint64_t done = 0;
  while (true) {
    uint64_t ticket = 0;
    {
      MutexLock lock(&mutex_);
      const auto ready = [this, done]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return wanted_ > done || stopping_;
      };
      mutex_.Await(ready);
      if (wanted_ == done) return;
      ticket = wanted_;
    }
    const int64_t began_ns = MonotonicNs();
    if (const absl::Status status = store_->Sync(); !status.ok()) {
      failed_(status);
      return;
    }
    {
      MutexLock lock(&mutex_);
      sync_us_.Add((MonotonicNs() - began_ns) / 1'000);
    }
    done = ticket;
    synced_(ticket);
  }
}

}  // namespace expirer
