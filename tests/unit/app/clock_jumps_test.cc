#include "app/clock_jumps.h"

#include <gtest/gtest.h>

namespace expirer {
namespace {

TEST(ClockJumps, AddUpBothWaysApart) {
  ClockJumps jumps;
  jumps.Notice(1'000, 1'000);
  jumps.Notice(5'400, 400);
  jumps.Notice(-2'000, 1'000);
  jumps.Notice(150, 50);
  EXPECT_EQ(jumps.forward_ms(), 5'100);
  EXPECT_EQ(jumps.backward_ms(), 3'000);
}

TEST(ClockJumps, WhatNtpSlewsIsNone) {
  ClockJumps jumps;
  for (int i = 0; i < 1'000; ++i) jumps.Notice(1'000, 999);
  jumps.Notice(1'000, 1'099);
  EXPECT_EQ(jumps.forward_ms(), 0);
  EXPECT_EQ(jumps.backward_ms(), 0);
}

}  // namespace
}  // namespace expirer
