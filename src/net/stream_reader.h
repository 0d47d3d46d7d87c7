// Reads a part of a stream in order, without effect on other readers: through its own
// consumer, which acks nothing and is held in the server's memory. The consumer ends with
// the reader, or if nobody pulls from it for five minutes.
//
// It sends one pull at a time, while the caller uses the messages of the last one, so
// that at most kMessagesMax wait here. If a message is missing, the consumer is lost or
// the connection drops, it makes a new consumer that begins at the first missing message.
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

// One thread, except that the connection delivers to `replies` on its own. The connection
// must have stopped before the reader is destroyed.
class StreamReader {
 public:
  struct Options {
    std::string stream = {};
    std::string filter = {};       // "" = everything
    int64_t since_ns = 0;          // reads from this time on; 0 = from the beginning
    uint64_t last_seq = 0;         // reads up to this sequence
    int64_t timeout_ms = 5'000;    // for each answer of the server
    int64_t patience_ms = 30'000;  // for reading to resume after an interruption
    std::function<bool()> stopped = {};  // called while it waits: true = stop
  };
  StreamReader(Options options, Connection* connection, PullReplies* replies,
               JetStream* js);

  // Reads the next message into `*message`; false at the end. Skips deleted messages.
  // Errors: JetStream's refusals; kUnavailable if reading does not resume within
  // patience_ms; kCancelled if stopped.
  absl::StatusOr<bool> Next(StreamMessage* message);
  // Deletes the consumer on the server.
  void Close();

  static constexpr size_t kBatch = 256;
  static constexpr size_t kMessagesMax = kBatch + kBatch / 2;

 private:
  [[nodiscard]] bool Take(StreamMessage* message);
  [[nodiscard]] bool AllRead();
  absl::Status Mend();
  absl::Status Begin();
  [[nodiscard]] std::string Config(const std::string& name);
  void Wait();
  absl::Status GivenUp(const absl::Status& last);
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
  std::string trouble_ ABSL_GUARDED_BY(mutex_);        // why to make a new consumer
  uint64_t pull_ ABSL_GUARDED_BY(mutex_) = 0;          // number of the last one
  size_t asked_ ABSL_GUARDED_BY(mutex_) = 0;           // messages that it may still bring
  size_t batch_ ABSL_GUARDED_BY(mutex_) = 0;           // those it asked for
  PullLimits limits_ ABSL_GUARDED_BY(mutex_);
  int64_t heard_ms_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t pause_until_ms_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace expirer
