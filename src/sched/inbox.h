// The one way into the core: a queue of completions that cannot overflow, a
// queue of messages bounded by credit, and one of the API's requests with a
// credit of its own, so that neither can crowd out the other (I5). Producers
// never block.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "base/mutex.h"
#include "sched/events.h"

namespace expirer {

// Thread-safe.
class Inbox {
 public:
  // Room for `requests_max` requests, and no further places once those that
  // wait hold kBytesMax; and for `asks_max` requests of the API. `wake` is
  // called, on the producer's thread, when something arrives in an empty inbox.
  Inbox(size_t requests_max, std::function<void()> wake, size_t asks_max = 256);

  // Takes `count` places for requests yet to come; false when there are not
  // that many free: then `room` will be called once there may be again.
  [[nodiscard]] bool Reserve(size_t count);
  // Gives back places that were reserved and not used.
  void Release(size_t count);
  // Called (on the core thread) after places became free, if a Reserve failed
  // before. Set once, before the first Reserve.
  void OnRoom(std::function<void()> room);

  // REQUIRES: a reserved place, which it uses.
  void Push(Request request);
  void Complete(Completion completion);

  // A request of the API. TakePlace first: false at the limit. The place is
  // held until Answered, so it bounds what is under way, not only what waits.
  [[nodiscard]] bool TakePlace();
  // REQUIRES: a place taken, which goes with it.
  void Ask(Request request);
  void Answered();
  // Places taken, and how many there are.
  [[nodiscard]] size_t asks() const;
  [[nodiscard]] size_t asks_capacity() const { return asks_max_; }

  // Completions alone wake the core only once there are `count` of them. Core
  // thread; it must look by itself after a while.
  void SetWakeAt(size_t count);

  // Moves all completions and at most `requests_max` messages, in order of
  // arrival, to the ends of the vectors; behind them at most kAsksPerDrain
  // requests of the API (none when `requests_max` is 0). Core thread.
  void Drain(size_t requests_max, std::vector<Completion>* completions,
             std::vector<Request>* requests);
  [[nodiscard]] bool empty() const;
  [[nodiscard]] size_t requests() const;
  [[nodiscard]] size_t completions() const;
  [[nodiscard]] size_t capacity() const { return capacity_; }

  // What is under way when the limit is reached still comes: at most one
  // pull's bytes for each that is outstanding.
  static constexpr size_t kBytesMax = 64 << 20;
  // One costs the core up to ~30 us (two cold reads): 2 ms a turn at most.
  static constexpr size_t kAsksPerDrain = 64;

 private:
  const size_t capacity_;
  const std::function<void()> wake_;
  const size_t asks_max_;
  std::function<void()> room_;

  mutable Mutex mutex_;
  size_t reserved_ ABSL_GUARDED_BY(mutex_) = 0;  // places taken, used or not
  bool starved_ ABSL_GUARDED_BY(mutex_) = false;
  size_t wake_at_ ABSL_GUARDED_BY(mutex_) = 1;
  std::vector<Completion> completions_ ABSL_GUARDED_BY(mutex_);
  std::vector<Request> requests_ ABSL_GUARDED_BY(mutex_);
  size_t taken_ ABSL_GUARDED_BY(mutex_) = 0;  // of requests_, already drained
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // of those not drained yet
  std::deque<Request> asks_ ABSL_GUARDED_BY(mutex_);
  size_t places_ ABSL_GUARDED_BY(mutex_) = 0;  // taken by asks not answered yet
};

}  // namespace expirer
