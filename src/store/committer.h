// Makes writes durable away from the core thread: Write and Sync apart, so
// that fsync's tail never delays a fire. A ticket numbers a write; a ticket is
// durable when a Sync that began after its write has returned.
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

// The seam for tests, replay and simulation.
class Committer {
 public:
  virtual ~Committer() = default;
  // Asks that every write up to `ticket` become durable; returns at once.
  // Core thread. Tickets only rise.
  virtual void Request(uint64_t ticket) = 0;
};

// Upper bounds of how long a Sync took.
inline constexpr std::array<int64_t, 15> kSyncBoundsUs = {
    100,    200,     500,     1'000,   2'000,     5'000,     10'000,    20'000,
    50'000, 100'000, 200'000, 500'000, 1'000'000, 5'000'000, 20'000'000};

// Syncs on a thread of its own, one Sync for all tickets asked for meanwhile
// (group commit), and reports each result on that thread.
class SyncThread final : public Committer {
 public:
  // `synced(ticket)`: everything up to `ticket` is durable. `failed(status)`:
  // a Sync failed; nothing is synced after that (I7: the caller ends the
  // process). Both are called on the committer's thread.
  SyncThread(Store* store, std::function<void(uint64_t)> synced,
             std::function<void(const absl::Status&)> failed);
  // Syncs what was asked for and stops.
  ~SyncThread() override;
  void Request(uint64_t ticket) override;
  // How long the Syncs so far took. Any thread.
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

// Durable when the test says so: holds the newest ticket asked for.
class ManualCommitter final : public Committer {
 public:
  void Request(uint64_t ticket) override { wanted_ = ticket; }
  [[nodiscard]] uint64_t wanted() const { return wanted_; }

 private:
  uint64_t wanted_ = 0;
};

}  // namespace expirer
