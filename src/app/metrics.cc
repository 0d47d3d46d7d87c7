#include "app/metrics.h"

#include <prometheus/client_metric.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <utility>

#include "absl/strings/str_split.h"
#include "app/version.h"
#include "base/log.h"
#include "net/library.h"
#include "store/library.h"

namespace expirer {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

double Seconds(int64_t ms) { return static_cast<double>(ms) / 1'000; }
template <typename T>
double Number(T value) {
  return static_cast<double>(value);
}

// ---- Metrics without labels: one number of a status each.

struct Scalar {
  const char* name;
  MetricType type;
  double (*value)(const Status& status);
  const char* help;
};

int64_t AgeMs(const Status& s) {
  const int64_t oldest_ms = s.stats.oldest_due_ms;
  return oldest_ms == 0 ? 0 : std::max<int64_t>(s.now_ms - oldest_ms, 0);
}

double CpuSeconds(const Status& /*status*/) {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  return Number(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
         Number(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

double OpenDescriptors(const Status& /*status*/) {
  std::error_code failed;
  std::filesystem::directory_iterator at("/proc/self/fd", failed);
  double count = 0;
  for (; !failed && at != std::filesystem::directory_iterator(); at.increment(failed))
    ++count;
  return count;
}

double MaxDescriptors(const Status& /*status*/) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  return Number(limit.rlim_cur);
}

constexpr MetricType kCounter = MetricType::Counter;
constexpr MetricType kGauge = MetricType::Gauge;

// The number of a status that members lead to.
template <auto First, auto... More>
double Of(const Status& status) {
  return Number(((status.*First).*....*More));
}
template <auto Member>
constexpr auto Core = Of<&Status::stats, Member>;
template <auto Member>
constexpr auto Size = Of<&Status::sizes, Member>;

constexpr Scalar kScalars[] = {
    {"expirer_start_time_seconds", kGauge,
     [](const Status& s) { return Seconds(s.started_ms); },
     "When this process started, since 1970."},
    {"expirer_ready", kGauge, Of<&Status::ready>,
     "1 while it is connected, every rule is read and it does not drain; as /readyz."},
    {"expirer_jobs_in_history", kGauge, Core<&Stats::closed>,
     "Closed keys remembered, of the whole store."},
    {"expirer_jobs_due_uncounted", kGauge,
     [](const Status& s) { return Number(s.stats.overdue.more); },
     "1 when more jobs are due than expirer_jobs_due counts: beyond the window, or "
     "beyond 10000 a lane and 10000 tried again."},
    {"expirer_next_due_timestamp_seconds", kGauge,
     [](const Status& s) { return Seconds(s.stats.next_due_ms); },
     "When the next job is due, or was, since 1970; 0 when there is none."},
    {"expirer_oldest_due_age_seconds", kGauge,
     [](const Status& s) { return Seconds(AgeMs(s)); },
     "How long the job that waits longest has been due; 0 when none is."},
    {"expirer_dispatch_inflight", kGauge, Core<&Stats::in_flight>,
     "Attempts to publish without an answer so far."},
    {"expirer_dispatch_attempts_total", kCounter, Core<&Stats::published>,
     "Attempts to publish that were begun."},
    {"expirer_cancels_too_late_total", kCounter, Core<&Stats::too_late>,
     "Cancels that found the job in flight or fired."},
    {"expirer_strange_answers_total", kCounter, Core<&Stats::strange_answers>,
     "Answers to attempts that are unknown or were given up."},
    {"expirer_collisions_total", kCounter, Core<&Stats::collisions>,
     "First attempts whose id the target's stream already had, for another message."},
    {"expirer_stale_dropped_total", kCounter, Core<&Stats::stale_dropped>,
     "Stale messages that were dropped: a tenth of limits.dead was stale "
     "already."},
    {"expirer_stream_rewinds_total", kCounter, Core<&Stats::rewinds>,
     "Streams found restored, shortened or created again."},
    {"expirer_history_forgotten_total", kCounter, Core<&Stats::forgotten>,
     "Closed keys forgotten early because limits.history was reached."},
    {"expirer_miscounts_total", kCounter, Core<&Stats::miscounts>,
     "Times a count of jobs disagreed with the store; all jobs are then counted again."},
    {"expirer_settle_timeouts_total", kCounter, Core<&Stats::settle_timeouts>,
     "Times overdue jobs of a rule fired although its consumers were not read to the "
     "end within limits.settle."},
    {"expirer_standstills_total", kCounter, Core<&Stats::standstills>,
     "Times the process stood still for 2 s or longer, or the clock leapt."},
    {"expirer_gaps_total", kCounter, Core<&Stats::gaps>,
     "Shorter standstills, from 25 ms: overdue jobs wait for a look at the streams."},
    {"expirer_rules_catching_up", kGauge, Core<&Stats::catching_up>,
     "Rules whose consumers are behind: their overdue jobs wait."},
    {"expirer_rebuilding", kGauge, Core<&Stats::rebuilding>,
     "1 while the streams are read again and nothing fires (--adopt=rebuild)."},
    {"expirer_intake_open", kGauge, Core<&Stats::intake_open>,
     "0 while no input is taken because of limits.disk_free."},
    {"expirer_recovery_duration_seconds", kGauge,
     [](const Status& s) { return Seconds(std::max<int64_t>(s.loop.recovery_ms, 0)); },
     "How long this process's start took, until its first jobs were loaded."},
    {"expirer_recovery_jobs", kGauge, Of<&Status::loop, &LoopStats::recovery_jobs>,
     "Jobs that were pending when this process started."},
    {"expirer_nats_slow_consumer_total", kCounter, Of<&Status::slow_consumers>,
     "Times the NATS client dropped messages because they were not handled in time."},
    {"expirer_replies_failed_total", kCounter, Of<&Status::replies_failed>,
     "Replies of the API and announcements that could not be sent."},
    {"expirer_replies_refused_total", kCounter, Of<&Status::replies_refused>,
     "Requests not answered because their reply subject is not one for replies."},
    {"expirer_consumers_ahead_total", kCounter, Of<&Status::consumers_ahead>,
     "Consumers that had read past the end of their stream, and were replaced."},
    {"expirer_store_bytes", kGauge, Size<&StoreSizes::disk_bytes>,
     "Size of the store's files, write-ahead log included."},
    {"expirer_store_free_bytes", kGauge, Of<&Status::disk_free_bytes>,
     "Free bytes of the store's volume."},
    {"expirer_store_memtable_bytes", kGauge, Size<&StoreSizes::memtable_bytes>,
     "Memory of entries that are not in the store's sorted files yet."},
    {"expirer_store_cache_bytes", kGauge, Size<&StoreSizes::cache_bytes>,
     "Memory of the store's block cache, memtables included."},
    {"expirer_store_writable", kGauge, Of<&Status::writable>,
     "0 while nothing is written because the volume has no space."},
    {"expirer_rocksdb_level0_files", kGauge, Size<&StoreSizes::level0_files>,
     "Files of level 0, which wait for a compaction, of all column families."},
    {"expirer_rocksdb_pending_compaction_bytes", kGauge,
     Size<&StoreSizes::compaction_bytes>,
     "Bytes that compactions are behind, estimated."},
    {"expirer_rocksdb_write_stopped", kGauge, Size<&StoreSizes::write_stopped>,
     "1 while RocksDB accepts no writes until compactions have progressed."},
    {"expirer_log_dropped_total", kCounter,
     [](const Status& /*status*/) { return Number(LogUse().dropped); },
     "Lines of the log dropped because stderr was not read in time."},
    {"process_resident_memory_bytes", kGauge, Of<&Status::rss_bytes>, "Resident memory."},
    {"process_cpu_seconds_total", kCounter, CpuSeconds, "User and system time."},
    {"process_open_fds", kGauge, OpenDescriptors, "Open file descriptors."},
    {"process_max_fds", kGauge, MaxDescriptors, "How many may be open."},
};

// ---- Metrics with labels.

constexpr std::array<const char*, 5> kOverdueFrom = {"0s", "1s", "10s", "1m", "10m"};

// Families in the making.
class Sheet {
 public:
  // Begins a family. `labels` are the names of its labels, such as "rule, reason".
  void Begin(const char* name, MetricType type, const char* labels, const char* help) {
    families_.push_back({name, help, type, {}});
    docs_.push_back({name, TypeName(type), labels, help});
    labels_ = absl::StrSplit(labels, ", ", absl::SkipEmpty());
  }
  // Adds one sample to the family begun last, with the values of its labels.
  template <typename T>
  void Add(const std::vector<std::string>& values, T number) {
    ClientMetric& metric = AddMetric(values);
    metric.counter.value = Number(number);
    metric.gauge.value = Number(number);
  }
  // The same for a histogram; `scale` divides what was counted into the metric's unit.
  void AddBuckets(const std::vector<std::string>& values, const Buckets& buckets,
                  double scale) {
    ClientMetric& metric = AddMetric(values);
    uint64_t count = 0;
    for (size_t i = 0; i < buckets.bounds().size(); ++i) {
      count += buckets.counts()[i];
      metric.histogram.bucket.push_back({count, Number(buckets.bounds()[i]) / scale});
    }
    metric.histogram.sample_count = count + buckets.counts().back();
    metric.histogram.sample_sum = Number(buckets.sum()) / scale;
  }
  [[nodiscard]] std::string Text() const {
    return prometheus::TextSerializer().Serialize(families_);
  }
  [[nodiscard]] std::vector<MetricDoc> TakeDocs() { return std::move(docs_); }

 private:
  static std::string TypeName(MetricType type) {
    if (type == MetricType::Histogram) return "histogram";
    return type == MetricType::Counter ? "counter" : "gauge";
  }
  ClientMetric& AddMetric(const std::vector<std::string>& values) {
    ClientMetric& metric = families_.back().metric.emplace_back();
    for (size_t i = 0; i < values.size(); ++i)
      metric.label.push_back({labels_.at(i), values[i]});
    return metric;
  }

  std::vector<MetricFamily> families_;
  std::vector<MetricDoc> docs_;
  std::vector<std::string> labels_;  // of the family begun last
};

// "RocksDB 7.8.3" -> "7.8.3"; "nats.c 3.4.1, with NATS Streaming" -> "3.4.1".
std::string VersionOf(const std::string& library) {
  return library.substr(0, library.find(',')).substr(library.find(' ') + 1);
}

// Queues that are counted: none before the core's first turn.
size_t CountedQueues(const Status& status) {
  return std::min(status.queues.size(), status.stats.outcomes.size());
}

// The counts of each configured queue, and of each other name that the store has
// something of.
CountsByRule CountsOf(const Status& status) {
  CountsByRule all;
  for (const auto& [name, counts] : status.stats.rules)
    if (counts != RuleCounts{}) all[name] = counts;
  for (const std::string& name : status.queues) all.try_emplace(name);
  return all;
}

void AddStored(const Status& status, Sheet* sheet) {
  sheet->Begin("expirer_rule_not_reading", kGauge, "rule",
               "1 while a rule is not read: there is no connection, it cannot be set "
               "up, or its consumer is paused, refuses what is asked of it, or has had "
               "messages for 10 s and brought none.");
  for (const auto& [rule, why] : status.reading) sheet->Add({rule}, !why.empty());
  const CountsByRule rules = CountsOf(status);
  const auto add = [&](const char* name, uint64_t RuleCounts::*count, const char* help) {
    sheet->Begin(name, kGauge, "rule", help);
    for (const auto& [rule, counts] : rules) sheet->Add({rule}, counts.*count);
  };
  add("expirer_jobs_pending", &RuleCounts::pending,
      "Jobs that wait for their first attempt or are in it, of the whole store.");
  add("expirer_jobs_retrying", &RuleCounts::retrying,
      "Jobs that wait for a further attempt or are in it.");
  sheet->Begin("expirer_dead_entries", kGauge, "rule, kind",
               "Entries of the dead store: jobs that could not be delivered, and "
               "rejected messages.");
  for (const auto& [rule, counts] : rules) {
    sheet->Add({rule, "job"}, counts.dead_jobs);
    sheet->Add({rule, "rejected"}, counts.rejected);
  }
  sheet->Begin("expirer_jobs_due", kGauge, "overdue",
               "Jobs that are due and not confirmed, by how long at least; each is in "
               "one of them, so the sum is all.");
  for (size_t i = 0; i < kOverdueFrom.size(); ++i)
    sheet->Add({kOverdueFrom[i]}, status.stats.overdue.jobs[i]);
}

void AddOutcomes(const Status& status, Sheet* sheet) {
  const Stats& s = status.stats;
  sheet->Begin("expirer_jobs_ingested_total", kCounter, "result",
               "What became of messages and jobs taken in: dropped ones were rejected "
               "beyond twice limits.dead, ignored ones concern no entry of their rule, "
               "markers were made by the server (Nats-Marker-Reason).");
  sheet->Add({"stored"}, s.scheduled - s.moved);
  sheet->Add({"replaced"}, s.moved);
  sheet->Add({"duplicate"}, s.unchanged);
  sheet->Add({"ignored"}, s.ignored);
  sheet->Add({"marker"}, s.markers);
  sheet->Add({"rejected"}, s.rejected);
  sheet->Add({"dropped"}, s.dropped);
  const auto add = [&](const char* name, uint64_t Outcomes::*count, const char* help) {
    sheet->Begin(name, kCounter, "rule", help);
    for (size_t i = 0; i < CountedQueues(status); ++i)
      sheet->Add({status.queues[i]}, s.outcomes[i].*count);
  };
  add("expirer_jobs_scheduled_total", &Outcomes::scheduled,
      "Jobs scheduled, those that replaced a pending one included.");
  add("expirer_jobs_moved_total", &Outcomes::moved,
      "Jobs that replaced a pending one of their key.");
  add("expirer_jobs_cancelled_total", &Outcomes::cancelled,
      "Jobs removed before they fired.");
  add("expirer_jobs_dispatched_total", &Outcomes::fired,
      "Jobs fired: published and confirmed.");
  add("expirer_jobs_skipped_total", &Outcomes::skipped,
      "Jobs not fired because they were too late by the rule's `late`.");
  add("expirer_dispatch_retries_total", &Outcomes::retries,
      "Jobs postponed to a later attempt.");
}

// Counts by queue and reason, or by rule and reason: then `names` has the name of each
// queue's rule, and the first queue of a rule has its counts.
void AddReasons(const Status& status, Sheet* sheet) {
  const auto add = [&](const char* metric, const std::vector<std::string>& names,
                       const auto& reasons, auto count, const char* help) {
    sheet->Begin(metric, kCounter, "rule, reason", help);
    for (size_t i = 0; i < CountedQueues(status); ++i) {
      if (names[i].empty() || (i > 0 && names[i] == names[i - 1])) continue;
      for (size_t kind = 0; kind < std::size(reasons); ++kind)
        sheet->Add({names[i], std::string(reasons[kind])},
                   (status.stats.outcomes[i].*count)[kind]);
    }
  };
  add("expirer_jobs_rejected_total", status.queue_rules, kRejectReasons,
      &Outcomes::rejected_by,
      "Messages that could not become a job; they are in the dead store.");
  add("expirer_deadletter_total", status.queues, kDeadReasons, &Outcomes::dead_by,
      "Jobs given up and kept in the dead store.");
  add("expirer_dispatch_failures_total", status.queues, kFailureReasons,
      &Outcomes::failed_by,
      "Attempts that ended without a confirmation; every job is tried again.");
}

void AddHistograms(const Status& status, Sheet* sheet) {
  constexpr double kMs = 1e3;
  constexpr double kUs = 1e6;
  const Stats& s = status.stats;
  const auto histogram = [sheet](const char* name, const Buckets& buckets, double scale,
                                 const char* help) {
    sheet->Begin(name, MetricType::Histogram, "", help);
    sheet->AddBuckets({}, buckets, scale);
  };
  sheet->Begin(
      "expirer_dispatch_lateness_seconds", MetricType::Histogram, "rule",
      "From due to the publish of a job's first attempt, in whole milliseconds.");
  for (size_t i = 0; i < CountedQueues(status); ++i)
    sheet->AddBuckets({status.queues[i]}, s.outcomes[i].lateness_ms, kMs);
  histogram("expirer_dispatch_ack_seconds", s.answer_ms, kMs,
            "From an attempt's publish to its confirmation.");
  histogram("expirer_ingest_commit_seconds", s.commit_ms, kMs,
            "From a message's arrival to its ack, after the sync.");
  histogram("expirer_ingest_batch_jobs", s.batch, 1,
            "Messages applied together in one turn.");
  histogram("expirer_store_sync_seconds", status.sync_us, kUs,
            "How long syncs of the write-ahead log took.");
}

void AddNats(const Status& status, Sheet* sheet) {
  const auto lost = [](uint64_t connects) {
    return Number(connects > 0 ? connects - 1 : 0);
  };
  sheet->Begin("expirer_nats_connected", kGauge, "connection",
               "1 while the connection is up; stan: NATS Streaming's, where a rule uses "
               "it.");
  sheet->Add({"ingress"}, status.ingress_up);
  sheet->Add({"egress"}, status.stats.egress_up);
  if (status.uses_stan) sheet->Add({"stan"}, status.stan_up);
  sheet->Begin("expirer_nats_reconnects_total", kCounter, "connection",
               "Times the connection was made again.");
  sheet->Add({"ingress"}, lost(status.ingress_connects));
  sheet->Add({"egress"}, lost(status.egress_connects));
  if (status.uses_stan) sheet->Add({"stan"}, lost(status.stan_connects));
}

void AddStore(const Status& status, Sheet* sheet) {
  sheet->Begin("expirer_store_errors_total", kCounter, "severity",
               "soft: writes put off for want of space; hard: errors of RocksDB's "
               "background work. A failed sync or write ends the process instead.");
  sheet->Add({"soft"}, status.stats.no_space);
  sheet->Add({"hard"}, status.sizes.background_errors);
  sheet->Begin("expirer_clock_jump_seconds_total", kCounter, "direction",
               "How far the host's clock was stepped, steps of 0.1 s or more.");
  sheet->Add({"forward"}, Seconds(status.loop.clock_jumps.forward_ms()));
  sheet->Add({"backward"}, Seconds(status.loop.clock_jumps.backward_ms()));
}

void AddLimits(const Status& status, const Config& config, const HttpCounts& http,
               Sheet* sheet) {
  uint64_t dead = 0;
  for (const auto& [name, counts] : status.stats.rules)
    dead += counts.dead_jobs + counts.rejected;
  struct Limit {
    const char* name;
    uint64_t max;
    uint64_t used;
  };
  const Limits& l = config.limits;
  const SchedulerOptions& core = config.core;
  const Stats& s = status.stats;
  const Limit limits[] = {
      {"window", core.window, s.window},
      {"inflight", core.in_flight, s.in_flight},
      {"inbox", l.inbox, status.inbox_used},
      {"inbox_bytes", status.inbox_bytes_max, status.inbox_bytes},
      {"requests", l.requests, status.requests_used},
      {"dead", core.dead, dead},
      {"dead_bytes", core.dead_bytes, s.dead_bytes},
      {"history", core.history_keys, s.closed},
      {"log", kLogLinesMax, LogUse().buffered},
      {"http_clients", HttpServer::Options().clients_max, http.clients}};
  sheet->Begin("expirer_limit", kGauge, "limit",
               "How many entries each of the config's limits allows, or bytes where its "
               "name says so, and how many clients of metrics.listen and lines of the "
               "log that wait there may be.");
  for (const Limit& one : limits) sheet->Add({one.name}, one.max);
  sheet->Begin("expirer_limit_used", kGauge, "limit", "How many of them are taken.");
  for (const Limit& one : limits) sheet->Add({one.name}, one.used);
  sheet->Begin("expirer_store_free_limit_bytes", kGauge, "",
               "limits.disk_free: with less free no input is taken.");
  sheet->Add({}, core.disk_free);
}

void AddHttp(const HttpCounts& http, Sheet* sheet) {
  sheet->Begin("expirer_http_responses_total", kCounter, "code",
               "Answers of metrics.listen.");
  for (size_t i = 0; i < kHttpCodes.size(); ++i)
    sheet->Add({std::to_string(kHttpCodes[i])}, http.responses[i]);
  sheet->Begin("expirer_http_dropped_total", kCounter, "reason",
               "Clients of metrics.listen dropped: too slow, or too many at once.");
  sheet->Add({"slow"}, http.slow);
  sheet->Add({"crowded"}, http.crowded);
}

Sheet Filled(const Status& status, const Config& config, const HttpCounts& http) {
  Sheet sheet;
  sheet.Begin("expirer_build_info", kGauge, "version, commit, rocksdb, nats_c",
              "Always 1; the labels name version, commit and libraries.");
  sheet.Add({Version(), Commit(), VersionOf(StoreLibrary()), VersionOf(NatsLibrary())},
            1);
  for (const Scalar& scalar : kScalars) {
    sheet.Begin(scalar.name, scalar.type, "", scalar.help);
    sheet.Add({}, scalar.value(status));
  }
  AddStored(status, &sheet);
  AddOutcomes(status, &sheet);
  AddReasons(status, &sheet);
  AddHistograms(status, &sheet);
  AddNats(status, &sheet);
  AddStore(status, &sheet);
  AddLimits(status, config, http, &sheet);
  AddHttp(http, &sheet);
  return sheet;
}

}  // namespace

std::string MetricsText(const Status& status, const Config& config,
                        const HttpCounts& http) {
  return Filled(status, config, http).Text();
}

std::vector<MetricDoc> MetricDocs() {
  return Filled(Status{}, Config{}, HttpCounts{}).TakeDocs();
}

}  // namespace expirer
