#include "sched/process_gaps.h"

#include <gmock/gmock.h>

#include <memory>

#include "support/temp_dir.h"

namespace expirer {
namespace {

constexpr int64_t kNow = 1'800'000'000'000;

class ProcessGapsTest : public ::testing::Test {
 protected:
  ProcessGapsTest() {
    auto store = Store::Open({.path = dir_.path() + "/store"});
    EXPECT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }
  // A process starts.
  ProcessGaps Start(int64_t now_ms) {
    ProcessGaps process_gaps;
    WriteSet set;
    const absl::Status loaded = process_gaps.Load(*store_, now_ms, &set);
    EXPECT_TRUE(loaded.ok()) << loaded;
    EXPECT_TRUE(store_->Write(&set).ok());
    return process_gaps;
  }
  // Its last sign of life.
  void AliveAt(int64_t now_ms) {
    WriteSet set;
    ProcessGaps::StageAlive(now_ms, &set);
    EXPECT_TRUE(store_->Write(&set).ok());
  }
  TempDir dir_;
  std::unique_ptr<Store> store_;
};

TEST_F(ProcessGapsTest, FirstStartOfAStoreHasMissedNothing) {
  const ProcessGaps process_gaps = Start(kNow);
  EXPECT_EQ(process_gaps.LatenessMs(kNow - 1), 0);
  EXPECT_EQ(process_gaps.LatenessMs(kNow + 1), 0);
}

TEST_F(ProcessGapsTest, JobIsLateByWhatPassedUntilTheStartThatFoundIt) {
  Start(kNow);
  AliveAt(kNow + 1'000);
  const ProcessGaps process_gaps = Start(kNow + 61'000);
  EXPECT_EQ(process_gaps.LatenessMs(kNow + 1'001), 59'999);
  EXPECT_EQ(process_gaps.LatenessMs(kNow + 60'999), 1);
}

TEST_F(ProcessGapsTest, JobIsNotLateWhenAProcessRanAtItsDue) {
  Start(kNow);
  AliveAt(kNow + 1'000);
  const ProcessGaps process_gaps = Start(kNow + 61'000);
  EXPECT_EQ(process_gaps.LatenessMs(kNow + 500), 0);
  EXPECT_EQ(process_gaps.LatenessMs(kNow + 1'000), 0);
  EXPECT_EQ(process_gaps.LatenessMs(kNow + 61'000), 0);
  EXPECT_EQ(process_gaps.LatenessMs(kNow + 70'000), 0);
}

TEST_F(ProcessGapsTest, LaterRestartsDoNotMakeAJobLater) {
  Start(kNow);
  Start(kNow + 10'000);
  AliveAt(kNow + 20'000);
  const ProcessGaps process_gaps = Start(kNow + 3'600'000);
  EXPECT_EQ(process_gaps.LatenessMs(kNow + 4'000), 6'000);
  EXPECT_EQ(process_gaps.LatenessMs(kNow + 30'000), 3'570'000);
}

TEST_F(ProcessGapsTest, ClockSteppedBackOverTheSpanIsNoProcessGap) {
  Start(kNow);
  AliveAt(kNow + 60'000);
  const ProcessGaps process_gaps = Start(kNow + 1'000);
  for (const int64_t due_ms : {kNow, kNow + 30'000, kNow + 60'000})
    EXPECT_EQ(process_gaps.LatenessMs(due_ms), 0);
  // And the next start counts from the new sign of life.
  EXPECT_EQ(Start(kNow + 5'000).LatenessMs(kNow + 2'000), 3'000);
}

TEST_F(ProcessGapsTest, OldestSpansAreForgottenBeyondTheLimit) {
  for (int64_t i = 0; i <= 100; ++i) Start(kNow + i * 10'000);
  const ProcessGaps process_gaps = Start(kNow + 1'010'000);
  EXPECT_EQ(process_gaps.LatenessMs(kNow + 5'000), 0);
  EXPECT_EQ(process_gaps.LatenessMs(kNow + 1'005'000), 5'000);
  size_t kept = 0;
  ASSERT_TRUE(store_
                  ->VisitMeta("down/",
                              [&](std::string_view, std::string_view) {
                                ++kept;
                                return absl::OkStatus();
                              })
                  .ok());
  EXPECT_EQ(kept, 64u);
}

}  // namespace
}  // namespace expirer
