// What `get` and `cancel` cost in a service with many pending jobs, beside one
// with few. Both live at once and are asked in turns, so that whatever else the
// machine does meets both alike.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <thread>

#include <fmt/format.h>

#include "load/scattered_key.h"
#include "load/scenario.h"

namespace expirer::load {
namespace {

constexpr uint64_t kFew = 10'000;
constexpr uint64_t kRounds = 10;
constexpr uint64_t kAlone = 200;   // requests one after another, a round
constexpr uint64_t kGets = 4'000;  // requests of a round, kAtOnce at a time
constexpr uint64_t kCancels = 400;
constexpr uint64_t kAtOnce = 64;

// One of the two services.
struct Side {
  std::unique_ptr<Stage> stage;
  uint64_t pending = 0;
  uint64_t cancelled = 0;  // keys 0..cancelled-1 are
  std::vector<int64_t> alone_ns;
  double cpu_ms = 0;  // of the busy requests
  uint64_t busy = 0;
};

// Once it has put the store it was given in order: compactions are not what
// requests cost.
absl::Status AwaitIdle(Side* side) {
  constexpr double kIdleMs = 20;  // on a processor in a second
  constexpr int kSeconds = 600;
  ExpirerProcess& expirer = side->stage->expirer();
  for (int second = 0; second < kSeconds; ++second) {
    const double before_ms = expirer.CpuMs();
    std::this_thread::sleep_for(std::chrono::seconds(1));
    if (expirer.CpuMs() - before_ms <= kIdleMs) return expirer.Alive();
  }
  return Unavailable("the service never came to rest");
}

// Any key for a get; the next one not cancelled yet for a cancel.
uint64_t Pick(Side* side, bool cancel, uint64_t n) {
  if (cancel) return side->cancelled++;
  return (n * 7'919 + side->busy * 104'729) % side->pending;
}

absl::Status AskSide(Side* side, bool cancel, uint64_t count, uint64_t at_once,
                     std::vector<int64_t>* took_ns) {
  const std::string subject =
      side->stage->setup().name + (cancel ? ".v1.cancel" : ".v1.get");
  const std::string_view wanted = cancel ? "\"outcome\":\"cancelled\"" : "\"state\":\"";
  std::atomic<uint64_t> wrong = 0;
  RETURN_IF_ERROR(side->stage->link().AskAll(
      count, at_once,
      [&](uint64_t n, OutMessage* out) {
        out->subject = subject;
        out->payload = fmt::format(R"({{"job":"{}/{}"}})", kRule,
                                   ScatteredKey(Pick(side, cancel, n)));
      },
      [&](uint64_t, std::string_view reply, int64_t ns) {
        if (reply.find(wanted) == reply.npos) ++wrong;
        if (took_ns != nullptr) took_ns->push_back(ns);
      }));
  return wrong == 0
             ? absl::OkStatus()
             : Internal(fmt::format("{} replies were not as they must be", wrong.load()));
}

absl::Status Round(Side* side, bool cancel) {
  RETURN_IF_ERROR(AskSide(side, cancel, kAlone, 1, &side->alone_ns));
  const uint64_t busy = cancel ? kCancels : kGets;
  const double before_ms = side->stage->expirer().CpuMs();
  RETURN_IF_ERROR(AskSide(side, cancel, busy, kAtOnce, nullptr));
  side->cpu_ms += side->stage->expirer().CpuMs() - before_ms;
  side->busy += busy;
  return absl::OkStatus();
}

double MedianUs(std::vector<int64_t> ns) {
  std::nth_element(ns.begin(), ns.begin() + static_cast<int64_t>(ns.size() / 2),
                   ns.end());
  return static_cast<double>(ns[ns.size() / 2]) / 1e3;
}

absl::Status Compare(std::array<Side, 2>* sides, bool cancel, Report* report) {
  for (Side& side : *sides) {
    side.alone_ns.clear();
    side.cpu_ms = 0;
    side.busy = 0;
    RETURN_IF_ERROR(Round(&side, cancel));  // warms up
    side.alone_ns.clear();
    side.cpu_ms = 0;
    side.busy = 0;
  }
  for (uint64_t round = 0; round < kRounds; ++round)
    for (Side& side : *sides) RETURN_IF_ERROR(Round(&side, cancel));
  const std::string verb = cancel ? "cancel" : "get";
  std::array<double, 2> us{};
  std::array<double, 2> cpu_us{};
  for (size_t i = 0; i < 2; ++i) {
    const Side& side = (*sides)[i];
    us[i] = MedianUs(side.alone_ns);
    cpu_us[i] = side.cpu_ms * 1e3 / static_cast<double>(side.busy);
    const std::string of = i == 0 ? "few" : "many";
    report->Figure(verb + "_us_" + of, fmt::format("{}, {} pending, median", verb, of),
                   us[i], 0, "us");
    report->Figure(verb + "_cpu_us_" + of,
                   fmt::format("{}, {} pending, processor time", verb, of), cpu_us[i], 1,
                   "us");
  }
  report->Figure(verb + "_ratio", verb + ", many / few, median", us[1] / us[0], 2, "",
                 AtMost(2));
  report->Figure(verb + "_cpu_ratio", verb + ", many / few, processor time",
                 cpu_us[1] / cpu_us[0], 2, "", AtMost(2));
  return absl::OkStatus();
}

}  // namespace

absl::Status Asking(const Options& options, uint64_t pending, Report* report) {
  report->Setting("few", static_cast<double>(kFew));
  report->Setting("many", static_cast<double>(pending));
  std::array<Side, 2> sides;
  for (size_t i = 0; i < 2; ++i) {
    sides[i].pending = i == 0 ? kFew : pending;
    ASSIGN_OR_RETURN(sides[i].stage, Stage::Set(options, "asking"));
    RETURN_IF_ERROR(
        Fill(options, sides[i].stage->setup(), sides[i].pending, "scattered"));
    RETURN_IF_ERROR(sides[i].stage->StartExpirer());
    RETURN_IF_ERROR(sides[i].stage->AwaitReady());
  }
  for (Side& side : sides) RETURN_IF_ERROR(AwaitIdle(&side));
  RETURN_IF_ERROR(Compare(&sides, /*cancel=*/false, report));
  RETURN_IF_ERROR(Compare(&sides, /*cancel=*/true, report));
  for (Side& side : sides) RETURN_IF_ERROR(side.stage->expirer().Stop());
  return absl::OkStatus();
}

}  // namespace expirer::load
