// Makes a store with many pending jobs, as quickly as a scheduler can: the
// jobs take the way of every event, through Scheduler and Store, only the
// network is left out and the sync is one at the end.
//   fill_tool --store DIR [--jobs N] [--spread 24h] [--ids random|ascending|scattered]
//             [--first-in 5s] [--rule NAME] [--target SUBJECT]
// With --ids scattered the keys are ScatteredKey(0), ScatteredKey(1), ...
// All jobs are due an hour from now or later, at random within `spread`; with
// --first-in the last one is due so long after the end instead.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <random>
#include <string>

#include <fmt/format.h>

#include "base/clock.h"
#include "base/duration.h"
#include "base/log.h"
#include "load/scattered_key.h"
#include "net/instant_bus.h"
#include "sched/scheduler.h"

namespace expirer {
namespace {

struct Flags {
  std::string store;
  uint64_t jobs = 1'000'000;
  std::string spread = "24h";
  std::string first_in;
  std::string ids = "random";
  std::string rule = "order-expiration";
  std::string target = "expiration.complete";
};

constexpr int64_t kHourMs = 3'600'000;
constexpr uint64_t kBatch = 1'000;

std::vector<Rule> OneRule(const std::string& name) {
  std::vector<Rule> rules(1);
  rules[0].name = name;
  return rules;
}

class Filler {
 public:
  Filler(const Flags& flags, int64_t spread_ms, Store* store)
      : flags_(flags),
        spread_ms_(spread_ms),
        rules_(OneRule(flags.rule)),
        scheduler_(Options(), rules_, store, &committer_, &bus_, &bus_),
        store_(store) {}

  absl::Status Run(int64_t first_in_ms) {
    RETURN_IF_ERROR(scheduler_.Load(Now()));
    const int64_t base_ms = clock_.NowMs() + kHourMs;
    const uint64_t far = first_in_ms < 0 ? flags_.jobs : flags_.jobs - 1;
    for (uint64_t n = 0; n < far; ++n) {
      Add(n,
          base_ms + static_cast<int64_t>(random_() % static_cast<uint64_t>(spread_ms_)));
      if (n % kBatch == kBatch - 1) RETURN_IF_ERROR(Step());
    }
    if (far < flags_.jobs) Add(far, clock_.NowMs() + first_in_ms);
    RETURN_IF_ERROR(Step());
    return store_->Sync();
  }

 private:
  SchedulerOptions Options() const {
    SchedulerOptions options;
    options.window = 1;  // nothing is fired here
    options.disk_free = 0;
    return options;
  }
  [[nodiscard]] Instant Now() const { return {clock_.NowMs(), clock_.MonotonicMs()}; }

  std::string Key(uint64_t n) {
    if (flags_.ids == "ascending") return fmt::format("order-{:030}", n);
    if (flags_.ids == "scattered") return load::ScatteredKey(n);
    const uint64_t a = random_();
    const uint64_t b = random_();
    return fmt::format("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", a >> 32, (a >> 16) & 0xffff,
                       a & 0xffff, b >> 48, b & 0xffffffffffff);
  }

  void Add(uint64_t n, int64_t due_ms) {
    Job job;
    job.key = Key(n);
    job.due_ms = due_ms;
    job.target = flags_.target;
    // Text as compressible as JSON with ids in it: half of it random.
    job.body = fmt::format(R"({{"id":"{}","status":"created","note":")", job.key);
    while (job.body.size() < 198)
      job.body.append(fmt::format("{:016x}order, ", random_()));
    job.body.resize(198);
    job.body.append("\"}");
    MessageRequest message;
    message.received_ms = clock_.NowMs();
    message.time_ns = message.received_ms * 1'000'000;
    message.intent = ScheduleIntent{std::move(job)};
    requests_.emplace_back(std::move(message));
  }

  absl::Status Step() {
    std::vector<Completion> completions;
    if (committer_.wanted() > 0) completions.emplace_back(Synced{committer_.wanted()});
    return scheduler_.Step(Now(), &completions, &requests_).status();
  }

  const Flags& flags_;
  const int64_t spread_ms_;
  const SystemClock clock_;
  std::mt19937_64 random_{std::random_device()()};
  const std::vector<Rule> rules_;
  Inbox inbox_{1, [] {}};
  InstantBus bus_{&inbox_};
  ManualCommitter committer_;
  Scheduler scheduler_;
  Store* const store_;
  std::vector<Request> requests_;
};

absl::Status Fill(const Flags& flags) {
  ASSIGN_OR_RETURN(const int64_t spread_ms, ParseDuration(flags.spread));
  int64_t first_in_ms = -1;
  if (!flags.first_in.empty()) {
    ASSIGN_OR_RETURN(first_in_ms, ParseDuration(flags.first_in));
  }
  if (flags.jobs == 0) return Invalid("--jobs: expected at least 1");
  ASSIGN_OR_RETURN(const std::unique_ptr<Store> store,
                   Store::Open({.path = flags.store}));
  const SystemClock clock;
  const int64_t start_ms = clock.MonotonicMs();
  RETURN_IF_ERROR(
      Filler(flags, std::max<int64_t>(spread_ms, 1), store.get()).Run(first_in_ms));
  const int64_t took_ms = std::max<int64_t>(clock.MonotonicMs() - start_ms, 1);
  fmt::print("{} jobs in {} ms, {} jobs/s, {} bytes on disk each\n", flags.jobs, took_ms,
             flags.jobs * 1'000 / static_cast<uint64_t>(took_ms),
             store->Sizes().disk_bytes / flags.jobs);
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  Flags flags;
  CLI::App app{"Makes a store with many pending jobs"};
  app.add_option("--store", flags.store, "directory of the store")->required();
  app.add_option("--jobs", flags.jobs, "how many");
  app.add_option("--spread", flags.spread, "dues lie from an hour on within this span");
  app.add_option("--first-in", flags.first_in, "one job is due so long after the end");
  app.add_option("--ids", flags.ids, "kind of keys")
      ->check(CLI::IsMember({"random", "ascending", "scattered"}));
  app.add_option("--rule", flags.rule, "the rule the jobs are of");
  app.add_option("--target", flags.target, "the subject they are published to");
  CLI11_PARSE(app, argc, argv);
  const absl::Status filled = Fill(flags);
  if (filled.ok()) return 0;
  std::fprintf(stderr, "fill_tool: %s\n", Message(filled).c_str());
  return 1;
}

}  // namespace
}  // namespace expirer

int main(int argc, char** argv) { return expirer::Main(argc, argv); }
