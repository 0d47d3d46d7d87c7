// How late jobs are that fall due one after another at a steady rate.
#include <algorithm>
#include <thread>

#include <fmt/format.h>

#include "load/json_value.h"
#include "load/scenario.h"

namespace expirer::load {
namespace {

// Publishes each event `ahead_ms` before its due time, from a connection of
// its own, until all are out.
class Feed {
 public:
  Feed(const std::string& url, const std::string& subject, const Jobs& jobs,
       int64_t ahead_ms)
      : thread_([=, this, &jobs] { status_ = Run(url, subject, jobs, ahead_ms); }) {}
  ~Feed() {
    if (thread_.joinable()) thread_.join();
  }
  absl::Status Join() {
    thread_.join();
    return status_;
  }

 private:
  static absl::Status Run(const std::string& url, const std::string& subject,
                          const Jobs& jobs, int64_t ahead_ms) {
    ASSIGN_OR_RETURN(const std::unique_ptr<Link> link, Link::Connect(url));
    return link->PublishAll(jobs.count(), 4'096, [&](uint64_t n, OutMessage* message) {
      const int64_t at_ms = jobs.DueMs(n) - ahead_ms;
      if (at_ms > WallMs()) SleepUntilWall(at_ms);
      message->subject = subject;
      message->payload = jobs.Payload(n);
    });
  }
  absl::Status status_;
  std::thread thread_;
};

constexpr int64_t kAheadMs = 3'000;

struct Musts {
  double sent_p50, sent_p99, acked_p50, acked_p99;
};
constexpr Musts kAt2k = {0.3, 2, 2, 6};
constexpr Musts kAt10k = {0.5, 4, 3, 15};

// A quantile of the status file, which counts whole ms, rounded down: here
// they are rounded up.
double Told(const std::string& status, const char* of, const char* member) {
  const std::string at = fmt::format("/lateness_ms/{}/{}", of, member);
  return static_cast<double>(JsonWhole(status, at) + 1);
}

void Figures(const std::string& status, uint64_t rate, FireCheck* check, Report* report) {
  const Musts musts = rate <= 2'000 ? kAt2k : kAt10k;
  const auto stored = [&](const char* name, double quantile) {
    report->Figure(fmt::format("stored_{}_ms", name),
                   fmt::format("due → stored, {} (JetStream time)", name),
                   check->LateMs(quantile), 3, "ms");
  };
  stored("p50", 0.5);
  stored("p99", 0.99);
  stored("p99.9", 0.999);
  stored("max", 1);
  // A message was handed to the socket before it was stored, and not later
  // than expirer says: the lesser of both is the nearer bound.
  const auto sent = [&](const char* name, const char* member, double quantile,
                        Must must) {
    report->Figure(
        fmt::format("sent_{}_ms", name), fmt::format("due → socket, {}, at most", name),
        std::min(check->LateMs(quantile), Told(status, "sent", member)), 3, "ms", must);
  };
  sent("p50", "p50", 0.5, AtMost(musts.sent_p50));
  sent("p99", "p99", 0.99, AtMost(musts.sent_p99));
  sent("p99.9", "p999", 0.999, {});
  sent("max", "max", 1, {});
  const auto acked = [&](const char* name, const char* member, Must must) {
    report->Figure(fmt::format("acked_{}_ms", name),
                   fmt::format("due → PubAck, {}, below (status file)", name),
                   Told(status, "acked", member), 0, "ms", must);
  };
  acked("p50", "p50", AtMost(musts.acked_p50));
  acked("p99", "p99", AtMost(musts.acked_p99));
  acked("p99.9", "p999", {});
  acked("max", "max", {});
  report->Figure("early", "early fires", static_cast<double>(check->early()), 0, "",
                 AtMost(0));
}

}  // namespace

absl::Status Steady(const Options& options, uint64_t rate, uint64_t seconds, bool feed,
                    Report* report) {
  const uint64_t count = rate * seconds;
  report->Setting("rate", static_cast<double>(rate));
  report->Setting("seconds", static_cast<double>(seconds));
  report->Setting("fed", feed ? "meanwhile" : "before");
  ASSIGN_OR_RETURN(const std::unique_ptr<Stage> stage, Stage::Set(options, "steady"));
  RETURN_IF_ERROR(stage->StartExpirer());
  RETURN_IF_ERROR(stage->AwaitReady());
  const int64_t lead_ms =
      feed ? kAheadMs + 1'000 : 5'000 + static_cast<int64_t>(count / 12);
  const Jobs jobs(Ids::kRandom, count, WallMs() + lead_ms,
                  static_cast<int64_t>(seconds) * 1'000);
  if (feed) {
    Feed feeding(stage->setup().url, stage->setup().subject, jobs, kAheadMs);
    RETURN_IF_ERROR(feeding.Join());
  } else {
    RETURN_IF_ERROR(stage->PublishEvents(jobs));
    RETURN_IF_ERROR(stage->AwaitAcked(nullptr));
    if (WallMs() > jobs.DueMs(0) - 1'000)
      return Unavailable("the jobs were not loaded a second before the first: try again");
  }
  SleepUntilWall(jobs.DueMs(count - 1) + 200);
  ASSIGN_OR_RETURN(const std::string status, stage->AwaitFired(count));
  FireCheck check(jobs);
  RETURN_IF_ERROR(stage->Check(&check));
  check.Conclude(report);
  Figures(status, rate, &check, report);
  return stage->expirer().Stop();
}

}  // namespace expirer::load
