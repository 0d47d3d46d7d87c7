// A connection to a server of NATS Streaming (STAN), by nats.c's own client.
//
// Its owner makes a new one after each loss; no state survives that. Durables are
// closed and never unsubscribed, which would delete them. Compiled only where nats.c
// has its streaming API (EXPIRER_STAN).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "base/mutex.h"
#include "base/status.h"
#include "job/rules.h"
#include "net/connection_options.h"

struct __stanConnection;
struct __stanSubscription;
struct __stanMsg;
struct __natsConnection;

namespace expirer {

// Connect, Close, Read, StopReading, Look and EndLook: one thread, they wait for
// the server. The others: any thread.
class StanLink {
 public:
  struct Options {
    ConnectionOptions connection;
    std::string cluster;
    std::string client;
  };
  // One durable of one channel.
  struct Channel {
    std::string name;
    std::string durable;  // also its queue group
    Deliver deliver;      // where a new durable begins
    int max_inflight = 1;
  };
  struct Message {
    uint64_t seq = 0;
    int64_t time_ns = 0;  // the server's
    std::string_view payload;
  };
  // On threads of nats.c, and never after Close returned. `message` and `end`
  // on one and the same, in the order in which the messages arrived.
  struct Handlers {
    // May wait, as long as the owner wants to go on. True: taken, to be acked by
    // Ack; false: it is to be delivered again some time.
    std::function<bool(size_t channel, const Message&)> message;
    // The answer to Look: the sequence of the channel's last message.
    std::function<void(size_t channel, uint64_t seq)> end;
    // Of Publish; `error` is "" when the server has stored the message.
    std::function<void(uint64_t attempt, std::string_view error)> published;
    // May come more than once.
    std::function<void(const std::string& why)> lost;
  };
  enum class Sent {
    kOk,
    kDown,      // the link is gone, or hangs
    kTooLarge,  // over max_payload
    kError,     // nats.c failed otherwise: nothing was sent
  };

  StanLink(Options options, std::vector<Channel> channels, Handlers handlers);
  ~StanLink();
  StanLink(const StanLink&) = delete;
  StanLink& operator=(const StanLink&) = delete;

  // Errors: kUnavailable. REQUIRES: not connected.
  absl::Status Connect();
  // Tells the server and closes; durables stay. Harmless when not connected.
  void Close();
  // Cuts the connection: whatever waits for the server, Close too, ends with an
  // error. Not a Connect under way, which ends by itself. Any thread; waits for the
  // socket at most kWriteMs. To be followed by Close.
  void Abort();

  // Resumes or makes the channel's durable; what it delivered before and was not
  // acked comes again. Errors: kUnavailable.
  absl::Status Read(size_t channel);
  void StopReading(size_t channel);
  // Asks where the channel ends; `end` is called unless it holds nothing. Begins
  // after what Read began before. Errors: kUnavailable.
  absl::Status Look(size_t channel);
  void EndLook(size_t channel);

  // `published` follows for kOk, unless the link is closed before; else `error`
  // gets nats.c's name of what went wrong. Waits for the socket at most kWriteMs.
  [[nodiscard]] Sent Publish(uint64_t attempt, const std::string& channel,
                             std::string_view body, std::string* error);
  // Of a message of this life; another one's does nothing.
  void Ack(size_t channel, uint64_t seq);

  static constexpr int64_t kWriteMs = 5'000;
  static constexpr int64_t kAckWaitMs = 30'000;
  static constexpr int64_t kPubAckMs = 10'000;

 private:
  struct Callbacks;  // what nats.c calls
  struct Gate;       // outlives the link: the context of its late calls
  struct Reading {
    __stanSubscription* sub = nullptr;
    __stanSubscription* look = nullptr;
    std::map<uint64_t, __stanMsg*> held;  // delivered and not acked
  };

  absl::Status Open(__stanConnection* sc);
  [[nodiscard]] __stanConnection* Connected();
  void Receive(size_t channel, __stanMsg* message);
  void DropHeld(Reading* reading) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Options options_;
  const std::vector<Channel> channels_;
  const Handlers handlers_;
  Gate* const gate_;

  Mutex mutex_;
  __stanConnection* sc_ ABSL_GUARDED_BY(mutex_) = nullptr;
  __natsConnection* nc_ ABSL_GUARDED_BY(mutex_) = nullptr;  // below it
  std::vector<Reading> readings_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace expirer
