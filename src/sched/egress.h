// The interfaces between the core and the network: Egress publishes jobs, Inbound
// answers the sources of events and requests. Only the core thread calls them. All calls
// return at once; answers come back through the Inbox.
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

// Publishes jobs. Forms: net/nats_egress (real), net/instant_bus (in memory).
class Egress {
 public:
  virtual ~Egress() = default;

  enum class Target {
    kReady,      // a stream takes it
    kResolving,  // not known yet; TargetKnown or EgressChanged will be posted
    kDown,       // this transport is down; TargetKnown "" will be posted
    kRefused,    // no stream takes it now
    kUnknown,    // the question failed
  };
  // Says whether a stream takes messages for `target`, and asks the server if that is not
  // known. A refused or unknown target is asked for again after at most a second; then
  // `why` (never null) gets the reason. Over core NATS every target is ready.
  [[nodiscard]] virtual Target Resolve(Transport via, std::string_view target,
                                       std::string* why) = 0;

  // Begins an attempt; copies what it is given. At most one PubAnswer with this number
  // will be posted; if none is, the core times the attempt out. Returns false, and no
  // answer comes, if nothing was sent: not connected, or the socket's buffer is full.
  // Over core NATS, and for a stream that never confirms (no_ack), the answer is kAck
  // once the server has the message and did not refuse it; nobody needs to receive it.
  [[nodiscard]] virtual bool Publish(uint64_t attempt, Transport via,
                                     std::string_view target, const HeaderViews& headers,
                                     std::string_view body) = 0;
  // A warning for people about how messages for `target` are confirmed, in one sentence;
  // "" = none.
  [[nodiscard]] virtual std::string Warning(Transport, std::string_view) { return ""; }
  // Flushes published messages to the socket; called once per batch.
  virtual void Flush() = 0;
  // The core no longer waits for this attempt: an answer will only be counted. If it
  // `timed_out` the egress may resolve the target again.
  virtual void Forget(uint64_t attempt, std::string_view target, bool timed_out) = 0;
};

// Answers the sources of requests, after the sync (I1).
class Inbound {
 public:
  virtual ~Inbound() = default;
  // Without a connection an ack is lost: the message comes again and changes nothing.
  virtual void Ack(const std::string& reply) = 0;
  // Tells the broker never to deliver the message again; `reason` is for its log.
  virtual void Term(const std::string& reply, std::string_view reason) = 0;
  // Answers a request of the API, and frees its place in the inbox. If `code` is 0,
  // `body` is the reply; otherwise `code` is one of the API's error codes, and `body` is
  // one sentence about the error.
  virtual void Reply(const Caller& caller, int code, const std::string& body) = 0;
  // Publishes over core NATS; the message is lost if nobody listens.
  virtual void Announce(const std::string& subject, const std::string& payload) = 0;
  // Flushes the answers to the socket; called once per Step.
  virtual void Flush() = 0;
  // Whether new messages may be asked for (limits.disk_free); initially they may.
  virtual void SetIntake(bool open) = 0;
  // Begins a look: RuleRead is posted again for every rule, from answers to questions
  // that are asked after this call. kAnew: the consumers are also checked and opened
  // again, as after a reconnect.
  enum class LookHow { kQuick, kAnew };
  virtual void LookAgain(LookHow how) = 0;
  // The note that a rebuild began is durable. So nothing fires until every rule is
  // decided, even if this process ends.
  virtual void RebuildBegun() = 0;
};

}  // namespace expirer
