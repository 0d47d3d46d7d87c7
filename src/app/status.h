// The status file: what a running service says of itself each second, written
// atomically (a new file renamed over the old), and what `expirer health`
// reads. No network, no lock, no socket.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"
#include "sched/stats.h"
#include "store/store.h"

namespace expirer {

struct Status {
  int64_t pid = 0;
  std::string version;
  std::string name;
  std::string store;  // absolute path
  std::string store_id;
  int64_t started_ms = 0;  // wall clock
  int64_t now_ms = 0;
  // CLOCK_MONOTONIC of the host: when it was written, and the core's last
  // turn. Steps of the wall clock do not touch them.
  int64_t mono_ms = 0;
  int64_t beat_mono_ms = 0;
  bool ready = false;
  std::string not_ready_why;  // "" when ready
  bool ingress_up = false;
  uint64_t disk_free_bytes = 0;
  uint64_t rss_bytes = 0;
  StoreSizes sizes;
  Stats stats;
};

[[nodiscard]] std::string FormatStatus(const Status& status);
// Replaces the file at `path`.
[[nodiscard]] absl::Status WriteStatusFile(const std::string& path, const Status& status);
// For a start: what a process that ended a moment ago said would pass for a sign
// of life of this one, for as long as the store takes to open.
void RemoveStatusFile(const std::string& path);

struct Health {
  bool live = false;
  bool ready = false;
  std::string why;  // when not: one sentence
};
// A process is live when its core turned in the last kBeatMaxMs; liveness
// never depends on NATS. `mono_ms` is the host's monotonic clock now.
inline constexpr int64_t kBeatMaxMs = 15'000;
[[nodiscard]] Health ReadHealth(const std::string& path, int64_t mono_ms);

// Resident memory of this process in bytes; 0 when it cannot be read.
[[nodiscard]] uint64_t ResidentBytes();

}  // namespace expirer
