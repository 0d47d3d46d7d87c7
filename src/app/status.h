// The status file, which a running service writes each second and `expirer health` reads.
// It is written atomically: a new file is renamed over the old one. On a full volume the
// old file is overwritten in place, which takes no space. It needs no network, lock or
// socket. The HTTP pages (app/exposition.h) are made from the same Status.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "app/clock_jumps.h"
#include "base/buckets.h"
#include "base/status.h"
#include "sched/stats.h"
#include "store/committer.h"
#include "store/store.h"

namespace expirer {

// The counts of the core's loop; copied out together with Stats.
struct LoopStats {
  ClockJumps clock_jumps;
  int64_t recovery_ms = -1;    // from the start to the first turn's end; -1 = not yet
  uint64_t recovery_jobs = 0;  // pending then
};

struct Status {
  int64_t pid = 0;
  std::string version;
  std::string name;
  std::string store;  // absolute path
  std::string store_id;
  int64_t started_ms = 0;  // wall clock
  int64_t now_ms = 0;
  // CLOCK_MONOTONIC of the host at the time of writing, and at the core's last turn.
  // Steps of the wall clock do not change them.
  int64_t mono_ms = 0;
  int64_t beat_mono_ms = 0;
  // The store is not open yet: only the members above and not_ready_why are set.
  bool starting = false;
  bool ready = false;
  std::string not_ready_why;  // "" if ready
  // For each rule, by name: why it is not read; "" = it is read.
  std::vector<std::pair<std::string, std::string>> reading;
  bool ingress_up = false;
  uint64_t disk_free_bytes = 0;
  bool writable = true;  // false: no room on the store's volume
  uint64_t rss_bytes = 0;
  StoreSizes sizes;
  Stats stats;
  LoopStats loop;
  std::vector<std::string> queues;       // names, as stats.outcomes
  std::vector<std::string> queue_rules;  // names of their rules, "" = of none
  uint64_t inbox_used = 0;
  uint64_t inbox_bytes = 0;  // waiting messages and reserved bytes
  uint64_t inbox_bytes_max = 0;
  uint64_t requests_used = 0;
  uint64_t ingress_connects = 0;  // how often it was connected
  uint64_t egress_connects = 0;
  bool uses_stan = false;  // some rule uses NATS Streaming, so it is connected
  bool stan_up = false;
  uint64_t stan_connects = 0;
  uint64_t slow_consumers = 0;
  uint64_t replies_failed = 0;   // of the API, and announcements
  uint64_t replies_refused = 0;  // for their subjects
  uint64_t consumers_ahead = 0;
  Buckets sync_us{kSyncBoundsUs};
  std::string listen;  // where metrics are served; "" = nowhere
};

[[nodiscard]] std::string FormatStatus(const Status& status);
// The part that `health` reads; the only part while the service starts.
[[nodiscard]] std::string FormatShortStatus(const Status& status);
// Replaces the file at `path`. If there is no room for another file, overwrites the old
// one, with the short form if the full one does not fit.
absl::Status WriteStatusFile(const std::string& path, const Status& status);
// The status of a start that failed; it counts as not live.
void RemoveStatusFile(const std::string& path);

struct Health {
  bool live = false;
  bool ready = false;
  std::string why;          // if not ready: one sentence
  bool intake_open = true;  // false: limits.disk_free stopped it
};
// A process is live if its core turned within the last kBeatMaxMs, independent of NATS.
// `mono_ms` is the host's monotonic clock now.
inline constexpr int64_t kBeatMaxMs = 15'000;
// The same from a Status that was taken before `mono_ms`.
[[nodiscard]] Health HealthOf(const Status& status, int64_t mono_ms);
[[nodiscard]] Health ReadHealth(const std::string& path, int64_t mono_ms);

// Resident memory of this process in bytes; 0 if it cannot be read.
[[nodiscard]] uint64_t ResidentBytes();

}  // namespace expirer
