// A mutex that can wait for a condition on what it guards, with clang's
// thread-safety attributes. Not Abseil's: ThreadSanitizer does not see inside
// Debian's build of that one and reports every guarded access as a race.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "absl/base/thread_annotations.h"

namespace expirer {

class ABSL_LOCKABLE Mutex {
 public:
  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mutex_.lock(); }
  [[nodiscard]] bool TryLock() ABSL_EXCLUSIVE_TRYLOCK_FUNCTION(true) {
    return mutex_.try_lock();
  }
  // Wakes all waiters, which check their conditions again; free if nobody waits.
  // It wakes them before it unlocks, because a waiter may destroy the mutex then.
  void Unlock() ABSL_UNLOCK_FUNCTION() {
    if (waiters_ > 0) changed_.notify_all();
    mutex_.unlock();
  }

  // REQUIRES: the caller holds the mutex. Releases it until `ready()` is true, and
  // holds it for each call of `ready` and on return.
  template <typename Ready>
  void Await(const Ready& ready) {
    Wait([&](auto* lock) { changed_.wait(*lock, ready); });
  }
  // Like Await, but for at most `timeout_ms`. Returns whether `ready()` was true.
  template <typename Ready>
  bool AwaitFor(int64_t timeout_ms, const Ready& ready) {
    bool is_ready = false;
    Wait([&](auto* lock) {
      is_ready = changed_.wait_for(*lock, std::chrono::milliseconds(timeout_ms), ready);
    });
    return is_ready;
  }

 private:
  template <typename WaitOnce>
  void Wait(const WaitOnce& wait) {
    std::unique_lock<std::mutex> lock(mutex_, std::adopt_lock);
    ++waiters_;
    wait(&lock);
    --waiters_;
    lock.release();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  int waiters_ = 0;  // guarded by mutex_
};

class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(Mutex* mutex) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex) : mutex_(mutex) {
    mutex_->Lock();
  }
  ~MutexLock() ABSL_UNLOCK_FUNCTION() { mutex_->Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex* const mutex_;
};

}  // namespace expirer
