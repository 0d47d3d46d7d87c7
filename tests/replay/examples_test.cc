// Each rule file of examples/rules, run over its trace in virtual time by the
// real evaluator, scheduler and store: it fires what NAME.fires.jsonl says, and
// when, byte for byte.
#include <algorithm>
#include <filesystem>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "app/config.h"
#include "replay/trace.h"
#include "unit/sched/world.h"

namespace expirer {
namespace {

constexpr char kFolder[] = "examples/rules/";

// A config over its own world; each line of the trace is one message of one
// stream, read by every rule.
class Replay {
 public:
  explicit Replay(const Config& config)
      : world_(config.rules, SchedulerOptions{.history_ms = config.store.history_ms}) {
    for (const Rule& rule : config.rules) {
      evaluators_.push_back(std::make_unique<RuleEvaluator>(rule, config.job_limits()));
    }
  }

  // REQUIRED: not before the events and fires there were.
  void Take(const TraceEvent& event) {
    RunBefore(event.at_ms);
    // What happens in the millisecond of a due time is applied before the fire.
    world_.clock_.Advance(event.at_ms - world_.clock_.NowMs());
    ++seq_;
    Deliver(event);
  }

  // The last event once more, as if its ack had been lost.
  void Repeat(const TraceEvent& event) { Deliver(event); }

  // Until nothing is pending.
  void Finish() {
    RunBefore(INT64_MAX);
    const Stats stats = world_.stats();
    for (const auto& [name, counts] : stats.rules)
      EXPECT_EQ(counts.pending + counts.retrying, 0u) << name;
  }

  [[nodiscard]] const std::string& fires() const { return fires_; }
  [[nodiscard]] Stats stats() const { return world_.stats(); }

 private:
  void Deliver(const TraceEvent& event) {
    for (size_t i = 0; i < evaluators_.size(); ++i) {
      Intent intent = evaluators_[i]->Evaluate(
          {event.subject, event.payload, &event.headers, event.at_ms * 1'000'000},
          event.at_ms);
      NoteDues(intent);
      world_.Push(std::move(intent),
                  {seq_, event.at_ms, "TRACE", static_cast<RuleIndex>(i), {}});
    }
    Run();
  }

  void NoteDues(const Intent& intent) {
    const auto* schedule = std::get_if<ScheduleIntent>(&intent);
    if (schedule == nullptr) return;
    dues_.insert(schedule->job.due_ms);
    for (const Job& job : schedule->more) dues_.insert(job.due_ms);
  }

  // Visits every due time there was before `until_ms`, and the millisecond
  // before it, in which nothing of it may fire.
  void RunBefore(int64_t until_ms) {
    while (!dues_.empty() && *dues_.begin() < until_ms) {
      const int64_t due_ms = *dues_.begin();
      dues_.erase(dues_.begin());
      for (const int64_t at_ms : {due_ms - 1, due_ms}) {
        if (at_ms <= world_.clock_.NowMs()) continue;
        world_.clock_.Advance(at_ms - world_.clock_.NowMs());
        Run();
      }
    }
  }

  // All that happens now; what is published is stored and confirmed at once.
  void Run() {
    world_.Run();
    while (!world_.bus_->in_flight().empty()) world_.Confirm();
    for (const MemoryBus::Published& fire : world_.bus_->published())
      fires_ += FireLine(world_.clock_.NowMs(), fire);
    world_.bus_->ClearRecords();
  }

  World world_;
  std::vector<std::unique_ptr<RuleEvaluator>> evaluators_;
  std::set<int64_t> dues_;
  uint64_t seq_ = 0;
  std::string fires_;
};

std::vector<std::string> Names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder))
    if (entry.path().extension() == ".yaml") names.push_back(entry.path().stem());
  std::sort(names.begin(), names.end());
  return names;
}

class Examples : public testing::TestWithParam<std::string> {};

TEST_P(Examples, FireExactlyWhatTheirFilesSay) {
  const std::string path = kFolder + GetParam();
  const ConfigResult result = ParseConfig(ReadWhole(path + ".yaml"), GetParam());
  ASSERT_THAT(result.errors, testing::IsEmpty());
  EXPECT_THAT(result.warnings, testing::IsEmpty());
  Replay replay(result.config);
  for (const TraceEvent& event : ReadTrace(path + ".trace.jsonl")) replay.Take(event);
  replay.Finish();
  EXPECT_EQ(replay.fires(), ReadWhole(path + ".fires.jsonl"));
  EXPECT_EQ(replay.stats().rejected, 0u);
}

// A redelivery of everything, twice over, changes nothing.
TEST_P(Examples, FireTheSameWhenEveryEventIsDeliveredTwice) {
  const std::string path = kFolder + GetParam();
  const ConfigResult result = ParseConfig(ReadWhole(path + ".yaml"), GetParam());
  ASSERT_THAT(result.errors, testing::IsEmpty());
  Replay replay(result.config);
  for (const TraceEvent& event : ReadTrace(path + ".trace.jsonl")) {
    replay.Take(event);
    replay.Repeat(event);
  }
  replay.Finish();
  EXPECT_EQ(replay.fires(), ReadWhole(path + ".fires.jsonl"));
}

INSTANTIATE_TEST_SUITE_P(Rules, Examples, testing::ValuesIn(Names()),
                         [](const auto& parameter) {
                           std::string name = parameter.param;
                           name.erase(std::remove(name.begin(), name.end(), '-'),
                                      name.end());
                           return name;
                         });

TEST(ExamplesFolder, HoldsTheEightFlows) { EXPECT_EQ(Names().size(), 8u); }

}  // namespace
}  // namespace expirer
