// A store and its streams that do not know each other: admission, rebuilds,
// and jobs whose rule is gone.

#include <gmock/gmock.h>

#include "api/dead.h"
#include "sched/rebuild.h"
#include "sched/streams.h"
#include "unit/sched/world.h"

namespace expirer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

SchedulerOptions Waiting() {
  SchedulerOptions options;
  options.wait_for_admission = true;
  return options;
}

// Asks for a rebuild, as the ingress does, and lets the store note it.
void AskForRebuild(World* w) {
  w->FallBehind();
  w->inbox_->Complete(RebuildAsked{});
  w->Run();
}

std::string DeadReason(World* w, const std::string& key) {
  std::string value;
  const auto found = w->store_->GetDead(DeadJobKey("r", key), &value);
  if (!found.ok() || !*found) return "";
  const auto dead = DecodeDead(value);
  return dead.ok() ? dead->reason : "malformed";
}

TEST(Install, NothingFiresBeforeAdmission) {
  World w({TestRule("r")}, Waiting());
  w.Schedule("a", kNow + 10, {1});
  w.Run();
  w.Advance(60'000);
  EXPECT_THAT(w.bus_->published(), IsEmpty());
  w.inbox_->Complete(Admitted{});
  w.Run();
  EXPECT_THAT(w.bus_->published(), SizeIs(1));
}

TEST(Install, WhatWasReadIsMarkedInTheWriteThatKeepsIt) {
  World w({TestRule("r"), TestRule("s")});
  w.Schedule("a", kNow + 10, {.seq = 7});
  w.Reject("bad", {.seq = 8});
  w.Schedule("b", kNow + 10, {.seq = 3, .stream = "T", .rule = 1});
  w.Push(IgnoreIntent{}, {.seq = 9});
  w.Schedule("a", kNow + 10, {.seq = 7});  // delivered again
  w.Step();
  w.Stop();
  w.Start();
  const auto marks = Streams::ReadUpTo(*w.store_);
  ASSERT_TRUE(marks.ok());
  EXPECT_THAT(*marks, ElementsAre(std::pair(SourceKey("r", "S"), 9u),
                                  std::pair(SourceKey("s", "T"), 3u)));
}

TEST(Install, AMarkBeginsAnewWithItsStream) {
  World w;
  w.Schedule("a", kNow + 10, {100, kNow});
  w.Schedule("b", kNow + 10, {2, kNow + 1});
  w.Run();
  EXPECT_THAT(*Streams::ReadUpTo(*w.store_),
              ElementsAre(std::pair(SourceKey("r", "S"), 2u)));
}

TEST(Install, ARebuildBeginsOnlyWhenItIsDurable) {
  World w;
  w.FallBehind();
  w.inbox_->Complete(RebuildAsked{});
  w.Step();
  EXPECT_EQ(w.bus_->rebuilds(), 0u);
  w.Sync();
  w.Step();
  EXPECT_EQ(w.bus_->rebuilds(), 1u);
  EXPECT_TRUE(Rebuild::Load(*w.store_)->open);
}

TEST(Install, ARebuildFiresNothingBeforeEverythingWasReadHoweverLongItTakes) {
  World w({TestRule("r"), TestRule("s")});
  AskForRebuild(&w);
  w.Schedule("later", kNow + 1'000, {.seq = 1});
  w.Run();
  w.Read(0, RuleRead::State::kCaughtUp);
  w.Advance(3'600'000);
  EXPECT_THAT(w.bus_->published(), IsEmpty());
  EXPECT_TRUE(w.stats().rebuilding);
  w.Read(1, RuleRead::State::kCaughtUp);
  w.Run();
  EXPECT_FALSE(w.stats().rebuilding);
  EXPECT_THAT(w.Fires(), ElementsAre(HasSubstr("r/later/")));
}

TEST(Install, WhatFellDueBeforeARebuildIsKeptAsMayHaveFired) {
  World w;
  AskForRebuild(&w);
  w.Schedule("before", kNow - 1, {1});
  w.Schedule("at", kNow, {2});
  w.Schedule("after", kNow + 1, {3});
  w.Schedule("cancelled", kNow - 5, {4});
  w.Cancel("cancelled", {5});
  w.Run();
  w.Advance(100);
  w.CatchUp();
  w.Run();
  EXPECT_THAT(w.Fires(), ElementsAre(HasSubstr("r/after/")));
  EXPECT_EQ(w.State("before"), JobState::kDead);
  EXPECT_EQ(w.State("at"), JobState::kDead);
  EXPECT_EQ(DeadReason(&w, "before"), "may have fired");
  EXPECT_EQ(w.State("cancelled"), JobState::kCancelled);
  EXPECT_EQ(w.stats().may_have_fired, 2u);
}

TEST(Install, WhatFellDueBeforeARebuildFiresWhenAskedFor) {
  SchedulerOptions options;
  options.fire_overdue = true;
  World w({TestRule("r")}, options);
  AskForRebuild(&w);
  w.Schedule("before", kNow - 1, {1});
  w.Run();
  w.CatchUp();
  w.Run();
  EXPECT_THAT(w.Fires(), ElementsAre(HasSubstr("r/before/")));
  w.options_.fire_overdue = false;  // it was decided for good
  w.Stop();
  w.Start();
  w.Confirm();
  EXPECT_EQ(w.State("before"), JobState::kFired);
}

TEST(Install, AnEventAfterARebuildThatIsDueInThePastFires) {
  World w;
  AskForRebuild(&w);
  w.CatchUp();
  w.Run();
  w.Schedule("a", kNow - 1'000, {1});
  w.Run();
  EXPECT_THAT(w.Fires(), ElementsAre(HasSubstr("r/a/")));
}

TEST(Install, AJobThatMayHaveFiredFiresWhenRequeued) {
  World w;
  AskForRebuild(&w);
  w.Schedule("a", kNow - 1'000, {1});
  w.Run();
  w.CatchUp();
  w.Run();
  ASSERT_EQ(w.State("a"), JobState::kDead);
  DeadCommand request;
  request.query.one = true;
  request.entries.push_back({DeadJobKey("r", "a"), {}, {}, ""});
  ASSERT_TRUE(w.inbox_->TakePlace());
  w.inbox_->Ask(std::make_unique<DeadCommand>(std::move(request)));
  w.Run();
  EXPECT_THAT(w.Fires(), ElementsAre(HasSubstr("r/a/")));
}

TEST(Install, AnOpenRebuildGoesOnAfterAKill) {
  World w({TestRule("r"), TestRule("s")});
  w.Schedule("before", kNow + 10, {.seq = 1});
  w.Run();
  w.clock_.Step(kNow + 1'000);
  AskForRebuild(&w);
  w.Stop();
  w.Start(/*catch_up=*/false);
  EXPECT_TRUE(w.stats().rebuilding);
  w.Advance(3'600'000);
  EXPECT_THAT(w.bus_->published(), IsEmpty());
  w.CatchUp();
  w.Run();
  EXPECT_THAT(w.bus_->published(), IsEmpty());
  EXPECT_EQ(w.State("before"), JobState::kDead);
  w.Stop();
  w.Start();
  EXPECT_FALSE(w.stats().rebuilding);
  EXPECT_THAT(w.bus_->published(), IsEmpty());
}

TEST(Install, AKillWhileWhatMayHaveFiredIsPutAwayFiresNoneOfIt) {
  SchedulerOptions options;
  options.batch = 2;  // a Step puts two away
  World w({TestRule("r")}, options);
  for (uint64_t i = 1; i <= 10; ++i) w.Schedule(std::to_string(i), kNow - 1, {i});
  AskForRebuild(&w);
  w.CatchUp();
  for (int i = 0; i < 3; ++i) w.Step();
  w.Stop();
  w.Start();
  w.Advance(10'000);
  EXPECT_THAT(w.bus_->published(), IsEmpty());
  for (int i = 1; i <= 10; ++i) EXPECT_EQ(w.State(std::to_string(i)), JobState::kDead);
}

TEST(Install, OrphanedJobsRefuseTheStart) {
  World w({TestRule("r"), TestRule("gone")});
  w.Schedule("a", kNow + 10, {.seq = 1, .rule = 1});
  w.Run();
  w.Stop();
  w.rules_.pop_back();
  w.store_ = *Store::Open({.path = w.dir_.path() + "/store"});
  Inbox inbox(1, [] {});
  MemoryBus bus(&inbox);
  Scheduler refused(w.options_, w.rules_, w.store_.get(), nullptr, &bus, &bus);
  const absl::Status status = refused.Load(w.Now());
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(status), HasSubstr("rule \"gone\""));
  EXPECT_THAT(Message(status), HasSubstr("--orphans=fire"));
  w.store_.reset();
}

TEST(Install, HeldOrphansStayUntouchedUntilTheirRuleIsBack) {
  World w({TestRule("r"), TestRule("gone")});
  w.Schedule("a", kNow + 10, {.seq = 1, .rule = 1});
  w.Run();
  w.Stop();
  w.rules_.pop_back();
  w.options_.orphans = Orphans::kHold;
  w.Start();
  w.Advance(60'000);
  EXPECT_THAT(w.bus_->published(), IsEmpty());
  w.Stop();
  w.rules_.push_back(TestRule("gone"));
  w.Start();
  EXPECT_THAT(w.Fires(), ElementsAre(HasSubstr("gone/a/")));
}

TEST(Install, OrphansFireWhenTheyAreDueWhenAskedFor) {
  World w({TestRule("r"), TestRule("gone")});
  w.Schedule("early", kNow + 10, {.seq = 1, .rule = 1});
  w.Schedule("late", kNow + 50'000, {.seq = 2, .rule = 1});
  w.Schedule("mine", kNow + 10, {.seq = 3});
  w.Run();
  w.Stop();
  w.rules_.pop_back();
  w.options_.orphans = Orphans::kFire;
  w.Start();
  w.Advance(10);
  EXPECT_THAT(w.Fires(), ElementsAre(HasSubstr("gone/early/"), HasSubstr("r/mine/")));
  w.Confirm();
  w.Advance(49'990);
  EXPECT_THAT(w.Fires(), ElementsAre(HasSubstr("gone/early/"), HasSubstr("r/mine/"),
                                     HasSubstr("gone/late/")));
  w.bus_->Answer(w.LastAttempt(), PubAnswer::Kind::kRefused, "full");
  w.Run();
  w.Advance(10'000);
  w.Confirm();
  w.Stop();
  w.options_.orphans = Orphans::kRefuse;  // there are none any more
  w.Start();
}

}  // namespace
}  // namespace expirer
