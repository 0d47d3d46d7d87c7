#include "sched/gap_watch.h"

#include <gtest/gtest.h>

namespace expirer {
namespace {

// Turns of a core and beats of a reader, on both clocks.
class GapWatchTest : public testing::Test {
 protected:
  void Pass(int64_t ms, bool beats = true) {
    for (; ms > 0; --ms) {
      ++now_.mono_ms;
      ++now_.wall_ms;
      if (beats && now_.mono_ms % 20 == 0) pulse_.beat_mono_ms = now_.mono_ms;
    }
  }
  int64_t Notice(const GapWatch::Core& core = {}) {
    return watch_.Notice(now_, core, std::span(&pulse_, 1));
  }

  Instant now_{1'000'000, 1'000};
  Pulse pulse_{1'000, 0, 0};
  GapWatch watch_{now_};
};

TEST_F(GapWatchTest, ACoreThatIsIdleOrBusyHasNoGap) {
  for (const int64_t ms : {1, 20, 300, 1'900}) {
    Pass(ms);
    EXPECT_EQ(Notice({.late_ms = 3, .still_ms = 400, .behind = false}), 0) << ms;
  }
}

TEST_F(GapWatchTest, AReaderWhosePulseStopsIsToldOnceAndThatItWentOnByItself) {
  Pass(40, false);
  EXPECT_EQ(Notice(), 0);
  Pass(10, false);
  EXPECT_EQ(Notice(), 30);
  Pass(500, false);
  EXPECT_EQ(Notice(), 0);
  pulse_ = {now_.mono_ms, 1, 550};
  EXPECT_EQ(Notice(), 550);
  EXPECT_EQ(Notice(), 0);
}

TEST_F(GapWatchTest, AReaderThatRanBeforeTheCoreAfterAFreezeIsSeenAllTheSame) {
  Pass(70, false);
  pulse_ = {now_.mono_ms, 1, 70};
  EXPECT_EQ(Notice(), 70);
}

TEST_F(GapWatchTest, ACoreThatWakesLateHasAGap) {
  Pass(300);
  EXPECT_EQ(Notice({.late_ms = 24}), 0);
  EXPECT_EQ(Notice({.late_ms = 60}), 60);
}

TEST_F(GapWatchTest, ATurnInWhichItDidNotRunCountsWhereMoreCameThanItApplies) {
  Pass(100);
  EXPECT_EQ(Notice({.still_ms = 90, .behind = false}), 0);
  EXPECT_EQ(Notice({.still_ms = 90, .behind = true}), 90);
}

TEST_F(GapWatchTest, AWallClockThatLeapsAheadIsAGapAndNoneThatStepsBack) {
  Pass(10);
  now_.wall_ms += 60'000;
  EXPECT_EQ(Notice(), 60'000);
  now_.wall_ms -= 60'000;
  EXPECT_EQ(Notice(), 0);
}

TEST_F(GapWatchTest, WithoutAConnectionThereIsNoPulse) {
  pulse_ = {};
  Pass(1'000, false);
  EXPECT_EQ(Notice(), 0);
}

TEST_F(GapWatchTest, TwoSecondsBetweenTwoTurnsAreAStandstill) {
  Pass(2'000);
  EXPECT_EQ(Notice(), 2'000);
}

}  // namespace
}  // namespace expirer
