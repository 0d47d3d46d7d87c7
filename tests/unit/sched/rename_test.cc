#include "sched/rename.h"

#include <gmock/gmock.h>

#include "store/meta.h"
#include "unit/sched/world.h"

namespace expirer {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Stops, renames the world's only rule, and starts again.
void RenameTo(World* w, const std::string& name) {
  w->Stop();
  w->rules_[0].was = w->rules_[0].name;
  w->rules_[0].name = name;
  w->Start();
}

TEST(Rename, PendingJobsAndHistoryGoOnUnderTheNewName) {
  Rule rule = TestRule("old");
  rule.reopen = false;
  World w({rule});
  w.Schedule("waits", kNow + 500, {1});
  w.Schedule("gone", kNow + 500, {2});
  w.Schedule("fired", kNow, {3});
  w.Run();
  w.Confirm();
  w.Reject("bad", {4});
  w.Run();
  RenameTo(&w, "new");
  EXPECT_EQ(w.State("waits"), JobState::kPending);
  EXPECT_EQ(w.State("fired"), JobState::kFired);
  EXPECT_EQ(w.stats().rules.at("new").pending, 2u);
  EXPECT_EQ(w.stats().rules.at("new").rejected, 1u);
  EXPECT_EQ(w.stats().rules.count("old"), 0u);
  w.Cancel("gone", {5});
  w.Schedule("fired", kNow + 100, {6});  // closed for good
  w.Run();
  w.Advance(1'000);
  EXPECT_THAT(w.Fires(), ElementsAre("old/waits/" + std::to_string(kNow + 500)));
}

TEST(Rename, IsDoneOnceAndNeedsNoWasAfterwards) {
  World w({TestRule("old")});
  w.Schedule("a", kNow + 500, {1});
  w.Run();
  RenameTo(&w, "new");
  w.Stop();
  w.Start();  // `was` is still there
  w.Stop();
  w.rules_[0].was.clear();
  w.Start();
  w.Advance(1'000);
  EXPECT_THAT(w.Fires(), ElementsAre("old/a/" + std::to_string(kNow + 500)));
}

TEST(Rename, TakesNamedEntriesAlong) {
  Rule rule = TestRule("old");
  rule.publish.resize(2);
  rule.publish[0].name = "x";
  rule.publish[1].name = "y";
  World w({rule});
  ScheduleIntent intent;
  intent.job.key = "k";
  intent.job.due_ms = kNow + 1;
  intent.job.target = "out";
  intent.more.push_back(intent.job);
  w.Push(std::move(intent), {1});
  w.Run();
  RenameTo(&w, "new");
  w.Advance(10);
  const std::string due = std::to_string(kNow + 1);
  EXPECT_THAT(w.Fires(), ElementsAre("old.x/k/" + due, "old.y/k/" + due));
}

TEST(Rename, AnInterruptedOneGoesOnAndAnotherConfigIsRefused) {
  World w({TestRule("old"), TestRule("older")});
  for (uint64_t i = 0; i < 20; ++i)
    w.Schedule("k" + std::to_string(i), kNow + 500, {i + 1});
  w.Schedule("other", kNow + 500, {1, kNow, "T", 1});
  w.Run();
  // As a process leaves it that ends after a part of the keys.
  WriteSet set;
  set.PutMeta(std::string(kMetaRename) + "old", "new");
  for (int i = 0; i < 10; ++i) {
    const std::string key = "k" + std::to_string(i);
    set.DeleteRegister(MakeId("old", key));
    set.PutRegister(MakeId("new", key), EncodeRegister(*w.Known(key)));
  }
  ASSERT_TRUE(w.store_->Write(&set).ok());
  const absl::Status refused = TakeOverRenamed(w.rules_, w.store_.get());
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(refused), testing::HasSubstr("rule \"new\" and was: old"));
  RenameTo(&w, "new");
  for (int i = 0; i < 20; ++i) w.Cancel("k" + std::to_string(i), {100 + uint64_t(i)});
  w.Run();
  w.Advance(1'000);
  EXPECT_THAT(w.Fires(), ElementsAre("older/other/" + std::to_string(kNow + 500)))
      << "every key was known, and no other rule touched";
}

TEST(Rename, OntoANameThatTheStoreKnowsIsRefused) {
  World w({TestRule("a"), TestRule("b")});
  std::vector<Rule> rules = {TestRule("b")};
  rules[0].was = "a";
  const absl::Status refused = TakeOverRenamed(rules, w.store_.get());
  EXPECT_THAT(Message(refused), testing::HasSubstr("knows both"));
  rules[0].was = "c";
  EXPECT_TRUE(TakeOverRenamed(rules, w.store_.get()).ok()) << "nothing to take over";
  EXPECT_THAT(w.bus_->published(), IsEmpty());
}

}  // namespace
}  // namespace expirer
