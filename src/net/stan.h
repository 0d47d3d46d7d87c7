// NATS Streaming (STAN) beside JetStream: reads the rules with `source: stan` and
// publishes what goes `via: stan`, over one connection (the server takes a client's id
// once). It forwards all other calls to the egress and inbound that it wraps.
//
// What is different from JetStream: there are no headers and no message ids, so
// a second copy after a crash is told by its content only, and never made but
// when a PubAck was lost. Channels are exact names. A message that can become
// no job is acked once it is safe among the dead. How far a rule has been read
// is found out as net/stan_progress.h tells.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "job/rules.h"
#include "net/connection_options.h"
#include "sched/egress.h"
#include "sched/inbox.h"

namespace expirer {

// Whether nats.c has its streaming API, and this was built with it.
[[nodiscard]] bool StanCompiledIn();
// Whether any rule reads or publishes over NATS Streaming.
[[nodiscard]] bool UsesStan(const std::vector<Rule>& rules);
// Whether the server takes `name` for a channel: no wildcards, no '/'.
[[nodiscard]] bool IsStanChannel(std::string_view name);

struct StanOptions {
  ConnectionOptions connection;
  std::string cluster;
  std::string client;            // unique in the cluster, and stable: the next
                                 // process takes over from one that was killed
  std::string name = "expirer";  // durables are <name>-<rule> where not named
  JobLimits job_limits;
  size_t inflight = 1'000;  // un-acked messages of a channel at most
};

// Egress and Inbound: core thread. Everything else: any one thread. Destroyed
// only when nobody drains the inbox any more.
class StanBus : public Egress, public Inbound {
 public:
  // Begins to connect, read and publish. Any thread, once: after admission.
  virtual void Start() = 0;
  // Takes no more messages in; what was taken may still be acked.
  virtual void StopReading() = 0;
  // Waits at most `flush_ms` until all acks are sent, then closes. The durables
  // stay.
  virtual void Stop(int64_t flush_ms) = 0;
  // What keeps it from reading and publishing, in one sentence; "" = nothing.
  [[nodiscard]] virtual std::string Trouble() const = 0;
  // How often it was connected.
  [[nodiscard]] virtual uint64_t connects() const = 0;
};

// Everything given outlives it. Errors: kFailedPrecondition where it is not
// compiled in.
absl::StatusOr<std::unique_ptr<StanBus>> MakeStan(StanOptions options,
                                                  const std::vector<Rule>* rules,
                                                  Inbox* inbox, const Clock* clock,
                                                  Egress* egress, Inbound* inbound);

}  // namespace expirer
