#include "sched/overdue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace expirer {
namespace {

using ::testing::ElementsAre;

TEST(OverdueRows, CountsEachRowFromItsDueTimeUntilItIsDropped) {
  OverdueRows rows;
  rows.Add(1, 500, true);
  rows.Add(1, 500, true);  // found again by a later look into the store
  rows.Add(2, 9'000, false);
  rows.Add(3, 20'000, true);
  EXPECT_EQ(rows.oldest_due_ms(), 500);
  EXPECT_EQ(rows.retrying(), 2u);
  Overdue overdue;
  rows.Count(10'500, &overdue);
  EXPECT_THAT(overdue.jobs, ElementsAre(0, 1, 1, 0, 0)) << "the third is not due";
  rows.Drop(1);
  rows.Drop(1);
  rows.Drop(7);
  EXPECT_EQ(rows.oldest_due_ms(), 9'000);
  EXPECT_EQ(rows.retrying(), 1u);
  EXPECT_FALSE(rows.Holds(1));
}

TEST(OverdueRows, KeepsThoseDueTheLongestWhenThereAreTooMany) {
  OverdueRows rows(2);
  rows.Add(1, 300, true);
  rows.Add(2, 200, true);
  rows.Add(3, 100, true);
  rows.Add(4, 400, true);
  EXPECT_TRUE(rows.Holds(3) && rows.Holds(2));
  EXPECT_EQ(rows.retrying(), 2u);
  EXPECT_EQ(rows.oldest_due_ms(), 100);
}

}  // namespace
}  // namespace expirer
