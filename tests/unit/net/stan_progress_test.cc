#include "net/stan_progress.h"

#include <gtest/gtest.h>

namespace expirer {
namespace {

TEST(StanProgress, NothingIsCaughtUpBeforeALookEnded) {
  StanProgress progress;
  progress.Begin(10);
  EXPECT_FALSE(progress.caught_up());
  EXPECT_TRUE(progress.looking());
  progress.LookEnded(0);
  EXPECT_TRUE(progress.caught_up()) << "an empty channel";
}

TEST(StanProgress, ADurableThatStandsAtTheEndIsCaughtUpByTheLookAlone) {
  StanProgress progress;
  progress.Begin(10);
  progress.LookEnded(500);
  EXPECT_TRUE(progress.caught_up());
}

TEST(StanProgress, WhatCameBeforeTheLookEndedMustBeAcked) {
  StanProgress progress;
  progress.Begin(10);
  progress.Delivered(3);  // not acked by the process before
  progress.Delivered(7);
  progress.LookEnded(7);
  EXPECT_FALSE(progress.caught_up());
  progress.Acked(7);
  EXPECT_FALSE(progress.caught_up());
  progress.Acked(3);
  EXPECT_TRUE(progress.caught_up());
}

TEST(StanProgress, WhatCameAfterTheEndIsNotWaitedFor) {
  StanProgress progress;
  progress.Begin(10);
  progress.LookEnded(7);
  progress.Delivered(8);
  EXPECT_TRUE(progress.caught_up());
}

TEST(StanProgress, ADurableThatTheServerMayHaveStoppedIsReadToTheEnd) {
  StanProgress progress;
  progress.Begin(2);
  progress.Delivered(1);
  progress.Delivered(2);
  progress.LookEnded(4);
  progress.Acked(1);
  progress.Acked(2);
  EXPECT_FALSE(progress.caught_up()) << "3 and 4 wait in the server";
  progress.Delivered(3);
  progress.Delivered(4);
  progress.Acked(4);
  EXPECT_FALSE(progress.caught_up());
  progress.Acked(3);
  EXPECT_TRUE(progress.caught_up());
}

TEST(StanProgress, ALaterLookIsMeasuredByWhatWasDelivered) {
  StanProgress progress;
  progress.Begin(10);
  progress.Delivered(2);
  progress.Acked(2);
  progress.LookEnded(2);
  EXPECT_TRUE(progress.caught_up());
  progress.Look();
  EXPECT_FALSE(progress.caught_up());
  progress.LookEnded(3);
  EXPECT_FALSE(progress.caught_up());
  progress.Delivered(3);
  progress.Acked(3);
  EXPECT_TRUE(progress.caught_up());
}

TEST(StanProgress, AMessageThatComesAgainIsAwaitedAgain) {
  StanProgress progress;
  progress.Begin(10);
  progress.LookEnded(1);
  progress.Delivered(1);
  progress.Acked(1);
  EXPECT_TRUE(progress.caught_up());
  progress.Delivered(1);  // its ack was lost
  EXPECT_FALSE(progress.caught_up());
  progress.Acked(1);
  EXPECT_TRUE(progress.caught_up());
}

TEST(StanProgress, ANewSubscriptionForgetsWhatTheOldOneHeld) {
  StanProgress progress;
  progress.Begin(10);
  progress.Delivered(1);
  progress.Begin(10);
  progress.Look();
  progress.LookEnded(1);
  EXPECT_TRUE(progress.caught_up());
  progress.Acked(1);
}

}  // namespace
}  // namespace expirer
