// Reads a stretch of a stream in its order and takes no part in it: through a
// consumer of its own that acks nothing, is held in the server's memory, and goes
// with the reading, or when nobody has pulled from it for five minutes.
//
// One pull at a time, asked for while the messages of the last one are used, so
// that at most kMessagesMax of them wait here. A message that is missing, a
// consumer that went and a connection that was lost are all mended in the same
// way: by another consumer, from the first message that did not come.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "base/mutex.h"
#include "job/job.h"
#include "net/ack_subject.h"
#include "net/connection.h"
#include "net/jetstream.h"
#include "net/pull_replies.h"
#include "net/pull_status.h"

namespace expirer {

struct StreamMessage {
  uint64_t seq = 0;
  int64_t time_ns = 0;
  std::string subject;
  Headers headers;
  std::string payload;
};

// One thread, but for what the connection delivers to `replies`. It must have stopped
// before this is destroyed.
class StreamReader {
 public:
  struct Options {
    std::string stream = {};
    std::string filter = {};             // "" = everything
    int64_t since_ns = 0;                // nothing earlier; 0 = from the beginning
    uint64_t last_seq = 0;               // nothing behind it
    int64_t timeout_ms = 5'000;          // for each answer of the server
    int64_t patience_ms = 30'000;        // for reading to go on after it was broken off
    std::function<bool()> stopped = {};  // asked while it waits; may be empty
  };
  StreamReader(Options options, Connection* connection, PullReplies* replies,
               JetStream* js);

  // The next message into `*message`; false at the end. What was deleted is
  // passed over. Errors: what JetStream refuses, kUnavailable when reading does
  // not go on within the patience, kCancelled when stopped.
  [[nodiscard]] absl::StatusOr<bool> Next(StreamMessage* message);
  // Lets the server forget the consumer at once.
  void Close();

  static constexpr size_t kBatch = 256;
  static constexpr size_t kMessagesMax = kBatch + kBatch / 2;

 private:
  [[nodiscard]] bool Take(StreamMessage* message);
  [[nodiscard]] bool AllRead();
  [[nodiscard]] absl::Status Mend();
  [[nodiscard]] absl::Status Begin();
  [[nodiscard]] std::string Config(const std::string& name);
  void Wait();
  [[nodiscard]] absl::Status GivenUp(const absl::Status& last);
  void LookForTrouble() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Pump() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnMessage(const Delivery& delivery, const AckSubject& ack);
  void OnStatus(const Delivery::Status& status, uint64_t pull);

  const Options options_;
  Connection* const connection_;
  PullReplies* const replies_;
  JetStream* const js_;
  const size_t replies_to_;  // of replies_

  Mutex mutex_;
  std::deque<StreamMessage> received_ ABSL_GUARDED_BY(mutex_);
  bool all_read_ ABSL_GUARDED_BY(mutex_);              // once received_ is empty
  uint64_t next_seq_ ABSL_GUARDED_BY(mutex_) = 0;      // 0 = nothing came yet
  std::string consumer_ ABSL_GUARDED_BY(mutex_);       // "" = none yet
  uint64_t generation_ ABSL_GUARDED_BY(mutex_) = 0;    // of the connection, at its making
  uint64_t consumer_seq_ ABSL_GUARDED_BY(mutex_) = 0;  // of its last message
  std::string trouble_ ABSL_GUARDED_BY(mutex_);  // why another one is needed; "" = none
  uint64_t pull_ ABSL_GUARDED_BY(mutex_) = 0;    // number of the last one
  size_t asked_ ABSL_GUARDED_BY(mutex_) = 0;     // messages that it may still bring
  size_t batch_ ABSL_GUARDED_BY(mutex_) = 0;     // those it asked for
  PullLimits limits_ ABSL_GUARDED_BY(mutex_);
  int64_t heard_ms_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t pause_until_ms_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace expirer
