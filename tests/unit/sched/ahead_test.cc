// What was written while the host's clock was ahead, once it was stepped back.
#include "sched/ahead.h"

#include <gmock/gmock.h>

#include "store/meta.h"
#include "unit/sched/world.h"

namespace expirer {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr int64_t kHour = 3'600'000;
constexpr size_t kOverdue = 40;
constexpr size_t kRetried = 3;

// Forty overdue jobs under `rate: 5`, and three that are refused.
std::vector<Rule> PacedAndRefused() {
  std::vector<Rule> rules = {TestRule("paced"), TestRule("refused")};
  rules[0].rate = 5;
  rules[1].retry = {1'000, 2'000, 0};
  return rules;
}

// The stream of one target is full, all others take what comes.
void Answer(World* w) {
  std::vector<uint64_t> refused;
  for (const auto& [attempt, message] : w->bus_->in_flight())
    if (message.target == "full") refused.push_back(attempt);
  for (const uint64_t attempt : refused)
    w->bus_->Answer(attempt, PubAnswer::Kind::kRefused, "full");
  w->Confirm();
}

void Pass(World* w, int quarters_of_a_second) {
  for (int i = 0; i < quarters_of_a_second; ++i) {
    Answer(w);
    w->Advance(250);
  }
  Answer(w);
}

// They come in while the clock is an hour ahead, which is for four seconds.
void ComeInAnHourAhead(World* w) {
  w->clock_.Step(kNow + kHour);
  for (uint64_t i = 0; i < kOverdue; ++i)
    w->Schedule("late" + std::to_string(i), kNow - 1'000, {i + 1});
  for (uint64_t i = 0; i < kRetried; ++i)
    w->Schedule("again" + std::to_string(i), kNow - 1'000, {.seq = i + 1, .rule = 1},
                "{}", "full");
  w->Run();
  Pass(w, 16);
}

size_t FiresOf(const World& w, const std::string& rule) {
  size_t count = 0;
  for (const std::string& fire : w.Fires()) count += fire.starts_with(rule + "/") ? 1 : 0;
  return count;
}

TEST(Ahead, OverdueAndRetryingJobsDoNotWaitOutAStepBack) {
  World w(PacedAndRefused());
  ComeInAnHourAhead(&w);
  const size_t before = FiresOf(w, "paced");
  const size_t retried = FiresOf(w, "refused");
  ASSERT_LT(before, 25u);
  w.clock_.Step(kNow + 4'000);
  w.Run();
  Pass(&w, 40);
  EXPECT_EQ(FiresOf(w, "paced"), kOverdue);
  EXPECT_GT(FiresOf(w, "refused"), retried + kRetried);
}

TEST(Ahead, OverdueAndRetryingJobsDoNotWaitOutAStepBackWhileNoProcessRan) {
  World w(PacedAndRefused());
  ComeInAnHourAhead(&w);
  const size_t before = FiresOf(w, "paced");
  w.Stop();
  w.clock_.Step(kNow + 5'000);
  w.Start();
  Pass(&w, 40);
  EXPECT_EQ(FiresOf(w, "paced"), kOverdue - before);
  EXPECT_GT(FiresOf(w, "refused"), kRetried);
}

// Their rows stood ahead when the next process began to look, and it had not written
// the new ones before it ended.
TEST(Ahead, AProcessThatEndsAmidTheLookLeavesItToTheNext) {
  World w(PacedAndRefused());
  ComeInAnHourAhead(&w);
  const size_t before = FiresOf(w, "paced");
  w.Stop();
  w.clock_.Step(kNow + 5'000);
  for (int i = 0; i < 3; ++i) {
    w.Begin();
    w.Step();  // without the link; what it staged at its end is lost
    w.Stop();
    w.clock_.Advance(100);
  }
  w.clock_.Advance(120'000);
  w.Start();
  Pass(&w, 40);
  EXPECT_EQ(FiresOf(w, "paced"), kOverdue - before);
}

TEST(Ahead, AnAttemptThatWasLostAfterAStepBackIsMadeAgainAtOnce) {
  World w;
  w.clock_.Step(kNow + kHour);
  w.Schedule("a", kNow - 1'000, {1});
  w.Run();
  ASSERT_THAT(w.bus_->published(), SizeIs(1));
  w.clock_.Step(kNow);
  w.Run();
  w.bus_->SetConnected(false);
  w.Run();
  w.bus_->SetConnected(true);
  w.CatchUp();
  w.Run();
  EXPECT_THAT(w.bus_->published(), SizeIs(2));
}

TEST(Ahead, AnAttemptThatEndedWithItsProcessAfterAStepBackIsMadeAgainAtOnce) {
  World w;
  w.clock_.Step(kNow + kHour);
  w.Schedule("a", kNow - 1'000, {1});
  w.Run();
  ASSERT_THAT(w.bus_->published(), SizeIs(1));
  w.clock_.Step(kNow);
  w.Advance(2'000);
  w.Stop();
  w.Start();
  EXPECT_THAT(w.bus_->published(), SizeIs(1));
}

// The schedule that waits for how an attempt ends waits for nothing else then.
TEST(Ahead, WhatWaitedForAnAttemptThroughAStepBackIsSentWhenThatFailed) {
  World w;
  w.clock_.Step(kNow + kHour);
  w.Schedule("a", kNow - 1'000, {1}, "old");
  w.Run();
  w.Schedule("a", kNow - 1'000, {2, kNow + 1}, "new");
  w.Run();
  ASSERT_THAT(w.bus_->published(), SizeIs(1));
  w.clock_.Step(kNow);
  w.Run();
  w.bus_->Answer(w.LastAttempt(), PubAnswer::Kind::kRefused, "full");
  w.Run();
  ASSERT_THAT(w.bus_->published(), SizeIs(2));
  EXPECT_EQ(w.bus_->published()[1].body, "new");
}

TEST(Ahead, DueAloneIsTheUsers) {
  World w;
  const int64_t due = kNow + kHour / 2;
  w.bus_->SetConnected(false);
  w.clock_.Step(kNow + kHour);
  w.Schedule("a", due, {1});
  w.Run();
  w.clock_.Step(kNow);
  w.Run();
  w.bus_->SetConnected(true);
  w.CatchUp();
  w.AdvanceTo(due - 1);
  EXPECT_THAT(w.bus_->published(), IsEmpty());
  w.CatchUp();
  w.AdvanceTo(due);
  EXPECT_THAT(w.bus_->published(), SizeIs(1));
}

TEST(Ahead, OverdueJobsAreSentInTheOrderInWhichTheyCame) {
  World w;
  w.bus_->SetConnected(false);
  w.clock_.Step(kNow + kHour);
  std::vector<std::string> order;
  for (int i = 9; i > 0; --i) {
    const std::string key = std::to_string(i);
    w.Schedule(key, kNow - 1'000, {static_cast<uint64_t>(10 - i), kNow + 10 - i});
    w.Advance(10);
    order.push_back("r/" + key + "/" + std::to_string(kNow - 1'000));
  }
  w.clock_.Step(kNow);
  w.Run();
  w.bus_->SetConnected(true);
  w.CatchUp();
  w.Run();
  EXPECT_EQ(w.Fires(), order);
}

TEST(Ahead, AlsoWhatStandsBeyondTheWindowIsFound) {
  SchedulerOptions options;
  options.window = 10;
  World w({TestRule("r")}, options);
  constexpr uint64_t kJobs = 40'000;
  for (uint64_t i = 1; i <= kJobs; ++i) {
    w.Schedule(std::to_string(i), kNow + kHour / 2 + static_cast<int64_t>(i), {i});
    if (i % 1'000 == 0) w.Run();
  }
  ASSERT_LT(w.stats().window, kJobs) << "all is held";
  w.bus_->SetConnected(false);
  w.clock_.Step(kNow + kHour);
  w.Schedule("late", kNow - 1'000, {kJobs + 1});
  w.Run();
  w.clock_.Step(kNow);
  w.Run();
  w.bus_->SetConnected(true);
  w.CatchUp();
  w.Run();
  EXPECT_THAT(w.Fires(), ElementsAre("r/late/" + std::to_string(kNow - 1'000)));
}

TEST(Ahead, AStartAloneMovesNothing) {
  World w(PacedAndRefused());
  w.Schedule("again", kNow, {.seq = 1, .rule = 1}, "{}", "full");
  w.Schedule("later", kNow + kHour, {1});
  w.Run();
  Answer(&w);
  const auto again = w.Known("again", 1);
  const auto later = w.Known("later");
  ASSERT_EQ(again->state, JobState::kRetrying);
  w.Stop();
  w.Start();
  EXPECT_EQ(w.Known("again", 1), again);
  EXPECT_EQ(w.Known("later"), later);
}

// Whose row no longer tells by its place that it may have been sent.
TEST(Ahead, WhatMayHaveBeenSentIsStillTooLateToCancel) {
  World w;
  const int64_t due = kNow + kHour / 2;
  w.clock_.Step(kNow + kHour);
  w.Schedule("a", due, {1});
  w.Run();
  ASSERT_THAT(w.bus_->published(), SizeIs(1));
  w.bus_->SetConnected(false);
  w.Run();
  w.clock_.Step(kNow);
  w.Advance(120'000);
  for (const bool restart : {false, true}) {
    if (restart) {
      w.Stop();
      w.StartApart();
    }
    ASSERT_LT(w.Known("a")->job->key_ms, kNow + kHour);
  }
  w.Cancel("a", {2, kNow + 1});
  w.Run();
  EXPECT_EQ(w.stats().too_late, 1u);
  EXPECT_EQ(w.stats().cancelled, 0u);
}

TEST(Ahead, WhatMayHaveFiredBeforeARebuildDoesNotFireAfterAStepBack) {
  World w;
  w.clock_.Step(kNow + kHour);
  w.FallBehind();
  w.inbox_->Complete(RebuildAsked{});
  w.Run();
  w.bus_->SetConnected(false);
  w.Schedule("a", kNow - 1'000, {1});
  w.Run();
  w.CatchUp();
  w.Run();
  ASSERT_FALSE(w.stats().rebuilding);
  w.clock_.Step(kNow);
  w.Run();
  w.bus_->SetConnected(true);
  w.CatchUp();
  w.Run();
  EXPECT_THAT(w.bus_->published(), IsEmpty());
  EXPECT_EQ(w.State("a"), JobState::kDead);
}

// Clocks that are slewed, or read on two processors.
TEST(Ahead, AFewMillisecondsAreNoStep) {
  World w;
  w.bus_->SetConnected(false);
  w.Schedule("a", kNow - 1'000, {1});
  w.Run();
  const auto known = w.Known("a");
  w.clock_.Step(kNow - 5);
  w.Run();
  EXPECT_EQ(w.Known("a"), known);
}

TEST(Ahead, TheNoteOfAStepBackGoesWhenTheClockShowsThatTimeAgain) {
  World w;
  w.clock_.Step(kNow + kHour);
  w.Run();
  w.clock_.Step(kNow);
  w.Run();
  std::string note;
  EXPECT_TRUE(*w.store_->GetMeta(kMetaAhead, &note));
  w.Advance(kHour);
  EXPECT_FALSE(*w.store_->GetMeta(kMetaAhead, &note));
}

}  // namespace
}  // namespace expirer
