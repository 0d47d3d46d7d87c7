// How fast events become durable, acked jobs, beside the same pull and
// explicit ack with nothing in between.
#include <chrono>
#include <thread>

#include <fmt/format.h>

#include "load/json_value.h"
#include "load/scenario.h"

namespace expirer::load {
namespace {

constexpr int64_t kFarMs = 24 * 3'600'000;

// Messages a second through a pull and an explicit ack, until the server has
// every ack: as the service is measured.
absl::StatusOr<double> PullAndAck(Stage* stage, uint64_t jobs, int64_t timeout_ms) {
  const std::string name = "load-ceiling";
  Link& link = stage->link();
  RETURN_IF_ERROR(link.CreateConsumer(stage->in(), name, true));
  const int64_t start_ns = SteadyNs();
  RETURN_IF_ERROR(link.PullAll(stage->in(), name, jobs, true, nullptr));
  const int64_t until_ns = SteadyNs() + timeout_ms * 1'000'000;
  while (true) {
    ASSIGN_OR_RETURN(const ConsumerState state, link.Consumer(stage->in(), name));
    if (state.Done()) break;
    if (SteadyNs() > until_ns) return Unavailable("the plain acks did not all arrive");
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  const int64_t took_ns = SteadyNs() - start_ns;
  RETURN_IF_ERROR(link.DeleteConsumer(stage->in(), name));
  return static_cast<double>(jobs) * 1e9 / static_cast<double>(took_ns);
}

}  // namespace

absl::Status Ingest(const Options& options, uint64_t count, Ids ids, Report* report) {
  report->Setting("ids", Name(ids));
  report->Setting("jobs", static_cast<double>(count));
  ASSIGN_OR_RETURN(const std::unique_ptr<Stage> stage, Stage::Set(options, "ingest"));
  const Jobs jobs(ids, count, WallMs() + kFarMs, kFarMs);
  RETURN_IF_ERROR(stage->PublishEvents(jobs));
  ASSIGN_OR_RETURN(const double before,
                   PullAndAck(stage.get(), count, options.timeout_ms));

  const int64_t spawned_ns = SteadyNs();
  RETURN_IF_ERROR(stage->StartExpirer());
  int64_t started_ns = 0;
  RETURN_IF_ERROR(stage->AwaitAcked(&started_ns));
  const int64_t acked_ns = SteadyNs();
  const double cpu_ms = stage->expirer().CpuMs();

  // Everything acked is there, and nothing else: as the next status tells.
  std::this_thread::sleep_for(std::chrono::milliseconds(2'500));
  const std::string status = stage->expirer().StatusText();
  const uint64_t pending = JsonWhole(status, "/pending");
  if (pending != count)
    report->Fail(fmt::format("{} jobs are pending, not {}", pending, count));
  if (JsonWhole(status, "/counters/rejected") != 0) report->Fail("events were rejected");
  ASSIGN_OR_RETURN(const uint64_t early, stage->link().Messages(stage->out()));
  if (early != 0) report->Fail(fmt::format("{} jobs fired a day early", early));
  const uint64_t rss = stage->expirer().MemoryBytes("VmHWM");
  RETURN_IF_ERROR(stage->expirer().Stop());
  const uint64_t disk = DiskBytes(stage->setup().StorePath());
  ASSIGN_OR_RETURN(const double after,
                   PullAndAck(stage.get(), count, options.timeout_ms));

  const auto jobs_f = static_cast<double>(count);
  const double rate = jobs_f * 1e9 / static_cast<double>(acked_ns - started_ns);
  const double ceiling = (before + after) / 2;
  report->Figure("jobs_per_s", "acked, from the first delivery", rate, 0, "jobs/s",
                 AtLeast(ids == Ids::kAscending ? 80'000 : 50'000));
  report->Figure("jobs_per_s_from_spawn", "acked, from the start of the process",
                 jobs_f * 1e9 / static_cast<double>(acked_ns - spawned_ns), 0, "jobs/s");
  report->Figure("ceiling_per_s", "plain pull + explicit ack, same run", ceiling, 0,
                 "msg/s");
  report->Figure("ratio", "ratio", rate / ceiling, 3, "", AtLeast(0.3));
  report->Figure("cpu_us_per_job", "processor time of expirer, a job",
                 cpu_ms * 1e3 / jobs_f, 1, "µs");
  report->Figure("rss_mb", "most memory resident", static_cast<double>(rss) / 1e6, 0,
                 "MB", AtMost(300));
  report->Figure("disk_bytes_per_job", "disk per pending job, after the end",
                 static_cast<double>(disk) / jobs_f, 0, "B", AtMost(350));
  return absl::OkStatus();
}

}  // namespace expirer::load
