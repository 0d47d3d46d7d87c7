// How fast jobs that are all due at one instant are published and confirmed,
// beside an async publish of the same messages with nothing in between.
#include <algorithm>

#include <fmt/format.h>

#include "base/rfc3339.h"
#include "job/fired.h"
#include "load/json_value.h"
#include "load/scenario.h"

namespace expirer::load {
namespace {

// Loading and settling before the instant: ~3 x what it takes.
int64_t LeadMs(uint64_t jobs) { return 5'000 + static_cast<int64_t>(jobs / 12); }

// Messages a second: those that expirer publishes, byte for byte but for the
// subject and the run's mark in the ids.
absl::StatusOr<double> AsyncPublish(Stage* stage, const Jobs& jobs,
                                    const std::string& mark) {
  const std::string subject = stage->setup().name + "-" + mark + ".due";
  RETURN_IF_ERROR(stage->AddStream(mark, subject).status());
  const auto make = [&](uint64_t n, OutMessage* message) {
    message->subject = subject;
    message->payload = jobs.Payload(n);
    const std::string id = jobs.MsgId(n);
    message->headers = {{"Nats-Msg-Id", id},
                        {"Expirer-Job", id.substr(0, id.rfind('/'))},
                        {"Expirer-Due", FormatRfc3339Ms(jobs.DueMs(n))},
                        {"Expirer-Attempt", "1"}};
  };
  const int64_t start_ns = SteadyNs();
  RETURN_IF_ERROR(stage->link().PublishAll(jobs.count(), 4'096, make));
  return static_cast<double>(jobs.count()) * 1e9 /
         static_cast<double>(SteadyNs() - start_ns);
}

}  // namespace

absl::Status Storm(const Options& options, uint64_t count, Report* report) {
  report->Setting("jobs", static_cast<double>(count));
  ASSIGN_OR_RETURN(const std::unique_ptr<Stage> stage, Stage::Set(options, "storm"));
  const Jobs plain(Ids::kRandom, count, WallMs() + 3'600'000, 0);
  ASSIGN_OR_RETURN(const double before, AsyncPublish(stage.get(), plain, "BEFORE"));

  RETURN_IF_ERROR(stage->StartExpirer());
  RETURN_IF_ERROR(stage->AwaitReady());
  const int64_t due_ms = WallMs() + LeadMs(count);
  const Jobs jobs(Ids::kRandom, count, due_ms, 0);
  RETURN_IF_ERROR(stage->PublishEvents(jobs));
  RETURN_IF_ERROR(stage->AwaitAcked(nullptr));
  if (WallMs() > due_ms - 1'000)
    return Unavailable("the jobs were not loaded a second before the storm: try again");
  ASSIGN_OR_RETURN(const uint64_t early, stage->link().Messages(stage->out()));
  if (early != 0) report->Fail(fmt::format("{} jobs fired before the instant", early));

  SleepUntilWall(due_ms);
  const double cpu_before_ms = stage->expirer().CpuMs();
  ASSIGN_OR_RETURN(const std::string status, stage->AwaitFired(count));
  const double cpu_ms = stage->expirer().CpuMs() - cpu_before_ms;
  FireCheck check(jobs);
  RETURN_IF_ERROR(stage->Check(&check));
  check.Conclude(report);
  RETURN_IF_ERROR(stage->expirer().Stop());
  const uint64_t disk = DiskBytes(stage->setup().StorePath());
  ASSIGN_OR_RETURN(const double after, AsyncPublish(stage.get(), plain, "AFTER"));

  const auto jobs_f = static_cast<double>(count);
  const double stored_ms =
      static_cast<double>(check.last_ns()) / 1e6 - static_cast<double>(due_ms);
  // Status counts whole ms, rounded down.
  const auto acked_ms =
      static_cast<double>(JsonWhole(status, "/lateness_ms/acked/max") + 1);
  const double rate = jobs_f * 1e3 / acked_ms;
  const double ceiling = (before + after) / 2;
  report->Figure("jobs_per_s", "due → last PubAck (status file)", rate, 0, "jobs/s",
                 AtLeast(70'000));
  report->Figure("stored_per_s", "due → last message stored (JetStream time)",
                 jobs_f * 1e3 / stored_ms, 0, "jobs/s");
  report->Figure("ceiling_per_s", "plain async publish, window 4096, same run", ceiling,
                 0, "msg/s");
  report->Figure("ratio", "ratio", rate / ceiling, 3, "", AtLeast(0.7));
  report->Figure("cpu_us_per_job", "processor time of expirer, a job",
                 cpu_ms * 1e3 / jobs_f, 1, "µs");
  report->Figure("early", "early fires", static_cast<double>(check.early()), 0, "",
                 AtMost(0));
  report->Figure("repeats", "attempts beyond one a job",
                 static_cast<double>(JsonWhole(status, "/counters/published")) - jobs_f,
                 0, "");
  report->Figure("history_bytes_per_job", "disk per fired job in history, after the end",
                 static_cast<double>(disk) / jobs_f, 0, "B");
  return absl::OkStatus();
}

}  // namespace expirer::load
