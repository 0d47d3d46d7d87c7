// Everything that happens to the core is one of these. Requests ask for a
// change and are bounded by credit; completions answer something the core
// began and are bounded by what is in flight plus a constant (I5).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "job/rules.h"

namespace expirer {

using RuleIndex = uint16_t;  // into the configured rules

// The bytes of a message that became no job, kept for the dead store.
struct RawMessage {
  std::string subject;
  Headers headers;
  std::string payload;
};

// One message of a stream as one rule's consumer delivered it; or of a rule
// with `source: core`, as it arrived.
struct MessageRequest {
  RuleIndex rule = 0;
  // The stream's name, "" for core NATS; owned by the ingress, stable while the
  // process lives.
  const std::string* stream = nullptr;
  uint64_t stream_seq = 0;  // 0 for core NATS
  int64_t time_ns = 0;      // JetStream's time of the message, or of its arrival
  int64_t received_ms = 0;
  std::string reply;  // where the ack goes; "" for core NATS, which has none
  Intent intent;
  // With a RejectIntent, and a CancelIntent whose late message is in trouble.
  std::unique_ptr<RawMessage> raw;
};

// The answer to one publish attempt.
struct PubAnswer {
  enum class Kind {
    kAck,       // stored by `stream` at `stream_seq`, also as a duplicate
    kNoStream,  // nobody listens, or no stream took it (503)
    kRefused,   // the stream or a permission said no: `text` says why
    kRetry,     // the broker asks to come again (10158), or answered nonsense
    kLost,      // the connection went before an answer came
  };
  uint64_t attempt = 0;
  Kind kind = Kind::kAck;
  uint64_t stream_seq = 0;
  std::string text;
};

// Every write up to `ticket` is durable.
struct Synced {
  uint64_t ticket = 0;
};

// The publishing connection came or went. kLost answers of attempts that were
// in flight are posted before `up = false`.
struct EgressChanged {
  bool up = false;
};

// A rule's consumers went out of step with their streams (connection lost,
// reconnected, start), or have been read up to where they stood at the last
// such change.
struct RuleSettled {
  RuleIndex rule = 0;
  bool settled = false;
};

// The process stood still for a while (stopped, suspended, its machine paused),
// or the wall clock leapt ahead: what it knows of the streams is that old.
struct StoodStill {
  int64_t ms = 0;
};

// Egress::Look has a new answer for some target.
struct TargetKnown {};

// Free bytes of the store's volume, as the watcher saw them.
struct DiskSpace {
  uint64_t free_bytes = 0;
};

// A rule's consumer is known to have acked everything up to a stream
// sequence: kept in `meta` under "consumer/", read by the ingress at start.
struct ConsumerFloor {
  std::string key;    // rule, 0x00, stream
  std::string value;  // net/'s own coding
};

using Completion = std::variant<PubAnswer, Synced, EgressChanged, RuleSettled, StoodStill,
                                TargetKnown, DiskSpace, ConsumerFloor>;
using Request = std::variant<MessageRequest>;

}  // namespace expirer
