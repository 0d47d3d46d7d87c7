#include "sched/timer_heap.h"

#include <gmock/gmock.h>

#include <set>
#include <vector>

#include "support/seed.h"

namespace expirer {
namespace {

using ::testing::ElementsAre;

std::vector<TimerEntry> PopAll(TimerHeap* heap) {
  std::vector<TimerEntry> entries;
  for (; !heap->empty(); heap->Pop()) entries.push_back(heap->top());
  return entries;
}

TEST(TimerHeap, PopsByTimeAndEqualTimesByArrival) {
  TimerHeap heap;
  for (const TimerEntry entry :
       {TimerEntry{20, 1}, TimerEntry{10, 5}, TimerEntry{10, 2}, TimerEntry{5, 9}})
    heap.Push(entry);
  EXPECT_THAT(PopAll(&heap), ElementsAre(TimerEntry{5, 9}, TimerEntry{10, 2},
                                         TimerEntry{10, 5}, TimerEntry{20, 1}));
}

TEST(TimerHeap, KeepLeastKeepsTheEarliestAndReturnsTheLastOfThem) {
  TimerHeap heap;
  for (const int64_t ms : {7, 3, 9, 1, 5}) heap.Push({ms, static_cast<uint64_t>(ms)});
  EXPECT_EQ(heap.KeepLeast(3), (TimerEntry{5, 5}));
  EXPECT_THAT(PopAll(&heap),
              ElementsAre(TimerEntry{1, 1}, TimerEntry{3, 3}, TimerEntry{5, 5}));
}

TEST(TimerHeap, KeepLeastOfAllKeepsAll) {
  TimerHeap heap;
  for (const int64_t ms : {3, 1, 2}) heap.Push({ms, 1});
  EXPECT_EQ(heap.KeepLeast(3), (TimerEntry{3, 1}));
  EXPECT_EQ(heap.size(), 3u);
}

TEST(TimerHeap, AgreesWithAMultisetUnderRandomOperations) {
  Draws draws;
  for (int round = 0; round < 200; ++round) {
    TimerHeap heap;
    std::multiset<TimerEntry> model;
    // Few different times and even equal entries, so that ties are common.
    const int64_t times = draws.Between(1, 1'000);
    const uint64_t push_percent = 40 + draws.Below(30);
    for (int step = 0; step < 1'000; ++step) {
      if (model.empty() || draws.Chance(push_percent)) {
        const TimerEntry entry{draws.Between(0, times), draws.Below(1'000)};
        heap.Push(entry);
        model.insert(entry);
      } else if (draws.Chance(1)) {
        const size_t keep = 1 + draws.Below(model.size());
        const auto last = std::next(model.begin(), static_cast<ptrdiff_t>(keep) - 1);
        EXPECT_EQ(heap.KeepLeast(keep), *last);
        model.erase(std::next(last), model.end());
      } else {
        heap.Pop();
        model.erase(model.begin());
      }
      ASSERT_EQ(heap.size(), model.size());
      if (model.empty()) continue;
      ASSERT_EQ(heap.top(), *model.begin());
    }
    EXPECT_EQ(PopAll(&heap), std::vector<TimerEntry>(model.begin(), model.end()));
  }
}

}  // namespace
}  // namespace expirer
