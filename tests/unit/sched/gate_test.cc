// The gate of a rule: what waits for the cancels of an outage or a gap, for what,
// and for how long at most.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/sched/world.h"

namespace expirer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

using State = RuleRead::State;

SchedulerOptions SettleAfter(int64_t ms) {
  SchedulerOptions options;
  options.settle_ms = ms;
  return options;
}

// As a process does: a Step a second at the least.
void Pass(World* w, int64_t ms) {
  for (; ms > 0; ms -= 100) w->Advance(std::min<int64_t>(ms, 100));
}

// The ingress reads the rule, and had applied by `at_ms` what was published before.
void ReadTo(World* w, State state, int64_t at_ms) {
  w->inbox_->Complete(RuleRead{0, state, {at_ms, at_ms - kNow}});
  w->Run();
}

void Reading(World* w) {
  w->inbox_->Complete(RuleRead{0, State::kReading, {}});
  w->Run();
}

void Away(World* w) {
  w->FallBehind();
  w->Run();
}

void Cut(World* w) {
  w->bus_->SetConnected(false);
  Away(w);
}

// Two jobs, due in a second; the link goes before.
void ScheduleTwoAndCut(World* w) {
  w->Schedule("paid", kNow + 1'000, {1});
  w->Schedule("unpaid", kNow + 1'000, {2});
  w->Run();
  Pass(w, 500);
  Cut(w);
}

void Pay(World* w, uint64_t seq = 3) {
  w->Cancel("paid", {seq, kNow + 600});
  w->Run();
}

TEST(Gate, TheWaitDoesNotRunWhileThereIsNoConnection) {
  World w;
  ScheduleTwoAndCut(&w);
  Pass(&w, 90'000);
  w.bus_->SetConnected(true);  // egress is back, the streams are not
  w.Run();
  Pass(&w, 90'000);
  EXPECT_THAT(w.bus_->published(), IsEmpty());
  Reading(&w);
  Pass(&w, 25'000);
  EXPECT_THAT(w.bus_->published(), IsEmpty());
  Pay(&w);
  w.CatchUp();
  w.Run();
  EXPECT_THAT(w.Fires(), ElementsAre(HasSubstr("/unpaid/")));
  EXPECT_EQ(w.stats().settle_timeouts, 0u);
}

TEST(Gate, NorWhileOnlyTheStreamsAreBack) {
  World w;
  ScheduleTwoAndCut(&w);
  Reading(&w);
  Pass(&w, 90'000);
  w.bus_->SetConnected(true);
  w.Run();
  Pass(&w, 29'000);
  EXPECT_THAT(w.bus_->published(), IsEmpty());
  Pass(&w, 2'000);
  EXPECT_THAT(w.bus_->published(), SizeIs(2));
  EXPECT_EQ(w.stats().settle_timeouts, 1u);
}

TEST(Gate, WhatEgressMissedWaitsForALookAlsoWhenTheStreamsSeemedToBeRead) {
  World w;
  w.Schedule("paid", kNow + 1'000, {1});
  w.Schedule("unpaid", kNow + 1'000, {2});
  w.Run();
  w.bus_->SetConnected(false);  // the other connection is dead, and nobody knows
  Pass(&w, 2'000);
  w.bus_->SetConnected(true);
  w.Run();
  EXPECT_EQ(w.bus_->looks_again(), 2u) << "each connect";
  EXPECT_THAT(w.bus_->published(), IsEmpty());
  Pay(&w);
  w.CatchUp();
  w.Run();
  EXPECT_THAT(w.Fires(), ElementsAre(HasSubstr("/unpaid/")));
}

TEST(Gate, ReconnectsAndStandstillsDoNotBeginTheWaitAnew) {
  World w({TestRule("r")}, SettleAfter(9'000));
  ScheduleTwoAndCut(&w);
  for (int i = 0; i < 4; ++i) {
    w.bus_->SetConnected(true);
    Reading(&w);
    Pass(&w, 1'000);
    EXPECT_THAT(w.bus_->published(), IsEmpty());
    w.clock_.Advance(10'000);
    w.inbox_->Complete(StoodStill{10'000});  // costs the second of CountWaits at most
    Cut(&w);
    Pass(&w, 20'000);
  }
  w.bus_->SetConnected(true);
  Reading(&w);
  Pass(&w, 1'000);
  EXPECT_THAT(w.bus_->published(), SizeIs(2));
}

TEST(Gate, TimeInWhichTheProcessStoodStillIsNoReading) {
  World w;
  w.Schedule("a", kNow + 1'000, {1});
  w.Run();
  Away(&w);
  Reading(&w);
  w.clock_.Advance(40'000);
  w.inbox_->Complete(StoodStill{40'000});
  w.Run();
  Pass(&w, 28'000);
  EXPECT_THAT(w.bus_->published(), IsEmpty());
  Pass(&w, 2'000);
  EXPECT_THAT(w.bus_->published(), SizeIs(1));
}

TEST(Gate, AfterAStartARuleThatIsReadButNotToItsEndFiresAfterTheSettleLimit) {
  World w;
  w.Schedule("a", kNow + 1'000, {1});
  w.Run();
  w.Stop();
  w.clock_.Advance(60'000);
  w.Start(/*catch_up=*/false);
  Reading(&w);
  Pass(&w, 29'900);
  EXPECT_THAT(w.bus_->published(), IsEmpty());
  Pass(&w, 100);
  EXPECT_THAT(w.bus_->published(), SizeIs(1));
  EXPECT_EQ(w.stats().settle_timeouts, 1u);
}

TEST(Gate, OnceItGaveUpTheNextOutageBeginsANewWait) {
  World w;
  w.Schedule("a", kNow + 1'000, {1});
  w.Schedule("b", kNow + 60'000, {2});
  w.Run();
  Away(&w);
  Reading(&w);
  Pass(&w, 31'000);
  EXPECT_THAT(w.bus_->published(), SizeIs(1));
  w.Confirm();
  Away(&w);
  Reading(&w);
  Pass(&w, 29'000);
  EXPECT_THAT(w.bus_->published(), SizeIs(1)) << "b is due";
  Pass(&w, 2'000);
  EXPECT_THAT(w.bus_->published(), SizeIs(2));
  EXPECT_EQ(w.stats().settle_timeouts, 2u);
}

TEST(Gate, BeingCaughtUpEndsTheWait) {
  World w;
  w.Schedule("a", kNow + 40'000, {1});
  w.Run();
  Away(&w);
  Reading(&w);
  Pass(&w, 20'000);
  w.CatchUp();
  w.Run();
  Pass(&w, 10'000);
  Away(&w);
  Reading(&w);
  Pass(&w, 29'000);
  EXPECT_THAT(w.bus_->published(), IsEmpty()) << "due, and a whole wait begins";
}

TEST(Gate, AJobDueDuringTheCatchUpWaitsForWhatWasPublishedBeforeItsDueTime) {
  World w;
  w.Schedule("early", kNow + 1'000, {1});
  w.Schedule("paid", kNow + 3'000, {2});
  w.Schedule("later", kNow + 4'000, {3});
  w.Run();
  Away(&w);
  Pass(&w, 2'000);
  ReadTo(&w, State::kReading, kNow + 2'000);  // where the stream stood then
  EXPECT_THAT(w.Fires(), ElementsAre(HasSubstr("/early/")));
  Pass(&w, 3'000);
  EXPECT_THAT(w.bus_->published(), SizeIs(1));
  w.Cancel("paid", {4, kNow + 2'900});
  ReadTo(&w, State::kReading, kNow + 3'500);
  EXPECT_THAT(w.bus_->published(), SizeIs(1));
  ReadTo(&w, State::kReading, kNow + 4'500);
  EXPECT_THAT(w.bus_->published(), SizeIs(2)) << "a stream never read to its end";
  EXPECT_THAT(w.Fires()[1], HasSubstr("/later/"));
  EXPECT_EQ(w.stats().catching_up, 1u);
}

TEST(Gate, WhatWasFoundOutBeforeItClosedDoesNotOpenIt) {
  World w;
  w.Schedule("early", kNow + 100, {1});
  w.Schedule("paid", kNow + 1'000, {2});
  w.Run();
  w.clock_.Advance(1'200);
  w.inbox_->Complete(StoodStill{1'200});
  w.Run();
  ReadTo(&w, State::kCaughtUp, kNow + 900);  // asked before the gap was noticed
  EXPECT_THAT(w.Fires(), ElementsAre(HasSubstr("/early/")));
  Pay(&w);
  ReadTo(&w, State::kCaughtUp, kNow + 1'200);
  EXPECT_THAT(w.bus_->published(), SizeIs(1));
  EXPECT_EQ(w.stats().catching_up, 0u);
}

TEST(Gate, AShortGapCostsALookAndNoMore) {
  World w;
  w.Schedule("paid", kNow + 50, {1});
  w.Schedule("unpaid", kNow + 50, {2});
  w.Run();
  const uint64_t looks = w.bus_->looks_again();
  w.clock_.Advance(60);
  w.inbox_->Complete(StoodStill{60});
  w.Run();
  EXPECT_EQ(w.bus_->looks_again(), looks + 1);
  EXPECT_EQ(w.stats().gaps, 1u);
  EXPECT_EQ(w.stats().standstills, 0u);
  EXPECT_THAT(w.bus_->published(), IsEmpty());
  Pay(&w);
  w.CatchUp();
  w.Step();  // no sync is waited for
  EXPECT_THAT(w.Fires(), ElementsAre(HasSubstr("/unpaid/")));
}

TEST(Gate, AShortGapDoesNotCloseOneThatGaveUp) {
  World w;
  w.Schedule("a", kNow + 40'000, {1});
  w.Run();
  Away(&w);
  Reading(&w);
  Pass(&w, 31'000);
  w.inbox_->Complete(StoodStill{60});
  Pass(&w, 10'000);
  EXPECT_THAT(w.bus_->published(), SizeIs(1));
}

TEST(Gate, AMovedKeyFiresOnceAfterAGapAlsoWhenItMayNotReopen) {
  Rule rule = TestRule("r");
  rule.reopen = false;
  World w({rule});
  w.Schedule("k", kNow + 1'000, {1});
  w.Run();
  w.clock_.Advance(1'500);
  w.inbox_->Complete(StoodStill{1'500});
  w.Run();
  w.Schedule("k", kNow + 3'000, {2, kNow + 500});
  w.CatchUp();
  w.Run();
  Pass(&w, 3'000);
  EXPECT_THAT(w.Fires(), ElementsAre(HasSubstr(std::to_string(kNow + 3'000))));
}

// Found by the simulation.
TEST(Gate, WhatWasReadBeforeTheClockSteppedBackIsTakenByTheClockOfToday) {
  World w;
  w.Schedule("paid", kNow + 1'000, {1});
  w.Schedule("unpaid", kNow + 1'000, {2});
  w.Run();
  Away(&w);
  Reading(&w);
  const Instant ahead{kNow + 5'000, w.clock_.MonotonicMs()};
  w.inbox_->Complete(RuleRead{0, State::kReading, ahead});
  w.Advance(1'500);
  EXPECT_THAT(w.bus_->published(), IsEmpty());
  Pay(&w);
  w.CatchUp();
  w.Run();
  EXPECT_THAT(w.Fires(), ElementsAre(HasSubstr("/unpaid/")));
}

TEST(Gate, HowFarWasReadIsNoHigherThanAClockThatSteppedBack) {
  World w;
  w.Schedule("a", kNow + 1'000, {1});
  w.Run();
  Away(&w);
  Pass(&w, 500);
  ReadTo(&w, State::kReading, kNow + 500);
  w.clock_.Step(kNow - 10'000);
  w.Schedule("b", kNow - 5'000, {2, kNow + 501});
  w.Run();
  Pass(&w, 6'000);
  EXPECT_THAT(w.bus_->published(), IsEmpty()) << "b is due the second time";
}

TEST(Gate, OneRulesGateIsNotTheOthers) {
  World w({TestRule("r"), TestRule("s")});
  w.Schedule("a", kNow + 1'000, {1});
  w.Schedule("b", kNow + 1'000, {.seq = 2, .rule = 1});
  w.Run();
  w.Read(0, State::kAway);
  w.Run();
  Pass(&w, 2'000);
  EXPECT_THAT(w.Fires(), ElementsAre(HasSubstr("s/b/")));
}

}  // namespace
}  // namespace expirer
