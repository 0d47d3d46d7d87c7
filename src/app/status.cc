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
#include "json/reader.h"
#include "json/writer.h"

namespace expirer {
namespace {

std::string Quoted(std::string_view text) {
  std::string out = "\"";
  if (IsUtf8(text)) AppendJsonEscaped(text, &out);
  return out.append("\"");
}

absl::Status Failed(std::string_view what, const std::string& path) {
  return Unavailable(fmt::format("cannot {} {}: {}", what, path, std::strerror(errno)));
}

// Live by the core's last turn and by when that was told.
Health Judge(int64_t pid, int64_t beat_ms, int64_t told_ms, int64_t mono_ms) {
  const int64_t silent_ms = mono_ms - beat_ms;
  const int64_t stale_ms = mono_ms - told_ms;
  // A monotonic clock that lies before the file's: the host started anew.
  const bool live = silent_ms >= 0 && stale_ms >= 0 && silent_ms <= kBeatMaxMs &&
                    stale_ms <= kBeatMaxMs;
  if (live) return {true, false, ""};
  return {false, false,
          fmt::format("process {} has given no sign of life for {} ms (limit {} ms)", pid,
                      std::max(silent_ms, stale_ms), kBeatMaxMs)};
}

// The whole number at `pointer`, or 0.
int64_t Whole(const JsonReader& reader, size_t slot) {
  std::string scratch;
  const auto text = JsonText(reader.value(slot), &scratch);
  return text.ok() ? std::strtoll(std::string(*text).c_str(), nullptr, 10) : 0;
}

std::string Head(const Status& status) {
  std::string out = "{\n";
  out += fmt::format("\"pid\":{},\"version\":{},\"name\":{},\n", status.pid,
                     Quoted(status.version), Quoted(status.name));
  out += fmt::format("\"store\":{},\"store_id\":{},\n", Quoted(status.store),
                     Quoted(status.store_id));
  out += fmt::format(
      "\"started\":\"{}\",\"at\":\"{}\",\"mono_ms\":{},\"beat_mono_ms\":{},\n",
      FormatRfc3339Ms(status.started_ms), FormatRfc3339Ms(status.now_ms), status.mono_ms,
      status.beat_mono_ms);
  out += fmt::format("\"ready\":{},\"not_ready_why\":{}", status.ready,
                     Quoted(status.not_ready_why));
  return out;
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

// Into the blocks that the file has. Blanks cover what is left of a longer one.
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

std::string FormatShortStatus(const Status& status) { return Head(status) + "\n}\n"; }

std::string FormatStatus(const Status& status) {
  if (status.starting) return FormatShortStatus(status);
  const Stats& s = status.stats;
  std::string out = Head(status);
  out += fmt::format(",\n\"ingress_up\":{},\"egress_up\":{},\n", status.ingress_up,
                     s.egress_up);
  out += TotalsJson(s, status.now_ms) + ",\n";
  out += fmt::format(
      "\"intake_open\":{},\"disk_free_bytes\":{},\"disk_bytes\":{},\"memtable_bytes\":{},"
      "\"cache_bytes\":{},\"rss_bytes\":{},\n",
      s.intake_open, status.disk_free_bytes, status.sizes.disk_bytes,
      status.sizes.memtable_bytes, status.sizes.cache_bytes, status.rss_bytes);
  out += fmt::format("\"unsettled_rules\":{},\"rebuilding\":{},\"metrics\":{},\n",
                     s.unsettled, s.rebuilding, Quoted(status.listen));
  out +=
      fmt::format("\"rules\":{},\n\"counters\":{}\n}}\n", RulesJson(s), CountersJson(s));
  return out;
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
  JsonPointers pointers;
  const size_t beat = pointers.Add("/beat_mono_ms");
  const size_t written = pointers.Add("/mono_ms");
  const size_t ready = pointers.Add("/ready");
  const size_t why = pointers.Add("/not_ready_why");
  const size_t pid = pointers.Add("/pid");
  const size_t intake = pointers.Add("/intake_open");
  JsonReader reader;
  if (const absl::Status read = reader.Read(text, pointers); !read.ok())
    return {false, false, path + " is no status file: " + Message(read)};
  Health health =
      Judge(Whole(reader, pid), Whole(reader, beat), Whole(reader, written), mono_ms);
  if (!health.live) return health;
  health.ready = reader.value(ready).raw == "true";
  health.intake_open = reader.value(intake).raw != "false";
  if (health.ready) return health;
  std::string scratch;
  const auto sentence = JsonText(reader.value(why), &scratch);
  health.why = sentence.ok() ? std::string(*sentence) : "not ready";
  return health;
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
