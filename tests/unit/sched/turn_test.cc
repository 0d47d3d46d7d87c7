// Reads see what a turn has changed before it is written; turns that are proposed
// and not confirmed yet are read, and written in order.
#include "sched/turn.h"

#include <gtest/gtest.h>

#include "support/temp_dir.h"
#include "unit/sched/world.h"

namespace expirer {
namespace {

class TurnTest : public ::testing::Test {
 protected:
  void SetUp() override { Start(); }
  void Start() {
    turn_.reset();
    store_.reset();
    auto store = Store::Open({.path = dir_.path() + "/store"});
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
    lanes_.emplace();
    counts_.emplace(1'000);
    turn_.emplace(store_.get(), &*lanes_, &*counts_, &overdue_);
    Queues queues(rules_);
    ASSERT_TRUE(lanes_->Load(*store_, &queues, Orphans::kRefuse, turn_->meta()).ok());
    ASSERT_TRUE(turn_->Load().ok());
    ASSERT_TRUE(turn_->Write().ok());
    ASSERT_TRUE(lanes_->Refill(*store_, 1'000, &overdue_).ok());
  }

  // A row and its register; returns where the row stands.
  JobKey Open(const std::string& key, const std::string& body) {
    Job job;
    job.key = key;
    job.due_ms = kNow;
    job.target = "out";
    job.body = body;
    const JobKey row{lanes_->First(0).lane, kNow, turn_->TakeSeq()};
    turn_->PutRow(&lanes_->First(0), row, job.due_ms, EncodeJob(job));
    Register reg;
    reg.schedule = Register::Schedule{{}, kNow};
    reg.job = row;
    turn_->Put(MakeId("r", key), nullptr, reg);
    turn_->StageNextSeq();
    return row;
  }
  std::string BodyOf(const JobKey& row) const {
    std::string bytes;
    const auto found = turn_->ReadRow(row, &bytes);
    if (!found.ok() || !*found) return "none";
    const auto job = DecodeJob(bytes);
    return job.ok() ? job->body : "malformed";
  }
  // What the turn knows of a key, and what the store does.
  std::optional<Register> Known(const std::string& key) const {
    return turn_->Known(MakeId("r", key)).value_or(std::nullopt);
  }
  std::optional<Register> Stored(const std::string& key) const {
    return store_->GetRegister(MakeId("r", key)).value_or(std::nullopt);
  }
  // Of the store alone.
  bool HasRow(const JobKey& row) const {
    std::string bytes;
    return store_->GetJob(row, &bytes).value_or(false);
  }

  TempDir dir_;
  std::vector<Rule> rules_ = {TestRule("r")};
  OverdueRows overdue_;
  std::unique_ptr<Store> store_;
  std::optional<Lanes> lanes_;
  std::optional<Counts> counts_;
  std::optional<Turn> turn_;
};

TEST_F(TurnTest, WhatItChangedIsReadBeforeItIsWritten) {
  const JobKey row = Open("k", "a");
  EXPECT_EQ(BodyOf(row), "a");
  EXPECT_EQ(Known("k")->job, row);
  Job job;
  job.body = "b";
  turn_->RewriteRow(row, EncodeJob(job));
  EXPECT_EQ(BodyOf(row), "b");
  Dead dead;
  dead.reason = "why";
  turn_->PutDead("dead", dead);
  std::string value;
  EXPECT_TRUE(*turn_->FindDead("dead", &value));
  EXPECT_EQ(counts_->dead_bytes(), value.size());
  turn_->DropDead("dead");
  EXPECT_FALSE(*turn_->FindDead("dead", &value));
  EXPECT_EQ(counts_->dead_bytes(), 0u);
  EXPECT_FALSE(Stored("k").has_value());
  EXPECT_FALSE(HasRow(row));
}

TEST_F(TurnTest, AProposedTurnIsReadUnderLaterOnesAndWrittenBeforeThem) {
  const JobKey first = Open("k", "a");
  turn_->Propose();
  EXPECT_EQ(BodyOf(first), "a");  // its confirmation is late
  turn_->DropRow(first);
  const JobKey second = Open("k", "b");
  turn_->Propose();
  Open("other", "c");
  EXPECT_EQ(Known("k")->job, second);
  EXPECT_EQ(BodyOf(second), "b");
  EXPECT_TRUE(turn_->Dropped(first.seq));
  EXPECT_FALSE(Stored("k").has_value());
  EXPECT_EQ(lanes_->held(), 0u);  // nothing may fire yet

  ASSERT_TRUE(turn_->Write().ok());
  EXPECT_EQ(Stored("k")->job, first);
  EXPECT_TRUE(HasRow(first));
  EXPECT_TRUE(turn_->Dropped(first.seq));
  EXPECT_EQ(Known("k")->job, second);
  EXPECT_EQ(lanes_->held(), 1u);

  ASSERT_TRUE(turn_->Write().ok());
  EXPECT_EQ(Stored("k")->job, second);
  EXPECT_FALSE(HasRow(first));
  EXPECT_FALSE(turn_->Dropped(first.seq));
  EXPECT_FALSE(Stored("other").has_value());
  EXPECT_FALSE(turn_->empty());
  ASSERT_TRUE(turn_->Write().ok());
  EXPECT_TRUE(turn_->empty());
  EXPECT_TRUE(Stored("other").has_value());
}

TEST_F(TurnTest, OfAProposedTurnThatIsNeverConfirmedTheNextProcessKnowsNothing) {
  Open("confirmed", "a");
  turn_->Propose();
  const JobKey row = Open("k", "b");
  turn_->Propose();
  ASSERT_TRUE(turn_->Write().ok());
  EXPECT_FALSE(turn_->empty());
  EXPECT_TRUE(Known("k").has_value());
  Start();
  EXPECT_TRUE(turn_->empty());
  EXPECT_TRUE(Known("confirmed").has_value());
  EXPECT_FALSE(Known("k").has_value());
  EXPECT_EQ(BodyOf(row), "none");
  EXPECT_EQ(turn_->next_seq(), row.seq);  // never used, so it may be given again
}

TEST_F(TurnTest, BoundsStayBelowRowsThatAreInNoWindowYet) {
  Open("k", "a");
  turn_->Propose();
  turn_->StageBounds(kNow + 60'000);
  ASSERT_TRUE(turn_->Write().ok());
  EXPECT_LE(lanes_->First(0).stored_bound_ms, kNow);
}

}  // namespace
}  // namespace expirer
