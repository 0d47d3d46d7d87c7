// The parts of a running service. The server makes them in this order and destroys them
// in the opposite order.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "api/api.h"
#include "app/config.h"
#include "app/core_loop.h"
#include "app/server.h"
#include "base/alarm.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "net/ingress.h"
#include "net/nats_egress.h"
#include "net/stan.h"
#include "sched/scheduler.h"
#include "store/committer.h"
#include "store/store.h"

#ifdef EXPIRER_HTTP
#include "app/exposition.h"
#include "net/http_server.h"
#endif

namespace expirer {

struct Service {
  explicit Service(const ServeOptions& serve) : options(serve), config(serve.config) {}

  // Ends the loop. Any thread.
  void Stop() {
    stopping = true;
    alarm.Wake();
  }
  // Why the ingress refuses the start; "" = it does not.
  [[nodiscard]] std::string RefusedWhy() const {
    MutexLock lock(&mutex);
    return refused_why;
  }

  const ServeOptions& options;
  const Config& config;
  const SystemClock clock;
  const int64_t started_ms = clock.NowMs();
  const int64_t started_mono_ms = clock.MonotonicMs();
  Alarm alarm;
  Inbox inbox{config.limits.inbox, [this] { alarm.Wake(); }, config.limits.requests};
  std::atomic<bool> stopping{false};  // after a signal, or if the start is refused
  std::atomic<bool> locked{false};    // this process has locked the store
  std::atomic<bool> open{false};      // all parts below are made and do not change
  std::unique_ptr<Store> store;
  std::unique_ptr<SyncThread> committer;
  std::unique_ptr<NatsEgress> egress;
  std::unique_ptr<Ingress> ingress;
  std::unique_ptr<StanBus> stan;  // null if no rule uses it
  std::unique_ptr<Api> api;
  std::unique_ptr<Scheduler> scheduler;
  CoreLoop loop{config, &clock, &alarm, &inbox};
  // In the order of Stats::outcomes.
  std::vector<std::string> queues;
  std::vector<std::string> queue_rules;
#ifdef EXPIRER_HTTP
  Exposition exposition{&config, &clock};
  std::unique_ptr<HttpServer> http;  // null: not configured
#endif

  mutable Mutex mutex;
  std::string starting_why ABSL_GUARDED_BY(mutex) = "the store is being opened";
  std::string refused_why ABSL_GUARDED_BY(mutex);
  VolumeRoom room ABSL_GUARDED_BY(mutex);
};

}  // namespace expirer
