// Reads one durable pull consumer as fast as the inbox has room.
//
// Pulls are requests of our own, a few outstanding, each with a fresh token
// in its reply subject. Messages do not tell which pull brought them, so the
// places taken in the inbox are one sum for all pulls: a pull adds its batch,
// a message uses one, a status that ends a pull gives back what it says was
// left. A sum that went wrong (a pull lost without a word) heals at the last
// deadline, when nothing more can come and the rest is given back.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "job/rules.h"
#include "net/connection.h"
#include "sched/inbox.h"

namespace expirer {

// Whether the message's own bytes may be kept in the dead store.
[[nodiscard]] bool MayBecomeDead(const Intent& intent);

// What the status that came to a pull's reply means.
enum class PullStatus {
  kHeartbeat,  // alive
  kEnded,      // this pull is over, ask again
  kPause,      // this pull is over, ask again in a while
  kBroken,     // the consumer is gone or not what it was: look after it
  kUnknown,
};
[[nodiscard]] PullStatus ReadPullStatus(const Delivery::Status& status);

// Thread-safe. Gives places back without holding a lock, since the inbox may
// then call Tick of any source.
class PullSource {
 public:
  using Evaluate = std::function<Intent(const EventView& event, int64_t now_ms)>;
  struct Options {
    RuleIndex rule = 0;
    const std::string* stream = nullptr;               // outlives the process' requests
    const std::atomic<int64_t>* created_ns = nullptr;  // of the stream, now
    std::string consumer;
    std::string api_prefix;  // as JetStream::prefix
    std::string inbox;       // below the connection's, this source's own
    int outstanding = 3;     // pulls at a time
    int64_t expires_ms = 30'000;
    int64_t heartbeat_ms = 5'000;
    int64_t bytes_max = 16 << 20;  // of one pull; more than one message
  };

  // `evaluate` is called on the delivery thread of this source only. `broken`
  // is called on any thread when the consumer should be looked after; the
  // source has stopped by then.
  PullSource(Options options, Connection* connection, Inbox* inbox, const Clock* clock,
             Evaluate evaluate, std::function<void(const std::string& why)> broken);

  // Begins to pull, `batch` messages at a time; also to change the batch.
  void Open(size_t batch);
  // No more pulls; what is under way still arrives until it expires. Then
  // drops the pulls when `abandon` (their consumer or connection is gone):
  // their places are given back, what arrives late finds its own or is left
  // to be delivered again.
  void Close(bool abandon);
  // Deadlines, heartbeats, and room that came back: about every 100 ms, and
  // when the inbox has room.
  void Tick();

  [[nodiscard]] uint64_t received() const;

 private:
  struct Pull {
    uint64_t token = 0;
    size_t batch = 0;
    int64_t deadline_ms = 0;
  };
  void OnDelivery(const Delivery& delivery);
  void OnMessage(const Delivery& delivery);
  void OnStatus(const Delivery& delivery, const Delivery::Status& status);
  void Pump() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SendPull() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Forgets all pulls; the places they held, for Release once unlocked.
  [[nodiscard]] size_t Drop() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void PauseFor() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Options options_;
  const std::string next_subject_;
  Connection* const connection_;
  Inbox* const inbox_;
  const Clock* const clock_;
  const Evaluate evaluate_;
  const std::function<void(const std::string&)> broken_;

  Headers headers_;  // delivery thread only: scratch

  mutable Mutex mutex_;
  bool open_ ABSL_GUARDED_BY(mutex_) = false;
  size_t batch_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t credit_ ABSL_GUARDED_BY(mutex_) = 0;  // places held for what may come
  std::deque<Pull> pulls_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_token_ ABSL_GUARDED_BY(mutex_) = 1;
  int64_t heard_ms_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t pause_until_ms_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t pause_ms_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t received_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace expirer
