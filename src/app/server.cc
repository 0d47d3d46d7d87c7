#include "app/server.h"

#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <future>
#include <map>
#include <memory>
#include <thread>
#include <utility>

#include "app/service.h"
#include "app/service_status.h"
#include "app/signals.h"
#include "app/version.h"
#include "app/watcher.h"
#include "base/exit_code.h"
#include "base/log.h"
#include "base/thread.h"
#include "json/writer.h"
#include "sched/rebuild.h"
#include "sched/rename.h"
#include "sched/streams.h"
#include "store/meta.h"

namespace expirer {
namespace {

constexpr int64_t kRoomPollMs = 1'000;
// The drain as a whole stays under 20 s: 10 s for answers, then the closing of
// both connections.
constexpr int64_t kDrainMs = 10'000;
constexpr int64_t kCloseFlushMs = 2'000;
// An attempt to connect cannot be broken off, and name servers may take their time.
constexpr int64_t kCloseMaxMs = 6'000;

IngressOptions IngressFrom(const ServeOptions& serve, const std::string& store_id) {
  const Config& config = serve.config;
  IngressOptions options;
  options.adopt = serve.adopt;
  options.connection = config.nats;
  options.name = config.name;
  options.store_id = store_id;
  options.job_limits = config.job_limits();
  options.max_ack_pending = config.limits.ack_pending;
  options.streams = config.streams;
  return options;
}

StanOptions StanFrom(const Config& config) {
  StanOptions options;
  options.connection = config.nats;
  options.cluster = config.stan.cluster;
  options.client = config.stan.client.empty() ? config.name : config.stan.client;
  options.name = config.name;
  options.job_limits = config.job_limits();
  return options;
}

// The targets that are known before there is a job.
std::vector<std::string> LiteralTargets(const std::vector<Rule>& rules) {
  std::vector<std::string> targets;
  for (const Rule& rule : rules)
    for (const Publish& publish : rule.publish)
      if (publish.via == Transport::kJetStream && publish.target.is_literal())
        targets.push_back(std::string(publish.target.literal()));
  return targets;
}

// Makes every part of the service, runs the loop, and takes the parts down.
class Server : private Service {
 public:
  explicit Server(const ServeOptions& serve) : Service(serve) {}

  int Run() {
    SignalThread signals([this] { Stop(); });
    Watcher watcher(this);
    if (const absl::Status opened = Open(); !opened.ok()) {
      watcher.Stop();
      return EndStart(opened, &watcher);
    }
    loop.Begin(scheduler.get(), ingress.get());
    open = true;
    api->Start();
    ingress->Start();
    egress->Start();
    while (!stopping) loop.Wait(loop.Turn());
    if (const std::string why = RefusedWhy(); !why.empty()) {
      code_ = kFailed;
      Log(Level::kError, "expirer does not start", {{"why", why}});
    }
    const bool drained = Drain();
    watcher.Stop();
    Close(&watcher);
    Log(Level::kInfo, "stopped", {{"drained", drained}});
    return code_;
  }

 private:
  // What a start comes to that gets no further than `opened`.
  int EndStart(const absl::Status& opened, Watcher* watcher) {
    if (absl::IsCancelled(opened)) {
      if (locked) watcher->WriteStatus(/*stopped=*/true);
      Log(Level::kInfo, "stopped", {{"why", Message(opened)}});
      return kDone;
    }
    if (locked) RemoveStatusFile(config.StatusFile());
    Log(Level::kError, "expirer does not start", {{"why", Message(opened)}});
    return kFailed;
  }

  absl::Status Open() {
    const std::string path = config.StorePath();
    Announce(path);
    // Before anything is written. Later, a file that is gone only delays the
    // next connect, for it may be about to be exchanged.
    RETURN_IF_ERROR(CheckSecretFiles(config.nats));
    RETURN_IF_ERROR(Listen());
    RETURN_IF_ERROR(OpenStore(path));
    committer = std::make_unique<SyncThread>(
        store.get(), [this](uint64_t ticket) { inbox.Complete(Synced{ticket}); },
        [](const absl::Status& status) { Die("a sync of the store failed", status); });
    egress =
        std::make_unique<NatsEgress>(config.nats, &inbox, LiteralTargets(config.rules));
    ASSIGN_OR_RETURN(auto floors, StoredFloors());
    IngressOptions reading = IngressFrom(options, store->id());
    reading.job_limits.targets = egress.get();
    ASSIGN_OR_RETURN(reading.read_marks, Streams::ReadUpTo(*store));
    ASSIGN_OR_RETURN(const Rebuild rebuild, Rebuild::Load(*store));
    reading.rebuilding = rebuild.open;
    ingress = std::make_unique<Ingress>(std::move(reading), &config.rules, &inbox, &clock,
                                        std::move(floors));
    Egress* out = egress.get();
    Inbound* in = ingress.get();
    if (UsesStan(config.rules)) {
      StanOptions beside = StanFrom(config);
      beside.job_limits.targets = egress.get();
      ASSIGN_OR_RETURN(
          stan, MakeStan(std::move(beside), &config.rules, &inbox, &clock, out, in));
      out = stan.get();
      in = stan.get();
    }
    OpenApi();
    scheduler = std::make_unique<Scheduler>(config.core, config.rules, store.get(),
                                            committer.get(), out, in);
    RETURN_IF_ERROR(scheduler->Load(Instant{clock.NowMs(), clock.MonotonicMs()}));
    NameQueues();
    return absl::OkStatus();
  }

  // Waits while its volume is full: whoever started us could only do so again.
  absl::Status OpenStore(const std::string& path) {
    StoreOptions how;
    how.path = path;
    how.history_ms = config.core.history_ms;
    how.recover_point_in_time = options.recover_point_in_time;
    how.locked = [this] { locked = true; };
    while (true) {
      const int64_t began_ms = clock.MonotonicMs();
      absl::Status opened = TryToOpenStore(how);
      if (!absl::IsResourceExhausted(opened)) return opened;
      LogGathered(Level::kError, "no room to start: waiting for free space", "", "",
                  {{"why", Message(opened)}});
      {
        MutexLock lock(&mutex);
        starting_why = "waiting for room to start: " + Message(opened);
      }
      // An attempt that found no room on its way may have read and written much.
      const int64_t took_ms = clock.MonotonicMs() - began_ms;
      const int64_t pause_ms = std::clamp(10 * took_ms, kRoomPollMs, 10 * kRoomPollMs);
      if (!stopping) alarm.WaitUntil(clock.NowMs() + pause_ms);
      if (stopping) return absl::CancelledError("it was waiting for room to start");
    }
  }

  absl::Status TryToOpenStore(const StoreOptions& how) {
    ASSIGN_OR_RETURN(store, Store::Open(how));
    absl::Status renamed = TakeOverRenamed(config.rules, store.get());
    if (!renamed.ok()) store.reset();
    return renamed;
  }

  // Before the store is opened, which may take a while: an address that is taken
  // is told at once.
  absl::Status Listen() {
#ifdef EXPIRER_HTTP
    if (config.metrics.listen.empty()) return absl::OkStatus();
    auto listening = HttpServer::Listen(
        config.metrics.listen, {},
        [this](std::string_view asked) { return exposition.Answer(asked); }, &clock);
    if (!listening.ok()) return Annotate(listening.status(), "metrics.listen");
    http = *std::move(listening);
    Log(Level::kInfo, "metrics are served", {{"address", http->address()}});
#endif
    return absl::OkStatus();
  }

  void NameQueues() {
    for (const Queue& queue : scheduler->queues().all()) {
      queues.push_back(queue.name);
      queue_rules.push_back(queue.orphan ? "" : config.rules[queue.rule].name);
    }
  }

  void OpenApi() {
    ApiOptions about;
    about.name = config.name;
    about.version = Version();
    about.store_id = store->id();
    about.data = [this] {
      return JsonWriter()
          .Object()
          .Members(TotalsJson(loop.Told(nullptr), clock.NowMs()))
          .Take();
    };
    about.context = {.rules = &config.rules,
                     .clock = &clock,
                     .job_limits = config.job_limits(),
                     .more_stats = [this] { return MoreStats(*this); }};
    about.context.job_limits.targets = egress.get();
    api = std::make_unique<Api>(std::move(about), &ingress->connection(), &inbox,
                                store.get());
    ingress->OnReply([this](const Caller& caller, int code, const std::string& body) {
      api->Reply(caller, code, body);
    });
    ingress->OnAdmission({[this] {
                            api->Listen();
                            if (stan != nullptr) stan->Start();
                          },
                          [this](const std::string& why) {
                            {
                              MutexLock lock(&mutex);
                              refused_why = why;
                            }
                            Stop();
                          }});
  }

  void Announce(const std::string& path) {
    if (options.built_in && UsesStan(config.rules))
      Log(Level::kWarn,
          "no config, and NATS_CLUSTER_ID is set: using the built-in rule "
          "order-expiration, which replaces the ticketing app's expiration service",
          {{"cluster", config.stan.cluster},
           {"durable", config.rules[0].durable},
           {"store", path}});
    else if (options.built_in)
      Log(Level::kWarn,
          "no config: using the built-in ticketing rule order-expiration, which may "
          "create "
          "the stream TICKETING",
          {{"store", path}});
    Log(Level::kInfo, "expirer starts",
        {{"version", Version()},
         {"name", config.name},
         {"store", path},
         {"rules", config.rules.size()}});
  }

  absl::StatusOr<std::map<std::string, std::string>> StoredFloors() const {
    std::map<std::string, std::string> floors;
    RETURN_IF_ERROR(store->VisitMeta(
        kMetaConsumer, [&floors](std::string_view key, std::string_view value) {
          floors.emplace(key.substr(kMetaConsumer.size()), value);
          return absl::OkStatus();
        }));
    return floors;
  }

  // Stops taking in, finishes what is in flight up to a limit, makes all of it
  // durable and tells the sources. Without NATS nothing is in flight.
  bool Drain() {
    Log(Level::kInfo, "draining", {{"in_flight", scheduler->in_flight()}});
    api->Refuse();
    ingress->Stop();
    if (stan != nullptr) stan->StopReading();
    scheduler->StopDispatch();
    const int64_t deadline = clock.MonotonicMs() + kDrainMs;
    while (clock.MonotonicMs() < deadline) {
      const int64_t wake = loop.Turn();
      if (scheduler->Drained() && inbox.empty()) return true;
      loop.Wait(std::min(wake, clock.NowMs() + 100));
    }
    return false;
  }

  // Connections first: their threads post to the inbox and read the store.
  void Close(Watcher* watcher) {
    std::promise<void> closed;
    std::thread closer = StartThread("close", [this, &closed] {
      egress->Stop(kCloseFlushMs);
      ingress->Close(kCloseFlushMs);
      if (stan != nullptr) stan->Stop(kCloseFlushMs);
      closed.set_value();
    });
    const bool stuck =
        closed.get_future().wait_for(std::chrono::milliseconds(kCloseMaxMs)) !=
        std::future_status::ready;
    if (!stuck) {
      closer.join();
      api->Stop();
    }
    scheduler.reset();
    committer.reset();
    if (const absl::Status synced = store->Sync(); !synced.ok()) {
      Log(Level::kError, "the last sync failed", {{"error", Message(synced)}});
      code_ = kFailed;
    }
    watcher->WriteStatus(/*stopped=*/true);
    if (stuck) {
      // All is synced: the next start finds the store as after a kill.
      Log(Level::kWarn, "stopped before it was connected to NATS");
      FlushLog();
      _exit(code_);
    }
    store.reset();
  }

  int code_ = kDone;
};

}  // namespace

int Serve(const ServeOptions& options) {
  BlockStopSignals();
  std::signal(SIGPIPE, SIG_IGN);
  umask(0077);  // the store and the status file are their owner's alone
  return Server(options).Run();
}

}  // namespace expirer
