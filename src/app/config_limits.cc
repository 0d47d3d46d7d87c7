#include "app/config_limits.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <system_error>

#include <fmt/format.h>

#include "base/duration.h"

namespace expirer {
namespace {

// Of a delay that stands in the config, or of neither due nor delay.
std::optional<int64_t> ConstantDelayMs(const Entry& entry) {
  if (entry.due || entry.delay) return std::nullopt;
  return entry.delay_ms.value_or(0);
}

int64_t ReadLimit(const char* path) {
  std::ifstream file(path);
  int64_t bytes = 0;
  return file >> bytes && bytes > 0 ? bytes : std::numeric_limits<int64_t>::max();
}

}  // namespace

void CheckReach(const Config& config, const Entry& entry, const Section& schedule,
                const Publish& publish, const Section& section) {
  const int64_t horizon_ms = config.limits.horizon_ms;
  const std::optional<int64_t> delay_ms = ConstantDelayMs(entry);
  const int64_t ms = delay_ms.value_or(0) + publish.offset_ms;
  const bool by_offset = publish.offset_ms != 0;
  const std::string with =
      !delay_ms    ? "an offset of " + FormatDuration(publish.offset_ms)
      : !by_offset ? "a delay of " + FormatDuration(*delay_ms)
                   : fmt::format("delay and offset, {} together,", FormatDuration(ms));
  const Section& where = by_offset ? section : schedule;
  const char* const key = by_offset ? "offset" : "delay";
  if (ms > horizon_ms)
    return where.Fail(key,
                      fmt::format("with {} every event is beyond limits.horizon and is "
                                  "rejected; expected at most {}, or a larger "
                                  "limits.horizon",
                                  with, FormatDuration(horizon_ms)));
  if (!delay_ms || ms >= 0) return;
  const bool judged = publish.late.action != LateAction::kFire;
  if (judged && -ms > publish.late.after_ms)
    where.Fail(key, fmt::format("with {} every job is due before its event, by more than "
                                "late.after ({}), so none fires; expected a smaller "
                                "negative offset",
                                with, FormatDuration(publish.late.after_ms)));
  else
    where.Warn(
        key,
        fmt::format("with {} every job is due before its event and fires at once", with));
}

void CheckPublish(const Config& config, const Publish& publish, const Section& section) {
  if (publish.body && publish.body->is_literal() &&
      static_cast<int64_t>(publish.body->literal().size()) > config.limits.payload_bytes)
    section.Fail(
        "body",
        fmt::format("it has {} bytes, more than limits.payload ({}), so every event "
                    "is rejected; expected less, or a larger limits.payload",
                    publish.body->literal().size(),
                    FormatBytes(config.limits.payload_bytes)));
  const int64_t history_ms = config.core.history_ms;
  if (publish.late.action != LateAction::kFire && publish.late.after_ms >= history_ms)
    section.Map("late").Fail(
        "after", fmt::format("an event that is due longer ago than store.history ({}) is "
                             "rejected as stale, so this has no effect; expected less",
                             FormatDuration(history_ms)));
}

void CheckMemory(const Config& config, const Section& section, int64_t memory_bytes) {
  struct Kept {
    const char* name;
    uint64_t count;
    uint64_t bytes;  // each, beside what they hold
  };
  const Kept all[] = {{"window", config.core.window, 16},
                      {"inflight", config.core.in_flight, 1'024},
                      {"inbox", config.limits.inbox, 400}};
  const auto memory = static_cast<uint64_t>(memory_bytes);
  for (const Kept& kept : all)
    if (kept.count > memory / kept.bytes)
      section.Fail(
          kept.name,
          fmt::format(
              "{} of {} bytes each need more than the {} bytes of memory available; "
              "expected at most {}",
              kept.count, kept.bytes, memory, memory / kept.bytes));
}

int64_t MemoryBytes() {
  const auto pages = static_cast<int64_t>(sysconf(_SC_PHYS_PAGES));
  const auto page = static_cast<int64_t>(sysconf(_SC_PAGESIZE));
  const int64_t machine =
      pages > 0 && page > 0 ? pages * page : std::numeric_limits<int64_t>::max();
  return std::min({machine, ReadLimit("/sys/fs/cgroup/memory.max"),
                   ReadLimit("/sys/fs/cgroup/memory/memory.limit_in_bytes")});
}

std::string WarnOfVolume(const Config& config, uint64_t volume_bytes) {
  const uint64_t dead_bytes = config.core.dead_bytes;
  if (volume_bytes / 4 >= dead_bytes) return "";
  return fmt::format(
      "limits.dead_bytes ({}) is more than a quarter of the {} bytes of the volume of "
      "store.path ({}): bad messages alone could fill it down to limits.disk_free, which "
      "stops all input; expected at most {}",
      dead_bytes, volume_bytes, config.store.path, volume_bytes / 4);
}

uint64_t VolumeBytes(const std::string& path) {
  std::error_code error;
  std::filesystem::path at = std::filesystem::absolute(path, error);
  struct statvfs volume {};
  while (statvfs(at.c_str(), &volume) != 0) {
    if (!at.has_relative_path()) return std::numeric_limits<uint64_t>::max();
    at = at.parent_path();
  }
  return static_cast<uint64_t>(volume.f_blocks) * volume.f_frsize;
}

}  // namespace expirer
