#include "base/buckets.h"

#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace expirer {
namespace {

using ::testing::ElementsAre;

constexpr std::array<int64_t, 3> kBounds = {1, 10, 100};

std::vector<uint64_t> Counts(const Buckets& buckets) {
  return {buckets.counts().begin(), buckets.counts().end()};
}

TEST(Buckets, AValueAtABoundIsBelowIt) {
  Buckets buckets(kBounds);
  for (const int64_t value : {0, 1, 2, 10, 11, 100, 101, 5'000}) buckets.Add(value);
  EXPECT_THAT(Counts(buckets), ElementsAre(2, 2, 2, 2));
  EXPECT_EQ(buckets.sum(), 5'225u);
}

TEST(Buckets, WhatIsBelowZeroCountsAsZero) {
  Buckets buckets(kBounds);
  buckets.Add(-7);
  EXPECT_THAT(Counts(buckets), ElementsAre(1, 0, 0, 0));
  EXPECT_EQ(buckets.sum(), 0u);
}

TEST(Buckets, ACopyGoesItsOwnWay) {
  Buckets buckets(kBounds);
  buckets.Add(5);
  const Buckets copy = buckets;
  buckets.Add(5);
  EXPECT_THAT(Counts(copy), ElementsAre(0, 1, 0, 0));
  EXPECT_THAT(Counts(buckets), ElementsAre(0, 2, 0, 0));
}

}  // namespace
}  // namespace expirer
