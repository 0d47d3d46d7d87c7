// The one way into the core: a list of completions that cannot overflow, a
// list of messages bounded by credit, and one of the API's requests with a
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
  // Has room for `requests_max` messages with kBytesMax bytes together, and for
  // `asks_max` requests of the API. If something arrives in an empty inbox, `wake` is
  // called on the producer's thread.
  Inbox(size_t requests_max, std::function<void()> wake, size_t asks_max = 256);

  // Reserves `count` places for messages that will come, and `bytes` for all of them.
  // False if fewer are free: then `room` is called once there may be enough. If more
  // bytes are asked for than exist, they are given if half of all are free, so that a
  // message may be larger than the limit.
  [[nodiscard]] bool Reserve(size_t count, size_t bytes = 0);
  // Frees places and bytes that were reserved and not used.
  void Release(size_t count, size_t bytes = 0);
  // Called (on the core thread) after places became free, if a Reserve failed
  // before. Set once, before the first Reserve.
  void OnRoom(std::function<void()> room);

  // Adds a message. REQUIRES: a reserved place and reserved bytes for it, which it uses.
  void Push(Request request, size_t bytes = 0);
  // A RuleRead waits behind the messages that were pushed before it: it says that they
  // are applied, and a Drain may leave some of them here. kAway does not wait: it
  // replaces those of its rule that do.
  void Complete(Completion completion);

  // Takes a place for a request of the API; false if the limit is reached. The place is
  // taken until Answered, so the limit bounds all unanswered requests and not only those
  // that wait here.
  [[nodiscard]] bool TakePlace();
  // Adds a request of the API. REQUIRES: a place from TakePlace, which it uses.
  void Ask(Request request);
  void Answered();
  // Places taken, and how many there are.
  [[nodiscard]] size_t asks() const;
  [[nodiscard]] size_t asks_capacity() const { return asks_max_; }

  // If only completions arrive, they wake the core only once there are `count`. Core
  // thread, which must call Drain by itself after a while.
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
  // The bytes of waiting messages plus the reserved ones.
  [[nodiscard]] size_t bytes() const;
  // The limit of these bytes. Any thread.
  [[nodiscard]] size_t bytes_max() const;
  void SetBytesMax(size_t bytes);

  // Well below the 64 MB that a server lets wait for one connection by default
  // (max_pending): all of it may be asked for at the same moment.
  static constexpr size_t kBytesMax = 32 << 20;
  // A request costs the core up to ~30 us (two cold reads): at most 2 ms per turn.
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
  std::deque<Request> requests_ ABSL_GUARDED_BY(mutex_);
  struct WaitingRead {
    size_t ahead = 0;  // how many of requests_ it waits for; never more than there are
    RuleRead read;
  };
  std::deque<WaitingRead> reads_ ABSL_GUARDED_BY(mutex_);
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // of requests_, and reserved
  size_t bytes_max_ ABSL_GUARDED_BY(mutex_) = kBytesMax;
  std::deque<Request> asks_ ABSL_GUARDED_BY(mutex_);
  size_t places_ ABSL_GUARDED_BY(mutex_) = 0;  // taken by asks not answered yet
};

}  // namespace expirer
