// The dead store through the API: listed, taken back, purged.

#include <gmock/gmock.h>

#include "api/dead.h"
#include "unit/sched/api_world.h"

namespace expirer {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr int64_t kDue = kNow + 1'000;

class DeadWorld : public ApiWorld {
 public:
  DeadWorld() : ApiWorld({OneAttempt()}) {}

  // A job that is given up.
  void Kill(const std::string& key, uint64_t seq) {
    Schedule(key, clock_.NowMs() + 10, {seq, clock_.NowMs()});
    Advance(10);
    bus_->Answer(LastAttempt(), PubAnswer::Kind::kRefused, "no permission");
    Run();
    ASSERT_EQ(Stored(key), "dead");
  }
  std::vector<std::string> Keys(const DeadQuery& query, std::string* cursor = nullptr) {
    std::vector<std::string> keys;
    std::string ignored;
    const absl::Status read = ReadDead(
        *store_, query,
        [&](std::string_view key, const Dead&) {
          keys.emplace_back(key);
          return true;
        },
        cursor != nullptr ? cursor : &ignored);
    EXPECT_TRUE(read.ok()) << read;
    return keys;
  }
  MemoryBus::Replied Do(DeadCommand request) {
    EXPECT_TRUE(Send(std::move(request)));
    Run();
    return Last();
  }
  static DeadCommand One(const std::string& key, bool purge = false) {
    DeadCommand request;
    request.purge = purge;
    request.query.one = true;
    request.entries.emplace_back().key = key;
    return request;
  }

 private:
  static Rule OneAttempt() {
    Rule rule = TestRule("r");
    rule.retry.attempts = 1;
    return rule;
  }
};

TEST(ApiDead, PageEndsBeforeWhatItHasNoRoomForAndLeadsOn) {
  DeadWorld w;
  for (uint64_t i = 1; i <= 5; ++i) w.Kill("k" + std::to_string(i), i);
  DeadQuery query;
  std::vector<std::string> seen;
  std::string cursor;
  do {
    size_t entries = 0;
    const absl::Status read = ReadDead(
        *w.store_, query,
        [&](std::string_view key, const Dead&) {
          if (entries == 2) return false;
          ++entries;
          seen.emplace_back(key);
          return true;
        },
        &(cursor = ""));
    ASSERT_TRUE(read.ok()) << read;
    if (cursor.empty()) break;
    const auto next = ParseDeadQuery(R"({"cursor":")" + cursor + "\"}", "dead.list");
    ASSERT_TRUE(next.ok()) << next.status();
    query = *next;
  } while (seen.size() <= 5);
  EXPECT_EQ(seen, w.Keys({}));
}

TEST(ApiDead, EntryThatIsTooLongIsShortenedAndKeepsItsId) {
  const std::string key = DeadJobKey("r", std::string(kKeyBytesMax, '\x1F'));
  Dead dead;
  dead.reason = std::string(5'000, 'x');
  dead.subject = std::string(2'000, 's');
  const auto streams = [](uint16_t) { return std::string("S"); };
  const auto size = [&](size_t bytes_max) {
    const std::string entry = FormatDeadEntry(key, dead, streams, bytes_max);
    EXPECT_THAT(entry, HasSubstr(FormatDeadId(key)));
    EXPECT_EQ(entry.find("shortened") != entry.npos, bytes_max < 12'000);
    return entry.size();
  };
  EXPECT_GT(size(12'000), 10'000u);
  EXPECT_LE(size(6'000), 6'000u);
  EXPECT_LE(size(DeadPageBytes(4'096)), DeadPageBytes(4'096));
}

TEST(ApiDead, RequeuedJobFiresOnceMore) {
  DeadWorld w;
  w.Kill("a", 1);
  EXPECT_THAT(w.Get("a"), HasSubstr(R"("target":"out","attempts":1)"));
  EXPECT_THAT(w.Do(DeadWorld::One(DeadJobKey("r", "a"))).body,
              HasSubstr(R"("requeued":1)"));
  EXPECT_THAT(w.Keys({}), IsEmpty());
  EXPECT_THAT(w.bus_->published(), SizeIs(2));
  EXPECT_EQ(w.bus_->published()[0].MsgId(), w.bus_->published()[1].MsgId());
  EXPECT_THAT(w.Get("a"), HasSubstr(R"("target":"out","attempts":1)"));
  w.Confirm();
  EXPECT_EQ(w.Stored("a"), "fired");
}

// The clock stepped back since it fell due.
TEST(ApiDead, RequeuedBeforeItsDueTimeItMayHaveBeenSentAllTheSame) {
  DeadWorld w;
  w.Schedule("a", kDue, {1});
  w.Run();
  w.AdvanceTo(kDue);
  w.Advance(5'000);  // no answer
  w.Advance(60'000);
  ASSERT_THAT(w.bus_->published(), SizeIs(2));
  w.bus_->Answer(w.LastAttempt(), PubAnswer::Kind::kRefused, "no permission");
  w.Run();
  ASSERT_EQ(w.Stored("a"), "dead");
  w.clock_.Step(kNow);
  EXPECT_THAT(w.Do(DeadWorld::One(DeadJobKey("r", "a"))).body,
              HasSubstr(R"("requeued":1)"));
  EXPECT_EQ(w.Stored("a"), "pending");
  EXPECT_EQ(w.Outcome("a"), "too_late");
}

TEST(ApiDead, WhatCouldNeverBeDeliveredFiresOnceItsLimitIsRaisedAndItIsRequeued) {
  ApiWorld w;
  w.Schedule("a", kDue, {1});
  w.Run();
  w.AdvanceTo(kDue);
  w.bus_->Answer(w.LastAttempt(), PubAnswer::Kind::kNever, "too large");
  w.Run();
  EXPECT_THAT(w.Get("a"), HasSubstr(R"("state":"dead")"));
  EXPECT_THAT(w.Get("a"),
              HasSubstr(R"("last_error":"can never be delivered: too large")"));
  ASSERT_TRUE(w.Send(DeadWorld::One(DeadJobKey("r", "a"))));
  w.Run();
  ASSERT_THAT(w.bus_->published(), SizeIs(2));
  EXPECT_EQ(w.bus_->published()[0].MsgId(), w.bus_->published()[1].MsgId());
  w.Confirm();
  EXPECT_EQ(w.Stored("a"), "fired");
}

TEST(ApiDead, RequeueOfAClosedKeyIsAConflict) {
  DeadWorld w;
  w.Kill("a", 1);
  w.Cancel("a", {2, w.clock_.NowMs()});
  w.Run();
  EXPECT_EQ(w.Do(DeadWorld::One(DeadJobKey("r", "a"))).code, 409);
  EXPECT_EQ(w.Stored("a"), "cancelled");
}

TEST(ApiDead, RequeueOfAReplacedJobIsAConflict) {
  DeadWorld w;
  w.Kill("a", 1);
  w.Schedule("a", kDue + 60'000, {2, w.clock_.NowMs()});
  w.Run();
  EXPECT_EQ(w.Do(DeadWorld::One(DeadJobKey("r", "a"))).code, 409);
  EXPECT_EQ(w.Stored("a"), "pending");
}

TEST(ApiDead, RequeueOfWhatNobodyKnowsIs404) {
  DeadWorld w;
  EXPECT_EQ(w.Do(DeadWorld::One(DeadJobKey("r", "a"))).code, 404);
  EXPECT_EQ(w.Do(DeadWorld::One("nonsense")).code, 404);
}

TEST(ApiDead, RequeueTwiceInOneTurnTakesBackOnce) {
  DeadWorld w;
  w.Kill("a", 1);
  ASSERT_TRUE(w.Send(DeadWorld::One(DeadJobKey("r", "a"))));
  ASSERT_TRUE(w.Send(DeadWorld::One(DeadJobKey("r", "a"))));
  w.Run();
  ASSERT_THAT(w.bus_->replied(), SizeIs(2));
  EXPECT_EQ(w.bus_->replied()[0].code, 0);
  EXPECT_EQ(w.bus_->replied()[1].code, 409);
  EXPECT_THAT(w.bus_->published(), SizeIs(2));
}

// A rejected message as the rules see it once they have been mended.
DeadCommand Again(const std::string& key, int64_t due_ms, const Position& source) {
  DeadCommand request = DeadWorld::One(key);
  ScheduleIntent intent;
  intent.job.key = "a";
  intent.job.due_ms = due_ms;
  intent.job.target = "out";
  request.entries[0].intent = std::move(intent);
  request.entries[0].source = source;
  return request;
}

TEST(ApiDead, RequeuedRejectBecomesAJobAtItsOriginalPosition) {
  DeadWorld w;
  w.Reject("no key", {1});
  w.Run();
  const auto keys = w.Keys({});
  ASSERT_THAT(keys, SizeIs(1));
  std::string value;
  ASSERT_TRUE(*w.store_->GetDead(keys[0], &value));
  const Dead dead = *DecodeDead(value);
  EXPECT_THAT(w.Do(Again(keys[0], kDue, dead.source)).body, HasSubstr(R"("requeued":1)"));
  EXPECT_EQ(w.Known("a")->schedule->position, dead.source);
  EXPECT_EQ(w.stats().rules.at("r").rejected, 0u);
  w.Advance(1'000);
  EXPECT_THAT(w.bus_->published(), SizeIs(1));
  EXPECT_THAT(w.bus_->acked(), IsEmpty()) << "there is nothing to ack";
}

TEST(ApiDead, RequeuedRejectDoesNotReplaceANewerSchedule) {
  DeadWorld w;
  w.Reject("no key", {1});
  w.Schedule("a", kDue, {2});
  w.Run();
  const auto keys = w.Keys({});
  ASSERT_THAT(keys, SizeIs(1));
  std::string value;
  ASSERT_TRUE(*w.store_->GetDead(keys[0], &value));
  const Dead dead = *DecodeDead(value);
  EXPECT_EQ(w.Do(Again(keys[0], kDue + 60'000, dead.source)).code, 0);
  EXPECT_EQ(w.Known("a")->schedule->due_ms, kDue);
}

TEST(ApiDead, RejectThatIsStillOneStays) {
  DeadWorld w;
  w.Reject("no key", {1});
  w.Run();
  DeadCommand request;
  request.entries.emplace_back().key = w.Keys({})[0];
  request.entries[0].intent = RejectIntent{"no key"};
  EXPECT_THAT(w.Do(std::move(request)).body, HasSubstr(R"("still_rejected":1)"));
  EXPECT_THAT(w.Keys({}), SizeIs(1));
}

TEST(ApiDead, PurgedJobIsClosedForItsOldSchedule) {
  DeadWorld w;
  w.Kill("a", 1);
  DeadCommand dry = DeadWorld::One(DeadJobKey("r", "a"), /*purge=*/true);
  dry.query.dry_run = true;
  EXPECT_THAT(w.Do(std::move(dry)).body, HasSubstr(R"("purged":1,"dry_run":true)"));
  EXPECT_THAT(w.Keys({}), SizeIs(1));
  EXPECT_THAT(w.Do(DeadWorld::One(DeadJobKey("r", "a"), /*purge=*/true)).body,
              HasSubstr(R"("purged":1)"));
  EXPECT_THAT(w.Keys({}), IsEmpty());
  EXPECT_EQ(w.Stored("a"), "cancelled");
  EXPECT_EQ(w.stats().rules.at("r").dead_jobs, 0u);
  w.Schedule("a", kNow + 10, {1});
  w.Advance(60'000);
  EXPECT_THAT(w.bus_->published(), SizeIs(1));
}

TEST(ApiDead, FiltersAndCursorGoThroughAll) {
  DeadWorld w;
  for (uint64_t i = 1; i <= 5; ++i) w.Reject("bad", {i});
  w.Kill("a1", 10);
  w.Kill("a2", 11);
  w.Kill("b1", 12);
  DeadQuery query;
  query.prefix = "a";
  EXPECT_THAT(w.Keys(query), SizeIs(2));
  query.rule = "r";
  EXPECT_THAT(w.Keys(query), SizeIs(2));
  query.rule = "other";
  EXPECT_THAT(w.Keys(query), IsEmpty());
  DeadQuery page;
  page.limit = 3;
  size_t all = 0;
  for (int pages = 1; pages <= 3; ++pages) {
    std::string cursor;
    all += w.Keys(page, &cursor).size();
    if (cursor.empty()) break;
    const auto next =
        ParseDeadQuery(R"({"limit":3,"cursor":")" + cursor + "\"}", "dead.list");
    ASSERT_TRUE(next.ok()) << next.status();
    page = *next;
  }
  EXPECT_EQ(all, 8u);
}

// Each request brings a page, and every entry of it is read whole.
class DeadPages : public DeadWorld {
 public:
  // `count` rejected messages of `bytes` each.
  DeadPages(uint64_t count, size_t bytes) {
    bad_bytes_.assign(bytes, 'x');
    for (uint64_t i = 0; i < count; ++i) Reject("bad", {1 + i});
    Run();
    keys_ = All();
    EXPECT_THAT(keys_, SizeIs(count));
  }
  void SendPurge(size_t from, size_t count) {
    DeadCommand request;
    request.purge = true;
    for (size_t i = from; i < from + count; ++i)
      request.entries.emplace_back().key = keys_[i];
    EXPECT_TRUE(Send(std::move(request)));
  }
  // The most that one turn takes out, until nothing is left.
  size_t MostATurn() {
    size_t most = 0;
    for (size_t left = keys_.size(); left > 0;) {
      Step();
      const size_t now = All().size();
      most = std::max(most, left - now);
      if (now >= left) {
        ADD_FAILURE() << "a turn without progress, " << left << " are left";
        break;
      }
      left = now;
    }
    Run();
    return most;
  }
  std::vector<std::string> Replies() const {
    std::vector<std::string> all;
    for (const auto& one : bus_->replied()) all.push_back(one.body);
    return all;
  }

 private:
  std::vector<std::string> All() {
    DeadQuery query;
    query.limit = kPageMax;
    return Keys(query);
  }
  std::vector<std::string> keys_;
};

std::string Purged(size_t count) {
  return "{\"purged\":" + std::to_string(count) + ",\"dry_run\":false}";
}

TEST(ApiDead, RequestsAreWorkedOffAPieceATurnInTheirOrder) {
  DeadPages w(600, 100);
  w.SendPurge(0, 400);
  w.SendPurge(300, 300);
  w.SendPurge(0, 600);
  w.Schedule("a", kNow, {1'000});  // a message of that turn waits for none of them
  EXPECT_LE(w.MostATurn(), Piece::kEntriesMax);
  EXPECT_EQ(w.Stored("a"), "pending");
  EXPECT_THAT(w.Replies(), testing::ElementsAre(Purged(400), Purged(200), Purged(0)));
}

TEST(ApiDead, LargeEntriesAreWorkedOffFewATurn) {
  constexpr size_t kBytes = 300'000;
  DeadPages w(40, kBytes);
  w.SendPurge(0, 20);
  w.SendPurge(20, 20);
  EXPECT_LE(w.MostATurn(), Piece::kBytesMax / kBytes + 1);
  EXPECT_THAT(w.Replies(), testing::ElementsAre(Purged(20), Purged(20)));
}

TEST(ApiDead, RequestBegunIsAnsweredBeforeTheServiceIsDrained) {
  DeadPages w(600, 100);
  w.SendPurge(0, 600);
  w.scheduler_->StopDispatch();
  w.Step();
  EXPECT_FALSE(w.scheduler_->Drained());
  w.Run();
  EXPECT_TRUE(w.scheduler_->Drained());
  EXPECT_THAT(w.Replies(), testing::ElementsAre(Purged(600)));
}

}  // namespace
}  // namespace expirer
