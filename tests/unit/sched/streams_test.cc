#include "sched/streams.h"

#include <gmock/gmock.h>

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/coding.h"
#include "support/seed.h"
#include "support/temp_dir.h"
#include "unit/sched/world.h"

namespace expirer {
namespace {

// Places messages, telling epoch and whether the stream was found rewound.
class Placing {
 public:
  Position operator()(uint64_t seq, int64_t time_ns, const std::string& stream = "S") {
    return streams_.Place(rule_, &*names_.insert(stream).first, created_ns_, seq, time_ns,
                          &rewound_);
  }
  // Of a stream that was created then.
  Placing& Created(int64_t created_ns) {
    created_ns_ = created_ns;
    return *this;
  }
  Placing& For(RuleIndex rule) {
    rule_ = rule;
    return *this;
  }
  [[nodiscard]] bool rewound() const { return rewound_; }

 private:
  const std::vector<Rule> rules_ = {TestRule("r"), TestRule("s")};
  std::set<std::string> names_;
  RuleIndex rule_ = 0;
  int64_t created_ns_ = 0;
  bool rewound_ = false;

 public:
  Streams streams_{&rules_};
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

// A connection that is lost takes the first messages with it; they come again.
TEST(Streams, EarlyMessagesOfTheNewLifeAreNotTakenForTheOldOne) {
  Placing place;
  const Position old_life = place(900, 1'000);
  const Position ahead = place(3, 2'000);
  const Position behind = place(1, 1'800);
  EXPECT_FALSE(place.rewound());
  EXPECT_GT(Compare(behind, old_life), 0);
  EXPECT_LT(Compare(behind, ahead), 0);
}

// Each rule has a durable of its own: one may be far ahead in the new life.
TEST(Streams, ARewindIsSeenByARuleWhenAnotherIsPastTheOldLifesEnd) {
  Placing place;
  const Position old_life = place.For(0)(900, 1'000);
  EXPECT_EQ(place.For(1)(800, 900).epoch, 1u);
  EXPECT_EQ(place.For(1)(950, 3'000).epoch, 1u);  // above: not told, and no matter
  const Position new_life = place.For(0)(20, 2'000);
  EXPECT_TRUE(place.rewound());
  EXPECT_GT(Compare(new_life, old_life), 0);
}

// Its first messages were not for the rule, or are under way still.
TEST(Streams, AStreamMadeAgainThatGrewPastTheOldOneIsANewLife) {
  Placing place;
  const Position old_life = place.Created(10)(50, 1'000);
  const Position ahead = place.Created(1'500)(60, 2'000);
  EXPECT_TRUE(place.rewound());
  const Position behind = place(20, 1'800);
  EXPECT_FALSE(place.rewound());
  EXPECT_GT(Compare(behind, old_life), 0);
  EXPECT_LT(Compare(behind, ahead), 0);
}

TEST(Streams, AStreamMadeAgainIsNewerWhateverTheClocksSay) {
  Placing place;
  const Position old_life = place.Created(9'000)(50, 10'000);
  const Position first = place.Created(500)(1, 600);  // set back before the old one
  EXPECT_TRUE(place.rewound());
  EXPECT_GT(Compare(first, old_life), 0);
  const Position next = place(60, 700);
  EXPECT_FALSE(place.rewound());
  EXPECT_GT(Compare(next, first), 0);
  EXPECT_GT(Compare(next, old_life), 0);
  const Position third = place.Created(650)(2, 660);  // and once more
  EXPECT_TRUE(place.rewound());
  EXPECT_GT(Compare(third, next), 0);
  EXPECT_GT(Compare(third, old_life), 0);
}

// Servers before 2.15 may tell another time after they recovered the stream.
TEST(Streams, TheSameMessagesUnderAnotherTimeOfCreationChangeNothing) {
  Placing place;
  const Position schedule = place.Created(10)(5, 1'000);
  const Position cancel = place(6, 1'100);
  const Position again = place.Created(5'000)(5, 1'000);
  EXPECT_LE(Compare(again, schedule), 0);
  EXPECT_LT(Compare(again, cancel), 0);
  EXPECT_EQ(Compare(place(6, 1'100), cancel), 0);
  EXPECT_GT(Compare(place(7, 6'000), cancel), 0);
}

TEST(Streams, TheStreamBeforeOutOfABackupIsNoNewerThanItWas) {
  Placing place;
  const Position schedule = place.Created(10)(5, 1'000);
  const Position cancel = place.Created(2'000)(1, 2'100);
  const Position again = place.Created(10)(5, 1'000);
  EXPECT_TRUE(place.rewound());
  EXPECT_LE(Compare(again, schedule), 0);
  EXPECT_LT(Compare(again, cancel), 0);
  EXPECT_GT(Compare(place(6, 3'000), cancel), 0);
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
  EXPECT_EQ(after.streams_.NameOf(after(1, 1, "T").stream), "T");
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
  for (const auto& [key, value] :
       {std::pair{"stream/S", std::string("\x02", 2)},
        std::pair{"read/r", std::string("\x02\x03", 2)},
        std::pair{"read/r", std::string("\x02\x03\x00\x01", 4)}}) {
    WriteSet set;
    set.PutMeta(key, value);
    ASSERT_TRUE(store_->Write(&set).ok());
    Placing place;
    EXPECT_EQ(place.streams_.Load(*store_).code(), absl::StatusCode::kDataLoss) << key;
    set.Clear();
    set.DeleteMeta(key);
    ASSERT_TRUE(store_->Write(&set).ok());
  }
}

TEST_F(StoredStreams, ALifeOutlivesTheProcess) {
  Placing before;
  const Position old_life = before.Created(900)(50, 1'000);
  Stage(&before.streams_);
  Placing after;
  ASSERT_TRUE(after.streams_.Load(*store_).ok());
  EXPECT_EQ(after.Created(900)(50, 1'000), old_life);
  EXPECT_FALSE(after.rewound());
  EXPECT_GT(Compare(after.Created(100)(1, 200), old_life), 0);
  EXPECT_TRUE(after.rewound());
}

// Such a store does not know when its streams were created.
TEST_F(StoredStreams, ATimeOfCreationIsLearnedWithoutANewEpoch) {
  std::string mark;
  for (const uint64_t field : {uint64_t{80}, uint64_t{1'000}, uint64_t{3}, uint64_t{500}})
    PutVarint(&mark, field);
  std::string number;
  PutVarint(&number, 7);
  WriteSet set;
  set.PutMeta("stream/S", number);
  set.PutMeta("read/" + SourceKey("r", "S"), mark);
  ASSERT_TRUE(store_->Write(&set).ok());
  Placing place;
  ASSERT_TRUE(place.streams_.Load(*store_).ok());
  EXPECT_EQ(place.Created(400)(79, 990), (Position{7, 3, 79, 990, {}}));
  EXPECT_FALSE(place.rewound());
  Stage(&place.streams_);
  Placing after;
  ASSERT_TRUE(after.streams_.Load(*store_).ok());
  EXPECT_EQ(after.Created(300)(1, 350).epoch, kEra + 4);
}

// One mark for all rules of a stream, and of each rule the sequence only.
TEST_F(StoredStreams, MarksOfStoreFormat3AreTakenOver) {
  std::string entry(1, '\1');
  for (const uint64_t field :
       {uint64_t{7}, uint64_t{3}, uint64_t{500}, uint64_t{90}, uint64_t{1'000}})
    PutVarint(&entry, field);
  std::string mark;
  PutVarint(&mark, 80);
  WriteSet set;
  set.PutMeta("stream/S", entry);
  set.PutMeta("read/" + SourceKey("r", "S"), mark);
  ASSERT_TRUE(store_->Write(&set).ok());
  Placing place;
  ASSERT_TRUE(place.streams_.Load(*store_).ok());
  EXPECT_EQ(place.streams_.NameOf(7), "S");
  EXPECT_EQ(place(81, 700), (Position{7, 3, 81, 700, {}}));
  EXPECT_EQ(place(60, 400).epoch, 0u);
  EXPECT_EQ(place(80, 1'100).epoch, 4u);
  EXPECT_EQ(Streams::ReadUpTo(*store_)->at(SourceKey("r", "S")), 80u);
}

TEST(Streams, MarkIsReadBackAsWritten) {
  const ReadMark mark{UINT64_MAX, INT64_MAX, 123, 456, 78, 9};
  const auto read = Streams::Decode(Streams::Encode(mark));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->high_seq, mark.high_seq);
  EXPECT_EQ(read->high_time_ns, mark.high_time_ns);
  EXPECT_EQ(read->epoch, mark.epoch);
  EXPECT_EQ(read->epoch_start_ns, mark.epoch_start_ns);
  EXPECT_EQ(read->created_ns, mark.created_ns);
  EXPECT_EQ(read->before_ns, mark.before_ns);
}

// Two rules' durables read two lives of a stream, each its own part of the
// messages at its own pace and with redelivery; whatever was applied before,
// of two messages of a rule the one that JetStream stored later is the newer.
TEST(Streams, LaterMessageIsTheNewerUnderRandomDelivery) {
  struct Message {
    uint64_t seq;
    int64_t time_ns;
  };
  Draws draws;
  for (int round = 0; round < 2'000; ++round) {
    Placing place;
    std::vector<Message> applied[2];
    std::vector<std::pair<int64_t, Position>> placed[2];
    std::vector<Message> unread[2];
    int64_t time_ns = 1'000;
    for (int life = 0; life < 2; ++life) {
      uint64_t seq = life == 0 ? 200 : draws.Below(250);
      for (uint64_t n = 2 + draws.Below(20); n > 0; --n) {
        const Message message{seq += 1 + draws.Below(2),
                              time_ns += draws.Between(1, 100)};
        for (auto& messages : unread)
          if (draws.Chance(70)) messages.push_back(message);
      }
    }
    size_t next[2] = {0, 0};
    while (next[0] < unread[0].size() || next[1] < unread[1].size()) {
      const auto rule = static_cast<RuleIndex>(draws.Below(2));
      if (next[rule] == unread[rule].size()) continue;
      const bool again = !applied[rule].empty() && draws.Chance(20);
      const Message m = again ? applied[rule][draws.Below(applied[rule].size())]
                              : unread[rule][next[rule]++];
      if (!again) applied[rule].push_back(m);
      placed[rule].emplace_back(m.time_ns, place.For(rule)(m.seq, m.time_ns));
    }
    for (const auto& of_rule : placed)
      for (const auto& [a_ns, a] : of_rule)
        for (const auto& [b_ns, b] : of_rule)
          ASSERT_EQ(Compare(a, b) > 0, a_ns > b_ns)
              << "round " << round << ": " << a.epoch << "/" << a.seq << " at " << a_ns
              << ", " << b.epoch << "/" << b.seq << " at " << b_ns;
  }
}

}  // namespace
}  // namespace expirer
