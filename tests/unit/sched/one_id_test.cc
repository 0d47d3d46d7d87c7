// One message, one id (contract section 4): what is scheduled anew has an id of its
// own, what is sent again has not, and a newer schedule of the same due time waits
// for the attempt that is out.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "job/fired.h"
#include "unit/sched/world.h"

namespace expirer {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

constexpr int64_t kDue = kNow + 100;

std::set<std::string> Ids(const World& w) {
  std::set<std::string> ids;
  for (const auto& message : w.bus_->published()) ids.insert(message.MsgId());
  return ids;
}

std::vector<std::string> StoredBodies(const World& w) {
  std::vector<std::string> bodies;
  for (const auto& message : w.bus_->stored()) bodies.push_back(message.body);
  return bodies;
}

// A job of `first` is in flight, and `second` is scheduled for the same time.
void ReplaceInFlight(World* w) {
  w->Schedule("k", kDue, {1}, "first");
  w->Run();
  w->AdvanceTo(kDue);
  w->Schedule("k", kDue, {2}, "second");
  w->Run();
  w->Advance(10);
}

TEST(OneId, AJobMovedAwayAndBackAfterItsFireIsStoredAgain) {
  World w;
  w.Schedule("k", kDue, {1}, "first");
  w.Run();
  w.AdvanceTo(kDue);
  w.Confirm();
  w.Schedule("k", kDue + 50, {2}, "moved");
  w.Run();
  w.Schedule("k", kDue, {3}, "back");
  w.Run();
  w.Confirm();
  EXPECT_THAT(StoredBodies(w), ElementsAre("first", "back"));
  EXPECT_EQ(w.stats().collisions, 0u);
}

TEST(OneId, AJobCancelledAndScheduledAnewForTheDueTimeOfAnEarlierFireIsStored) {
  World w;
  w.Schedule("k", kDue, {1}, "first");
  w.Run();
  w.AdvanceTo(kDue);
  w.Confirm();
  w.Schedule("k", kDue + 50, {2}, "moved");
  w.Cancel("k", {3});
  w.Run();
  w.Schedule("k", kDue, {4}, "anew");
  w.Run();
  w.Confirm();
  EXPECT_THAT(StoredBodies(w), ElementsAre("first", "anew"));
}

TEST(OneId, TwoServicesWithTheSameRuleKeyAndDueHaveTwoIds) {
  std::set<std::string> ids;
  for (const char* name : {"one", "two"}) {
    SchedulerOptions options;
    options.name = name;
    World w({TestRule("r")}, options);
    w.Schedule("k", kDue, {1});
    w.Run();
    w.AdvanceTo(kDue);
    ids.merge(Ids(w));
  }
  EXPECT_THAT(ids, SizeIs(2));
}

TEST(OneId, ARebuiltStoreGivesTheSameId) {
  std::set<std::string> ids;
  for (int i = 0; i < 2; ++i) {
    World w;
    if (i == 1) w.Schedule("other", kDue + 9'000, {1, kNow, "T"});
    w.Schedule("k", kDue, {7, kNow - 5});
    w.Run();
    w.AdvanceTo(kDue);
    ids.merge(Ids(w));
  }
  EXPECT_THAT(ids, SizeIs(1));
}

TEST(OneId, EachAttemptHasTheIdOfTheFirst) {
  World w;
  w.Schedule("k", kDue, {1});
  w.Run();
  w.AdvanceTo(kDue);
  w.bus_->Answer(w.LastAttempt(), PubAnswer::Kind::kRefused, "full");
  w.Run();
  const std::set<std::string> before = Ids(w);
  w.Stop();
  w.Start();
  w.Advance(5'000);
  ASSERT_THAT(w.bus_->published(), SizeIs(1));
  EXPECT_EQ(Ids(w), before);
}

// A rename keeps the first name, also over two renames; a rule that takes a name
// which another one had first is told apart.
TEST(OneId, RenamedRulesKeepTheirIdsAndNeverShareThem) {
  World w({TestRule("old")});
  w.Schedule("k", kDue, {1});
  w.Run();
  w.Stop();
  w.rules_[0].name = "mid";
  w.rules_[0].was = "old";
  w.Start();
  w.Stop();
  w.rules_[0].name = "new";
  w.rules_[0].was = "mid";
  w.rules_.push_back(TestRule("old"));
  for (int i = 0; i < 2; ++i) {  // the second time it is known from the store
    w.Start();
    w.Schedule("k", kDue, {1, kNow, "S", 1});
    w.Run();
    if (i == 0) w.Stop();
  }
  w.AdvanceTo(kDue);
  EXPECT_THAT(w.Fires(), ElementsAre("old/k/" + std::to_string(kDue),
                                     "old~2/k/" + std::to_string(kDue)));
  EXPECT_THAT(Ids(w), SizeIs(2));
}

// ---- The same due time and content.

TEST(OneId, ANewerScheduleOfTheSameDueAndContentChangesNothing) {
  World w;
  w.Schedule("k", kDue, {1}, "same");
  w.Run();
  const JobKey row = *w.Known("k")->job;
  w.Schedule("k", kDue, {3}, "same");
  w.Run();
  EXPECT_EQ(w.Known("k")->job, row);
  EXPECT_EQ(w.stats().unchanged, 1u);
  EXPECT_EQ(w.stats().moved, 0u);
  // But it counts in the order of events.
  w.Schedule("k", kDue + 50, {2}, "between");
  w.Cancel("k", {2});
  w.Run();
  w.AdvanceTo(kDue);
  w.Confirm();
  w.Schedule("k", kDue + 50, {2}, "between");
  w.Run();
  w.Advance(1'000);
  EXPECT_THAT(StoredBodies(w), ElementsAre("same"));
}

TEST(OneId, OfTheSameDueAndContentTheFirstGivesTheIdAlsoWithinOneTurnAndInFlight) {
  World apart;
  apart.Schedule("k", kDue, {1}, "same");
  apart.Run();
  apart.Schedule("k", kDue, {2}, "same");
  apart.Run();
  apart.AdvanceTo(kDue);
  apart.Schedule("k", kDue, {3}, "same");  // in flight
  apart.Run();
  apart.Schedule("k", kDue + 50, {2}, "older than the last");
  apart.Run();
  apart.bus_->Answer(apart.LastAttempt(), PubAnswer::Kind::kRefused, "full");
  apart.Run();
  apart.Advance(5'000);
  World together;
  together.Schedule("k", kDue, {1}, "same");
  together.Schedule("k", kDue, {2}, "same");
  together.Schedule("k", kDue, {3}, "same");
  together.Run();
  together.AdvanceTo(kDue);
  EXPECT_THAT(apart.bus_->published(), SizeIs(2));
  EXPECT_THAT(together.bus_->published(), SizeIs(1));
  std::set<std::string> ids = Ids(apart);
  ids.merge(Ids(together));
  EXPECT_THAT(ids, SizeIs(1));
}

TEST(OneId, OtherContentOfTheSameDueReplacesAWaitingJobUnderAnIdOfItsOwn) {
  World w;
  w.Schedule("k", kDue, {1}, "first");
  w.Schedule("k", kDue, {2}, "second");
  w.Run();
  w.AdvanceTo(kDue);
  w.Confirm();
  EXPECT_THAT(StoredBodies(w), ElementsAre("second"));
  EXPECT_EQ(
      w.bus_->stored()[0].MsgId().substr(w.bus_->stored()[0].MsgId().rfind('/') + 1),
      SourceText(SourceHash("S", {1, 1, 2, kNow * 1'000'000, {}})));
}

// ---- The same due time, other content, while an attempt is out.

TEST(OneId, ANewerScheduleOfADueTimeThatIsInFlightWaitsAndIsDoneByItsFire) {
  World w;
  ReplaceInFlight(&w);
  EXPECT_THAT(w.bus_->published(), SizeIs(1));
  w.Confirm();
  w.Advance(10'000);
  EXPECT_THAT(StoredBodies(w), ElementsAre("first"));
  ASSERT_EQ(w.State("k"), JobState::kFired);
  EXPECT_EQ(w.Known("k")->schedule->position.seq, 2u);
  EXPECT_EQ(w.stats().rules.at("r").pending, 0u);
}

TEST(OneId, ItTakesTheJobsPlaceWhenTheAttemptIsRefused) {
  World w;
  ReplaceInFlight(&w);
  w.bus_->Answer(w.LastAttempt(), PubAnswer::Kind::kRefused, "full");
  w.Run();
  w.Confirm();
  w.Advance(10'000);
  EXPECT_THAT(StoredBodies(w), ElementsAre("second"));
  EXPECT_EQ(w.State("k"), JobState::kFired);
}

TEST(OneId, ItTakesTheJobsPlaceWhenNoAnswerComes) {
  World w;
  ReplaceInFlight(&w);
  w.Advance(6'000);
  w.Confirm();
  EXPECT_THAT(StoredBodies(w), ElementsAre("second"));
}

TEST(OneId, ItTakesTheJobsPlaceWhenTheLinkIsLost) {
  World w;
  ReplaceInFlight(&w);
  w.bus_->SetConnected(false);
  w.Run();
  w.bus_->SetConnected(true);
  w.Run();
  w.CatchUp();
  w.Run();
  w.Confirm();
  EXPECT_THAT(StoredBodies(w), ElementsAre("second"));
}

TEST(OneId, ItTakesTheJobsPlaceAfterARestart) {
  World w;
  ReplaceInFlight(&w);
  w.Stop();
  w.Start();
  w.Confirm();
  EXPECT_THAT(StoredBodies(w), ElementsAre("second"));
  EXPECT_EQ(w.State("k"), JobState::kFired);
}

TEST(OneId, TheNewestOfSeveralThatWaitTakesTheJobsPlace) {
  World w;
  ReplaceInFlight(&w);
  w.Schedule("k", kDue, {3}, "third");
  w.Run();
  w.Schedule("k", kDue, {4}, "fourth");
  w.Run();
  w.Advance(10);
  EXPECT_THAT(w.bus_->published(), SizeIs(1));
  w.bus_->Answer(w.LastAttempt(), PubAnswer::Kind::kRefused, "full");
  w.Run();
  w.Confirm();
  w.Advance(10'000);
  EXPECT_THAT(StoredBodies(w), ElementsAre("fourth"));
}

TEST(OneId, OneThatWaitsAndIsMovedFiresAtItsNewTime) {
  World w;
  ReplaceInFlight(&w);
  w.Schedule("k", kDue + 500, {3}, "moved");
  w.Run();
  w.Confirm();
  w.AdvanceTo(kDue + 500);
  w.Confirm();
  EXPECT_THAT(StoredBodies(w), ElementsAre("first", "moved"));
}

TEST(OneId, ACancelOfOneThatWaitsIsTooLateAndEndsAllAttempts) {
  for (const bool stored : {true, false}) {
    World w;
    ReplaceInFlight(&w);
    w.Cancel("k", {3});
    w.Run();
    EXPECT_EQ(w.stats().too_late, 1u);
    EXPECT_EQ(w.stats().cancelled, 0u);
    if (stored)
      w.Confirm();
    else
      w.bus_->Answer(w.LastAttempt(), PubAnswer::Kind::kRefused, "full");
    w.Run();
    w.Advance(10'000);
    EXPECT_THAT(w.bus_->published(), SizeIs(1));
    EXPECT_EQ(w.State("k"), stored ? JobState::kFired : JobState::kCancelled);
  }
}

TEST(OneId, OneScheduledAnewAfterACancelOfAnAttemptWaitsForItToo) {
  for (const bool stored : {true, false}) {
    World w;
    w.Schedule("k", kDue, {1}, "first");
    w.Run();
    w.AdvanceTo(kDue);
    w.Cancel("k", {2});
    w.Schedule("k", kDue, {3}, "anew");
    w.Run();
    w.Advance(10);
    EXPECT_THAT(w.bus_->published(), SizeIs(1));
    if (stored)
      w.Confirm();
    else
      w.bus_->Answer(w.LastAttempt(), PubAnswer::Kind::kRefused, "full");
    w.Run();
    w.Confirm();
    EXPECT_THAT(StoredBodies(w), ElementsAre(stored ? "first" : "anew"));
    EXPECT_EQ(w.State("k"), JobState::kFired);
  }
}

// ---- The stream says that it had such a message already.

TEST(OneId, AFirstAttemptThatTheStreamTakesForASecondOneIsTold) {
  World w;
  w.Schedule("k", kDue, {1});
  w.Run();
  w.AdvanceTo(kDue);
  w.bus_->StoreWithoutAnswer(w.LastAttempt());  // as if somebody else had sent it
  w.Confirm();
  EXPECT_EQ(w.stats().collisions, 1u);
  EXPECT_TRUE(w.Known("k")->collision);
  EXPECT_EQ(w.State("k"), JobState::kFired);
}

TEST(OneId, ALaterAttemptMayBeASecondOne) {
  World w;
  w.Schedule("k", kDue, {1});
  w.Run();
  w.AdvanceTo(kDue);
  w.bus_->StoreWithoutAnswer(w.LastAttempt());
  w.Advance(6'000);  // no answer in time
  w.Advance(6'000);
  w.Confirm();
  ASSERT_THAT(w.bus_->published(), SizeIs(2));
  EXPECT_EQ(w.stats().collisions, 0u);
  EXPECT_FALSE(w.Known("k")->collision);
}

// ---- Rows of an older format.

TEST(OneId, ARowOfAnOlderFormatKeepsItsIdAlsoWhenRetriedOrTakenBack) {
  World w;
  w.options_.name = "shop";
  w.Schedule("k", kDue, {1});
  w.Run();
  const JobKey key = *w.Known("k")->job;
  std::string row;
  ASSERT_TRUE(*w.store_->GetJob(key, &row));
  Job job = *DecodeJob(row);
  job.id_form = IdForm::kPlain;
  WriteSet set;
  set.PutJob(key, EncodeJob(job));
  ASSERT_TRUE(w.store_->Write(&set).ok());
  w.AdvanceTo(kDue);
  w.bus_->Answer(w.LastAttempt(), PubAnswer::Kind::kRefused, "full");
  w.Run();
  w.Advance(5'000);
  w.Schedule("k", kDue, {2});  // nothing new
  w.Run();
  w.bus_->Answer(w.LastAttempt(), PubAnswer::Kind::kRefused, "full");
  w.Run();
  w.Advance(9'000);
  ASSERT_THAT(w.bus_->published(), SizeIs(3));
  EXPECT_THAT(Ids(w), ElementsAre("r/k/" + std::to_string(kDue)));
  w.Schedule("k", kDue, {3}, "replaced");
  w.Run();
  w.Confirm();
  w.Advance(100);
  EXPECT_THAT(Ids(w), ElementsAre("r/k/" + std::to_string(kDue)));
}

}  // namespace
}  // namespace expirer
