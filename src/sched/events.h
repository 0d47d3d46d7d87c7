// Everything that happens to the core is one of these. Requests ask for a
// change and are bounded by credit; completions answer something the core
// began and are bounded by what is in flight plus a constant (I5).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "job/rules.h"
#include "sched/command.h"
#include "store/space.h"

namespace expirer {

using RuleIndex = uint16_t;  // into the configured rules

// A moment on both clocks.
struct Instant {
  int64_t wall_ms = 0;
  int64_t mono_ms = 0;
};
// Later than every other one.
inline constexpr Instant kEver{INT64_MAX, INT64_MAX};

// The bytes of a message that became no job, kept for the dead store.
struct RawMessage {
  std::string subject;
  Headers headers;
  std::string payload;
};

// A rejected message that is run through its rule again.
struct Requeue {
  bool stale = false;   // it may become a job however long ago it was due
  std::string refusal;  // why it is rejected again; then the entry stays
};

inline const std::string kCoreStream;  // the stream's name of core NATS

// One message of a stream as one rule's consumer delivered it; or of a rule
// with `source: core`, as it arrived.
struct MessageRequest {
  RuleIndex rule = 0;
  // The stream's name, "" for core NATS; owned by the ingress, stable while the
  // process lives.
  const std::string* stream = &kCoreStream;
  int64_t created_ns = 0;   // when the stream was created; 0 = nobody can say
  uint64_t stream_seq = 0;  // 0 for core NATS
  int64_t time_ns = 0;      // JetStream's time of the message, or of its arrival
  int64_t received_ms = 0;
  std::string reply;  // where the ack goes; "" for core NATS, which has none
  Intent intent;
  // With a RejectIntent, and a CancelIntent whose late message is in trouble.
  std::unique_ptr<RawMessage> raw;
  Requeue* requeue = nullptr;  // of a message out of the dead store; null for others
};

// The answer to one publish attempt.
struct PubAnswer {
  enum class Kind {
    kAck,       // stored by `stream` at `stream_seq`, also as a duplicate
    kNoStream,  // nobody listens, or no stream took it (503)
    kRefused,   // the stream or a permission said no: `text` says why
    kNever,     // the message can never be delivered as it is: `text` says why
    kRetry,     // the broker asks to come again (10158), or answered nonsense
    kLost,      // the connection went before an answer came
  };
  uint64_t attempt = 0;
  Kind kind = Kind::kAck;
  uint64_t stream_seq = 0;
  std::string text;
  bool duplicate = false;  // kAck: the stream had a message of this id already
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

// How far a rule's streams have been read.
struct RuleRead {
  enum class State {
    kAway,      // not since `at`
    kReading,   // everything published before `at` is applied, or nothing is known
    kCaughtUp,  // likewise, and what comes from now on is read as it comes
  };
  RuleIndex rule = 0;
  State state = State::kAway;
  Instant at;  // kReading: {} = nothing is known yet
};

// Some thread between the socket and the core did not run for a while (the
// process was stopped, its machine paused, a thread starved), or the wall clock
// leapt ahead: of that time it is not known what was published.
struct StoodStill {
  int64_t ms = 0;
};
// A standstill this long is logged, and a sign of life is stored before anything is sent.
inline constexpr int64_t kStandstillMs = 2'000;

// Egress::Resolve has a new answer for this target; "": for any.
struct TargetKnown {
  std::string target;
};

// What is free on the store's volume, as the watcher saw it.
struct DiskSpace {
  uint64_t free_bytes = 0;
  uint64_t free_inodes = VolumeRoom::kNoLimit;
};

// A rule's consumer is known to have acked everything up to a stream
// sequence: kept in `meta` under "consumer/", read by the ingress at start.
struct ConsumerFloor {
  std::string key;    // rule, 0x00, stream
  std::string value;  // net/'s own coding
};

// The store is to be rebuilt: what the streams hold is about to be read anew.
// Answered by Inbound::RebuildBegun.
struct RebuildAsked {};

// Streams and consumers are this store's to read, and nobody else lives under
// its name: firing may begin.
struct Admitted {};

using Completion =
    std::variant<PubAnswer, Synced, EgressChanged, RuleRead, StoodStill, TargetKnown,
                 DiskSpace, ConsumerFloor, RebuildAsked, Admitted>;
// A command is never null.
using Request = std::variant<MessageRequest, std::unique_ptr<Command>>;

}  // namespace expirer
