#include "sched/streams.h"

#include <gmock/gmock.h>

#include <memory>
#include <vector>

#include "support/temp_dir.h"
#include "unit/sched/seed.h"

namespace expirer {
namespace {

// Places messages, telling epoch and whether the stream was found rewound.
class Placing {
 public:
  Position operator()(uint64_t seq, int64_t time_ns, const std::string& stream = "S") {
    return streams_.Place(stream, seq, time_ns, &rewound_);
  }
  [[nodiscard]] bool rewound() const { return rewound_; }
  Streams streams_;

 private:
  bool rewound_ = false;
};

TEST(Streams, OneLifeIsOneEpochHoweverItsMessagesCome) {
  Placing place;
  EXPECT_EQ(place(10, 1'000).epoch, 1u);
  EXPECT_EQ(place(12, 1'200).epoch, 1u);
  EXPECT_EQ(place(11, 1'100).epoch, 1u);  // redelivered, or another rule's
  EXPECT_EQ(place(1, 100).epoch, 1u);
  EXPECT_EQ(place(12, 1'200).epoch, 1u);
  EXPECT_FALSE(place.rewound());
}

TEST(Streams, LowerSequenceWithALaterTimeBeginsANewEpoch) {
  Placing place;
  place(900, 1'000);
  EXPECT_EQ(place(1, 2'000).epoch, 2u);
  EXPECT_TRUE(place.rewound());
  EXPECT_EQ(place(2, 2'100).epoch, 2u);
  EXPECT_FALSE(place.rewound());
  EXPECT_EQ(place(1, 3'000).epoch, 3u);
  EXPECT_TRUE(place.rewound());
}

TEST(Streams, SameSequenceWithALaterTimeIsAnotherLifesMessage) {
  Placing place;
  place(1, 1'000);
  EXPECT_EQ(place(1, 2'000).epoch, 2u);
}

TEST(Streams, MessagesOfTheOldLifeStayOlderThanThoseOfTheNew) {
  Placing place;
  const Position old_life = place(900, 1'000);
  const Position new_life = place(3, 2'000);
  const Position late = place(899, 900);
  EXPECT_FALSE(place.rewound());
  EXPECT_LT(Compare(late, old_life), 0);
  EXPECT_LT(Compare(late, new_life), 0);
  EXPECT_GT(Compare(new_life, old_life), 0);
}

// Two rules read one stream through a durable each: the rewind is seen by the
// one that is ahead.
TEST(Streams, EarlyMessagesOfTheNewLifeAreNotTakenForTheOldOne) {
  Placing place;
  const Position old_life = place(900, 1'000);
  const Position ahead = place(3, 2'000);
  const Position behind = place(1, 1'800);
  EXPECT_FALSE(place.rewound());
  EXPECT_GT(Compare(behind, old_life), 0);
  EXPECT_LT(Compare(behind, ahead), 0);
}

// A stream restored twice still holds messages of its first life.
TEST(Streams, MessageOfTwoLivesAgoIsOlderThanTheLifeBetween) {
  Placing place;
  place(900, 1'000);
  const Position between = place(850, 2'000);
  place(800, 3'000);
  const Position again = place(900, 1'000);
  EXPECT_FALSE(place.rewound());
  EXPECT_LT(Compare(again, between), 0);
}

TEST(Streams, HaveNumbersOfTheirOwn) {
  Placing place;
  const uint16_t s = place(1, 1'000, "S").stream;
  const uint16_t t = place(1, 1'000, "T").stream;
  EXPECT_NE(s, t);
  EXPECT_NE(s, 0);  // 0 is core and API
  EXPECT_EQ(place(2, 2'000, "S").stream, s);
}

class StoredStreams : public ::testing::Test {
 protected:
  StoredStreams() {
    auto store = Store::Open({.path = dir_.path() + "/store"});
    EXPECT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }
  void Stage(Streams* streams) {
    WriteSet set;
    streams->Stage(&set);
    EXPECT_TRUE(store_->Write(&set).ok());
  }
  TempDir dir_;
  std::unique_ptr<Store> store_;
};

TEST_F(StoredStreams, EpochsAndNumbersOutliveTheProcess) {
  Placing before;
  before(900, 1'000, "S");
  before(3, 2'000, "S");
  before(7, 1'500, "T");
  Stage(&before.streams_);
  Placing after;
  ASSERT_TRUE(after.streams_.Load(*store_).ok());
  EXPECT_EQ(after(4, 2'100, "S"), before(4, 2'100, "S"));
  EXPECT_EQ(after(8, 2'100, "T"), before(8, 2'100, "T"));
  EXPECT_EQ(after(899, 900, "S"), before(899, 900, "S"));
  EXPECT_EQ(after(2, 1'900, "S"), before(2, 1'900, "S"));
  EXPECT_NE(after(1, 1, "U").stream, after(1, 1, "T").stream);
}

TEST_F(StoredStreams, OnlyWhatChangedIsWritten) {
  Placing place;
  place(10, 1'000);
  Stage(&place.streams_);
  WriteSet set;
  place(9, 900);
  place.streams_.Stage(&set);
  EXPECT_TRUE(set.empty());
  place(11, 1'100);
  place.streams_.Stage(&set);
  EXPECT_FALSE(set.empty());
}

TEST_F(StoredStreams, MalformedEntryIsDataLoss) {
  WriteSet set;
  set.PutMeta("stream/S", std::string("\x02", 1));
  ASSERT_TRUE(store_->Write(&set).ok());
  Streams streams;
  EXPECT_EQ(streams.Load(*store_).code(), absl::StatusCode::kDataLoss);
}

TEST(Streams, StateIsReadBackAsWritten) {
  const StreamState state{65'535, UINT64_MAX, INT64_MAX, 123, 456};
  const auto read = Streams::Decode(Streams::Encode(state));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->number, state.number);
  EXPECT_EQ(read->epoch, state.epoch);
  EXPECT_EQ(read->epoch_start_ns, state.epoch_start_ns);
  EXPECT_EQ(read->high_seq, state.high_seq);
  EXPECT_EQ(read->high_time_ns, state.high_time_ns);
}

// Two rules' durables read two lives of a stream, each its own part of the
// messages at its own pace and with redelivery; whatever was applied before,
// of two messages the one that JetStream stored later is the newer.
TEST(Streams, LaterMessageIsTheNewerUnderRandomDelivery) {
  struct Message {
    uint64_t seq;
    int64_t time_ns;
  };
  Draws draws;
  for (int round = 0; round < 2'000; ++round) {
    Placing place;
    std::vector<Message> all;
    std::vector<std::pair<int64_t, Position>> placed;
    int64_t time_ns = 1'000;
    for (int life = 0; life < 2; ++life) {
      std::vector<Message> queue[2];
      // Shorter than the life before: longer at once, it could not be told.
      uint64_t seq = 200 - 100 * static_cast<uint64_t>(life);
      for (uint64_t n = 2 + draws.Below(8); n > 0; --n) {
        const Message message{seq += 1 + draws.Below(2),
                              time_ns += draws.Between(1, 100)};
        for (auto& messages : queue)
          if (draws.Chance(70)) messages.push_back(message);
      }
      size_t next[2] = {0, 0};
      while (next[0] < queue[0].size() || next[1] < queue[1].size()) {
        const size_t rule = draws.Below(2);
        if (next[rule] == queue[rule].size()) continue;
        const bool again = !all.empty() && draws.Chance(20);
        const Message m =
            again ? all[draws.Below(all.size())] : queue[rule][next[rule]++];
        if (!again) all.push_back(m);
        placed.emplace_back(m.time_ns, place(m.seq, m.time_ns));
      }
    }
    for (const auto& [a_ns, a] : placed)
      for (const auto& [b_ns, b] : placed)
        ASSERT_EQ(Compare(a, b) > 0, a_ns > b_ns)
            << "round " << round << ": " << a.epoch << "/" << a.seq << " at " << a_ns
            << ", " << b.epoch << "/" << b.seq << " at " << b_ns;
  }
}

}  // namespace
}  // namespace expirer
