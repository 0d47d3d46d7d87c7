// Reads one durable pull consumer as fast as the inbox has room.
//
// Pulls are requests of our own, a few outstanding, each with a fresh token
// in its reply subject. Messages do not tell which pull brought them, so the
// places taken in the inbox are one sum for all pulls: a pull adds its batch,
// a message uses one, a status that ends a pull gives back what it says was
// left. A sum that went wrong (a pull lost without a word) heals at the last
// deadline, when nothing more can come and the rest is given back. Bytes go with
// the places, an equal share with each, since servers before 2.10 do not say
// that a pull which was filled left some of its bytes.
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

// Whether the message's own bytes may be kept in the dead store.
[[nodiscard]] bool MayBecomeDead(const Intent& intent);

// Thread-safe. Gives places back without holding a lock, since the inbox may
// then call Tick of any source.
class PullSource {
 public:
  using Evaluate = std::function<Intent(const EventView& event, int64_t now_ms)>;
  // Called on any thread.
  struct Handlers {
    // A heartbeat is overdue, so messages may wait in a consumer without a leader. The
    // pulls stay. It is called again only after the consumer was heard of.
    std::function<void()> unheard;
    // The consumer should be set up again; the source has stopped by then.
    std::function<void(const std::string& why)> broken;
  };
  struct Options {
    RuleIndex rule = 0;
    const std::string* stream = nullptr;               // outlives the process' requests
    const std::atomic<int64_t>* created_ns = nullptr;  // of the stream, now
    std::string consumer;
    std::string api_prefix;  // as JetStream::prefix
    int outstanding = 3;     // pulls at a time
    int64_t expires_ms = 30'000;
    // An idle consumer sends a heartbeat so often. If none comes for 1.25 times as long,
    // `unheard` is called; for 2.5 times, which is before a cluster chooses another
    // leader, `broken`.
    int64_t heartbeat_ms = 1'000;
  };

  // `replies` is of `connection`; `evaluate` is called on its thread only.
  PullSource(Options options, Connection* connection, PullReplies* replies, Inbox* inbox,
             const Clock* clock, Evaluate evaluate, Handlers handlers);

  // Begins to pull, `batch` messages and `bytes` at a time; also to change these.
  void Open(size_t batch, size_t bytes);
  // No more pulls; what is under way still arrives until it expires. Then
  // drops the pulls when `abandon` (their consumer or connection is gone):
  // their places are given back, what arrives late finds its own or is left
  // to be delivered again.
  void Close(bool abandon);
  // Deadlines, heartbeats, and room that came back: about every 100 ms, and
  // when the inbox has room.
  void Tick();

  [[nodiscard]] uint64_t received() const;
  // The server's words when it took no pull since the last one it took; "" when it
  // takes them.
  [[nodiscard]] std::string refusal() const;
  // Whether it may pull, and the inbox has room for it.
  [[nodiscard]] bool asking() const;

 private:
  struct Pull {
    uint64_t token = 0;
    size_t batch = 0;
    size_t bytes = 0;
    bool large = false;  // more bytes than its share
    int64_t expires_ms = 0;
    int64_t deadline_ms = 0;
  };
  // What the inbox keeps for messages that may come.
  struct Credit {
    size_t places = 0;
    size_t bytes = 0;
  };
  void OnMessage(const Delivery& delivery, const AckSubject& ack);
  void Heard() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnStatus(const Delivery& delivery, const Delivery::Status& status, uint64_t token);
  void Pump() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The next one, as large as it may be.
  [[nodiscard]] Pull Next() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Send(Pull pull) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether what ended it needs no pause: the next one is another.
  [[nodiscard]] bool Understood(PullStatus kind, const Pull& pull, size_t left,
                                std::string_view words)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] bool Exceeds(const Pull& pull) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // A message was too large for a pull that had brought nothing: the next are
  // larger. False when they are as large as may be.
  [[nodiscard]] bool Grow(const Pull& pull) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] size_t BytesMax() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Takes so many places, and their bytes, out of what is held.
  [[nodiscard]] Credit TakeOut(size_t places) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Forgets all pulls; what they held, for Release once unlocked.
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
  size_t grown_bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // likewise, for a large message
  int larges_ ABSL_GUARDED_BY(mutex_) = 0;          // how many may yet be so large
  PullLimits limits_ ABSL_GUARDED_BY(mutex_);       // as refusals told
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
