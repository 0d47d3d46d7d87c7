// Makes writes durable on another thread than the core's, so that a slow fsync never
// delays a fire. A ticket is the number of a write. It is durable once a Sync that
// began after the write has returned.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "base/buckets.h"
#include "base/mutex.h"
#include "base/status.h"
#include "store/store.h"

namespace expirer {

// Tests, replay and simulation replace it by a form of their own.
class Committer {
 public:
  virtual ~Committer() = default;
  // Requests that every write up to `ticket` be made durable; returns at once.
  // Core thread. Tickets must not fall.
  virtual void Request(uint64_t ticket) = 0;
};

// Upper bounds of the buckets for the duration of a Sync.
inline constexpr std::array<int64_t, 15> kSyncBoundsUs = {
    100,    200,     500,     1'000,   2'000,     5'000,     10'000,    20'000,
    50'000, 100'000, 200'000, 500'000, 1'000'000, 5'000'000, 20'000'000};

// Syncs on its own thread, and reports each result there. One Sync covers all tickets
// that were requested before it began (group commit).
class SyncThread final : public Committer {
 public:
  // `synced(ticket)`: everything up to `ticket` is durable. `failed(status)`:
  // a Sync failed, and nothing is synced after it; the caller must end the process
  // (I7). Both are called on the committer's thread.
  SyncThread(Store* store, std::function<void(uint64_t)> synced,
             std::function<void(const absl::Status&)> failed);
  // Syncs what was requested, then stops the thread.
  ~SyncThread() override;
  void Request(uint64_t ticket) override;
  // The durations of all Syncs so far. Any thread.
  [[nodiscard]] Buckets sync_us() const;

 private:
  void Run();

  Store* const store_;
  const std::function<void(uint64_t)> synced_;
  const std::function<void(const absl::Status&)> failed_;
  mutable Mutex mutex_;
  uint64_t wanted_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  Buckets sync_us_ ABSL_GUARDED_BY(mutex_){kSyncBoundsUs};
  std::thread thread_;
};

// For tests: syncs nothing, but notes the newest ticket requested, which the test then
// reports as durable.
class ManualCommitter final : public Committer {
 public:
  void Request(uint64_t ticket) override { wanted_ = ticket; }
  [[nodiscard]] uint64_t wanted() const { return wanted_; }

 private:
  uint64_t wanted_ = 0;
};

}  // namespace expirer
