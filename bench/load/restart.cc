// How soon a killed service with many pending jobs fires again, and what they
// cost in memory and on disk.
#include <algorithm>
#include <chrono>
#include <thread>

#include <fmt/format.h>

#include "load/json_value.h"
#include "load/scenario.h"

namespace expirer::load {
namespace {

// Waits for the message with this id in the target stream; its JetStream time.
absl::StatusOr<int64_t> AwaitStored(Stage* stage, int64_t timeout_ms) {
  const int64_t until_ns = SteadyNs() + timeout_ms * 1'000'000;
  while (SteadyNs() < until_ns) {
    ASSIGN_OR_RETURN(const uint64_t messages, stage->link().Messages(stage->out()));
    if (messages > 0) {
      int64_t first_ns = INT64_MAX;
      RETURN_IF_ERROR(stage->link().ReadAll(stage->out(), [&](const InMessage& message) {
        first_ns = std::min(first_ns, message.time_ns);
      }));
      return first_ns;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return Unavailable(fmt::format("nothing fired in {} ms", timeout_ms));
}

// Once the window is as full as it gets: still for two status files.
absl::Status AwaitWindow(Stage* stage) {
  uint64_t window = UINT64_MAX;
  while (true) {
    const uint64_t now = JsonWhole(stage->expirer().StatusText(), "/window");
    if (now == window) return stage->expirer().Alive();
    window = now;
    std::this_thread::sleep_for(std::chrono::milliseconds(2'500));
  }
}

void Figures(uint64_t pending, double ready_ms, double fire_ms, uint64_t disk,
             uint64_t rss, uint64_t peak, Report* report) {
  report->Figure("ready_ms", "start → ready", ready_ms, 0, "ms", AtMost(2'000));
  report->Figure("first_fire_ms", "start → first fire stored", fire_ms, 0, "ms",
                 AtMost(1'000));
  report->Figure("fire_after_ready_ms", "ready → first fire (0 = before)",
                 std::max(fire_ms - ready_ms, 0.0), 0, "ms", AtMost(1'000));
  report->Figure("rss_mb", "memory resident, window full", static_cast<double>(rss) / 1e6,
                 0, "MB", AtMost(300));
  report->Figure("rss_peak_mb", "most memory resident", static_cast<double>(peak) / 1e6,
                 0, "MB", AtMost(300));
  report->Figure("disk_bytes_per_job", "disk per pending job",
                 static_cast<double>(disk) / static_cast<double>(pending), 0, "B",
                 AtMost(350));
}

}  // namespace

absl::Status Restart(const Options& options, uint64_t pending, Report* report) {
  report->Setting("pending", static_cast<double>(pending));
  ASSIGN_OR_RETURN(const std::unique_ptr<Stage> stage, Stage::Set(options, "restart"));
  RETURN_IF_ERROR(Fill(options, stage->setup(), pending, "random"));
  const uint64_t disk = DiskBytes(stage->setup().StorePath());

  // A life before: it takes one more job through NATS, and is killed.
  RETURN_IF_ERROR(stage->StartExpirer());
  RETURN_IF_ERROR(stage->AwaitReady());
  const Jobs probe(Ids::kRandom, 1, WallMs() + 4'000, 0);
  RETURN_IF_ERROR(stage->PublishEvents(probe));
  RETURN_IF_ERROR(stage->AwaitAcked(nullptr));
  if (WallMs() > probe.DueMs(0) - 200)
    return Unavailable("the probe was not acked in time");
  SleepUntilWall(probe.DueMs(0) - 20);
  stage->expirer().Kill();
  ASSIGN_OR_RETURN(const uint64_t early, stage->link().Messages(stage->out()));
  if (early != 0) report->Fail("a job fired before it was due");

  const int64_t start_ms = WallMs();
  RETURN_IF_ERROR(stage->StartExpirer());
  absl::StatusOr<int64_t> stored_ns = Unavailable("not asked");
  std::thread watch([&] { stored_ns = AwaitStored(stage.get(), options.timeout_ms); });
  const absl::Status ready = stage->AwaitReady();
  const auto ready_ms = static_cast<double>(WallMs() - start_ms);
  watch.join();
  RETURN_IF_ERROR(ready);
  RETURN_IF_ERROR(stored_ns.status());
  const double fire_ms =
      static_cast<double>(*stored_ns) / 1e6 - static_cast<double>(start_ms);

  RETURN_IF_ERROR(AwaitWindow(stage.get()));
  ExpirerProcess& expirer = stage->expirer();
  const uint64_t held = JsonWhole(expirer.StatusText(), "/pending");
  if (held != pending)
    report->Fail(fmt::format("{} jobs are pending, not {}", held, pending));
  FireCheck check(probe);
  RETURN_IF_ERROR(stage->Check(&check));
  check.Conclude(report);
  Figures(pending, ready_ms, fire_ms, disk, expirer.MemoryBytes("VmRSS"),
          expirer.MemoryBytes("VmHWM"), report);
  return expirer.Stop();
}

}  // namespace expirer::load
