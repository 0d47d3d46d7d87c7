#include "sched/retry.h"

#include <gmock/gmock.h>

#include <set>

namespace expirer {
namespace {

constexpr int64_t kNow = 1'800'000'000'000;
constexpr RetryPolicy kPolicy{.initial_ms = 1'000, .max_ms = 60'000, .attempts = 3};

Decision After(AttemptEnd end, uint64_t sends = 0, uint64_t counted_attempts = 0,
               const RetryPolicy& policy = kPolicy) {
  return Decide(policy, {"r/key", sends, counted_attempts}, end, "why", kNow);
}

TEST(Decide, ConfirmedAttemptIsDone) {
  EXPECT_TRUE(std::holds_alternative<Done>(After(AttemptEnd::kAck, 7, 2)));
}

TEST(Decide, OnlyARefusalBurnsAnAttempt) {
  EXPECT_TRUE(std::get<RetryAt>(After(AttemptEnd::kRefused)).counted);
  for (const AttemptEnd end :
       {AttemptEnd::kNoStream, AttemptEnd::kRetry, AttemptEnd::kTimedOut})
    EXPECT_FALSE(std::get<RetryAt>(After(end)).counted);
}

TEST(Decide, LastRefusalOfThoseAllowedMovesToDeadAndSaysWhy) {
  EXPECT_TRUE(std::holds_alternative<RetryAt>(After(AttemptEnd::kRefused, 1, 1)));
  EXPECT_EQ(std::get<MoveToDead>(After(AttemptEnd::kRefused, 2, 2)).reason,
            "refused 3 times, last: why");
}

TEST(Decide, WhatBurnsNothingNeverMovesToDead) {
  for (const AttemptEnd end :
       {AttemptEnd::kNoStream, AttemptEnd::kRetry, AttemptEnd::kTimedOut})
    EXPECT_TRUE(std::holds_alternative<RetryAt>(After(end, 1'000, 2)));
}

TEST(Decide, WhatCanNeverBeDeliveredIsDeadAtOnceWhateverTheAttempts) {
  for (const uint64_t attempts : {0, 1, 1'000}) {
    const RetryPolicy policy{.initial_ms = 1'000, .max_ms = 60'000, .attempts = attempts};
    EXPECT_EQ(std::get<MoveToDead>(After(AttemptEnd::kNever, 0, 0, policy)).reason,
              "can never be delivered: why");
    EXPECT_TRUE(
        std::holds_alternative<MoveToDead>(After(AttemptEnd::kNever, 7, 0, policy)));
  }
}

TEST(Decide, ZeroAttemptsAreNoLimit) {
  const RetryPolicy policy{.initial_ms = 1'000, .max_ms = 60'000, .attempts = 0};
  EXPECT_TRUE(
      std::holds_alternative<RetryAt>(After(AttemptEnd::kRefused, 1'000, 1'000, policy)));
}

TEST(Decide, NextAttemptWaitsForTheBackOffOfAllSendsSoFar) {
  EXPECT_EQ(std::get<RetryAt>(After(AttemptEnd::kRefused, 2, 0)).at_ms,
            kNow + BackoffMs(kPolicy, "r/key", 3));
}

// Of a stream without a leader or a server that is silent nobody says when it is back.
TEST(Decide, AStreamThatDoesNotAnswerIsAskedAgainWithinSeconds) {
  for (const AttemptEnd end :
       {AttemptEnd::kNoLeader, AttemptEnd::kRetry, AttemptEnd::kTimedOut}) {
    const int64_t at_ms = std::get<RetryAt>(After(end, 1'000)).at_ms;
    EXPECT_LE(at_ms, kNow + kUnansweredMaxMs);
    EXPECT_GE(at_ms, kNow + kUnansweredMaxMs / 2);
  }
  // These are told that it makes no sense.
  for (const AttemptEnd end : {AttemptEnd::kNoStream, AttemptEnd::kRefused})
    EXPECT_GE(std::get<RetryAt>(After(end, 1'000)).at_ms, kNow + kPolicy.max_ms * 3 / 4);
}

TEST(Decide, TheMoreJobsWaitForTheirStreamTheSeldomerEachIsTried) {
  const auto after = [](uint64_t waiting, const RetryPolicy& policy) {
    const Decision decision =
        Decide(policy, {"r/key", 1'000, 0, waiting}, AttemptEnd::kTimedOut, "why", kNow);
    return std::get<RetryAt>(decision).at_ms - kNow;
  };
  EXPECT_LE(after(1'000, kPolicy), kUnansweredMaxMs);
  EXPECT_GE(after(10'000, kPolicy), 10'000 * kUnansweredEachMs * 3 / 4);
  EXPECT_LE(after(UINT64_MAX, kPolicy), kPolicy.max_ms);
  // Nor ever sooner or later than the rule says.
  EXPECT_GE(after(0, {.initial_ms = 30'000, .max_ms = 60'000, .attempts = 0}), 22'500);
  EXPECT_LE(after(0, {.initial_ms = 100, .max_ms = 500, .attempts = 0}), 500);
}

TEST(Backoff, DoublesUpToTheMostAndLosesAQuarterAtMost) {
  int64_t full = kPolicy.initial_ms;
  for (uint64_t sends = 1; sends <= 100; ++sends) {
    const int64_t wait = BackoffMs(kPolicy, "r/key", sends);
    EXPECT_LE(wait, full) << sends;
    EXPECT_GE(wait, full - full / 4) << sends;
    full = std::min(full * 2, kPolicy.max_ms);
  }
}

TEST(Backoff, IsTheSameForTheSameJobAndSend) {
  EXPECT_EQ(BackoffMs(kPolicy, "r/key", 5), BackoffMs(kPolicy, "r/key", 5));
  // Fixed for all time: replay of an old trace must give the same.
  EXPECT_EQ(BackoffMs(kPolicy, "r/key", 1), 936);
}

TEST(Backoff, SpreadsJobsThatWereRefusedTogether) {
  std::set<int64_t> waits;
  for (int i = 0; i < 1'000; ++i)
    waits.insert(BackoffMs(kPolicy, "r/" + std::to_string(i), 5));
  EXPECT_GT(waits.size(), 500u);
}

TEST(Backoff, IsNeverZero) {
  EXPECT_GE(BackoffMs({.initial_ms = 0, .max_ms = 0, .attempts = 0}, "r/key", 1), 1);
  EXPECT_GE(BackoffMs({.initial_ms = 1, .max_ms = 1, .attempts = 0}, "r/key", UINT64_MAX),
            1);
}

}  // namespace
}  // namespace expirer
