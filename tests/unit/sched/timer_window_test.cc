#include "sched/timer_window.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "support/seed.h"
#include "support/temp_dir.h"

namespace expirer {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr Lane kLane = 3;

// One lane's rows in a real store, and the window over them.
class Rows {
 public:
  explicit Rows(int64_t low_bound_ms = 0) : window_(kLane, low_bound_ms) {
    auto store = Store::Open({.path = dir_.path() + "/store"});
    EXPECT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }

  // As the scheduler does: the write first, then the window.
  TimerEntry Write(int64_t ms) {
    const TimerEntry entry{ms, next_seq_++};
    Put(kLane, entry);
    window_.Insert(entry);
    return entry;
  }
  void Put(Lane lane, TimerEntry entry) {
    WriteSet set;
    set.PutJob({lane, entry.key_ms, entry.seq}, "row");
    EXPECT_TRUE(store_->Write(&set).ok());
  }
  void Delete(TimerEntry entry) {
    WriteSet set;
    set.DeleteJob({kLane, entry.key_ms, entry.seq});
    EXPECT_TRUE(store_->Write(&set).ok());
  }
  void Refill(size_t rows_max) {
    const absl::Status status =
        window_.Refill(*store_, rows_max, [](const JobKey&, std::string_view) {});
    EXPECT_TRUE(status.ok()) << status;
  }
  // Lets a window over the empty lane see its end.
  void Complete(TimerWindow* window) {
    const auto ignore = [](const JobKey&, std::string_view) {};
    ASSERT_TRUE(window->Refill(*store_, 1, ignore).ok());
    ASSERT_TRUE(window->complete());
  }
  // Times of everything held, emptying the window.
  std::vector<int64_t> Drain() {
    std::vector<int64_t> times;
    for (; !window_.empty(); window_.Pop()) times.push_back(window_.top().key_ms);
    return times;
  }

  TempDir dir_;
  std::unique_ptr<Store> store_;
  TimerWindow window_;
  uint64_t next_seq_ = 1;
};

TEST(TimerWindow, RefillLoadsTheEarliestRowsAndNoMoreThanAsked) {
  Rows rows;
  for (const int64_t ms : {50, 10, 40, 20, 30}) rows.Write(ms);
  EXPECT_TRUE(rows.window_.empty());
  rows.Refill(2);
  EXPECT_EQ(rows.window_.horizon().key_ms, 20);
  EXPECT_FALSE(rows.window_.complete());
  EXPECT_THAT(rows.Drain(), ElementsAre(10, 20));
  rows.Refill(2);
  EXPECT_THAT(rows.Drain(), ElementsAre(30, 40));
}

TEST(TimerWindow, NewRowIsHeldUpToTheHorizonAndStaysOnDiskBeyond) {
  Rows rows;
  for (const int64_t ms : {10, 20, 30}) rows.Write(ms);
  rows.Refill(2);
  rows.Write(15);
  rows.Write(25);
  EXPECT_THAT(rows.Drain(), ElementsAre(10, 15, 20));
  rows.Refill(10);
  EXPECT_THAT(rows.Drain(), ElementsAre(25, 30));
}

TEST(TimerWindow, NewRowAtTheHorizonsTimeIsBeyondItSinceItCameLater) {
  Rows rows;
  rows.Write(10);
  rows.Write(20);
  rows.Write(30);
  rows.Refill(2);
  rows.Write(20);
  EXPECT_THAT(rows.Drain(), ElementsAre(10, 20));
  rows.Refill(10);
  EXPECT_THAT(rows.Drain(), ElementsAre(20, 30));
}

TEST(TimerWindow, IsCompleteOnceTheLanesEndWasSeenAndThenHoldsEverythingNew) {
  Rows rows;
  rows.Write(10);
  rows.Refill(1);
  EXPECT_FALSE(rows.window_.complete());
  rows.Refill(1);
  EXPECT_TRUE(rows.window_.complete());
  rows.Write(1'000'000'000);
  EXPECT_THAT(rows.Drain(), ElementsAre(10, 1'000'000'000));
}

TEST(TimerWindow, ReadsNeitherOtherLanesNorBelowItsBound) {
  Rows rows(/*low_bound_ms=*/100);
  rows.Put(kLane - 1, {150, 1});
  rows.Put(kLane, {99, 2});
  rows.Put(kLane, {100, 3});
  rows.Put(kLane + 1, {160, 4});
  rows.Refill(10);
  EXPECT_TRUE(rows.window_.complete());
  EXPECT_THAT(rows.Drain(), ElementsAre(100));
}

TEST(TimerWindow, TrimLowersTheHorizonAndRefillFindsTheRestAgain) {
  Rows rows;
  for (const int64_t ms : {10, 20, 30, 40}) rows.Write(ms);
  rows.Refill(10);
  ASSERT_TRUE(rows.window_.complete());
  rows.window_.Trim(2);
  EXPECT_FALSE(rows.window_.complete());
  rows.Write(35);  // beyond the horizon now: not held
  EXPECT_THAT(rows.Drain(), ElementsAre(10, 20));
  rows.Refill(10);
  EXPECT_THAT(rows.Drain(), ElementsAre(30, 35, 40));
}

TEST(TimerWindow, RowPutBackIsFoundAgain) {
  Rows rows;
  const TimerEntry entry = rows.Write(10);
  rows.Refill(10);
  rows.window_.Pop();
  EXPECT_TRUE(rows.window_.empty());
  rows.window_.PutBack(entry);
  EXPECT_EQ(rows.window_.top(), entry);
}

TEST(TimerWindow, LowestIsTheHeadOrWhereUnreadRowsMayBegin) {
  Rows rows(/*low_bound_ms=*/5);
  EXPECT_EQ(rows.window_.Lowest().key_ms, 5);
  for (const int64_t ms : {10, 20}) rows.Write(ms);
  rows.Refill(1);
  EXPECT_EQ(rows.window_.Lowest().key_ms, 10);
  rows.window_.Pop();
  EXPECT_EQ(rows.window_.Lowest().key_ms, 10);  // 20 is not read yet
  rows.Refill(5);
  EXPECT_EQ(rows.window_.Lowest().key_ms, 20);
}

TEST(TimerWindow, EveryRowComesOnceAndInOrderUnderRandomOperations) {
  Draws draws;
  for (int round = 0; round < 10; ++round) {
    Rows rows;
    std::set<TimerEntry> model;     // rows in the store
    std::vector<TimerEntry> taken;  // rows that came out of the window
    int64_t clock = 0;              // nothing is written before it
    for (int step = 0; step < 600; ++step) {
      const uint64_t dice = draws.Below(100);
      if (dice < 45) {
        model.insert(rows.Write(clock + draws.Between(0, 400)));
      } else if (dice < 55 && !model.empty()) {  // a cancel
        const auto victim =
            std::next(model.begin(), static_cast<ptrdiff_t>(draws.Below(model.size())));
        rows.Delete(*victim);
        model.erase(victim);
      } else if (dice < 65) {
        rows.Refill(1 + draws.Below(20));
      } else if (dice < 68 && !rows.window_.empty()) {
        rows.window_.Trim(1 + draws.Below(rows.window_.size()));
      } else if (!rows.window_.empty()) {  // the head is due
        const TimerEntry head = rows.window_.top();
        rows.window_.Pop();
        if (!model.contains(head)) continue;  // found missing
        ASSERT_EQ(head, *model.begin()) << "an earlier row was passed over";
        clock = std::max(clock, head.key_ms);
        rows.Delete(head);
        model.erase(head);
        taken.push_back(head);
      }
    }
    while (!rows.window_.complete() || !rows.window_.empty()) {
      if (rows.window_.empty()) {
        rows.Refill(7);
        continue;
      }
      if (model.erase(rows.window_.top()) == 1) taken.push_back(rows.window_.top());
      rows.window_.Pop();
    }
    EXPECT_THAT(model, IsEmpty()) << "rows that never came";
    EXPECT_TRUE(std::is_sorted(taken.begin(), taken.end()));
  }
}

TEST(TimerWindow, RowsMovedAwayDoNotStandAtItsTop) {
  Rows rows;
  rows.Refill(1);
  const TimerEntry first = rows.Write(10);
  const TimerEntry second = rows.Write(20);
  rows.Write(30);
  rows.window_.Forget(second);
  rows.window_.Forget(first);
  EXPECT_EQ(rows.window_.Lowest().key_ms, 30);
  EXPECT_THAT(rows.Drain(), ElementsAre(30));
}

TEST(TimerWindow, ARowThatIsGoneBeforeItIsHeldIsNotFound) {
  Rows rows;
  rows.Refill(1);
  rows.window_.Forget({10, 7});
  rows.window_.Insert({10, 7});
  EXPECT_TRUE(rows.window_.empty());
}

TEST(TimerWindow, OneKeyMovedAMillionTimesTakesNoMoreRoomThanAFewThousand) {
  TimerWindow window(kLane, 0);
  Rows rows;
  rows.Complete(&window);
  size_t most = 0;
  for (uint64_t seq = 1; seq <= 1'000'000; ++seq) {
    window.Insert({static_cast<int64_t>(seq), seq});
    if (seq > 1) window.Forget({static_cast<int64_t>(seq - 1), seq - 1});
    most = std::max(most, window.size());
  }
  EXPECT_EQ(window.top().seq, 1'000'000u);
  EXPECT_LE(most, 4'096u);
}

TEST(TimerWindow, AgreesWithASetWhereMostRowsAreMovedAway) {
  Draws draws;
  Rows rows;
  for (int round = 0; round < 20; ++round) {
    TimerWindow window(kLane, 0);
    rows.Complete(&window);
    std::set<TimerEntry> model;
    uint64_t seq = 0;
    for (int step = 0; step < 20'000; ++step) {
      if (model.empty() || draws.Chance(55)) {
        const TimerEntry entry{draws.Between(0, 5'000), ++seq};
        window.Insert(entry);
        model.insert(entry);
      } else if (draws.Chance(85)) {
        auto moved = model.lower_bound({draws.Between(0, 5'000), 0});
        if (moved == model.end()) moved = model.begin();
        window.Forget(*moved);
        model.erase(moved);
      } else {
        window.Pop();
        model.erase(model.begin());
      }
      ASSERT_EQ(window.empty(), model.empty());
      if (model.empty()) continue;
      ASSERT_EQ(window.top(), *model.begin());
    }
    for (const TimerEntry& entry : model) {
      ASSERT_EQ(window.top(), entry);
      window.Pop();
    }
    EXPECT_TRUE(window.empty());
  }
}

}  // namespace
}  // namespace expirer
