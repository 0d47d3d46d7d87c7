// The seams between the core and the network: what the core sends out, and
// what it says back to where its events came from. All calls come from the
// core thread and return at once; answers come back through the Inbox.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "job/job.h"
#include "sched/events.h"

namespace expirer {

using HeaderViews = std::vector<std::pair<std::string_view, std::string_view>>;

// Publishes jobs. One real form (net/nats_egress), one in memory
// (net/memory_bus).
class Egress {
 public:
  virtual ~Egress() = default;

  enum class Target {
    kReady,      // a stream takes it
    kResolving,  // being asked; TargetKnown will be posted, or EgressChanged
    kDown,       // no target can be reached this way; TargetKnown "" will be posted
    kRefused,    // no stream takes it now
    kUnknown,    // whether one does could not be found out
  };
  // Whether a stream takes messages for `target`; a refused or unknown target is asked
  // for again after at most a second. `why` (never null) gets the reason then. Over core
  // NATS every target is ready.
  [[nodiscard]] virtual Target Resolve(Transport via, std::string_view target,
                                       std::string* why) = 0;

  // Begins an attempt. Exactly one PubAnswer with this number will be posted,
  // at most; an attempt may also never be answered (the core times it out).
  // False when nothing was sent: not connected, or the socket's buffer is
  // full; no answer comes then. Over core NATS nobody needs to take the message,
  // and it is answered with kAck once the server has it and said nothing against
  // it. So it is for a stream that never confirms (no_ack).
  [[nodiscard]] virtual bool Publish(uint64_t attempt, Transport via,
                                     std::string_view target, const HeaderViews& headers,
                                     std::string_view body) = 0;
  // What a person should know of how messages for `target` are confirmed, in one
  // sentence; "" = nothing.
  [[nodiscard]] virtual std::string Warning(Transport, std::string_view) { return ""; }
  // Pushes what was published to the socket; called once per batch.
  virtual void Flush() = 0;
  // An attempt the core no longer waits for: its answer will only be counted.
  // `timed_out` lets the egress ask again for the target's stream.
  virtual void Forget(uint64_t attempt, std::string_view target, bool timed_out) = 0;
};

// Answers the sources of requests, after the sync (I1).
class Inbound {
 public:
  virtual ~Inbound() = default;
  virtual void Ack(const std::string& reply) = 0;
  // The message is never to be delivered again; `reason` for the broker's log.
  virtual void Term(const std::string& reply, std::string_view reason) = 0;
  // Answers a request of the API, and gives its place in the inbox back. `code`
  // 0: `body` is the reply; else one of the API's error codes, and `body` says
  // what is wrong in one sentence.
  virtual void Reply(const Caller& caller, int code, const std::string& body) = 0;
  // A plain core publish; lost when nobody listens.
  virtual void Announce(const std::string& subject, const std::string& payload) = 0;
  // Pushes what was said to the socket; called once per Step.
  virtual void Flush() = 0;
  // Whether new messages may be asked for (limits.disk_free).
  virtual void SetIntake(bool open) = 0;
  // What was said of each rule's streams is old: RuleRead is posted anew for
  // every rule, of what is found out after this call. kAnew: the consumers are
  // looked at and opened anew, too, as after a reconnect.
  enum class LookHow { kQuick, kAnew };
  virtual void LookAgain(LookHow how) = 0;
  // That a rebuild began is durable: from now on nothing fires until every rule
  // is decided, whatever becomes of this process.
  virtual void RebuildBegun() = 0;
};

}  // namespace expirer
