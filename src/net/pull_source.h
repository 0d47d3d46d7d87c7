// Reads one durable pull consumer as fast as the inbox has room.
//
// We send the pull requests ourselves, a few at a time, each with a new token in its
// reply subject. A message does not say which pull brought it, so the places taken in the
// inbox are one sum for all pulls: a pull adds its batch, a message uses one place, and a
// status that ends a pull frees the places that were not used. If a pull is lost and the
// sum is wrong, the rest is freed at the last deadline, when nothing more can arrive.
// Each place has an equal share of the bytes, since servers before 2.10 do not say how
// many bytes a filled pull has left.
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
#include "net/ack_subject.h"
#include "net/connection.h"
#include "net/pull_replies.h"
#include "net/pull_status.h"
#include "sched/inbox.h"

namespace expirer {

// Fills in `request->intent`, and `request->raw` with the event's own bytes if these may
// have to be kept in the dead store.
void SetIntent(Intent intent, const EventView& event, MessageRequest* request);

// Thread-safe. It frees places without holding a lock, since the inbox may then call
// Tick of any source.
class PullSource {
 public:
  using Evaluate = std::function<Intent(const EventView& event, int64_t now_ms)>;
  // Called on any thread.
  struct Handlers {
    // A heartbeat is overdue, so messages may wait in a consumer without a leader. Pulls
    // go on. It is called again only after the consumer has sent something.
    std::function<void()> unheard;
    // The consumer must be set up again. The source has stopped before this call.
    std::function<void(const std::string& why)> broken;
  };
  struct Options {
    RuleIndex rule = 0;
    const std::string* stream = nullptr;               // outlives the process' requests
    const std::atomic<int64_t>* created_ns = nullptr;  // of the stream, now
    std::string consumer;
    std::string api_prefix;  // as JetStream::prefix
  };
  static constexpr size_t kOutstanding = 3;  // pulls at a time
  static constexpr int64_t kExpiresMs = 30'000;
  // An idle consumer sends a heartbeat so often. If none comes for 1.25 times as long,
  // `unheard` is called; for 2.5 times, which is before a cluster chooses another
  // leader, `broken`.
  static constexpr int64_t kHeartbeatMs = 1'000;

  // `replies` belongs to `connection`; `evaluate` is called only on the replies' thread.
  PullSource(Options options, Connection* connection, PullReplies* replies, Inbox* inbox,
             const Clock* clock, Evaluate evaluate, Handlers handlers);

  // Begins to pull `batch` messages and `bytes` at a time. Call it again to change these.
  void Open(size_t batch, size_t bytes);
  // Sends no more pulls. Outstanding pulls still bring messages until they expire. If
  // `abandon`, because the consumer or connection is gone, drops them at once and frees
  // their places; a late message takes a new place, or is left for redelivery.
  void Close(bool abandon);
  // Checks deadlines and heartbeats, and pulls again if there is room. Call it about
  // every 100 ms, and when the inbox has room again.
  void Tick();

  [[nodiscard]] uint64_t received() const;
  // The server's reason if it refused the latest pulls; "" if it accepts them.
  [[nodiscard]] std::string refusal() const;
  // Whether it may pull, and the inbox has room for it.
  [[nodiscard]] bool asking() const;

 private:
  struct Pull {
    uint64_t token = 0;
    size_t batch = 0;
    size_t bytes = 0;
    bool large = false;  // it asked for more bytes than its share
    int64_t expires_ms = 0;
    int64_t deadline_ms = 0;
  };
  // Places and bytes that are reserved in the inbox.
  struct Credit {
    size_t places = 0;
    size_t bytes = 0;
  };
  void OnMessage(const Delivery& delivery, const AckSubject& ack);
  void Heard() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnStatus(const Delivery& delivery, const Delivery::Status& status, uint64_t token);
  void Pump() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The next pull, as large as allowed.
  [[nodiscard]] Pull Next() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Send(Pull pull) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether the next pull may be sent without a pause, because it will differ.
  [[nodiscard]] bool Understood(PullStatus kind, const Pull& pull, size_t left,
                                std::string_view words)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] bool Exceeds(const Pull& pull) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // A message was too large for a pull that had brought nothing: makes the next pulls
  // larger. False if they have the maximum size already.
  [[nodiscard]] bool Grow(const Pull& pull) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] size_t BytesMax() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Removes so many places, with their bytes, from the reserved ones.
  [[nodiscard]] Credit TakeOut(size_t places) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Forgets all pulls. Returns what they had reserved; call Release with it after
  // unlocking.
  [[nodiscard]] Credit Drop() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void GiveBack(const Credit& unused);
  void PauseFor() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Options options_;
  const std::string next_subject_;
  Connection* const connection_;
  PullReplies* const replies_;
  const size_t replies_to_;  // of replies_
  Inbox* const inbox_;
  const Clock* const clock_;
  const Evaluate evaluate_;
  const Handlers handlers_;

  Headers headers_;  // the thread of replies_ only: scratch

  mutable Mutex mutex_;
  bool open_ ABSL_GUARDED_BY(mutex_) = false;
  size_t batch_ ABSL_GUARDED_BY(mutex_) = 1;
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;        // of one pull
  size_t grown_bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // the same for a large message
  int larges_ ABSL_GUARDED_BY(mutex_) = 0;          // how many more pulls may be so large
  PullLimits limits_ ABSL_GUARDED_BY(mutex_);       // as learned from refusals
  std::string refusal_ ABSL_GUARDED_BY(mutex_);
  bool starved_ ABSL_GUARDED_BY(mutex_) = false;  // the inbox had no room
  Credit credit_ ABSL_GUARDED_BY(mutex_);
  std::deque<Pull> pulls_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_token_ ABSL_GUARDED_BY(mutex_) = 1;
  // Since it was heard of.
  int64_t silent_ms_ ABSL_GUARDED_BY(mutex_) = 0;
  bool unheard_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t ticked_ms_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t pause_until_ms_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t pause_ms_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t received_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace expirer
