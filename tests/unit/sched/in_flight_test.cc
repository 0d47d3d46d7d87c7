#include "sched/in_flight.h"

#include <gmock/gmock.h>

#include <limits>
#include <set>

namespace expirer {
namespace {

std::unique_ptr<InFlight> Row(uint64_t seq) {
  auto attempt = std::make_unique<InFlight>();
  attempt->row = JobKey{1, 1'000, seq};
  return attempt;
}

TEST(InFlight, NumbersAreNeverGivenTwice) {
  InFlightTable table;
  std::set<uint64_t> numbers;
  for (uint64_t i = 0; i < 100; ++i) {
    EXPECT_EQ(table.next(), i + 1);
    const uint64_t number = table.Begin(Row(i % 3 + 1), 5'000);
    EXPECT_TRUE(numbers.insert(number).second);
    EXPECT_TRUE(table.End(number));
  }
  EXPECT_EQ(table.size(), 0u);
}

TEST(InFlight, AttemptEndsOnceAndAnUnknownOneNever) {
  InFlightTable table;
  const uint64_t number = table.Begin(Row(7), 5'000);
  EXPECT_FALSE(table.End(number + 1));
  const auto ended = table.End(number);
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->row.seq, 7u);
  EXPECT_FALSE(table.End(number));
}

TEST(InFlight, RowIsHeldFromBeginToEnd) {
  InFlightTable table;
  EXPECT_FALSE(table.Holds(7));
  const uint64_t number = table.Begin(Row(7), 5'000);
  EXPECT_TRUE(table.Holds(7));
  EXPECT_TRUE(table.End(number));
  EXPECT_FALSE(table.Holds(7));
}

TEST(InFlight, FateIsOfTheRowAndOnlyWhileItIsInFlight) {
  InFlightTable table;
  const uint64_t first = table.Begin(Row(1), 5'000);
  const uint64_t second = table.Begin(Row(2), 5'000);
  EXPECT_TRUE(table.SetFate(1, InFlight::Fate::kCancelled));
  EXPECT_FALSE(table.SetFate(3, InFlight::Fate::kCancelled));
  EXPECT_EQ(table.End(first)->fate, InFlight::Fate::kCancelled);
  EXPECT_EQ(table.End(second)->fate, InFlight::Fate::kCurrent);
  EXPECT_FALSE(table.SetFate(1, InFlight::Fate::kCancelled));
}

TEST(InFlight, OverdueAttemptsComeInOrderAndOnce) {
  InFlightTable table;
  const uint64_t first = table.Begin(Row(1), 5'000);
  const uint64_t second = table.Begin(Row(2), 6'000);
  EXPECT_FALSE(table.Overdue(4'999));
  EXPECT_EQ(table.Overdue(6'000), first);
  EXPECT_TRUE(table.End(first));
  EXPECT_EQ(table.Overdue(6'000), second);
  EXPECT_TRUE(table.End(second));
  EXPECT_FALSE(table.Overdue(100'000));
}

TEST(InFlight, AnsweredAttemptIsNeverOverdue) {
  InFlightTable table;
  const uint64_t answered = table.Begin(Row(1), 5'000);
  const uint64_t silent = table.Begin(Row(2), 6'000);
  EXPECT_EQ(table.NextDeadline(), 5'000);
  EXPECT_TRUE(table.End(answered));
  EXPECT_EQ(table.NextDeadline(), 6'000);
  EXPECT_FALSE(table.Overdue(5'999));
  EXPECT_EQ(table.Overdue(6'000), silent);
}

TEST(InFlight, WithoutAttemptsThereIsNoDeadline) {
  InFlightTable table;
  EXPECT_EQ(table.NextDeadline(), std::numeric_limits<int64_t>::max());
  EXPECT_TRUE(table.End(table.Begin(Row(1), 5'000)));
  EXPECT_EQ(table.NextDeadline(), std::numeric_limits<int64_t>::max());
}

}  // namespace
}  // namespace expirer
