#include "app/server.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <map>
#include <memory>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "absl/base/thread_annotations.h"
#include "app/clock_jumps.h"
#include "app/context.h"
#include "app/status.h"
#include "app/version.h"
#include "base/alarm.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/rfc3339.h"
#include "base/stopwatch.h"
#include "base/thread.h"
#include "json/writer.h"
#include "net/api.h"
#include "net/ingress.h"
#include "net/nats_egress.h"
#include "net/stan.h"
#include "sched/gap_watch.h"
#include "sched/rebuild.h"
#include "sched/rename.h"
#include "sched/scheduler.h"
#include "sched/streams.h"
#include "store/committer.h"
#include "store/meta.h"
#include "store/store.h"

#ifdef EXPIRER_HTTP
#include "app/exposition.h"
#include "net/http_server.h"
#endif

namespace expirer {
namespace {

constexpr int64_t kStatusMs = 1'000;
constexpr int64_t kRoomPollMs = 1'000;
// The drain as a whole stays under 20 s: 10 s for answers, then the closing of
// both connections.
constexpr int64_t kDrainMs = 10'000;
constexpr int64_t kCloseFlushMs = 2'000;
// An attempt to connect cannot be broken off, and name servers may take their time.
constexpr int64_t kCloseMaxMs = 6'000;

// Answers are gathered only when more than this many are awaited at a time.
constexpr size_t kFewAnswers = 16;
constexpr int64_t kGatherMs = 4;

// Set once; the process's one piece of global state, since signals are too.
std::atomic<bool> stop_asked{false};

// SIGHUP is that of a terminal that goes away: there is no reload. Who started
// us under nohup wants it ignored, which a signal that is waited for would not be.
sigset_t StopSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  struct sigaction hangup {};
  if (sigaction(SIGHUP, nullptr, &hangup) == 0 && hangup.sa_handler != SIG_IGN)
    sigaddset(&set, SIGHUP);
  return set;
}

// Waits for these signals on a thread of its own.
class SignalThread {
 public:
  explicit SignalThread(Alarm* alarm)
      : thread_(StartThread("signals", [this, alarm] { Run(alarm); })) {}
  ~SignalThread() {
    done_ = true;
    thread_.join();
  }

 private:
  void Run(Alarm* alarm) {
    const sigset_t set = StopSignals();
    const timespec poll{0, 200'000'000};
    while (!done_) {
      if (sigtimedwait(&set, nullptr, &poll) <= 0) continue;
      stop_asked = true;
      alarm->Wake();
    }
  }
  std::atomic<bool> done_{false};
  std::thread thread_;
};

SchedulerOptions SchedulerFrom(const ServeOptions& serve) {
  SchedulerOptions options = serve.config.core;
  options.orphans = serve.orphans;
  options.fire_overdue = serve.fire_overdue;
  options.recount = serve.recount;
  options.wait_for_admission = true;
  return options;
}

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

constexpr size_t kNotReadingTold = 5;

// The targets that are known before there is a job.
std::vector<std::string> LiteralTargets(const std::vector<Rule>& rules) {
  std::vector<std::string> targets;
  for (const Rule& rule : rules)
    for (const Publish& publish : rule.publish)
      if (publish.via == Transport::kJetStream && publish.target.is_literal())
        targets.push_back(std::string(publish.target.literal()));
  return targets;
}

// The path without symbolic links where it exists already.
std::string Absolute(const std::string& path) {
  std::error_code ignored;
  const auto absolute = std::filesystem::absolute(path, ignored);
  return ignored ? path : absolute.lexically_normal().string();
}

// Every part of the running service, in the order in which they are built.
class Server {
 public:
  explicit Server(const ServeOptions& options)
      : options_(options), config_(options.config) {}

  int Run() {
    SignalThread signals(&alarm_);
    std::thread watcher = StartThread("watch", [this] { Watch(); });
    if (const absl::Status opened = Open(); !opened.ok()) {
      watching_ = false;
      watcher.join();
      return EndStart(opened);
    }
    beat_mono_ms_ = clock_.MonotonicMs();
    open_ = true;
    api_->Start();
    ingress_->Start();
    egress_->Start();
    Loop();
    if (const std::string why = RefusedWhy(); !why.empty()) {
      failed_ = true;
      Log(Level::kError, "expirer does not start", {{"why", why}});
    }
    const bool drained = Drain();
    watching_ = false;
    watcher.join();
    Close();
    Log(Level::kInfo, "stopped", {{"drained", drained}});
    return failed_ ? 1 : 0;
  }

 private:
  // What a start comes to that gets no further than `opened`.
  int EndStart(const absl::Status& opened) {
    if (absl::IsCancelled(opened)) {
      if (locked_) WriteStatus(/*stopped=*/true);
      Log(Level::kInfo, "stopped", {{"why", Message(opened)}});
      return 0;
    }
    if (locked_) RemoveStatusFile(config_.StatusFile());
    Log(Level::kError, "expirer does not start", {{"why", Message(opened)}});
    return 1;
  }

  absl::Status Open() {
    const std::string path = Absolute(config_.store.path);
    Announce(path);
    // Before anything is written. Later, a file that is gone only delays the
    // next connect, for it may be about to be exchanged.
    RETURN_IF_ERROR(CheckSecretFiles(config_.nats));
    RETURN_IF_ERROR(Listen());
    RETURN_IF_ERROR(OpenStore(path));
    committer_ = std::make_unique<SyncThread>(
        store_.get(), [this](uint64_t ticket) { inbox_.Complete(Synced{ticket}); },
        [](const absl::Status& status) { Die("a sync of the store failed", status); });
    egress_ = std::make_unique<NatsEgress>(config_.nats, &inbox_,
                                           LiteralTargets(config_.rules));
    ASSIGN_OR_RETURN(auto floors, StoredFloors());
    IngressOptions ingress = IngressFrom(options_, store_->id());
    ingress.job_limits.targets = egress_.get();
    ASSIGN_OR_RETURN(ingress.read_marks, Streams::ReadUpTo(*store_));
    ASSIGN_OR_RETURN(const Rebuild rebuild, Rebuild::Load(*store_));
    ingress.rebuilding = rebuild.open;
    ingress_ = std::make_unique<Ingress>(std::move(ingress), &config_.rules, &inbox_,
                                         &clock_, std::move(floors));
    Egress* egress = egress_.get();
    Inbound* inbound = ingress_.get();
    if (UsesStan(config_.rules)) {
      StanOptions stan = StanFrom(config_);
      stan.job_limits.targets = egress_.get();
      ASSIGN_OR_RETURN(stan_, MakeStan(std::move(stan), &config_.rules, &inbox_, &clock_,
                                       egress, inbound));
      egress = stan_.get();
      inbound = stan_.get();
    }
    OpenApi();
    scheduler_ =
        std::make_unique<Scheduler>(SchedulerFrom(options_), config_.rules, store_.get(),
                                    committer_.get(), egress, inbound);
    RETURN_IF_ERROR(scheduler_->Load(Now()));
    NameOutlets();
    return absl::OkStatus();
  }

  // Waits while its volume is full: whoever started us could only do so again.
  absl::Status OpenStore(const std::string& path) {
    StoreOptions options;
    options.path = path;
    options.recover_point_in_time = options_.recover_point_in_time;
    options.locked = [this] { locked_ = true; };
    while (true) {
      const int64_t began_ms = clock_.MonotonicMs();
      absl::Status opened = TryToOpenStore(options);
      if (!absl::IsResourceExhausted(opened)) return opened;
      LogGathered(Level::kError, "no room to start: waiting until there is", "", "",
                  {{"why", Message(opened)}});
      {
        MutexLock lock(&mutex_);
        starting_why_ = "waiting for room to start: " + Message(opened);
      }
      // An attempt that found no room on its way may have read and written much.
      const int64_t took_ms = clock_.MonotonicMs() - began_ms;
      const int64_t pause_ms = std::clamp(10 * took_ms, kRoomPollMs, 10 * kRoomPollMs);
      if (!stop_asked) alarm_.WaitUntil(clock_.NowMs() + pause_ms);
      if (stop_asked) return absl::CancelledError("it was waiting for room to start");
    }
  }

  absl::Status TryToOpenStore(const StoreOptions& options) {
    ASSIGN_OR_RETURN(store_, Store::Open(options));
    absl::Status renamed = TakeOverRenamed(config_.rules, store_.get());
    if (!renamed.ok()) store_.reset();
    return renamed;
  }

  // Before the store is opened, which may take a while: an address that is taken
  // is told at once.
  absl::Status Listen() {
#ifdef EXPIRER_HTTP
    if (config_.metrics.listen.empty()) return absl::OkStatus();
    auto listening = HttpServer::Listen(
        config_.metrics.listen, {},
        [this](std::string_view asked) { return exposition_.Answer(asked); }, &clock_);
    if (!listening.ok()) return Annotate(listening.status(), "metrics.listen");
    http_ = *std::move(listening);
    Log(Level::kInfo, "metrics are served", {{"address", http_->address()}});
#endif
    return absl::OkStatus();
  }

  void NameOutlets() {
    for (const Outlet& outlet : scheduler_->outlets().all()) {
      outlets_.push_back(outlet.name);
      outlet_rules_.push_back(outlet.orphan ? "" : config_.rules[outlet.rule].name);
    }
  }

  void OpenApi() {
    ApiOptions options;
    options.name = config_.name;
    options.version = Version();
    options.store_id = store_->id();
    options.job_limits = config_.job_limits();
    options.job_limits.targets = egress_.get();
    options.data = [this] {
      MutexLock lock(&mutex_);
      return JsonWriter().Object().Members(TotalsJson(stats_, clock_.NowMs())).Take();
    };
    options.more_stats = [this] { return MoreStats(); };
    api_ = std::make_unique<Api>(std::move(options), &ingress_->connection(), &inbox_,
                                 store_.get(), &config_.rules, &clock_);
    ingress_->OnReply([this](const Caller& caller, int code, const std::string& body) {
      api_->Reply(caller, code, body);
    });
    ingress_->OnAdmission({[this] {
                             api_->Listen();
                             if (stan_ != nullptr) stan_->Start();
                           },
                           [this](const std::string& why) {
                             {
                               MutexLock lock(&mutex_);
                               refused_why_ = why;
                             }
                             stop_asked = true;
                             alarm_.Wake();
                           }});
  }

  // What `stats` has beside what the core knows, as a fragment for JsonWriter.
  std::string MoreStats() const {
    const StoreSizes sizes = store_->Sizes();
    const LogCounts log = LogUse();
    JsonWriter out;
    // Of many the first tell enough: a reply has its limit.
    out.Array("not_reading");
    size_t told = 0;
    for (size_t i = 0; i < config_.rules.size() && told < kNotReadingTold; ++i) {
      const std::string why = ingress_->Trouble(static_cast<RuleIndex>(i));
      if (why.empty()) continue;
      out.Item(JsonObject("rule", config_.rules[i].name, "why", why));
      ++told;
    }
    out.End().Add(
        "inbox", JsonObject("used", inbox_.requests(), "max", config_.limits.inbox),
        "requests", JsonObject("used", inbox_.asks(), "max", config_.limits.requests),
        "replies_failed", RepliesFailed(), "replies_refused", api_->replies_refused(),
        "store",
        JsonObject("id", store_->id(), "disk_bytes", sizes.disk_bytes, "memtable_bytes",
                   sizes.memtable_bytes, "free_bytes", room().bytes,
                   "disk_free_limit_bytes", config_.core.disk_free),
        "log",
        JsonObject("used", log.queued, "max", kLogLinesMax, "dropped", log.dropped),
        "version", Version(), "started", FormatRfc3339Ms(started_ms_));
    return out.Take();
  }

  VolumeRoom room() const {
    MutexLock lock(&mutex_);
    return room_;
  }

  uint64_t RepliesFailed() const {
    return api_->replies_failed() + ingress_->announcements_lost();
  }

  void Announce(const std::string& path) {
    if (options_.built_in && UsesStan(config_.rules))
      Log(Level::kWarn,
          "no config, and NATS_CLUSTER_ID is set: taking the place of the ticketing "
          "app's expiration service by the built-in rule order-expiration",
          {{"cluster", config_.stan.cluster},
           {"durable", config_.rules[0].durable},
           {"store", path}});
    else if (options_.built_in)
      Log(Level::kWarn,
          "no config: using the built-in ticketing rule order-expiration, which may "
          "create "
          "the stream TICKETING",
          {{"store", path}});
    Log(Level::kInfo, "expirer starts",
        {{"version", Version()},
         {"name", config_.name},
         {"store", path},
         {"rules", config_.rules.size()}});
  }

  // I7: what was not synced may be gone; only a restart knows.
  [[noreturn]] static void Die(std::string_view what, const absl::Status& status) {
    Log(Level::kError, what, {{"error", Message(status)}, {"exit", 1}});
    FlushLog();
    _exit(1);
  }

  absl::StatusOr<std::map<std::string, std::string>> StoredFloors() const {
    std::map<std::string, std::string> floors;
    RETURN_IF_ERROR(store_->VisitMeta(
        kMetaConsumer, [&floors](std::string_view key, std::string_view value) {
          floors.emplace(key.substr(kMetaConsumer.size()), value);
          return absl::OkStatus();
        }));
    return floors;
  }

  [[nodiscard]] Instant Now() const { return {clock_.NowMs(), clock_.MonotonicMs()}; }

  void NoticeGap(Instant now) {
    const bool busy = inbox_.requests() > config_.core.batch;
    const GapWatch::Core core{waited_late_ms_, still_ms_, busy};
    const int64_t gap_ms = gaps_.Notice(now, core, ingress_->Pulses());
    if (gap_ms > 0) inbox_.Complete(StoodStill{gap_ms});
    loop_.clock_jumps.Notice(now.wall_ms - beat_wall_ms_, now.mono_ms - beat_mono_ms_);
    beat_mono_ms_ = now.mono_ms;
    beat_wall_ms_ = now.wall_ms;
  }

  // One turn of the core; returns when it wants the next.
  int64_t Turn() {
    // All of it, also what is sent, is judged by this time: what comes after it
    // is the next turn's business, a gap as well.
    const Instant now = Now();
    const int64_t cpu_ms = ThreadCpuMs();
    NoticeGap(now);  // behind all that was posted before
    // Events stay in the vectors while the store has no space.
    const size_t room = requests_.empty() ? config_.core.batch : 0;
    inbox_.Drain(room, &completions_, &requests_);
    const auto wake = scheduler_->Step(now, &completions_, &requests_);
    if (!wake.ok()) Die("the store failed", wake.status());
    if (loop_.recovery_ms < 0) {
      loop_.recovery_ms = clock_.MonotonicMs() - started_mono_ms_;
      loop_.recovery_jobs = scheduler_->pending();
    }
    if (now.mono_ms >= snapshot_mono_ms_ + kStatusMs / 2) {
      snapshot_mono_ms_ = now.mono_ms;
      Stats stats = scheduler_->Snapshot(now.wall_ms);
      stats.overdue = scheduler_->CountOverdue(now.wall_ms);
      MutexLock lock(&mutex_);
      stats_ = std::move(stats);
      loop_copy_ = loop_;
    }
    still_ms_ = clock_.MonotonicMs() - now.mono_ms - (ThreadCpuMs() - cpu_ms);
    return *wake;
  }

  // With many attempts in flight answers come by the thousand: an eighth of
  // them at a time, or what a few milliseconds bring, costs a fraction of the
  // writes, wake-ups and socket calls of one at a time.
  void Wait(int64_t wake_ms) {
    const size_t eighth = scheduler_->in_flight() / 8;
    const size_t wake_at = eighth > kFewAnswers ? eighth : 1;
    inbox_.SetWakeAt(wake_at);
    waited_late_ms_ = 0;
    const bool more = inbox_.requests() > 0 && requests_.empty();
    if (more || inbox_.completions() >= wake_at) return;
    const int64_t now_ms = clock_.NowMs();
    if (wake_at > 1) wake_ms = std::min(wake_ms, now_ms + kGatherMs);
    if (wake_ms > now_ms) waited_late_ms_ = alarm_.WaitUntil(wake_ms);
  }

  void Loop() {
    gaps_ = GapWatch(Now());
    beat_mono_ms_ = clock_.MonotonicMs();
    beat_wall_ms_ = clock_.NowMs();
    while (!stop_asked) Wait(Turn());
  }

  // Stops taking in, finishes what is in flight up to a limit, makes all of it
  // durable and tells the sources. Without NATS nothing is in flight.
  bool Drain() {
    Log(Level::kInfo, "draining", {{"in_flight", scheduler_->in_flight()}});
    api_->Refuse();
    ingress_->Stop();
    if (stan_ != nullptr) stan_->StopReading();
    scheduler_->StopDispatch();
    const int64_t deadline = clock_.MonotonicMs() + kDrainMs;
    while (clock_.MonotonicMs() < deadline) {
      const int64_t wake = Turn();
      if (scheduler_->Drained() && inbox_.empty()) return true;
      Wait(std::min(wake, clock_.NowMs() + 100));
    }
    return false;
  }

  // Connections first: their threads post to the inbox and read the store.
  void Close() {
    std::promise<void> closed;
    std::thread closer = StartThread("close", [this, &closed] {
      egress_->Stop(kCloseFlushMs);
      ingress_->Close(kCloseFlushMs);
      if (stan_ != nullptr) stan_->Stop(kCloseFlushMs);
      closed.set_value();
    });
    const bool stuck =
        closed.get_future().wait_for(std::chrono::milliseconds(kCloseMaxMs)) !=
        std::future_status::ready;
    if (!stuck) {
      closer.join();
      api_->Stop();
    }
    scheduler_.reset();
    committer_.reset();
    if (const absl::Status synced = store_->Sync(); !synced.ok()) {
      Log(Level::kError, "the last sync failed", {{"error", Message(synced)}});
      failed_ = true;
    }
    WriteStatus(/*stopped=*/true);
    if (stuck) {
      // All is synced: the next start finds the store as after a kill.
      Log(Level::kWarn, "stopped while it still tried to connect to NATS");
      FlushLog();
      _exit(failed_ ? 1 : 0);
    }
    store_.reset();
  }

  // Beside the core: what may block on the disk or is only told.
  void Watch() {
    int64_t next = 0;
    while (watching_) {
      // As soon as the store is ours: what a process that ended a moment ago said
      // would pass for a sign of life of this one.
      if (locked_ && clock_.MonotonicMs() >= next) {
        next = clock_.MonotonicMs() + kStatusMs;
        if (open_) LookAtVolume();
        WriteStatus(/*stopped=*/false);
        TickLog();
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  }

  void LookAtVolume() {
    const absl::StatusOr<VolumeRoom> room = store_->Room();
    if (!room.ok()) return;
    inbox_.Complete(DiskSpace{room->bytes, room->inodes});
    MutexLock lock(&mutex_);
    room_ = *room;
  }

  // What is told of the service from now on: by the status file and over HTTP.
  void WriteStatus(bool stopped) {
    Status status = TakeStatus(stopped);
    if (const absl::Status written = WriteStatusFile(config_.StatusFile(), status);
        !written.ok() && !status_failed_) {
      status_failed_ = true;
      Log(Level::kError, "the status file cannot be written",
          {{"error", Message(written)}});
    }
#ifdef EXPIRER_HTTP
    // At the end some of the counts are gone already.
    if (http_ && !stopped) exposition_.Publish(std::move(status), http_->counts());
#endif
  }

  Status TakeStatus(bool stopped) {
    Status status;
    status.pid = getpid();
    status.version = Version();
    status.name = config_.name;
    status.store = Absolute(config_.store.path);
    status.started_ms = started_ms_;
    status.now_ms = clock_.NowMs();
    status.mono_ms = clock_.MonotonicMs();
    if (!open_) {
      status.starting = true;
      status.beat_mono_ms = status.mono_ms;
      MutexLock lock(&mutex_);
      status.not_ready_why = stopped ? "stopped" : starting_why_;
      return status;
    }
    status.store_id = store_->id();
    status.beat_mono_ms = beat_mono_ms_;
    status.ingress_up = ingress_->up();
    for (size_t i = 0; i < config_.rules.size(); ++i)
      status.reading.emplace_back(config_.rules[i].name,
                                  ingress_->Trouble(static_cast<RuleIndex>(i)));
    status.rss_bytes = ResidentBytes();
    status.sizes = store_->Sizes();
    status.outlets = outlets_;
    status.outlet_rules = outlet_rules_;
    status.inbox_used = inbox_.requests();
    status.inbox_bytes = inbox_.bytes();
    status.inbox_bytes_max = inbox_.bytes_max();
    status.requests_used = inbox_.asks();
    status.ingress_connects = ingress_->connects();
    status.egress_connects = egress_->connects();
    if (stan_ != nullptr) {
      status.uses_stan = true;
      status.stan_up = stan_->Trouble().empty();
      status.stan_connects = stan_->connects();
    }
    status.slow_consumers = ingress_->slow_consumers();
    status.replies_failed = RepliesFailed();
    status.replies_refused = api_->replies_refused();
    status.consumers_ahead = ingress_->consumers_ahead();
    if (committer_) status.sync_us = committer_->sync_us();
#ifdef EXPIRER_HTTP
    if (http_) status.listen = http_->address();
#endif
    {
      MutexLock lock(&mutex_);
      status.stats = stats_;
      status.loop = loop_copy_;
      status.disk_free_bytes = room_.bytes;
      status.writable = !stats_.stalled && !room_.BelowReserve();
    }
    status.not_ready_why = NotReadyWhy(status);
    if (stopped && RefusedWhy().empty()) status.not_ready_why = "stopped";
    status.ready = status.not_ready_why.empty();
    return status;
  }

  std::string RefusedWhy() const {
    MutexLock lock(&mutex_);
    return refused_why_;
  }

  std::string NotReadyWhy(const Status& status) {
    if (std::string why = RefusedWhy(); !why.empty()) return why;
    if (stop_asked) return "draining";
    if (!status.writable) return NoRoomOn(status.store, room());
    if (!status.stats.loaded) return "jobs are being loaded";
    if (!status.ingress_up || !status.stats.egress_up) {
      std::string why = ingress_->Disconnected();
      if (why.empty()) why = egress_->Disconnected();
      return "not connected to NATS" + (why.empty() ? why : ": " + why);
    }
    if (stan_ != nullptr)
      if (std::string trouble = stan_->Trouble(); !trouble.empty()) return trouble;
    if (status.stats.rebuilding) return "rebuilding: the streams are read anew";
    for (const auto& [rule, trouble] : status.reading)
      if (!trouble.empty()) return fmt::format("rule {}: {}", rule, trouble);
    return "";
  }

  const ServeOptions& options_;
  const Config& config_;
  const SystemClock clock_;
  const int64_t started_ms_ = clock_.NowMs();
  const int64_t started_mono_ms_ = clock_.MonotonicMs();
  Alarm alarm_;
  Inbox inbox_{config_.limits.inbox, [this] { alarm_.Wake(); }, config_.limits.requests};
  std::unique_ptr<Store> store_;
  std::unique_ptr<SyncThread> committer_;
  std::unique_ptr<NatsEgress> egress_;
  std::unique_ptr<Ingress> ingress_;
  std::unique_ptr<StanBus> stan_;  // null where no rule uses it
  std::unique_ptr<Api> api_;
  std::unique_ptr<Scheduler> scheduler_;
  // As Stats::outcomes; constant once open.
  std::vector<std::string> outlets_;
  std::vector<std::string> outlet_rules_;
#ifdef EXPIRER_HTTP
  Exposition exposition_{&config_, &clock_};
  std::unique_ptr<HttpServer> http_;  // null: not configured
#endif

  // Core thread.
  std::vector<Completion> completions_;
  std::vector<Request> requests_;
  int64_t snapshot_mono_ms_ = 0;
  int64_t beat_wall_ms_ = 0;
  GapWatch gaps_{Now()};
  int64_t waited_late_ms_ = 0;  // the end of the last wait
  int64_t still_ms_ = 0;        // of the last turn
  LoopStats loop_;
  bool failed_ = false;

  // Watcher thread.
  bool status_failed_ = false;

  std::atomic<bool> watching_{true};
  std::atomic<int64_t> beat_mono_ms_{clock_.MonotonicMs()};
  std::atomic<bool> locked_{false};  // the store is ours
  std::atomic<bool> open_{false};    // and all parts are built
  mutable Mutex mutex_;
  std::string starting_why_ ABSL_GUARDED_BY(mutex_) = "the store is being opened";
  VolumeRoom room_ ABSL_GUARDED_BY(mutex_);
  std::string refused_why_ ABSL_GUARDED_BY(mutex_);
  Stats stats_ ABSL_GUARDED_BY(mutex_);
  LoopStats loop_copy_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

int Serve(const ServeOptions& options) {
  const sigset_t set = StopSignals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  umask(0077);  // the store and the status file are their owner's alone
  return Server(options).Run();
}

}  // namespace expirer
