#include "sched/scheduler.h"

#include <gmock/gmock.h>

#include "unit/sched/world.h"

namespace expirer {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::string Id(const std::string& key, int64_t due_ms, const std::string& rule = "r") {
  return rule + "/" + key + "/" + std::to_string(due_ms);
}

TEST(Scheduler, FiresAtItsDueTimeAndNotAMillisecondEarlier) {
  World w;
  w.Schedule("a", kNow + 1'000, {1});
  w.Run();
  w.Advance(999);
  EXPECT_THAT(w.bus_->published(), IsEmpty());
  w.Advance(1);
  EXPECT_THAT(w.Fires(), ElementsAre(Id("a", kNow + 1'000)));
}

TEST(Scheduler, AsksToBeWokenExactlyWhenTheNextJobIsDue) {
  World w;
  w.Schedule("a", kNow + 700, {1});
  w.Run();
  EXPECT_EQ(w.Step(), kNow + 700);
}

TEST(Scheduler, TellsAClockThatJumpsWhenTheNextJobIsDue) {
  World w;
  w.Schedule("a", kNow + 86'400'000, {1});
  w.Run();
  w.Advance(5'000);
  EXPECT_LE(w.Step(), kNow + 6'000) << "it is called each second";
  EXPECT_EQ(w.scheduler_->next_work_ms(), kNow + 86'400'000);
  EXPECT_EQ(w.scheduler_->pending(), 1u);
  w.Cancel("a", {2});
  w.Run();
  EXPECT_EQ(w.scheduler_->pending(), 0u);
}

TEST(Scheduler, CountsWhatBecameOfTheJobsOfEachQueue) {
  World w({TestRule("r"), TestRule("s")});
  w.Schedule("a", kNow + 1'000, {.seq = 1});
  w.Schedule("a", kNow + 2'000, {.seq = 2});
  w.Schedule("b", kNow + 1'000, {.seq = 3, .rule = 1});
  w.Schedule("c", kNow + 1'000, {.seq = 4, .rule = 1});
  w.Cancel("c", {.seq = 5, .rule = 1});
  w.Reject("bad", {.seq = 6, .rule = 1});
  w.Advance(2'000);
  w.Confirm();
  const std::vector<Outcomes> of = w.stats().outcomes;
  ASSERT_GE(of.size(), 2u);
  EXPECT_EQ(of[0].scheduled, 2u);
  EXPECT_EQ(of[0].moved, 1u);
  EXPECT_EQ(of[0].fired, 1u);
  EXPECT_EQ(of[1].scheduled, 2u);
  EXPECT_EQ(of[1].cancelled, 1u);
  EXPECT_EQ(of[1].fired, 1u);
  EXPECT_EQ(of[1].rejected, 1u);
}

TEST(Scheduler, CountsAttemptsThatFailAndJobsGivenUpByTheirReason) {
  Rule rule = TestRule("r");
  rule.retry.attempts = 1;
  World w({rule});
  w.Schedule("a", kNow + 10, {1});
  w.Schedule("b", kNow + 10, {2});
  w.Run();
  w.Advance(10);
  ASSERT_THAT(w.bus_->published(), SizeIs(2));
  w.bus_->Answer(w.bus_->published()[0].attempt, PubAnswer::Kind::kRefused, "no");
  w.bus_->Answer(w.bus_->published()[1].attempt, PubAnswer::Kind::kNoStream, "nobody");
  w.Run();
  EXPECT_THAT(w.stats().outcomes[0].failed_by, ElementsAre(1, 1, 0, 0, 0));
  EXPECT_EQ(w.stats().dead, 1u);
  EXPECT_EQ(w.stats().outcomes[0].dead_by[static_cast<size_t>(DeadKind::kRefused)], 1u);
  w.Push(RejectIntent{"no key", RejectKind::kKey}, {3});
  w.Run();
  EXPECT_EQ(w.stats().outcomes[0].rejected_by[static_cast<size_t>(RejectKind::kKey)], 1u);
  EXPECT_EQ(w.stats().outcomes[0].rejected, 1u);
}

// Whole milliseconds, each counted in the first bucket whose bound reaches it.
TEST(Scheduler, CountsHowLongEachStageTookByBounds) {
  World w;
  w.Schedule("a", kNow + 10, {1});
  w.Schedule("b", kNow + 10, {2});
  w.Step();
  w.clock_.Advance(3);  // the sync takes this long
  w.Sync();
  w.Run();
  EXPECT_EQ(w.stats().commit_ms.sum(), 6u);
  EXPECT_EQ(w.stats().commit_ms.counts()[2], 2u) << "up to 5 ms";
  EXPECT_EQ(w.stats().batch.counts()[1], 1u) << "one turn with two messages";
  w.Advance(207);  // 200 ms late
  EXPECT_EQ(w.stats().outcomes[0].lateness_ms.sum(), 400u);
  EXPECT_EQ(w.stats().outcomes[0].lateness_ms.counts()[7], 2u) << "up to 200 ms";
  w.clock_.Advance(1);
  w.Confirm();
  EXPECT_EQ(w.stats().answer_ms.sum(), 2u);
  EXPECT_EQ(w.stats().answer_ms.counts()[0], 2u);
}

TEST(Scheduler, CountsTheLatenessOfAJobOnceHoweverOftenItIsTried) {
  World w;
  w.Schedule("a", kNow + 10, {1});
  w.Run();
  w.Advance(13);
  w.bus_->Answer(w.LastAttempt(), PubAnswer::Kind::kRefused, "stream full");
  w.Run();
  w.Advance(60'000);
  ASSERT_THAT(w.bus_->published(), SizeIs(2));
  EXPECT_EQ(w.stats().outcomes[0].lateness_ms.sum(), 3u);
}

// Due 17 minutes ago, and tried since: so it is told, whenever it is tried next.
TEST(Scheduler, OverdueCountsFromDueHoweverOftenAJobIsTriedAgain) {
  World w;
  w.bus_->SetStream("nowhere", false);
  w.Schedule("a", kNow + 10, {1}, "{}", "nowhere");
  w.Schedule("b", kNow + 1'000'000, {2}, "{}", "nowhere");
  w.Run();
  w.Advance(10);
  for (int minute = 0; minute < 17; ++minute) w.Advance(60'000);
  const auto expect = [&w] {
    EXPECT_EQ(w.stats().oldest_due_ms, kNow + 10);
    const Overdue overdue = w.scheduler_->CountOverdue(w.clock_.NowMs());
    EXPECT_THAT(overdue.jobs, ElementsAre(0, 0, 1, 0, 1));
    EXPECT_FALSE(overdue.more);
  };
  EXPECT_EQ(w.State("a"), JobState::kRetrying);
  expect();
  w.Stop();
  w.Start();
  w.bus_->SetStream("nowhere", false);
  expect();
  w.bus_->SetStream("nowhere", true);
  w.Advance(RetryPolicy().max_ms);
  w.Confirm();
  EXPECT_EQ(w.State("a"), JobState::kFired);
  EXPECT_EQ(w.State("b"), JobState::kFired);
  EXPECT_EQ(w.stats().oldest_due_ms, 0);
  EXPECT_THAT(w.scheduler_->CountOverdue(w.clock_.NowMs()).jobs,
              ElementsAre(0, 0, 0, 0, 0));
}

TEST(Scheduler, OverdueCountsFromDueAlsoForAJobThatCameTooLate) {
  World w;
  w.bus_->SetConnected(false);
  w.Run();
  w.Schedule("a", kNow - 3'600'000, {1});
  w.Schedule("b", kNow - 3'500'000, {2});
  w.Run();
  w.Advance(1'000);
  const auto expect = [&w](uint64_t jobs) {
    EXPECT_EQ(w.stats().oldest_due_ms, kNow - 3'600'000);
    EXPECT_THAT(w.scheduler_->CountOverdue(w.clock_.NowMs()).jobs,
                ElementsAre(0, 0, 0, 0, jobs));
  };
  expect(2);
  w.Stop();
  w.StartApart();
  expect(2);
}

TEST(Scheduler, TellsWhenTheNextJobIsDueWhetherOrNotItIs) {
  World w;
  EXPECT_EQ(w.stats().next_due_ms, 0);
  w.Schedule("late", kNow + 500, {1});
  w.Schedule("soon", kNow + 100, {2});
  w.Run();
  EXPECT_EQ(w.stats().next_due_ms, kNow + 100);
  EXPECT_EQ(w.stats().oldest_due_ms, 0);
  w.Advance(150);
  EXPECT_EQ(w.stats().next_due_ms, kNow + 100) << "in flight";
  EXPECT_EQ(w.stats().oldest_due_ms, kNow + 100);
  w.Confirm();
  EXPECT_EQ(w.stats().next_due_ms, kNow + 500);
}

TEST(Scheduler, AckLeavesOnlyAfterTheSyncOfItsWrite) {
  World w;
  w.Schedule("a", kNow + 1'000, {1});
  w.Step();
  w.Step();
  EXPECT_THAT(w.bus_->acked(), IsEmpty());
  EXPECT_GT(w.committer_->wanted(), 0u);
  w.Sync();
  w.Step();
  EXPECT_THAT(w.bus_->acked(), ElementsAre("ack.S.1"));
}

TEST(Scheduler, AckOfAnEventThatChangesNothingWaitsForTheWriteItRead) {
  World w;
  w.Schedule("a", kNow + 1'000, {1});
  w.Step();  // written, not synced
  w.Schedule("a", kNow + 1'000, {1});
  w.Step();
  EXPECT_THAT(w.bus_->acked(), IsEmpty());
  w.Sync();
  w.Step();
  EXPECT_THAT(w.bus_->acked(), SizeIs(2));
}

TEST(Scheduler, OverdueArrivalIsNotDispatchedBeforeItIsDurable) {
  World w;
  w.Schedule("a", kNow - 5, {1});
  w.Step();
  w.Step();
  EXPECT_THAT(w.bus_->published(), IsEmpty());
  w.Sync();
  w.Step();
  EXPECT_THAT(w.Fires(), ElementsAre(Id("a", kNow - 5)));
}

TEST(Scheduler, RowStaysUntilThePubAck) {
  World w;
  w.Schedule("a", kNow + 10, {1});
  w.Run();
  w.Advance(10);
  EXPECT_EQ(w.State("a"), JobState::kPending);
  w.Confirm();
  const auto known = w.Known("a");
  ASSERT_TRUE(known && known->times);
  EXPECT_EQ(known->state, JobState::kFired);
  EXPECT_EQ(known->times->acked_ms, kNow + 10);
  EXPECT_EQ(w.stats().rules.at("r").pending, 0u);
}

TEST(Scheduler, UnconfirmedJobFiresAgainAfterARestartWithTheSameMsgId) {
  World w;
  w.Schedule("a", kNow + 10, {1}, R"({"x":1})");
  w.Run();
  w.Advance(10);
  ASSERT_THAT(w.bus_->published(), SizeIs(1));
  w.Stop();
  w.Start();
  ASSERT_THAT(w.Fires(), ElementsAre(Id("a", kNow + 10)));
  EXPECT_EQ(w.bus_->published()[0].body, R"({"x":1})");
}

TEST(Scheduler, CancelBeforeDueMeansNoFire) {
  World w;
  w.Schedule("a", kNow + 10, {1});
  w.Cancel("a", {2});
  w.Run();
  w.Advance(1'000);
  EXPECT_THAT(w.bus_->published(), IsEmpty());
  EXPECT_EQ(w.State("a"), JobState::kCancelled);
  EXPECT_THAT(w.bus_->acked(), SizeIs(2));
}

TEST(Scheduler, CancelThatCameFirstIsRemembered) {
  World w;
  w.Cancel("a", {2});
  w.Run();
  w.Schedule("a", kNow + 10, {1});
  w.Run();
  w.Advance(1'000);
  EXPECT_THAT(w.bus_->published(), IsEmpty());
}

TEST(Scheduler, NewerScheduleMovesTheJob) {
  World w;
  w.Schedule("a", kNow + 100, {1}, "old");
  w.Run();
  w.Schedule("a", kNow + 50, {2}, "new");
  w.Run();
  w.Advance(50);
  w.Confirm();
  w.Advance(500);
  ASSERT_THAT(w.Fires(), ElementsAre(Id("a", kNow + 50)));
  EXPECT_EQ(w.bus_->published()[0].body, "new");
}

TEST(Scheduler, OlderScheduleThatComesLaterChangesNothing) {
  World w;
  w.Schedule("a", kNow + 50, {2}, "new");
  w.Run();
  w.Schedule("a", kNow + 100, {1}, "old");
  w.Run();
  w.Advance(50);
  w.Confirm();
  w.Advance(500);
  EXPECT_THAT(w.Fires(), ElementsAre(Id("a", kNow + 50)));
}

TEST(Scheduler, FiredKeyWithTheSameDueIsNotFiredAgain) {
  World w;
  w.Schedule("a", kNow + 10, {1});
  w.Run();
  w.Advance(10);
  w.Confirm();
  w.Schedule("a", kNow + 10, {1});  // redelivered
  w.Schedule("a", kNow + 10, {5});  // said again
  w.Run();
  w.Advance(100);
  EXPECT_THAT(w.bus_->published(), SizeIs(1));
}

TEST(Scheduler, CancelWhileInFlightEndsFurtherAttempts) {
  World w;
  w.Schedule("a", kNow + 10, {1});
  w.Run();
  w.Advance(10);
  w.Cancel("a", {2});
  w.Run();
  w.bus_->Answer(w.LastAttempt(), PubAnswer::Kind::kRefused, "stream full");
  w.Run();
  w.Advance(3'600'000);
  EXPECT_THAT(w.bus_->published(), SizeIs(1));
  EXPECT_EQ(w.State("a"), JobState::kCancelled);
  EXPECT_EQ(w.stats().too_late, 1u);
}

TEST(Scheduler, CancelWhileInFlightThenConfirmedCountsAsFired) {
  World w;
  w.Schedule("a", kNow + 10, {1});
  w.Run();
  w.Advance(10);
  w.Cancel("a", {2});
  w.Run();
  w.Confirm();
  EXPECT_EQ(w.State("a"), JobState::kFired);
  w.Schedule("a", kNow + 10, {1});
  w.Run();
  EXPECT_THAT(w.bus_->published(), SizeIs(1));
}

TEST(Scheduler, CancelledInFlightThenConfirmedRemembersTheDueThatFired) {
  World w;
  w.Schedule("a", kNow + 10, {1});
  w.Run();
  w.Advance(10);
  w.Cancel("a", {5});
  w.Run();
  w.Schedule("a", kNow + 100, {3});  // older than the cancel, delivered after it
  w.Run();
  w.Confirm();
  ASSERT_EQ(w.State("a"), JobState::kFired);
  w.Schedule("a", kNow + 100, {6});  // newer than all, and never fired
  w.Run();
  w.Advance(100);
  EXPECT_THAT(w.bus_->published(), SizeIs(2));
}

TEST(Scheduler, AnswerClosesOnlyItsOwnGeneration) {
  World w;
  w.Schedule("a", kNow + 10, {1}, "old");
  w.Run();
  w.Advance(10);
  const uint64_t old_attempt = w.LastAttempt();
  w.Schedule("a", kNow + 500, {2}, "new");
  w.Run();
  w.bus_->Confirm(old_attempt);
  w.Run();
  EXPECT_EQ(w.State("a"), JobState::kPending);
  w.Advance(490);
  ASSERT_THAT(w.bus_->published(), SizeIs(2));
  EXPECT_EQ(w.bus_->published()[1].body, "new");
  w.Confirm();
  EXPECT_EQ(w.State("a"), JobState::kFired);
}

TEST(Scheduler, AnswerToAnUnknownAttemptIsOnlyCounted) {
  World w;
  w.Schedule("a", kNow + 10, {1});
  w.Run();
  w.Advance(10);
  w.inbox_->Complete(PubAnswer{w.LastAttempt() + 77, PubAnswer::Kind::kAck, 1, ""});
  w.Run();
  EXPECT_EQ(w.State("a"), JobState::kPending);
  EXPECT_EQ(w.stats().strange_answers, 1u);
}

TEST(Scheduler, RefusedJobRetriesInItsOwnLaneAndDelaysNobody) {
  World w;
  w.Schedule("bad", kNow + 10, {1}, "{}", "full");
  w.Schedule("good", kNow + 10, {2}, "{}", "out");
  w.Run();
  w.Advance(10);
  ASSERT_THAT(w.bus_->published(), SizeIs(2));
  w.bus_->Answer(w.bus_->published()[0].attempt, PubAnswer::Kind::kRefused,
                 "stream full");
  w.bus_->Confirm(w.bus_->published()[1].attempt);
  w.Run();
  EXPECT_EQ(w.State("bad"), JobState::kRetrying);
  EXPECT_EQ(w.State("good"), JobState::kFired);
  w.Advance(1'000);
  ASSERT_THAT(w.bus_->published(), SizeIs(3));
  EXPECT_EQ(w.bus_->published()[2].MsgId(), w.bus_->published()[0].MsgId());
  EXPECT_EQ(w.bus_->published()[2].Header("Expirer-Attempt"), "2");
  w.Confirm();
  EXPECT_EQ(w.State("bad"), JobState::kFired);
}

TEST(Scheduler, JobIsDeadAfterItsAttemptsAndNewerScheduleReplacesIt) {
  Rule rule = TestRule("r");
  rule.retry.attempts = 2;
  World w({rule});
  w.Schedule("a", kNow + 10, {1});
  w.Run();
  w.Advance(10);
  w.bus_->Answer(w.LastAttempt(), PubAnswer::Kind::kRefused, "no");
  w.Run();
  w.Advance(1'000);
  w.bus_->Answer(w.LastAttempt(), PubAnswer::Kind::kRefused, "still no");
  w.Run();
  EXPECT_EQ(w.State("a"), JobState::kDead);
  EXPECT_EQ(w.stats().rules.at("r").dead_jobs, 1u);
  std::string value;
  ASSERT_TRUE(*w.store_->GetDead(DeadJobKey("r", "a"), &value));
  EXPECT_EQ(DecodeDead(value)->reason, "refused 2 times, last: still no");
  w.Schedule("a", kNow + 5'000, {2});
  w.Run();
  EXPECT_EQ(w.State("a"), JobState::kPending);
  EXPECT_FALSE(*w.store_->GetDead(DeadJobKey("r", "a"), &value));
  EXPECT_EQ(w.stats().rules.at("r").dead_jobs, 0u);
}

TEST(Scheduler, JobThatCanNeverBeDeliveredIsDeadAtOnceAlsoWhenRetriedAndOverCore) {
  Rule core = TestRule("core");
  core.publish[0].via = Transport::kCore;
  World w({TestRule("r"), core});  // retried for ever
  w.Schedule("first", kNow + 10, {1});
  w.Schedule("retried", kNow + 11, {2});
  w.Schedule("plain", kNow + 12, {.seq = 3, .rule = 1});
  w.Run();
  w.Advance(20);
  ASSERT_THAT(w.bus_->published(), SizeIs(3));
  const auto attempt = [&](size_t i) { return w.bus_->published()[i].attempt; };
  w.bus_->Answer(attempt(0), PubAnswer::Kind::kNever, "too large");
  w.bus_->Answer(attempt(1), PubAnswer::Kind::kRefused, "full");
  w.bus_->Answer(attempt(2), PubAnswer::Kind::kNever, "too large");
  w.Run();
  EXPECT_EQ(w.State("first"), JobState::kDead);
  EXPECT_EQ(w.State("retried"), JobState::kRetrying);
  EXPECT_EQ(w.State("plain", 1), JobState::kDead);
  w.Advance(1'000);
  ASSERT_THAT(w.bus_->published(), SizeIs(4));
  w.bus_->Answer(attempt(3), PubAnswer::Kind::kNever, "the limit shrank");
  w.Run();
  EXPECT_EQ(w.State("retried"), JobState::kDead);
  std::string value;
  ASSERT_TRUE(*w.store_->GetDead(DeadJobKey("r", "retried"), &value));
  EXPECT_EQ(DecodeDead(value)->reason, "can never be delivered: the limit shrank");
  constexpr auto kKind = static_cast<size_t>(DeadKind::kUndeliverable);
  EXPECT_EQ(w.stats().outcomes[0].dead_by[kKind], 2u);
  w.Advance(3'600'000);
  EXPECT_THAT(w.bus_->published(), SizeIs(4)) << "tried on";
}

TEST(Scheduler, WithAFullDeadStoreEvenAJobThatCanNeverBeDeliveredIsKeptAndTriedOn) {
  World w({TestRule("r")}, {.dead = 0});
  w.Schedule("a", kNow + 10, {1});
  w.Run();
  w.Advance(10);
  w.bus_->Answer(w.LastAttempt(), PubAnswer::Kind::kNever, "too large");
  w.Run();
  EXPECT_EQ(w.State("a"), JobState::kRetrying);
  w.Advance(RetryPolicy().max_ms);
  EXPECT_THAT(w.bus_->published(), SizeIs(2));
}

TEST(Scheduler, TimeoutsAndMissingStreamsBurnNoAttempt) {
  Rule rule = TestRule("r");
  rule.retry = {.initial_ms = 100, .max_ms = 100, .attempts = 1};
  World w({rule});
  w.Schedule("a", kNow + 10, {1});
  w.Run();
  w.Advance(10);
  for (int i = 0; i < 12; ++i) w.Advance(6'000);
  EXPECT_GE(w.stats().timeouts, 4u);
  w.bus_->Answer(w.LastAttempt(), PubAnswer::Kind::kNoStream, "no stream");
  w.Run();
  EXPECT_EQ(w.State("a"), JobState::kRetrying);
}

TEST(Scheduler, TargetWithoutStreamIsNotPublishedTo) {
  World w;
  w.bus_->SetStream("nowhere", false);
  w.Schedule("a", kNow + 10, {1}, "{}", "nowhere");
  w.Schedule("b", kNow + 11, {2});
  w.Run();
  w.Advance(20);
  EXPECT_THAT(w.Fires(), ElementsAre(Id("b", kNow + 11)));
  w.bus_->SetStream("nowhere", true);
  w.Advance(2'000);
  EXPECT_THAT(w.bus_->published(), SizeIs(2));
}

TEST(Scheduler, UnknownTargetHoldsOnlyItsLane) {
  World w({TestRule("r"), TestRule("other")});
  w.bus_->SetResolving("slow");
  w.Schedule("a", kNow + 10, {1}, "{}", "slow");
  w.Schedule("b", kNow + 10, {.seq = 2, .rule = 1});
  w.Run();
  w.Advance(10);
  EXPECT_THAT(w.Fires(), ElementsAre(Id("b", kNow + 10, "other")));
  w.bus_->SetStream("slow", true);
  w.Run();
  EXPECT_THAT(w.bus_->published(), SizeIs(2));
}

TEST(Scheduler, JobsOfAnUnknownTargetWaitAsideAndLeaveInTheirOrder) {
  World w;
  w.bus_->SetResolving("slow");
  w.Schedule("a", kNow + 10, {1}, "{}", "slow");
  w.Schedule("b", kNow + 11, {2});
  w.Schedule("c", kNow + 12, {3}, "{}", "slow");
  w.Run();
  w.Advance(20);
  EXPECT_THAT(w.Fires(), ElementsAre(Id("b", kNow + 11)));
  EXPECT_EQ(w.stats().oldest_due_ms, kNow + 10);
  EXPECT_EQ(w.scheduler_->CountOverdue(w.clock_.NowMs()).jobs[0], 3U);
  // Known by now, but the core has not heard of it when the next one is due.
  w.Schedule("d", kNow + 30, {4}, "{}", "slow");
  w.Run();
  w.clock_.Advance(20);
  w.bus_->SetStream("slow", true);
  w.inbox_->Drain(10, &w.completions_, &w.requests_);
  const std::vector<Completion> known = std::exchange(w.completions_, {});
  w.Run();
  EXPECT_THAT(w.Fires(), SizeIs(1));
  for (const Completion& one : known) w.inbox_->Complete(one);
  w.Run();
  EXPECT_THAT(w.Fires(), ElementsAre(Id("b", kNow + 11), Id("a", kNow + 10),
                                     Id("c", kNow + 12), Id("d", kNow + 30)));
}

TEST(Scheduler, JobPassesThousandsWhoseTargetsAreUnknown) {
  World w;
  for (uint64_t i = 0; i < 3'000; ++i) {
    const std::string n = std::to_string(i);
    w.bus_->SetResolving("new." + n);
    w.Schedule("a" + n, kNow + 10, {1 + i}, "{}", "new." + n);
  }
  w.Schedule("good", kNow + 10, {4'000});
  w.Run();
  w.Advance(10);
  EXPECT_THAT(w.Fires(), ElementsAre(Id("good", kNow + 10)));
  w.bus_->SetStream("new.77", true);
  w.Run();
  EXPECT_THAT(w.Fires(), ElementsAre(Id("good", kNow + 10), Id("a77", kNow + 10)));
}

TEST(Scheduler, WhatMayWaitAsideIsBoundedAndSharedAndNothingOfItIsLost) {
  World w({TestRule("r"), TestRule("other")});
  constexpr uint64_t kMany = Aside::kRowsMax + 500;
  for (uint64_t i = 0; i < kMany; ++i) {
    const std::string n = std::to_string(i);
    w.bus_->SetResolving("new." + n);
    w.Schedule("a" + n, kNow + 10, {1 + i}, "{}", "new." + n);
  }
  w.bus_->SetResolving("slow");
  w.Schedule("b", kNow + 11, {.seq = 1, .rule = 1}, "{}", "slow");
  w.Schedule("good", kNow + 12, {.seq = 2, .rule = 1});
  w.Schedule("late", kNow + 12, {kMany + 1});
  w.Run();
  w.Advance(20);
  EXPECT_THAT(w.Fires(), ElementsAre(Id("good", kNow + 12, "other")));
  w.bus_->SetStream("slow", true);
  w.Run();
  EXPECT_THAT(w.Fires(),
              ElementsAre(Id("good", kNow + 12, "other"), Id("b", kNow + 11, "other")));
  for (uint64_t i = 0; i < kMany; ++i) {
    w.bus_->SetStream("new." + std::to_string(i), true);
    if (i % 100 == 0) w.Confirm();
  }
  for (int i = 0; i < 10; ++i) w.Confirm();
  EXPECT_THAT(w.bus_->stored(), SizeIs(kMany + 3));
}

TEST(Scheduler, JobThatWaitsAsideIsCancelledInTime) {
  World w;
  w.bus_->SetResolving("slow");
  w.Schedule("a", kNow + 10, {1}, "{}", "slow");
  w.Run();
  w.Advance(20);
  EXPECT_EQ(w.stats().oldest_due_ms, kNow + 10);
  w.Cancel("a", {2});
  w.Run();
  EXPECT_EQ(w.stats().cancelled, 1U);
  EXPECT_EQ(w.stats().too_late, 0U);
  EXPECT_EQ(w.stats().oldest_due_ms, 0);
  w.bus_->SetStream("slow", true);
  w.Run();
  EXPECT_THAT(w.Fires(), IsEmpty());
}

TEST(Scheduler, JobThatWaitsAsideIsFoundByTheNextProcess) {
  World w;
  w.bus_->SetResolving("slow");
  w.Schedule("a", kNow + 10, {1}, "{}", "slow");
  w.Run();
  w.Advance(20);
  for (uint64_t i = 2; i < 8; ++i) {  // the lane's low bound would go up meanwhile
    w.Schedule("b" + std::to_string(i), w.clock_.NowMs(), {i});
    w.Advance(2'000);
    w.Confirm();
  }
  w.Stop();
  w.Start();
  EXPECT_THAT(w.Fires(), ElementsAre(Id("a", kNow + 10)));
}

TEST(Scheduler, JobsThatWaitAsideAreLookedAtAgainAfterAReconnect) {
  World w;
  w.bus_->SetResolving("slow");
  w.Schedule("a", kNow + 10, {1}, "{}", "slow");
  w.Run();
  w.Advance(20);
  w.bus_->SetConnected(false);
  w.Run();
  w.bus_->SetStream("slow", true);
  w.inbox_->Drain(10, &w.completions_, &w.requests_);
  w.completions_.clear();  // no answer comes of what was asked
  w.bus_->SetConnected(true);
  w.CatchUp();
  w.Run();
  EXPECT_THAT(w.Fires(), ElementsAre(Id("a", kNow + 10)));
}

TEST(Scheduler, FloodOfCancelsOfOneRuleLeavesTheKeysOfAnotherClosed) {
  Rule orders = TestRule("orders");
  orders.reopen = false;
  SchedulerOptions options;
  options.history_keys = 100;
  World w({orders, TestRule("flood")}, options);
  for (uint64_t i = 0; i < 20; ++i) w.Cancel("k" + std::to_string(i), {1 + i});
  w.Run();
  for (uint64_t i = 0; i < 300; ++i) {
    w.Cancel("x" + std::to_string(i), {.seq = 1 + i, .rule = 1});
    if (i % 20 == 0) w.Advance(600'000);
  }
  w.Advance(2'000);
  EXPECT_LE(w.stats().closed, 100U);
  EXPECT_GT(w.stats().forgotten, 200U);
  const auto closed = [&] {
    size_t count = 0;
    for (uint64_t i = 0; i < 20; ++i)
      count += w.State("k" + std::to_string(i)) == JobState::kCancelled ? 1 : 0;
    return count;
  };
  EXPECT_EQ(closed(), 20U);
  EXPECT_FALSE(w.State("x0", 1).has_value()) << "forgotten, of the flood";
  EXPECT_TRUE(w.State("x299", 1).has_value());
  w.Stop();
  w.Start();
  EXPECT_EQ(closed(), 20U);
  EXPECT_FALSE(w.State("x0", 1).has_value());
}

// Cancelled far ahead of their due time, the forgotten ones would have been kept long.
TEST(Scheduler, WhatClosesAfterOthersWereForgottenIsRemembered) {
  constexpr int64_t kMonthMs = 30LL * 86'400'000;
  SchedulerOptions options;
  options.history_keys = 10;
  World w({TestRule("r")}, options);
  uint64_t seq = 0;
  for (int i = 0; i < 12; ++i) {
    w.Schedule("far" + std::to_string(i), kNow + kMonthMs, {++seq});
    w.Cancel("far" + std::to_string(i), {++seq});
  }
  w.Run();
  w.Advance(2'000);
  ASSERT_EQ(w.stats().closed, 0U);
  w.Cancel("near", {++seq});
  w.Run();
  EXPECT_EQ(w.State("near"), JobState::kCancelled);
  w.Advance(2'000);
  for (int i = 0; i < 12; ++i) w.Cancel("more" + std::to_string(i), {++seq});
  w.Run();
  w.Advance(2'000);
  EXPECT_FALSE(w.State("far0").has_value()) << "what was forgotten stays so";
}

TEST(Scheduler, RuleWhoseTargetHangsLeavesRoomForOthers) {
  SchedulerOptions options;
  options.in_flight = 64;
  World w({TestRule("hung"), TestRule("other"), TestRule("third")}, options);
  for (uint64_t i = 0; i < 200; ++i)
    w.Schedule("a" + std::to_string(i), kNow + 10, {1 + i});
  w.Run();
  w.Advance(10);
  const size_t hung = w.bus_->in_flight().size();
  EXPECT_GE(hung, 48U);
  EXPECT_LT(hung, 64U);
  const auto others = [&] {
    size_t count = 0;
    for (const std::string& id : w.Fires()) count += id.starts_with("hung/") ? 0 : 1;
    return count;
  };
  // As many others as come one by one, and for minutes; the next ones wait only for
  // these to be answered.
  for (uint64_t i = 0; i < 100; ++i) {
    const RuleIndex rule = i % 2 == 0 ? 1 : 2;
    w.Schedule("b" + std::to_string(i), w.clock_.NowMs(), {.seq = i + 1, .rule = rule});
    w.Run();
    ASSERT_EQ(others(), i + 1);
    w.bus_->Confirm(w.LastAttempt());
    w.Advance(1'000);
    ASSERT_LE(w.bus_->in_flight().size(), hung);
  }
  EXPECT_GT(w.stats().timeouts, 100U);
  // What it holds it gives back.
  for (int i = 0; i < 30; ++i) {
    w.Confirm();
    w.Advance(60'000);
  }
  EXPECT_THAT(w.bus_->stored(), SizeIs(300));
  EXPECT_EQ(w.scheduler_->in_flight(), 0U);
}

TEST(Scheduler, OnlyRuleThereIsUsesAllOfInFlight) {
  SchedulerOptions options;
  options.in_flight = 64;
  World w({TestRule("r")}, options);
  for (uint64_t i = 0; i < 200; ++i)
    w.Schedule("a" + std::to_string(i), kNow + 10, {1 + i});
  w.Run();
  w.Advance(10);
  EXPECT_EQ(w.bus_->in_flight().size(), 64U);
}

TEST(Scheduler, LostConnectionSendsAgainInDueOrderWithoutBurning) {
  World w;
  w.Schedule("a", kNow + 10, {1});
  w.Schedule("b", kNow + 11, {2});
  w.Run();
  w.Advance(20);
  w.bus_->SetConnected(false);
  w.FallBehind();
  w.Run();
  w.Schedule("c", kNow + 15, {3});
  w.Run();
  EXPECT_THAT(w.bus_->published(), SizeIs(2));
  w.bus_->SetConnected(true);
  w.CatchUp();
  w.Run();
  EXPECT_THAT(w.Fires(),
              ElementsAre(Id("a", kNow + 10), Id("b", kNow + 11), Id("a", kNow + 10),
                          Id("b", kNow + 11), Id("c", kNow + 15)));
}

TEST(Scheduler, FirstAttemptsLeaveInDueOrderEqualDuesInArrivalOrder) {
  World w;
  w.Schedule("c", kNow + 30, {1});
  w.Schedule("a2", kNow + 10, {2});
  w.Schedule("a1", kNow + 10, {3});
  w.Schedule("b", kNow + 20, {4});
  w.Run();
  w.Advance(100);
  EXPECT_THAT(w.Fires(), ElementsAre(Id("a2", kNow + 10), Id("a1", kNow + 10),
                                     Id("b", kNow + 20), Id("c", kNow + 30)));
}

TEST(Scheduler, OverdueJobWaitsUntilItsRuleIsCaughtUpSoThatACancelInTimeWins) {
  World w;
  w.Schedule("paid", kNow + 1'000, {1});
  w.Schedule("unpaid", kNow + 1'000, {2});
  w.Run();
  w.Stop();
  w.clock_.Advance(60'000);
  w.Start(/*catch_up=*/false);
  EXPECT_THAT(w.bus_->published(), IsEmpty());
  w.Cancel("paid", {3, kNow + 500});
  w.Run();
  EXPECT_THAT(w.bus_->published(), IsEmpty());
  w.CatchUp();
  w.Run();
  EXPECT_THAT(w.Fires(), ElementsAre(Id("unpaid", kNow + 1'000)));
}

TEST(Scheduler, AfterAStandstillAnOverdueJobWaitsUntilItsRuleIsCaughtUpAgain) {
  World w;
  w.Schedule("paid", kNow + 1'000, {1});
  w.Schedule("unpaid", kNow + 1'000, {2});
  w.Run();
  const uint64_t looks = w.bus_->looks_again();
  w.clock_.Advance(5'000);
  w.inbox_->Complete(StoodStill{5'000});
  w.Run();
  EXPECT_EQ(w.bus_->looks_again(), looks + 1);
  EXPECT_EQ(w.stats().standstills, 1u);
  EXPECT_THAT(w.bus_->published(), IsEmpty());
  w.Cancel("paid", {3, kNow + 500});
  w.Run();
  w.CatchUp();
  w.Run();
  EXPECT_THAT(w.Fires(), ElementsAre(Id("unpaid", kNow + 1'000)));
}

TEST(Scheduler, RejectIsKeptAnnouncedAndTermedAfterTheSync) {
  World w;
  w.Reject("due is missing", {1});
  w.Step();
  EXPECT_THAT(w.bus_->termed(), IsEmpty());
  w.Run();
  ASSERT_THAT(w.bus_->termed(), SizeIs(1));
  EXPECT_EQ(w.bus_->termed()[0].reason, "due is missing");
  ASSERT_THAT(w.bus_->announced(), SizeIs(1));
  EXPECT_EQ(w.bus_->announced()[0].subject, "expirer.v1.rejected.r");
  EXPECT_EQ(w.bus_->announced()[0].payload,
            R"({"reason":"due is missing","stream":"S","seq":1})");
  size_t kept = 0;
  ASSERT_TRUE(w.store_
                  ->VisitDead("",
                              [&](std::string_view, std::string_view value) {
                                ++kept;
                                EXPECT_EQ(DecodeDead(value)->payload, "bad bytes");
                                return absl::OkStatus();
                              })
                  .ok());
  EXPECT_EQ(kept, 1u);
}

TEST(Scheduler, RepeatedRejectIsTheSameEntry) {
  World w;
  w.Reject("bad", {1});
  w.Reject("bad", {1});
  w.Run();
  w.Reject("bad", {1});
  w.Run();
  EXPECT_EQ(w.stats().rules.at("r").rejected, 1u);
  EXPECT_THAT(w.bus_->termed(), SizeIs(3));
}

TEST(Scheduler, FullDeadStoreKeepsReferencesThenDropsAloudAndNeverStalls) {
  SchedulerOptions options;
  options.dead = 2;
  World w({TestRule("r")}, options);
  for (uint64_t seq = 1; seq <= 6; ++seq) w.Reject("bad", {seq, kNow + int64_t(seq)});
  w.Schedule("good", kNow + 10, {7, kNow + 8});
  w.Run();
  EXPECT_THAT(w.bus_->termed(), SizeIs(6));
  EXPECT_EQ(w.stats().rules.at("r").rejected, 4u);
  EXPECT_EQ(w.stats().dropped, 2u);
  size_t references = 0;
  ASSERT_TRUE(w.store_
                  ->VisitDead("",
                              [&](std::string_view, std::string_view value) {
                                references += DecodeDead(value)->reference_only ? 1 : 0;
                                return absl::OkStatus();
                              })
                  .ok());
  EXPECT_EQ(references, 2u);
  w.Advance(10);
  EXPECT_THAT(w.Fires(), ElementsAre(Id("good", kNow + 10)));
}

TEST(Scheduler, UnknownKeyDueBeforeHistoryIsStale) {
  SchedulerOptions options;
  options.history_ms = 1'000;
  World w({TestRule("r")}, options);
  w.Schedule("old", kNow - 1'001, {1});
  w.Schedule("young", kNow - 1'000, {2});
  w.Run();
  EXPECT_THAT(w.Fires(), ElementsAre(Id("young", kNow - 1'000)));
  ASSERT_THAT(w.bus_->termed(), SizeIs(1));
  EXPECT_THAT(w.bus_->termed()[0].reason, ::testing::StartsWith("stale"));
}

TEST(Scheduler, RewoundStreamReadAgainChangesNothing) {
  World w;
  w.Schedule("a", kNow + 10, {5, kNow - 100});
  w.Schedule("b", kNow + 5'000, {6, kNow - 90});
  w.Cancel("b", {7, kNow - 80});
  w.Run();
  w.Advance(10);
  w.Confirm();
  w.Schedule("a", kNow + 10, {5, kNow - 100});
  w.Schedule("b", kNow + 5'000, {6, kNow - 90});
  w.Cancel("b", {7, kNow - 80});
  w.Run();
  w.Advance(10'000);
  EXPECT_THAT(w.bus_->published(), SizeIs(1));
}

TEST(Scheduler, NewLifeOfAStreamOutranksTheOldDespiteLowerSequences) {
  World w;
  w.Schedule("a", kNow + 5'000, {900, kNow - 1'000}, "old life");
  w.Run();
  w.Schedule("a", kNow + 4'000, {3, kNow - 10}, "new life");
  w.Run();
  w.Advance(4'000);
  w.Confirm();
  w.Advance(5'000);
  ASSERT_THAT(w.bus_->published(), SizeIs(1));
  EXPECT_EQ(w.bus_->published()[0].body, "new life");
  EXPECT_EQ(w.stats().rewinds, 1u);
}

TEST(Scheduler, ClockSteppedBackNeverFiresEarly) {
  World w;
  w.Schedule("a", kNow + 1'000, {1});
  w.Run();
  w.clock_.Step(kNow - 3'600'000);
  w.Advance(1'500);
  EXPECT_THAT(w.bus_->published(), IsEmpty());
  w.Schedule("b", w.clock_.NowMs() + 10, {2});
  w.Run();
  w.Advance(10);
  EXPECT_THAT(w.bus_->published(), SizeIs(1));
  w.AdvanceTo(kNow + 1'000);
  EXPECT_THAT(w.bus_->published(), SizeIs(2));
}

TEST(Scheduler, RowWrittenAfterTheClockSteppedBackIsFoundAfterARestart) {
  World w;
  w.Advance(100'000);  // bounds rise to the present
  w.Schedule("x", w.clock_.NowMs() + 1, {1});
  w.Run();
  w.Advance(10);
  w.Confirm();
  w.Advance(5'000);
  w.clock_.Step(kNow - 3'600'000);
  const int64_t due = w.clock_.NowMs() + 500;
  w.Schedule("b", due, {2, kNow + 200'000});
  w.Run();
  w.Stop();
  w.Start();
  w.AdvanceTo(due);
  EXPECT_THAT(w.Fires(), ElementsAre(Id("b", due)));
}

TEST(Scheduler, RetryAfterTheClockSteppedBackWaitsForItsDueTimeAgain) {
  World w;
  const int64_t due = kNow + 60'000;
  w.Schedule("a", due, {1});
  w.AdvanceTo(due);
  ASSERT_THAT(w.bus_->published(), SizeIs(1));
  w.clock_.Step(kNow);
  w.bus_->Answer(w.LastAttempt(), PubAnswer::Kind::kRefused, "full");
  w.Run();
  w.Advance(30'000);
  EXPECT_THAT(w.bus_->published(), SizeIs(1));
  w.AdvanceTo(due);
  EXPECT_THAT(w.bus_->published(), SizeIs(2));
}

TEST(Scheduler, RowStagedBeforeTheClockLeptIsFoundAfterARestart) {
  World w;
  w.Advance(100'000);  // bounds rise to the present
  w.bus_->SetStream("out", false);
  const int64_t due = w.clock_.NowMs() + 10;
  w.Schedule("a", due, {1});
  w.Run();
  w.clock_.Advance(10);
  w.Step();  // finds no stream and stages the retry
  w.clock_.Advance(600'000);
  w.bus_->SetConnected(false);
  w.Run();
  ASSERT_EQ(w.State("a"), JobState::kRetrying);
  w.Stop();
  w.Start();
  EXPECT_THAT(w.Fires(), ElementsAre(Id("a", due)));
}

TEST(Scheduler, ClockSteppedForwardFiresWhatIsDueOnce) {
  World w;
  w.Schedule("a", kNow + 3'600'000, {1});
  w.Run();
  w.clock_.Step(kNow + 3'600'000);
  w.Run();
  w.Confirm();
  w.Advance(1'000);
  EXPECT_THAT(w.bus_->published(), SizeIs(1));
}

TEST(Scheduler, MoreJobsThanTheWindowHoldsAllFireInOrder) {
  SchedulerOptions options;
  options.window = 10;
  World w({TestRule("r")}, options);
  constexpr int kJobs = 60'000;  // several blocks
  for (int i = 0; i < kJobs; ++i) {
    const int shuffled = static_cast<int>((int64_t{i} * 7919) % kJobs);
    w.Schedule(std::to_string(shuffled), kNow + 1'000 + shuffled,
               {static_cast<uint64_t>(i + 1), kNow + i});
    if (i % 500 == 0) w.Run();
  }
  w.Run();
  EXPECT_LT(w.stats().window, 40'000u);
  w.Stop();
  w.Start();
  w.bus_->SetAnswers(MemoryBus::Answers::kAtOnce);
  for (int i = 0; i < 400; ++i) w.Advance(200);
  ASSERT_THAT(w.bus_->published(), SizeIs(kJobs));
  const std::vector<std::string> fires = w.Fires();
  for (int i = 0; i < kJobs; ++i)
    ASSERT_EQ(fires[static_cast<size_t>(i)], Id(std::to_string(i), kNow + 1'000 + i));
}

TEST(Scheduler, InFlightIsBounded) {
  SchedulerOptions options;
  options.in_flight = 3;
  World w({TestRule("r")}, options);
  for (uint64_t i = 1; i <= 10; ++i) w.Schedule(std::to_string(i), kNow + 10, {i});
  w.Run();
  w.Advance(10);
  EXPECT_EQ(w.bus_->in_flight().size(), 3u);
  w.Confirm();
  EXPECT_EQ(w.bus_->in_flight().size(), 3u);
}

TEST(Scheduler, OneStepBeginsAtMostABatchSoThatAStormStarvesNobody) {
  SchedulerOptions options;
  options.batch = 5;
  World w({TestRule("r")}, options);
  for (uint64_t i = 1; i <= 20; ++i) w.Schedule(std::to_string(i), kNow + 10, {i});
  w.Run();
  w.clock_.Advance(10);
  EXPECT_EQ(w.Step(), w.clock_.NowMs());
  EXPECT_THAT(w.bus_->published(), SizeIs(5));
}

TEST(Scheduler, LateArrivalIsSkippedWhenTheRuleSaysSo) {
  Rule rule = TestRule("r");
  rule.publish[0].late = {1'000, LateAction::kSkip};
  World w({rule});
  w.Schedule("late", kNow - 1'001, {1});
  w.Schedule("ok", kNow - 1'000, {2});
  w.Run();
  EXPECT_THAT(w.Fires(), ElementsAre(Id("ok", kNow - 1'000)));
  EXPECT_EQ(w.State("late"), JobState::kSkipped);
}

TEST(Scheduler, LateIsJudgedByTheFirstStartThatFoundTheJobOverdue) {
  Rule rule = TestRule("r");
  rule.publish[0].late = {10'000, LateAction::kSkip};
  World w({rule});
  w.Schedule("soon", kNow + 1'000, {1});
  w.Schedule("early", kNow - 500, {2});
  w.Run();
  w.Stop();
  w.clock_.Step(kNow + 6'000);  // found 5 s late: not too late
  w.Start(/*catch_up=*/false);
  w.Stop();
  w.clock_.Step(kNow + 3'600'000);  // our own slowness does not count
  w.Start();
  EXPECT_THAT(w.Fires(), ElementsAre(Id("early", kNow - 500), Id("soon", kNow + 1'000)));
}

TEST(Scheduler, JobFoundTooLateAfterAProcessGapIsSkipped) {
  Rule rule = TestRule("r");
  rule.publish[0].late = {10'000, LateAction::kSkip};
  World w({rule});
  w.Schedule("a", kNow + 1'000, {1});
  w.Run();
  w.Stop();
  w.clock_.Step(kNow + 60'000);
  w.Start();
  EXPECT_THAT(w.bus_->published(), IsEmpty());
  EXPECT_EQ(w.State("a"), JobState::kSkipped);
}

TEST(Scheduler, ReopenFalseKeepsAFiredOrCancelledKeyClosed) {
  Rule rule = TestRule("r");
  rule.reopen = false;
  World w({rule});
  w.Schedule("fired", kNow + 10, {1});
  w.Schedule("cancelled", kNow + 10, {2});
  w.Cancel("cancelled", {3});
  w.Run();
  w.Advance(10);
  w.Confirm();
  w.Schedule("fired", kNow + 100, {4});
  w.Schedule("cancelled", kNow + 100, {5});
  w.Run();
  w.Advance(1'000);
  EXPECT_THAT(w.bus_->published(), SizeIs(1));
}

TEST(Scheduler, DeletesAloneAreSyncedWithinTheUnsyncedLimit) {
  World w;
  w.Schedule("a", kNow + 10, {1});
  w.Run();
  w.Advance(10);
  w.bus_->ConfirmAll();
  const uint64_t before = w.committer_->wanted();
  w.Step();
  EXPECT_EQ(w.committer_->wanted(), before);
  const int64_t wake = w.Step();
  EXPECT_LE(wake, w.clock_.NowMs() + 50);
  w.clock_.Advance(50);
  w.Step();
  EXPECT_GT(w.committer_->wanted(), before);
}

TEST(Scheduler, LittleDiskSpaceClosesTheIntakeAndFiringGoesOn) {
  World w;
  w.Schedule("a", kNow + 10, {1});
  w.Run();
  w.inbox_->Complete(DiskSpace{1'000});
  w.Run();
  EXPECT_FALSE(w.bus_->intake());
  w.Advance(10);
  EXPECT_THAT(w.bus_->published(), SizeIs(1));
  w.inbox_->Complete(DiskSpace{1'000'000'000'000});
  w.Run();
  EXPECT_TRUE(w.bus_->intake());
  w.inbox_->Complete(DiskSpace{1'000'000'000'000, kResumeInodes - 1});
  w.Run();
  EXPECT_FALSE(w.bus_->intake()) << "a volume is full without inodes, too";
}

TEST(Scheduler, FullHistoryForgetsTheOldestClosedKeysFirst) {
  SchedulerOptions options;
  options.history_keys = 10;
  World w({TestRule("r")}, options);
  w.bus_->SetAnswers(MemoryBus::Answers::kAtOnce);
  for (uint64_t i = 1; i <= 30; ++i) {
    w.Schedule(std::to_string(i), w.clock_.NowMs() + 10, {i, w.clock_.NowMs()});
    w.Run();
    w.Advance(700'000);
  }
  EXPECT_LE(w.stats().closed, 11u);
  EXPECT_GT(w.stats().forgotten, 0u);
  EXPECT_FALSE(w.Known("1"));
  EXPECT_TRUE(w.Known("30"));
}

}  // namespace
}  // namespace expirer
