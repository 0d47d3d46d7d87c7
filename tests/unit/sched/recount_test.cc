// Counts that do not agree with their store: told, mended from it, and the end of
// nothing. That they agree in every other test is what the worlds' audit says.
#include "sched/recount.h"

#include <gmock/gmock.h>

#include "base/coding.h"
#include "store/meta.h"
#include "support/seed.h"
#include "unit/sched/api_world.h"

namespace expirer {
namespace {

using ::testing::IsEmpty;
using ::testing::Not;

class RecountWorld : public ApiWorld {
 public:
  RecountWorld() : ApiWorld({OneAttempt()}) {}

  // Two jobs that are dead, three pending, one retrying, a rejected message.
  void Fill() {
    for (const std::string key : {"d1", "d2"}) {
      Schedule(key, kNow, {++seq_});
      Run();
      bus_->Answer(LastAttempt(), PubAnswer::Kind::kRefused, "no permission");
      Run();
    }
    Schedule("t", kNow, {++seq_});
    Run();
    bus_->Answer(LastAttempt(), PubAnswer::Kind::kNoStream, "");
    for (const std::string key : {"p1", "p2", "p3"})
      Schedule(key, kNow + 600'000, {++seq_});
    Reject("bad", {++seq_});
    Run();
    ASSERT_EQ(stats().rules.at("r"), (RuleCounts{3, 1, 2, 1}));
  }
  // What the store says of its rule, as no process without a fault writes it.
  void Break(const RuleCounts& counts) {
    Stop();
    auto store = Store::Open({.path = dir_.path() + "/store"});
    ASSERT_TRUE(store.ok()) << store.status();
    std::string value(1, '\1');
    for (const uint64_t count :
         {counts.pending, counts.retrying, counts.dead_jobs, counts.rejected})
      PutVarint(&value, count);
    WriteSet set;
    set.PutMeta(std::string(kMetaRuleCount) + "r", value);
    ASSERT_TRUE((*store)->Write(&set).ok());
  }
  std::vector<std::string> Findings() {
    std::vector<std::string> findings;
    Audit(*store_, [&](const std::string& what) { findings.push_back(what); });
    return findings;
  }
  uint64_t seq_ = 0;

 private:
  static Rule OneAttempt() {
    Rule rule = TestRule("r");
    rule.retry.attempts = 1;
    return rule;
  }
};

// As a purge beside a cancel left it when both took a dead job off the counts.
TEST(Recount, AStoreWhoseCountsAreTooLowStartsAndIsMendedOnceOneGoesBelowZero) {
  RecountWorld w;
  w.Fill();
  w.Break({3, 1, 0, 1});
  w.Start();
  EXPECT_THAT(w.Findings(), Not(IsEmpty()));
  EXPECT_EQ(w.stats().miscounts, 0u);
  w.Cancel("d1", {++w.seq_});
  w.Run();
  EXPECT_EQ(w.stats().miscounts, 1u);
  EXPECT_EQ(w.stats().rules.at("r"), (RuleCounts{3, 1, 1, 1}));
  w.Step();
  EXPECT_THAT(w.Findings(), IsEmpty());
}

TEST(Recount, IsAskedForAtAStart) {
  RecountWorld w;
  w.Fill();
  w.Break({30, 0, 7, 0});
  w.options_.recount = true;
  w.Start();
  EXPECT_EQ(w.stats().rules.at("r"), (RuleCounts{3, 1, 2, 1}));
  EXPECT_EQ(w.stats().miscounts, 0u);
  w.Step();
  EXPECT_THAT(w.Findings(), IsEmpty());
}

TEST(Recount, CountsOfARuleThatHasNothingLeftGoToZero) {
  RecountWorld w;
  w.Break({1, 2, 3, 4});
  w.options_.recount = true;
  w.Start();
  w.Step();
  EXPECT_EQ(w.stats().rules.at("r"), RuleCounts());
  EXPECT_THAT(w.Findings(), IsEmpty());
}

// A row that no register names fires like any other; `store verify` tells of it.
TEST(Recount, ARowWithoutARegisterEndsNothing) {
  RecountWorld w;
  w.Schedule("a", kNow + 100, {++w.seq_});
  w.Run();
  WriteSet set;
  set.DeleteRegister(MakeId("r", "a"));
  ASSERT_TRUE(w.store_->Write(&set).ok());
  w.Break({});
  w.Start();
  w.Advance(200);
  w.Confirm();
  w.Step();
  EXPECT_EQ(w.Stored("a"), "fired");
  EXPECT_EQ(w.stats().rules.at("r"), RuleCounts());
  EXPECT_EQ(w.stats().miscounts, 1u);
}

// More than one turn's rows, and each turn changes some of them.
class LargeRecount : public ::testing::Test {
 protected:
  static constexpr int kKeys = 10'000;
  LargeRecount() {
    for (int i = 0; i < kKeys; ++i) {
      w_.Schedule(Key(i), kNow + 600'000, {++w_.seq_});
      if (i % 1'000 == 999) w_.Run();
    }
    w_.Break({17, 17, 17, 17});
    w_.options_.recount = true;
  }
  static std::string Key(int i) { return "k" + std::to_string(10'000 + i); }
  RecountWorld w_;
};

TEST_F(LargeRecount, GoesOnBesideTheChangesOfItsTurns) {
  w_.Begin();
  Draws draws;
  for (int turn = 0; turn < 10; ++turn) {
    for (int i = 0; i < 200; ++i) {
      const std::string key = Key(static_cast<int>(draws.Below(kKeys)));
      if (draws.Chance(50))
        w_.Cancel(key, {++w_.seq_});
      else
        w_.Schedule(key, kNow + 700'000, {++w_.seq_});
    }
    w_.Reject("bad", {++w_.seq_});
    w_.Step();
  }
  w_.Run();
  w_.Step();
  EXPECT_EQ(w_.stats().rules.at("r").rejected, 10u);
  EXPECT_THAT(w_.Findings(), IsEmpty());
}

TEST_F(LargeRecount, ThatAnEndBrokeOffIsBegunAgainByTheNextStart) {
  w_.Begin();
  w_.Step();
  w_.Step();
  EXPECT_THAT(w_.Findings(), Not(IsEmpty()));
  w_.Stop();
  w_.options_.recount = false;
  w_.Start();
  w_.Step();
  EXPECT_EQ(w_.stats().rules.at("r"), (RuleCounts{.pending = kKeys}));
  EXPECT_THAT(w_.Findings(), IsEmpty());
  // And not once more.
  w_.Break({5, 0, 0, 0});
  w_.Start();
  EXPECT_EQ(w_.stats().rules.at("r"), (RuleCounts{.pending = 5}));
  w_.audited_ = false;
}

}  // namespace
}  // namespace expirer
