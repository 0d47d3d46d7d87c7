// How much memory a long backlog takes while it is read: several rules read one
// stream that filled while the service was away.
#include <algorithm>
#include <chrono>
#include <thread>

#include <fmt/format.h>

#include "load/json_value.h"
#include "load/scenario.h"

namespace expirer::load {
namespace {

constexpr int64_t kFarMs = 24 * 3'600'000;
// The allocator gives freed pages back bit by bit within ten seconds (src/main.cc).
constexpr int64_t kRestMs = 15'000;
// What a service that has worked may keep and one just started has not filled yet:
// the store's cache and memtables, which share one limit (StoreOptions::cache_bytes).
constexpr double kCacheMb = 67;

uint64_t Rested(Stage* stage) {
  std::this_thread::sleep_for(std::chrono::milliseconds(kRestMs));
  return stage->expirer().MemoryBytes("VmRSS");
}

}  // namespace

absl::Status CatchUp(const Options& options, uint64_t rules, uint64_t events,
                     Report* report) {
  report->Setting("rules", static_cast<double>(rules));
  report->Setting("events", static_cast<double>(events));
  ASSIGN_OR_RETURN(const std::unique_ptr<Stage> stage,
                   Stage::Set(options, "catchup", rules));
  const Jobs jobs(Ids::kRandom, events, WallMs() + kFarMs, kFarMs);
  RETURN_IF_ERROR(stage->PublishEvents(jobs));
  const int64_t spawned_ns = SteadyNs();
  RETURN_IF_ERROR(stage->StartExpirer());
  RETURN_IF_ERROR(stage->AwaitAcked(nullptr));
  const double seconds = static_cast<double>(SteadyNs() - spawned_ns) / 1e9;
  const uint64_t most = stage->expirer().MemoryBytes("VmHWM");
  const uint64_t after = Rested(stage.get());
  const std::string status = stage->expirer().StatusText();
  const uint64_t pending = JsonWhole(status, "/pending");
  if (pending != rules * events)
    report->Fail(fmt::format("{} jobs are pending, not {}", pending, rules * events));
  RETURN_IF_ERROR(stage->expirer().Stop());
  RETURN_IF_ERROR(stage->StartExpirer());
  RETURN_IF_ERROR(stage->AwaitReady());
  const uint64_t fresh = Rested(stage.get());
  RETURN_IF_ERROR(stage->expirer().Stop());
  report->Figure("jobs_per_s", "acked, from the start of the process",
                 static_cast<double>(rules * events) / seconds, 0, "jobs/s");
  report->Figure("rss_mb", "most memory resident", static_cast<double>(most) / 1e6, 0,
                 "MB", AtMost(300));
  report->Figure("rss_after_mb", "resident 15 s after the end",
                 static_cast<double>(after) / 1e6, 0, "MB");
  report->Figure("rss_fresh_mb", "resident, started anew over the same store",
                 static_cast<double>(fresh) / 1e6, 0, "MB");
  report->Figure("rss_kept_mb", "kept beyond that: at most the store's cache",
                 (static_cast<double>(after) - static_cast<double>(fresh)) / 1e6, 0, "MB",
                 AtMost(kCacheMb));
  return absl::OkStatus();
}

}  // namespace expirer::load
