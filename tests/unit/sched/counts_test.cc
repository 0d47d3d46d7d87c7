#include "sched/counts.h"

#include <gmock/gmock.h>

#include <map>
#include <memory>

#include "base/coding.h"
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
void Enter(Counts* counts, const Register& to, std::string_view rule = "r") {
  counts->Move(rule, nullptr, &to);
}
// How many keys are forgotten early.
uint64_t Expire(Counts* counts, int64_t now_ms) {
  uint64_t early = 0;
  for (const Counts::Forgotten& one : counts->Expire(now_ms)) early += one.keys;
  return early;
}
int64_t Floor(const Counts& counts, std::string_view rule = "r") {
  int64_t floor_ms = 0;
  for (const std::string_view name : {std::string_view(), rule})
    if (const auto at = counts.floors().find(name); at != counts.floors().end())
      floor_ms = std::max(floor_ms, at->second);
  return floor_ms;
}

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
  EXPECT_EQ(Expire(&counts, kNow + kSpanMs - 1), 0u);
  EXPECT_EQ(counts.closed(), 2u);
  EXPECT_EQ(Expire(&counts, kNow + kSpanMs), 0u);
  EXPECT_EQ(counts.closed(), 1u);
  EXPECT_EQ(Floor(counts), 0);
}

TEST(Counts, FullHistoryForgetsTheFirstToExpireAndNoMoreThanItMust) {
  Counts counts(2);
  for (const int64_t spans : {3, 1, 2})
    Enter(&counts, In(JobState::kFired, kNow + spans * kSpanMs));
  EXPECT_EQ(Expire(&counts, kNow), 1u);
  EXPECT_EQ(counts.closed(), 2u);
  // Just what the dropped span held.
  EXPECT_EQ(Floor(counts), kNow + kSpanMs);
  EXPECT_EQ(Floor(counts, "other"), 0);
}

TEST(Counts, KeyForgottenEarlyThatReturnsIsCountedAsNew) {
  Counts counts(1);
  Enter(&counts, In(JobState::kFired, kNow + kSpanMs));
  Enter(&counts, In(JobState::kFired, kNow + 5 * kSpanMs));
  EXPECT_EQ(Expire(&counts, kNow), 1u);
  Enter(&counts, In(JobState::kPending));  // the store knows it no more
  EXPECT_EQ(counts.closed(), 1u);
  EXPECT_EQ(counts.rules().at("r").pending, 1u);
}

TEST(Counts, RuleThatClosesManyKeysForgetsItsOwn) {
  Counts counts(100);
  for (int i = 0; i < 40; ++i) Enter(&counts, In(JobState::kFired, kNow + i), "small");
  uint64_t early = 0;
  for (int span = 1; span <= 20; ++span) {
    for (int i = 0; i < 30; ++i)
      Enter(&counts, In(JobState::kCancelled, kNow + span * kSpanMs + i), "flood.a");
    early += Expire(&counts, kNow);
    EXPECT_LE(counts.closed(), 100U);
  }
  EXPECT_EQ(early, 20 * 30 - 60U) << "the flood has what the other leaves";
  EXPECT_EQ(Floor(counts, "small"), 0);
  EXPECT_EQ(Floor(counts, "flood"), kNow + 18 * kSpanMs + 29);
}

TEST(Counts, EachRuleKeepsItsShareOfAFullHistory) {
  Counts counts(90);
  const std::vector<std::string> rules = {"a", "b", "c"};
  for (int span = 0; span < 50; ++span) {
    for (size_t rule = 0; rule < rules.size(); ++rule)
      for (size_t i = 0; i < 1 + 3 * rule; ++i)
        Enter(&counts, In(JobState::kFired, kNow + span * kSpanMs), rules[rule]);
    (void)counts.Expire(kNow);
  }
  // "a" closed 50: more than a third of 90, and keeps that; so do the others.
  EXPECT_GT(Floor(counts, "a"), 0);
  EXPECT_LT(Floor(counts, "a"), kNow + 25 * kSpanMs);
  EXPECT_LT(Floor(counts, "b"), kNow + 44 * kSpanMs);
  EXPECT_LT(Floor(counts, "c"), kNow + 47 * kSpanMs);
}

TEST(Counts, WhatIsClosedAfterItsSpanWasForgottenIsKept) {
  Counts counts(10);
  for (int i = 0; i < 11; ++i) Enter(&counts, In(JobState::kFired, kNow + i));
  EXPECT_EQ(Expire(&counts, kNow), 11U);
  EXPECT_LT(Floor(counts), kNow + 11);
  Enter(&counts, In(JobState::kFired, kNow + 11));
  EXPECT_EQ(counts.closed(), 1U);
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

// Two rules, one of them with most keys.
std::string RuleOf(int key) { return key % 4 == 0 ? "few" : "many"; }

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
  EXPECT_EQ(Expire(&counts, kNow), 1u);
  Stage(&counts);
  const auto loaded = Loaded(2);
  EXPECT_EQ(loaded->rules(), counts.rules());
  EXPECT_EQ(loaded->closed(), 2u);
  EXPECT_EQ(Floor(*loaded), Floor(counts));
}

// It knew the sums only.
TEST_F(StoredCounts, KeysOfAnOlderVersionAreForgottenByAgeWhosesoeverTheyAre) {
  Counts before(100);
  for (int i = 0; i < 8; ++i) Enter(&before, In(JobState::kFired, kNow));
  for (int i = 0; i < 2; ++i) Enter(&before, In(JobState::kFired, kNow + kSpanMs));
  Stage(&before);
  WriteSet set;
  for (const int64_t span : {kNow / kSpanMs, kNow / kSpanMs + 1}) {
    std::string key = "count/hr/r" + std::string(1, '\0');
    PutBig64(&key, static_cast<uint64_t>(span));
    std::string value;
    ASSERT_TRUE(*store_->GetMeta(key, &value));
    set.DeleteMeta(key);
  }
  ASSERT_TRUE(store_->Write(&set).ok());
  const auto counts = Loaded(9);
  EXPECT_EQ(counts->closed(), 10U);
  const Register reopened = In(JobState::kPending);
  const Register closed = In(JobState::kFired, kNow + kSpanMs);
  counts->Move("r", &closed, &reopened);
  EXPECT_EQ(counts->closed(), 9U);
  Enter(counts.get(), In(JobState::kFired, kNow + 2 * kSpanMs));
  EXPECT_EQ(Expire(counts.get(), kNow), 8U);
  EXPECT_EQ(Floor(*counts, "whichever"), kNow + kSpanMs - 1);
  Stage(counts.get());
  const auto again = Loaded(9);
  EXPECT_EQ(again->closed(), 2U);
  EXPECT_EQ(Floor(*again, "whichever"), kNow + kSpanMs - 1);
}

TEST_F(StoredCounts, NothingIsWrittenWhenNothingChanged) {
  Counts counts(100);
  Enter(&counts, In(JobState::kFired, kNow));
  Stage(&counts);
  WriteSet set;
  EXPECT_EQ(Expire(&counts, kNow), 0u);
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
      const std::string rule = RuleOf(key);
      const JobState state = kStates[draws.Below(5)];
      const bool closed = IsClosed(state);
      // Above the floor: below it a key would be forgotten as it is closed.
      const int64_t least_ms = std::max(now_ms + 2 * kSpanMs, Floor(*counts, rule) + 1);
      const Register to =
          In(state, closed ? least_ms + draws.Between(0, 20 * kSpanMs) : 0);
      counts->Move(rule, known == keys.end() ? nullptr : &known->second, &to);
      keys[key] = to;
      if (draws.Chance(5)) now_ms += draws.Between(0, 2 * kSpanMs);
      if (draws.Chance(10)) (void)counts->Expire(now_ms);
      // As the store's reads do; spans end a little later than their keys.
      std::erase_if(keys, [&](const auto& entry) {
        const Register& reg = entry.second;
        if (!IsClosed(reg.state)) return false;
        const int64_t span_end_ms = (reg.expires_ms / kSpanMs + 1) * kSpanMs;
        return span_end_ms <= now_ms ||
               reg.expires_ms <= Floor(*counts, RuleOf(entry.first));
      });
      if (draws.Chance(5)) {
        (void)counts->Expire(now_ms);
        Stage(counts.get());
        counts = Loaded(history_max);
      }
    }
    (void)counts->Expire(now_ms);
    std::erase_if(keys, [&](const auto& entry) {
      return IsClosed(entry.second.state) &&
             entry.second.expires_ms <= Floor(*counts, RuleOf(entry.first));
    });
    std::map<std::string, RuleCounts, std::less<>> models;
    uint64_t closed = 0;
    for (const auto& [key, reg] : keys) {
      RuleCounts& model = models[RuleOf(key)];
      if (reg.state == JobState::kPending) ++model.pending;
      if (reg.state == JobState::kRetrying) ++model.retrying;
      if (reg.state == JobState::kDead) ++model.dead_jobs;
      if (IsClosed(reg.state)) ++closed;
    }
    for (const auto& [rule, model] : models) EXPECT_EQ(counts->rules().at(rule), model);
    EXPECT_EQ(counts->closed(), closed);
    EXPECT_LE(counts->closed(), history_max);
    // The next round begins with an empty store.
    WriteSet set;
    for (const auto& [key, reg] : keys) counts->Move(RuleOf(key), &reg, nullptr);
    counts->Stage(&set);
    for (const auto& [rule, floor_ms] : counts->floors())
      set.PutMeta("count/floor/" + rule, std::string(1, '\0'));
    ASSERT_TRUE(store_->Write(&set).ok());
  }
}

}  // namespace
}  // namespace expirer
