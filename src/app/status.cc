#include "app/status.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <thread>

#include "app/out_file.h"
#include "base/read_file.h"
#include "base/rfc3339.h"
#include "json/places.h"
#include "json/writer.h"

namespace expirer {
namespace {

absl::Status Failed(std::string_view what, const std::string& path) {
  return Unavailable(fmt::format("cannot {} {}: {}", what, path, std::strerror(errno)));
}

// Live if both the core's last turn and the time of writing are recent.
Health Judge(int64_t pid, int64_t beat_ms, int64_t told_ms, int64_t mono_ms) {
  const int64_t silent_ms = mono_ms - beat_ms;
  const int64_t stale_ms = mono_ms - told_ms;
  // If the monotonic clock is before the file's times, the host was started again since.
  const bool live = silent_ms >= 0 && stale_ms >= 0 && silent_ms <= kBeatMaxMs &&
                    stale_ms <= kBeatMaxMs;
  if (live) return {true, false, ""};
  return {false, false,
          fmt::format("process {} has given no sign of life for {} ms (limit {} ms)", pid,
                      std::max(silent_ms, stale_ms), kBeatMaxMs)};
}

void AddHead(const Status& status, JsonWriter* out) {
  out->Line().Add("pid", status.pid, "version", status.version, "name", status.name);
  out->Line().Add("store", status.store, "store_id", status.store_id);
  out->Line().Add("started", FormatRfc3339Ms(status.started_ms), "at",
                  FormatRfc3339Ms(status.now_ms), "mono_ms", status.mono_ms,
                  "beat_mono_ms", status.beat_mono_ms);
  out->Line().Add("ready", status.ready, "not_ready_why", status.not_ready_why);
}

// All of `text` from the beginning of the file that `open_flags` get.
absl::Status Put(const std::string& path, int open_flags, std::string_view text) {
  // A FIFO that nobody reads is no file to wait for.
  const int fd = open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC | open_flags, 0600);
  if (fd < 0) return Failed("write", path);
  if (open_flags != 0) fchmod(fd, 0600);  // also one that an older version left
  const ssize_t written = write(fd, text.data(), text.size());
  const bool closed = close(fd) == 0;
  if (written == static_cast<ssize_t>(text.size()) && closed) return absl::OkStatus();
  if (written >= 0 && closed) errno = ENOSPC;
  return Failed("write", path);
}

// Overwrites the blocks that the file has. If the new text is shorter, blanks cover the
// rest.
absl::Status Overwrite(const std::string& path, const Status& status) {
  struct stat there {};
  if (stat(path.c_str(), &there) != 0) return Failed("write", path);
  const auto size = static_cast<size_t>(there.st_size);
  const size_t room = std::max(size, static_cast<size_t>(there.st_blocks) * 512);
  std::string text = FormatStatus(status);
  if (text.size() > room) text = FormatShortStatus(status);
  if (text.size() < size) text.resize(size, ' ');
  return Put(path, 0, text);
}

}  // namespace

std::string FormatShortStatus(const Status& status) {
  JsonWriter out;
  AddHead(status, &out.Object());
  return out.Line().Take() + "\n";
}

std::string FormatStatus(const Status& status) {
  if (status.starting) return FormatShortStatus(status);
  const Stats& s = status.stats;
  JsonWriter out;
  AddHead(status, &out.Object());
  out.Line().Add("ingress_up", status.ingress_up, "egress_up", s.egress_up);
  out.Line().Members(TotalsJson(s, status.now_ms));
  out.Line().Add("intake_open", s.intake_open, "disk_free_bytes", status.disk_free_bytes,
                 "disk_bytes", status.sizes.disk_bytes, "memtable_bytes",
                 status.sizes.memtable_bytes, "cache_bytes", status.sizes.cache_bytes,
                 "rss_bytes", status.rss_bytes);
  out.Line().Add("rules_catching_up", s.catching_up, "rebuilding", s.rebuilding,
                 "metrics", status.listen);
  out.Line().Add("rules", RulesJson(s));
  out.Line().Add("counters", CountersJson(s));
  return out.Line().Take() + "\n";
}

absl::Status WriteStatusFile(const std::string& path, const Status& status) {
  const std::string target = RegularFilePath(path);
  if (target.empty()) return Put(path, 0, FormatStatus(status));  // written through
  const std::string next = target + ".next";
  absl::Status written = Put(next, O_CREAT | O_TRUNC, FormatStatus(status));
  if (written.ok() && rename(next.c_str(), target.c_str()) == 0) return written;
  if (written.ok()) written = Failed("replace", path);
  unlink(next.c_str());
  return Overwrite(target, status).ok() ? absl::OkStatus() : written;
}

void RemoveStatusFile(const std::string& path) {
  if (const std::string target = RegularFilePath(path); !target.empty())
    unlink(target.c_str());
}

Health HealthOf(const Status& status, int64_t mono_ms) {
  Health health = Judge(status.pid, status.beat_mono_ms, status.mono_ms, mono_ms);
  if (!health.live) return health;
  health.ready = status.ready;
  health.why = status.not_ready_why;
  return health;
}

namespace {

Health HealthIn(const std::string& path, const std::string& text, int64_t mono_ms) {
  Health read;
  read.why = "not ready";
  int64_t pid = 0;
  int64_t beat_ms = 0;
  int64_t told_ms = 0;
  if (const absl::Status status = ReadPlaces(text, {{"/beat_mono_ms", &beat_ms},
                                                    {"/mono_ms", &told_ms},
                                                    {"/ready", &read.ready},
                                                    {"/not_ready_why", &read.why},
                                                    {"/pid", &pid},
                                                    {"/intake_open", &read.intake_open}});
      !status.ok())
    return {false, false, path + " is not a status file: " + Message(status)};
  Health health = Judge(pid, beat_ms, told_ms, mono_ms);
  if (!health.live) return health;
  read.live = true;
  if (read.ready) read.why.clear();
  return read;
}

}  // namespace

Health ReadHealth(const std::string& path, int64_t mono_ms) {
  Health health;
  for (int i = 0; i < 3 && !health.live; ++i) {
    // One that is overwritten in its place may be read half.
    if (i > 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    const auto text = ReadFile(path);
    if (!text.ok())
      return {false, false, "no status file at " + path + ": is expirer running?"};
    health = HealthIn(path, *text, mono_ms);
  }
  return health;
}

uint64_t ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  uint64_t total = 0;
  uint64_t resident = 0;
  if (!(statm >> total >> resident)) return 0;
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace expirer
