#include "app/service_status.h"

#include <unistd.h>

#include <fmt/format.h>

#include "app/version.h"
#include "base/log.h"
#include "base/rfc3339.h"
#include "json/writer.h"

namespace expirer {
namespace {

constexpr size_t kNotReadingTold = 5;

VolumeRoom RoomOf(const Service& service) {
  MutexLock lock(&service.mutex);
  return service.room;
}

uint64_t RepliesFailed(const Service& service) {
  return service.api->replies_failed() + service.ingress->announcements_lost();
}

std::string NotReadyWhy(const Service& service, const Status& status) {
  if (std::string why = service.RefusedWhy(); !why.empty()) return why;
  if (service.stopping) return "draining";
  if (!status.writable) return NoRoomOn(status.store, RoomOf(service));
  if (!status.stats.loaded) return "jobs are being loaded";
  if (!status.ingress_up || !status.stats.egress_up) {
    std::string why = service.ingress->Disconnected();
    if (why.empty()) why = service.egress->Disconnected();
    return "not connected to NATS" + (why.empty() ? why : ": " + why);
  }
  if (service.stan != nullptr)
    if (std::string trouble = service.stan->Trouble(); !trouble.empty()) return trouble;
  if (status.stats.rebuilding) return "rebuilding: the streams are read again";
  for (const auto& [rule, trouble] : status.reading)
    if (!trouble.empty()) return fmt::format("rule {}: {}", rule, trouble);
  return "";
}

}  // namespace

Status TakeStatus(const Service& service, bool stopped) {
  Status status;
  status.pid = getpid();
  status.version = Version();
  status.name = service.config.name;
  status.store = service.config.StorePath();
  status.started_ms = service.started_ms;
  status.now_ms = service.clock.NowMs();
  status.mono_ms = service.clock.MonotonicMs();
  if (!service.open) {
    status.starting = true;
    status.beat_mono_ms = status.mono_ms;
    MutexLock lock(&service.mutex);
    status.not_ready_why = stopped ? "stopped" : service.starting_why;
    return status;
  }
  status.store_id = service.store->id();
  status.beat_mono_ms = service.loop.beat_mono_ms();
  status.ingress_up = service.ingress->up();
  for (size_t i = 0; i < service.config.rules.size(); ++i)
    status.reading.emplace_back(service.config.rules[i].name,
                                service.ingress->Trouble(static_cast<RuleIndex>(i)));
  status.rss_bytes = ResidentBytes();
  status.sizes = service.store->Sizes();
  status.queues = service.queues;
  status.queue_rules = service.queue_rules;
  status.inbox_used = service.inbox.requests();
  status.inbox_bytes = service.inbox.bytes();
  status.inbox_bytes_max = service.inbox.bytes_max();
  status.requests_used = service.inbox.asks();
  status.ingress_connects = service.ingress->connects();
  status.egress_connects = service.egress->connects();
  if (service.stan != nullptr) {
    status.uses_stan = true;
    status.stan_up = service.stan->Trouble().empty();
    status.stan_connects = service.stan->connects();
  }
  status.slow_consumers = service.ingress->slow_consumers();
  status.replies_failed = RepliesFailed(service);
  status.replies_refused = service.api->replies_refused();
  status.consumers_ahead = service.ingress->consumers_ahead();
  if (service.committer) status.sync_us = service.committer->sync_us();
#ifdef EXPIRER_HTTP
  if (service.http) status.listen = service.http->address();
#endif
  status.stats = service.loop.Told(&status.loop);
  const VolumeRoom room = RoomOf(service);
  status.disk_free_bytes = room.bytes;
  status.writable = !status.stats.stalled && !room.BelowReserve();
  status.not_ready_why = NotReadyWhy(service, status);
  if (stopped && service.RefusedWhy().empty()) status.not_ready_why = "stopped";
  status.ready = status.not_ready_why.empty();
  return status;
}

std::string MoreStats(const Service& service) {
  const StoreSizes sizes = service.store->Sizes();
  const LogCounts log = LogUse();
  JsonWriter out;
  // Of many the first tell enough: a reply has its limit.
  out.Array("not_reading");
  size_t told = 0;
  for (size_t i = 0; i < service.config.rules.size() && told < kNotReadingTold; ++i) {
    const std::string why = service.ingress->Trouble(static_cast<RuleIndex>(i));
    if (why.empty()) continue;
    out.Item(JsonObject("rule", service.config.rules[i].name, "why", why));
    ++told;
  }
  out.End().Add(
      "inbox",
      JsonObject("used", service.inbox.requests(), "max", service.config.limits.inbox),
      "requests",
      JsonObject("used", service.inbox.asks(), "max", service.config.limits.requests),
      "replies_failed", RepliesFailed(service), "replies_refused",
      service.api->replies_refused(), "store",
      JsonObject("id", service.store->id(), "disk_bytes", sizes.disk_bytes,
                 "memtable_bytes", sizes.memtable_bytes, "free_bytes",
                 RoomOf(service).bytes, "disk_free_limit_bytes",
                 service.config.core.disk_free),
      "log",
      JsonObject("used", log.buffered, "max", kLogLinesMax, "dropped", log.dropped),
      "version", Version(), "started", FormatRfc3339Ms(service.started_ms));
  return out.Take();
}

}  // namespace expirer
