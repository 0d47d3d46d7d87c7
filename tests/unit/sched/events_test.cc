// `events` of a rule: what is announced of its jobs, and when.
#include <gmock/gmock.h>

#include "unit/sched/world.h"

namespace expirer {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Rule Telling(std::initializer_list<JobEvent> events) {
  Rule rule = TestRule("r");
  for (const JobEvent event : events) rule.events |= 1U << static_cast<unsigned>(event);
  return rule;
}

Rule TellingAll() {
  return Telling({JobEvent::kScheduled, JobEvent::kMoved, JobEvent::kCancelled,
                  JobEvent::kFired, JobEvent::kLate, JobEvent::kDead,
                  JobEvent::kSkipped});
}

// The kinds of the announcements so far.
std::vector<std::string> Kinds(const World& w) {
  std::vector<std::string> kinds;
  for (const MemoryBus::Announced& one : w.bus_->announced()) {
    const std::string after = one.subject.substr(std::string("expirer.v1.event.").size());
    kinds.push_back(after.substr(0, after.find('.')));
  }
  return kinds;
}

TEST(Events, ARuleThatAsksForNoneAnnouncesNothing) {
  World w;
  w.Schedule("a", kNow + 100, {1});
  w.Run();
  w.Advance(100);
  w.Confirm();
  EXPECT_EQ(w.stats().fired, 1u);
  EXPECT_THAT(w.bus_->announced(), IsEmpty());
}

TEST(Events, AJobsLifeIsToldInOrderWithItsTimes) {
  World w({TellingAll()});
  w.Schedule("a", kNow + 100, {1});
  w.Run();
  w.Schedule("a", kNow + 200, {2});
  w.Run();
  w.Schedule("b", kNow + 300, {3});
  w.Run();
  w.Cancel("b", {4});
  w.Run();
  w.AdvanceTo(kNow + 205);
  w.Confirm();
  EXPECT_THAT(Kinds(w),
              ElementsAre("scheduled", "moved", "scheduled", "cancelled", "fired"));
  EXPECT_EQ(w.bus_->announced()[1].payload,
            R"({"kind":"moved","at":"2027-01-15T08:00:00.000Z","job":"r/a","rule":"r",)"
            R"("due":"2027-01-15T08:00:00.200Z","target":"out"})");
  EXPECT_EQ(w.bus_->announced()[4].subject, "expirer.v1.event.fired.r");
  EXPECT_EQ(w.bus_->announced()[4].payload,
            R"({"kind":"fired","at":"2027-01-15T08:00:00.205Z","job":"r/a","rule":"r",)"
            R"("due":"2027-01-15T08:00:00.200Z","target":"out","lateness_ms":5})");
}

TEST(Events, OnlyWhatTheRuleAsksForIsAnnounced) {
  World w({Telling({JobEvent::kFired})});
  w.Schedule("a", kNow + 100, {1});
  w.Schedule("a", kNow + 200, {2});
  w.Run();
  w.Advance(200);
  w.Confirm();
  EXPECT_THAT(Kinds(w), ElementsAre("fired"));
}

TEST(Events, NothingIsAnnouncedBeforeItIsDurable) {
  World w({TellingAll()});
  w.Schedule("a", kNow + 1'000, {1});
  w.Step();
  w.Step();
  EXPECT_THAT(w.bus_->announced(), IsEmpty());
  w.Run();
  EXPECT_THAT(Kinds(w), ElementsAre("scheduled"));
}

TEST(Events, WhatChangesNothingAnnouncesNothing) {
  World w({TellingAll()});
  w.Schedule("a", kNow + 1'000, {2});
  w.Run();
  w.Schedule("a", kNow + 1'000, {2});  // delivered again
  w.Schedule("a", kNow + 500, {1});    // older
  w.Cancel("a", {1});
  w.Run();
  EXPECT_THAT(Kinds(w), ElementsAre("scheduled"));
}

TEST(Events, AGivenUpJobSaysWhy) {
  Rule rule = TellingAll();
  rule.retry.attempts = 1;
  World w({rule});
  w.Schedule("a", kNow + 100, {1});
  w.Run();
  w.Advance(100);
  w.bus_->Answer(w.LastAttempt(), PubAnswer::Kind::kRefused, "stream full");
  w.Run();
  ASSERT_THAT(Kinds(w), ElementsAre("scheduled", "dead"));
  EXPECT_THAT(w.bus_->announced()[1].payload,
              ::testing::HasSubstr("refused 1 times, last: stream full"));
}

TEST(Events, ACancelThatComesTooLateIsNotAnnounced) {
  World w({TellingAll()});
  w.Schedule("a", kNow + 100, {1});
  w.Run();
  w.Advance(100);
  w.Cancel("a", {2});
  w.Run();
  w.Confirm();
  EXPECT_THAT(Kinds(w), ElementsAre("scheduled", "fired"));
}

TEST(Events, ALateJobIsToldOnceAndThenWhatBecameOfIt) {
  Rule rule = TellingAll();
  rule.publish[0].late = {.after_ms = 1'000, .action = LateAction::kSkip};
  World w({rule});
  w.Schedule("skipped", kNow - 2'000, {1});
  w.Run();
  EXPECT_THAT(Kinds(w), ElementsAre("scheduled", "late", "skipped"));
  rule.publish[0].late.action = LateAction::kFire;
  World fires({rule});
  fires.Schedule("fires", kNow - 2'000, {1});
  fires.Run();
  fires.Confirm();
  EXPECT_THAT(Kinds(fires), ElementsAre("scheduled", "late", "fired"));
}

TEST(Events, AJobThatFellDueWhileNoProcessRanIsLateWhenItIsSent) {
  World w({TellingAll()});
  w.Schedule("a", kNow + 1'000, {1});
  w.Run();
  w.Stop();
  w.clock_.Advance(60'000);
  w.Start();
  w.Confirm();
  EXPECT_THAT(Kinds(w), ElementsAre("late", "fired"));
  EXPECT_THAT(w.bus_->announced()[0].payload,
              ::testing::HasSubstr(R"("lateness_ms":59)"));
}

}  // namespace
}  // namespace expirer
