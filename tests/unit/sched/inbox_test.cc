#include "sched/inbox.h"

#include <gmock/gmock.h>

#include <fstream>
#include <thread>

namespace expirer {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

Request Message(uint64_t seq, size_t bytes = 0) {
  MessageRequest message;
  message.stream_seq = seq;
  Job job;
  job.body.assign(bytes, 'x');
  message.intent = ScheduleIntent{std::move(job)};
  return message;
}

// An inbox that counts its calls.
class Box {
 public:
  explicit Box(size_t capacity) : inbox_(capacity, [this] { ++wakes_; }) {
    inbox_.OnRoom([this] { ++rooms_; });
  }
  void PushOne(uint64_t seq, size_t bytes = 0) {
    ASSERT_TRUE(inbox_.Reserve(1));
    inbox_.Push(Message(seq, bytes));
  }
  std::vector<uint64_t> Drain(size_t requests_max) {
    completions_.clear();
    std::vector<Request> requests;
    inbox_.Drain(requests_max, &completions_, &requests);
    std::vector<uint64_t> seqs;
    for (const Request& request : requests)
      seqs.push_back(std::get<MessageRequest>(request).stream_seq);
    return seqs;
  }
  Inbox inbox_;
  std::vector<Completion> completions_;
  int wakes_ = 0;
  int rooms_ = 0;
};

TEST(Inbox, NeverGivesMorePlacesThanItHas) {
  Box box(10);
  EXPECT_TRUE(box.inbox_.Reserve(7));
  EXPECT_FALSE(box.inbox_.Reserve(4));
  EXPECT_TRUE(box.inbox_.Reserve(3));
  EXPECT_FALSE(box.inbox_.Reserve(1));
}

TEST(Inbox, PlaceIsFreeOnceItsRequestIsDrained) {
  Box box(2);
  box.PushOne(1);
  box.PushOne(2);
  EXPECT_FALSE(box.inbox_.Reserve(1));
  EXPECT_THAT(box.Drain(1), ElementsAre(1));
  EXPECT_TRUE(box.inbox_.Reserve(1));
  EXPECT_FALSE(box.inbox_.Reserve(1));
}

TEST(Inbox, TellsOfRoomOnceAfterARefusalAndOnlyThen) {
  Box box(2);
  ASSERT_TRUE(box.inbox_.Reserve(2));
  box.inbox_.Release(1);
  EXPECT_EQ(box.rooms_, 0);
  EXPECT_FALSE(box.inbox_.Reserve(2));
  box.inbox_.Release(1);
  EXPECT_EQ(box.rooms_, 1);
  EXPECT_TRUE(box.inbox_.Reserve(2));
  box.inbox_.Release(2);
  EXPECT_EQ(box.rooms_, 1);
}

TEST(Inbox, DrainMakesRoomKnownToo) {
  Box box(1);
  box.PushOne(1);
  EXPECT_FALSE(box.inbox_.Reserve(1));
  EXPECT_THAT(box.Drain(5), SizeIs(1));
  EXPECT_EQ(box.rooms_, 1);
}

TEST(Inbox, CompletionsNeedNoPlaceAndComeAllAtOnce) {
  Box box(1);
  box.PushOne(1);
  for (uint64_t i = 1; i <= 1'000; ++i) box.inbox_.Complete(Synced{i});
  EXPECT_THAT(box.Drain(0), SizeIs(0));
  ASSERT_THAT(box.completions_, SizeIs(1'000));
  for (uint64_t i = 0; i < 1'000; ++i)
    EXPECT_EQ(std::get<Synced>(box.completions_[i]).ticket, i + 1);
  EXPECT_FALSE(box.inbox_.empty());  // the request
}

TEST(Inbox, RequestsComeInOrderOfArrivalAcrossDrains) {
  Box box(10);
  for (uint64_t seq = 1; seq <= 5; ++seq) box.PushOne(seq);
  EXPECT_THAT(box.Drain(2), ElementsAre(1, 2));
  EXPECT_EQ(box.inbox_.requests(), 3u);
  box.PushOne(6);
  EXPECT_THAT(box.Drain(100), ElementsAre(3, 4, 5, 6));
  EXPECT_TRUE(box.inbox_.empty());
}

TEST(Inbox, DrainAddsToWhatTheCallerStillHas) {
  Box box(10);
  box.inbox_.Complete(Synced{1});
  std::vector<Completion> completions;
  std::vector<Request> requests;
  box.inbox_.Drain(10, &completions, &requests);
  box.inbox_.Complete(Synced{2});
  box.inbox_.Drain(10, &completions, &requests);
  ASSERT_THAT(completions, SizeIs(2));
  EXPECT_EQ(std::get<Synced>(completions[1]).ticket, 2u);
}

// "Everything before this is applied", of messages that only the next turns take.
TEST(Inbox, HowFarARuleIsReadComesWithTheMessagesThatArrivedBefore) {
  Box box(10);
  for (uint64_t seq = 1; seq <= 3; ++seq) box.PushOne(seq);
  box.inbox_.Complete(RuleRead{0, RuleRead::State::kCaughtUp, {5, 5}});
  box.PushOne(4);
  EXPECT_THAT(box.Drain(2), ElementsAre(1, 2));
  EXPECT_THAT(box.completions_, SizeIs(0));
  EXPECT_THAT(box.Drain(0), SizeIs(0));
  EXPECT_THAT(box.completions_, SizeIs(0));
  EXPECT_THAT(box.Drain(1), ElementsAre(3));
  ASSERT_THAT(box.completions_, SizeIs(1));
  EXPECT_EQ(std::get<RuleRead>(box.completions_[0]).at.wall_ms, 5);
  EXPECT_THAT(box.Drain(1), ElementsAre(4));
  box.inbox_.Complete(RuleRead{0, RuleRead::State::kReading, {}});
  EXPECT_THAT(box.Drain(1), SizeIs(0));
  EXPECT_THAT(box.completions_, SizeIs(1));
}

TEST(Inbox, ThatARuleIsNotReadWaitsForNoMessageAndTakesBackWhatWaits) {
  Box box(10);
  box.PushOne(1);
  box.inbox_.Complete(RuleRead{0, RuleRead::State::kCaughtUp, {5, 5}});
  box.inbox_.Complete(RuleRead{1, RuleRead::State::kCaughtUp, {5, 5}});
  box.inbox_.Complete(RuleRead{0, RuleRead::State::kAway, {6, 6}});
  EXPECT_THAT(box.Drain(0), SizeIs(0));
  ASSERT_THAT(box.completions_, SizeIs(1));
  EXPECT_EQ(std::get<RuleRead>(box.completions_[0]).state, RuleRead::State::kAway);
  EXPECT_THAT(box.Drain(1), ElementsAre(1));
  ASSERT_THAT(box.completions_, SizeIs(1));
  EXPECT_EQ(std::get<RuleRead>(box.completions_[0]).rule, 1U);
}

TEST(Inbox, WakesOnlyWhenItWasEmpty) {
  Box box(10);
  box.PushOne(1);
  box.PushOne(2);
  box.inbox_.Complete(Synced{1});
  EXPECT_EQ(box.wakes_, 1);
  EXPECT_THAT(box.Drain(10), SizeIs(2));
  box.inbox_.Complete(Synced{2});
  EXPECT_EQ(box.wakes_, 2);
}

TEST(Inbox, CompletionsAloneWakeFromTheCountThatWasSet) {
  Box box(10);
  box.inbox_.SetWakeAt(3);
  box.inbox_.Complete(Synced{1});
  box.inbox_.Complete(Synced{2});
  EXPECT_EQ(box.wakes_, 0);
  box.inbox_.Complete(Synced{3});
  EXPECT_EQ(box.wakes_, 1);
}

TEST(Inbox, RequestWakesWhateverCountWasSet) {
  Box box(10);
  box.inbox_.SetWakeAt(3);
  box.inbox_.Complete(Synced{1});
  box.PushOne(1);
  EXPECT_EQ(box.wakes_, 1);
}

TEST(Inbox, GivesNoPlacesWhileLargeRequestsWait) {
  Box box(1'000);
  for (uint64_t seq = 1; seq <= 32; ++seq) box.PushOne(seq, 1 << 20);
  EXPECT_FALSE(box.inbox_.Reserve(1));
  EXPECT_THAT(box.Drain(10), SizeIs(10));
  EXPECT_EQ(box.rooms_, 1);
  EXPECT_TRUE(box.inbox_.Reserve(1));
}

TEST(Inbox, CountsTheBytesOfWhatIsAskedForBeforeItComes) {
  Box box(1'000);
  const size_t half = Inbox::kBytesMax / 2;
  EXPECT_TRUE(box.inbox_.Reserve(10, half));
  EXPECT_TRUE(box.inbox_.Reserve(10, half));
  EXPECT_FALSE(box.inbox_.Reserve(1, 1));
  box.inbox_.Release(0, half);
  EXPECT_EQ(box.rooms_, 1);
  EXPECT_EQ(box.inbox_.bytes(), half);
}

TEST(Inbox, AMessageTakesItsOwnBytesInsteadOfThoseAskedForIt) {
  Box box(1'000);
  ASSERT_TRUE(box.inbox_.Reserve(2, 2'000'000));
  box.inbox_.Push(Message(1, 10), 1'000'000);
  EXPECT_GT(box.inbox_.bytes(), 1'000'000u);
  EXPECT_LT(box.inbox_.bytes(), 1'002'000u);
  box.inbox_.Push(Message(2, 3'000'000), 1'000'000);
  EXPECT_GT(box.inbox_.bytes(), 3'000'000u);
  EXPECT_THAT(box.Drain(2), SizeIs(2));
  EXPECT_EQ(box.inbox_.bytes(), 0u);
}

TEST(Inbox, WhatIsLargerThanItsRestIsAskedForOnceHalfOfItIsFree) {
  Box box(1'000);
  ASSERT_TRUE(box.inbox_.Reserve(1, Inbox::kBytesMax / 2 + 1));
  EXPECT_FALSE(box.inbox_.Reserve(1, 2 * Inbox::kBytesMax));
  box.inbox_.Release(1, 1);
  EXPECT_TRUE(box.inbox_.Reserve(1, 2 * Inbox::kBytesMax));
}

TEST(Inbox, ALowerLimitOfBytesHoldsFromThenOn) {
  Box box(1'000);
  box.inbox_.SetBytesMax(1'000);
  EXPECT_TRUE(box.inbox_.Reserve(1, 600));
  EXPECT_FALSE(box.inbox_.Reserve(1, 600));
  box.inbox_.SetBytesMax(2'000);
  EXPECT_EQ(box.rooms_, 1);
  EXPECT_TRUE(box.inbox_.Reserve(1, 600));
}

// Resident memory of this process.
size_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  size_t size = 0;
  size_t resident = 0;
  file >> size >> resident;
  return resident * 4'096;
}

TEST(Inbox, WhatWasDrainedTakesNoMemoryAlthoughItIsNeverEmpty) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer keeps what was freed";
#endif
  Inbox inbox(16, [] {});
  ASSERT_TRUE(inbox.Reserve(1));
  inbox.Push(MessageRequest());
  std::vector<Completion> completions;
  std::vector<Request> requests;
  const size_t before = ResidentBytes();
  constexpr uint64_t kCount = 1'500'000;
  for (uint64_t seq = 1; seq <= kCount; ++seq) {
    requests.clear();
    ASSERT_TRUE(inbox.Reserve(1));
    inbox.Push(MessageRequest());
    inbox.Drain(1, &completions, &requests);
  }
  EXPECT_FALSE(inbox.empty());
  EXPECT_LT(ResidentBytes(), before + 350'000'000);
  static_assert(kCount * sizeof(Request) > 500'000'000);
}

TEST(Inbox, NothingIsLostBetweenManyThreads) {
  constexpr uint64_t kEach = 20'000;
  Inbox inbox(64, [] {});
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&inbox] {
      for (uint64_t i = 0; i < kEach; ++i) {
        while (!inbox.Reserve(1)) std::this_thread::yield();
        inbox.Push(Message(i));
        inbox.Complete(Synced{i});
      }
    });
  }
  std::vector<Completion> completions;
  std::vector<Request> requests;
  while (requests.size() < 3 * kEach || completions.size() < 3 * kEach)
    inbox.Drain(50, &completions, &requests);
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(requests, SizeIs(3 * kEach));
  EXPECT_THAT(completions, SizeIs(3 * kEach));
  EXPECT_TRUE(inbox.empty());
  EXPECT_TRUE(inbox.Reserve(64));
}

}  // namespace
}  // namespace expirer
