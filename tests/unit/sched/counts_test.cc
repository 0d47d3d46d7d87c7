#include "sched/counts.h"

#include <gmock/gmock.h>

#include <map>
#include <memory>

#include "support/seed.h"
#include "support/temp_dir.h"

namespace expirer {
namespace {

constexpr int64_t kSpanMs = 600'000;  // closed keys are counted by this span
constexpr int64_t kNow = 3'000'000 * kSpanMs;

Register In(JobState state, int64_t expires_ms = 0) {
  Register reg;
  reg.state = state;
  reg.expires_ms = expires_ms;
  return reg;
}

void Move(Counts* counts, const Register& from, const Register& to) {
  counts->Move("r", &from, &to);
}
void Enter(Counts* counts, const Register& to) { counts->Move("r", nullptr, &to); }

TEST(Counts, JobIsCountedWhereItIsAndNowhereElse) {
  Counts counts(100);
  Enter(&counts, In(JobState::kPending));
  EXPECT_EQ(counts.rules().at("r"), (RuleCounts{.pending = 1}));
  Move(&counts, In(JobState::kPending), In(JobState::kRetrying));
  EXPECT_EQ(counts.rules().at("r"), (RuleCounts{.retrying = 1}));
  Move(&counts, In(JobState::kRetrying), In(JobState::kDead));
  EXPECT_EQ(counts.rules().at("r"), (RuleCounts{.dead_jobs = 1}));
  Move(&counts, In(JobState::kDead), In(JobState::kCancelled, kNow));
  EXPECT_EQ(counts.rules().at("r"), RuleCounts{});
  EXPECT_EQ(counts.closed(), 1u);
  Move(&counts, In(JobState::kCancelled, kNow), In(JobState::kPending));
  EXPECT_EQ(counts.closed(), 0u);
}

TEST(Counts, DeadCountsJobsAndRejectedEventsOfAllRules) {
  Counts counts(100);
  counts.Add("a", &RuleCounts::rejected, 2);
  counts.Add("b", &RuleCounts::dead_jobs, 3);
  EXPECT_EQ(counts.dead(), 5u);
}

TEST(Counts, ClosedKeysLeaveWithTheirSpan) {
  Counts counts(100);
  Enter(&counts, In(JobState::kFired, kNow));
  Enter(&counts, In(JobState::kFired, kNow + kSpanMs));
  EXPECT_EQ(counts.Expire(kNow + kSpanMs - 1), 0u);
  EXPECT_EQ(counts.closed(), 2u);
  EXPECT_EQ(counts.Expire(kNow + kSpanMs), 0u);
  EXPECT_EQ(counts.closed(), 1u);
  EXPECT_EQ(counts.forget_floor_ms(), 0);
}

TEST(Counts, FullHistoryForgetsTheFirstToExpireAndNoMoreThanItMust) {
  Counts counts(2);
  for (const int64_t spans : {3, 1, 2})
    Enter(&counts, In(JobState::kFired, kNow + spans * kSpanMs));
  EXPECT_EQ(counts.Expire(kNow), 1u);
  EXPECT_EQ(counts.closed(), 2u);
  // Just what the dropped span held.
  EXPECT_EQ(counts.forget_floor_ms(), kNow + 2 * kSpanMs - 1);
}

TEST(Counts, KeyForgottenEarlyThatReturnsIsCountedAsNew) {
  Counts counts(1);
  Enter(&counts, In(JobState::kFired, kNow + kSpanMs));
  Enter(&counts, In(JobState::kFired, kNow + 5 * kSpanMs));
  EXPECT_EQ(counts.Expire(kNow), 1u);
  Enter(&counts, In(JobState::kPending));  // the store knows it no more
  EXPECT_EQ(counts.closed(), 1u);
  EXPECT_EQ(counts.rules().at("r").pending, 1u);
}

TEST(Counts, OneThatWouldGoBelowZeroStaysZeroAndIsAMiscount) {
  Counts counts(100);
  Enter(&counts, In(JobState::kDead));
  Move(&counts, In(JobState::kDead), In(JobState::kCancelled, kNow));
  EXPECT_FALSE(counts.recount_wished());
  Move(&counts, In(JobState::kDead), In(JobState::kPending));
  EXPECT_EQ(counts.rules().at("r"), (RuleCounts{.pending = 1}));
  EXPECT_EQ(counts.miscounts(), 1u);
  EXPECT_TRUE(counts.recount_wished());
}

class StoredCounts : public ::testing::Test {
 protected:
  StoredCounts() {
    auto store = Store::Open({.path = dir_.path() + "/store"});
    EXPECT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }
  void Stage(Counts* counts) {
    WriteSet set;
    counts->Stage(&set);
    EXPECT_TRUE(store_->Write(&set).ok());
  }
  std::unique_ptr<Counts> Loaded(uint64_t history_max) {
    auto counts = std::make_unique<Counts>(history_max);
    const absl::Status status = counts->Load(*store_);
    EXPECT_TRUE(status.ok()) << status;
    return counts;
  }
  TempDir dir_;
  std::unique_ptr<Store> store_;
};

TEST_F(StoredCounts, AreReadBackAsStaged) {
  Counts counts(2);
  Enter(&counts, In(JobState::kPending));
  counts.Add("other", &RuleCounts::rejected, 7);
  for (const int64_t spans : {1, 2, 3})
    Enter(&counts, In(JobState::kFired, kNow + spans * kSpanMs));
  EXPECT_EQ(counts.Expire(kNow), 1u);
  Stage(&counts);
  const auto loaded = Loaded(2);
  EXPECT_EQ(loaded->rules(), counts.rules());
  EXPECT_EQ(loaded->closed(), 2u);
  EXPECT_EQ(loaded->forget_floor_ms(), counts.forget_floor_ms());
}

TEST_F(StoredCounts, NothingIsWrittenWhenNothingChanged) {
  Counts counts(100);
  Enter(&counts, In(JobState::kFired, kNow));
  Stage(&counts);
  WriteSet set;
  EXPECT_EQ(counts.Expire(kNow), 0u);
  counts.Stage(&set);
  EXPECT_TRUE(set.empty());
}

TEST_F(StoredCounts, MalformedEntryIsDataLoss) {
  WriteSet set;
  set.PutMeta("count/r/r", std::string("\x01\x01", 2));
  ASSERT_TRUE(store_->Write(&set).ok());
  Counts counts(100);
  EXPECT_EQ(counts.Load(*store_).code(), absl::StatusCode::kDataLoss);
}

TEST_F(StoredCounts, AgreeWithANaiveModelUnderRandomMovesAndRestarts) {
  constexpr JobState kStates[] = {JobState::kPending, JobState::kRetrying,
                                  JobState::kDead, JobState::kFired,
                                  JobState::kCancelled};
  Draws draws;
  for (int round = 0; round < 20; ++round) {
    const uint64_t history_max = 5 + draws.Below(30);
    auto counts = Loaded(history_max);
    std::map<int, Register> keys;  // what the store would know
    int64_t now_ms = kNow;
    for (int step = 0; step < 1'000; ++step) {
      const int key = static_cast<int>(draws.Below(60));
      const auto known = keys.find(key);
      const JobState state = kStates[draws.Below(5)];
      const bool closed = IsClosed(state);
      // Above the floor: below it a key would be forgotten as it is closed.
      const int64_t least_ms =
          std::max(now_ms + 2 * kSpanMs, counts->forget_floor_ms() + 1);
      const Register to =
          In(state, closed ? least_ms + draws.Between(0, 20 * kSpanMs) : 0);
      counts->Move("r", known == keys.end() ? nullptr : &known->second, &to);
      keys[key] = to;
      if (draws.Chance(5)) now_ms += draws.Between(0, 2 * kSpanMs);
      if (draws.Chance(10)) counts->Expire(now_ms);
      // As the store's reads do; spans end a little later than their keys.
      std::erase_if(keys, [&](const auto& entry) {
        const Register& reg = entry.second;
        if (!IsClosed(reg.state)) return false;
        const int64_t span_end_ms = (reg.expires_ms / kSpanMs + 1) * kSpanMs;
        return span_end_ms <= now_ms || reg.expires_ms <= counts->forget_floor_ms();
      });
      if (draws.Chance(5)) {
        counts->Expire(now_ms);
        Stage(counts.get());
        counts = Loaded(history_max);
      }
    }
    counts->Expire(now_ms);
    std::erase_if(keys, [&](const auto& entry) {
      return IsClosed(entry.second.state) &&
             entry.second.expires_ms <= counts->forget_floor_ms();
    });
    RuleCounts model;
    uint64_t closed = 0;
    for (const auto& [key, reg] : keys) {
      if (reg.state == JobState::kPending) ++model.pending;
      if (reg.state == JobState::kRetrying) ++model.retrying;
      if (reg.state == JobState::kDead) ++model.dead_jobs;
      if (IsClosed(reg.state)) ++closed;
    }
    EXPECT_EQ(counts->rules().at("r"), model);
    EXPECT_EQ(counts->closed(), closed);
    EXPECT_LE(counts->closed(), history_max);
    // The next round begins with an empty store.
    WriteSet set;
    for (const auto& [key, reg] : keys) counts->Move("r", &reg, nullptr);
    counts->Stage(&set);
    set.PutMeta("count/floor", std::string(1, '\0'));
    ASSERT_TRUE(store_->Write(&set).ok());
  }
}

}  // namespace
}  // namespace expirer
