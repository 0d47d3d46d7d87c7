// Every kind of message that was rejected, through dead.requeue: it becomes what
// its rule makes of it now, or it stays with its bytes and says why.

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "api/dead.h"
#include "unit/sched/api_world.h"

namespace expirer {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr int64_t kDue = kNow + 60'000;
constexpr int64_t kHistoryMs = 1'000;
constexpr int64_t kLongAgo = kNow - 600'000;

Job JobOf(const std::string& key, int64_t due_ms) {
  Job job;
  job.key = key;
  job.due_ms = due_ms;
  job.target = "out";
  job.body = "bytes";
  return job;
}

ScheduleIntent ScheduleOf(int64_t due_ms) {
  ScheduleIntent intent{JobOf("k", due_ms)};
  intent.more.push_back(JobOf("k", due_ms + 1));
  return intent;
}

CancelIntent LateCancelOf(const std::string& trouble = "") {
  CancelIntent intent{"k"};
  intent.late = std::make_unique<LateCancel>();
  intent.late->job = JobOf("k", 0);
  intent.late->trouble = trouble;
  return intent;
}

// A rule with two publish entries whose late cancels publish, too; its messages
// come from a stream or over core NATS.
class RequeueWorld : public ApiWorld {
 public:
  explicit RequeueWorld(Transport source, LatePolicy late = {})
      : ApiWorld({RuleOf(source, late)}, Options()), core_(source == Transport::kCore) {}

  void Take(Intent intent) {
    MessageRequest message;
    if (!core_) {
      message.stream = &*names_.insert("S").first;
      message.stream_seq = ++seq_;
      message.reply = "ack." + std::to_string(seq_);
    }
    message.time_ns = clock_.NowMs() * 1'000'000;
    message.received_ms = clock_.NowMs();
    if (!std::holds_alternative<ScheduleIntent>(intent))
      message.raw = std::make_unique<RawMessage>(RawMessage{"in", {{"a", "b"}}, "raw"});
    message.intent = std::move(intent);
    ASSERT_TRUE(inbox_->Reserve(1));
    inbox_->Push(std::move(message));
    Run();
  }
  std::vector<std::pair<std::string, Dead>> Entries() {
    std::vector<std::pair<std::string, Dead>> entries;
    std::string cursor;
    const absl::Status read = ReadDead(
        *store_, DeadQuery(),
        [&](std::string_view key, const Dead& dead) {
          entries.emplace_back(key, dead);
          return true;
        },
        &cursor);
    EXPECT_TRUE(read.ok()) << read;
    return entries;
  }
  // The last entry, as a request names it that a person makes of its id.
  DeadCommand Again(std::optional<Intent> intent = std::nullopt) {
    const auto entries = Entries();
    EXPECT_THAT(entries, ::testing::Not(IsEmpty()));
    DeadCommand request;
    request.query.one = true;
    DeadCommand::Entry& entry = request.entries.emplace_back();
    entry.key = entries.back().first;
    entry.source = entries.back().second.source;
    entry.intent = std::move(intent);
    return request;
  }
  MemoryBus::Replied Do(DeadCommand request) {
    EXPECT_TRUE(Send(std::move(request)));
    Run();
    return Last();
  }
  void Fire() {
    Take(ScheduleOf(clock_.NowMs()));
    Advance(1);
    Confirm();
    ASSERT_THAT(bus_->published(), SizeIs(2));
  }
  std::string Of(const std::string& queue) {
    const auto known = store_->GetRegister(MakeId(queue, "k"));
    EXPECT_TRUE(known.ok()) << known.status();
    return *known ? std::string(Name((*known)->state)) : "none";
  }

 private:
  static Rule RuleOf(Transport source, LatePolicy late) {
    Rule rule = TestRule("r");
    rule.source = source;
    rule.publish.clear();
    for (const char* name : {"a", "b"}) {
      rule.publish.emplace_back().name = name;
      rule.publish.back().late = late;
    }
    rule.cancel.emplace_back().late.emplace().name = kLateQueue;
    return rule;
  }
  static SchedulerOptions Options() {
    SchedulerOptions options;
    options.history_ms = kHistoryMs;
    options.dead = 100;
    return options;
  }
  const bool core_;
  uint64_t seq_ = 0;
};

class RequeueTable : public ::testing::TestWithParam<Transport> {
 protected:
  void Requeued(Intent intent) {
    EXPECT_THAT(w_.Do(w_.Again(std::move(intent))).body, HasSubstr(R"("requeued":1)"));
    EXPECT_THAT(w_.Entries(), IsEmpty());
    EXPECT_EQ(w_.stats().rules.at("r").rejected, 0u);
  }
  void StaysWithItsBytes(Intent intent, const std::string& why) {
    const auto reply = w_.Do(w_.Again(std::move(intent)));
    EXPECT_EQ(reply.code, 409);
    EXPECT_THAT(reply.body, HasSubstr(why));
    ASSERT_THAT(w_.Entries(), SizeIs(1));
    const Dead dead = w_.Entries()[0].second;
    EXPECT_EQ(dead.payload, "raw");
    EXPECT_EQ(dead.headers, (Headers{{"a", "b"}}));
    EXPECT_EQ(dead.subject, "in");
    EXPECT_FALSE(dead.reference_only);
    EXPECT_EQ(w_.stats().rejected, 1u) << "not once more";
  }
  RequeueWorld w_{GetParam()};
};

TEST_P(RequeueTable, AScheduleMakesAJobOfEachPublishEntry) {
  w_.Take(RejectIntent{"no key"});
  Requeued(ScheduleOf(kDue));
  EXPECT_EQ(w_.Of("r.a"), "pending");
  EXPECT_EQ(w_.Of("r.b"), "pending");
}

TEST_P(RequeueTable, ACancelClosesWhatIsOlder) {
  w_.Take(ScheduleOf(kDue));
  w_.Take(RejectIntent{"no key"});
  Requeued(CancelIntent{"k"});
  EXPECT_EQ(w_.Of("r.a"), "cancelled");
  EXPECT_EQ(w_.Of("r.b"), "cancelled");
}

TEST_P(RequeueTable, ACancelAfterTheFirePublishes) {
  w_.Fire();
  w_.Take(RejectIntent{"no key"});
  Requeued(LateCancelOf());
  EXPECT_THAT(w_.bus_->published(), SizeIs(3));
}

TEST_P(RequeueTable, ALateCancelThatStillCannotBeRenderedStays) {
  w_.Fire();
  w_.Take(LateCancelOf("${/amount}: there is no such value"));
  for (int i = 0; i < 3; ++i)
    StaysWithItsBytes(LateCancelOf("${/amount}: there is no such value"), "/amount");
  EXPECT_EQ(w_.stats().rules.at("r.late").rejected, 1u);
  EXPECT_THAT(w_.Do(w_.Again(LateCancelOf())).body, HasSubstr(R"("requeued":1)"));
  EXPECT_THAT(w_.bus_->published(), SizeIs(3));
  EXPECT_THAT(w_.Entries(), IsEmpty());
}

// Kept under the rule's own name, unlike one that was late at first sight.
TEST_P(RequeueTable, ARejectThatTurnsOutALateCancelInTroubleStays) {
  w_.Fire();
  w_.Take(RejectIntent{"no key"});
  StaysWithItsBytes(LateCancelOf("no value"), "no value");
}

TEST_P(RequeueTable, ALateCancelInTroubleThatIsInTimeCancels) {
  w_.Take(ScheduleOf(kDue));
  w_.Take(RejectIntent{"no key"});
  Requeued(LateCancelOf("no value"));
  EXPECT_EQ(w_.Of("r.b"), "cancelled");
}

TEST_P(RequeueTable, WhatIsRejectedAgainStays) {
  w_.Take(RejectIntent{"no key"});
  StaysWithItsBytes(RejectIntent{"no due"}, "no due");
}

TEST_P(RequeueTable, WhatConcernsNoEntryAnyMoreStays) {
  w_.Take(RejectIntent{"no key"});
  StaysWithItsBytes(IgnoreIntent{}, "concerns no entry");
}

TEST_P(RequeueTable, WhatNobodyRanThroughTheRulesYetStays) {
  w_.Take(RejectIntent{"no key"});
  const auto reply = w_.Do(w_.Again());
  EXPECT_EQ(reply.code, 409);
  EXPECT_THAT(reply.body, HasSubstr("try again"));
}

TEST_P(RequeueTable, AnEntryThatCannotBeReadIsAConflictAndCanBePurged) {
  w_.Take(RejectIntent{"no key"});
  std::string value;
  ASSERT_TRUE(*w_.store_->GetDead(w_.Entries()[0].first, &value));
  value[0] = '\x07';  // no version; as long as before, since the bytes are counted
  WriteSet set;
  set.PutDead(w_.Entries()[0].first, value);
  ASSERT_TRUE(w_.store_->Write(&set).ok());
  EXPECT_THAT(w_.Entries()[0].second.reason, HasSubstr("malformed"));
  EXPECT_EQ(w_.Do(w_.Again(ScheduleOf(kDue))).code, 409);
  DeadCommand purge = w_.Again();
  purge.purge = true;
  EXPECT_THAT(w_.Do(std::move(purge)).body, HasSubstr(R"("purged":1)"));
  EXPECT_THAT(w_.Entries(), IsEmpty());
}

// ---- Stale ones.

TEST_P(RequeueTable, AStaleOneNamedByItsIdFiresAndALatePolicyIsNotAsked) {
  RequeueWorld w(GetParam(), {1'000, LateAction::kSkip});
  w.Take(ScheduleOf(kLongAgo));
  ASSERT_THAT(w.Entries(), SizeIs(2));  // of each publish entry
  EXPECT_THAT(w.bus_->published(), IsEmpty());
  for (int i = 0; i < 2; ++i)
    EXPECT_THAT(w.Do(w.Again()).body, HasSubstr(R"("requeued":1)"));
  EXPECT_THAT(w.Entries(), IsEmpty());
  ASSERT_THAT(w.bus_->published(), SizeIs(2));
  EXPECT_EQ(w.bus_->published()[0].body, "bytes");
  w.Confirm();
  EXPECT_EQ(w.Of("r.a"), "fired");
}

TEST_P(RequeueTable, AStaleOneStaysAmongOthersUnlessItIsAskedFor) {
  w_.Take(ScheduleOf(kLongAgo));
  DeadCommand page = w_.Again();
  page.query.one = false;
  EXPECT_THAT(w_.Do(std::move(page)).body, HasSubstr(R"("still_rejected":1)"));
  EXPECT_THAT(w_.Entries(), SizeIs(2));
  page = w_.Again();
  page.query.one = false;
  page.query.stale = true;
  EXPECT_THAT(w_.Do(std::move(page)).body, HasSubstr(R"("requeued":1)"));
  EXPECT_THAT(w_.Entries(), SizeIs(1));
}

TEST_P(RequeueTable, AMessageThatBecameStaleInTheDeadStoreIsTreatedAlike) {
  w_.Take(RejectIntent{"no key"});
  DeadCommand page = w_.Again(ScheduleOf(kLongAgo));
  page.query.one = false;
  EXPECT_THAT(w_.Do(std::move(page)).body, HasSubstr(R"("still_rejected":1)"));
  EXPECT_EQ(w_.Entries()[0].second.payload, "raw");
  Requeued(ScheduleOf(kLongAgo));
  EXPECT_THAT(w_.bus_->published(), SizeIs(2));
}

TEST_P(RequeueTable, AStaleOneOfAKeyThatIsKnownByNowChangesNothing) {
  w_.Take(ScheduleOf(kLongAgo));
  w_.Take(ScheduleOf(kDue));  // newer
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(w_.Do(w_.Again()).body, HasSubstr(R"("requeued":1)"));
  }
  EXPECT_THAT(w_.bus_->published(), IsEmpty());
  EXPECT_EQ(w_.Known("k") ? "" : w_.Of("r.a"), "pending");
}

INSTANTIATE_TEST_SUITE_P(From, RequeueTable,
                         ::testing::Values(Transport::kJetStream, Transport::kCore),
                         [](const auto& one) {
                           return one.param == Transport::kCore ? "Core" : "JetStream";
                         });

// limits.dead is 100: ten stale ones are kept.
TEST(Stale, UsesATenthOfTheDeadStoreAndTheNextBadEventIsKept) {
  SchedulerOptions options;
  options.history_ms = kHistoryMs;
  options.dead = 100;
  ApiWorld w({TestRule("r")}, options);
  for (uint64_t i = 1; i <= 500; ++i) w.Schedule("k" + std::to_string(i), kLongAgo, {i});
  w.Run();
  EXPECT_THAT(w.bus_->termed(), SizeIs(500));
  EXPECT_EQ(w.stats().rules.at("r").rejected, 10u);
  EXPECT_EQ(w.stats().stale_dropped, 490u);
  EXPECT_EQ(w.stats().dropped, 0u);
  EXPECT_THAT(w.bus_->announced(), SizeIs(10));
  w.Reject("bad", {501});
  w.Run();
  std::string value;
  ASSERT_TRUE(
      *w.store_->GetDead(DeadRejectKey("r", {1, 1, 501, kNow * 1'000'000, {}}), &value));
  EXPECT_EQ(DecodeDead(value)->payload, "bad bytes");
  // Also after a restart, until one leaves.
  w.Restart();
  w.Schedule("more", kLongAgo, {502});
  w.Run();
  EXPECT_EQ(w.stats().stale_dropped, 1u);
  DeadCommand purge;
  purge.purge = true;
  purge.entries.emplace_back().key = DeadRejectKey("r", {1, 1, 1, kNow * 1'000'000, {}});
  ASSERT_TRUE(w.Send(std::move(purge)));
  w.Schedule("more", kLongAgo, {503});
  w.Run();
  w.Schedule("more", kLongAgo, {504});
  w.Run();
  EXPECT_EQ(w.stats().stale_dropped, 2u);
  EXPECT_EQ(w.stats().rules.at("r").rejected, 11u);
}

TEST(Stale, DoesNotTakeTheLastPlacesOfAFullDeadStore) {
  SchedulerOptions options;
  options.history_ms = kHistoryMs;
  options.dead = 20;
  ApiWorld w({TestRule("r")}, options);
  for (uint64_t i = 1; i <= 20; ++i) w.Reject("bad", {i});
  w.Schedule("k", kLongAgo, {21});
  w.Run();
  EXPECT_EQ(w.stats().stale_dropped, 1u) << "a reference could not be taken back";
}

// A large message is worth as much of the volume as thousands of small ones.
TEST(DeadBytes, AreBoundedAndBeyondThemReferencesAreKept) {
  SchedulerOptions options;
  options.dead_bytes = 10'000;
  ApiWorld w({TestRule("r")}, options);
  w.bad_bytes_.assign(3'000, 'x');
  const auto reject = [&](uint64_t seq) {
    w.Reject("bad", {seq});
    w.Run();
    std::string value;
    EXPECT_TRUE(*w.store_->GetDead(DeadRejectKey("r", {1, 1, seq, kNow * 1'000'000, {}}),
                                   &value));
    return DecodeDead(value)->reference_only;
  };
  for (uint64_t seq = 1; seq <= 4; ++seq) EXPECT_FALSE(reject(seq)) << seq;
  EXPECT_TRUE(reject(5));
  const uint64_t used = w.stats().dead_bytes;
  EXPECT_GT(used, 12'000u);
  EXPECT_LT(used, 13'000u);
  EXPECT_EQ(w.stats().rules.at("r").rejected, 5u);
  ASSERT_TRUE(w.Send(MakeCommand("stats", "")));
  w.Run();
  EXPECT_THAT(w.LastBody(),
              HasSubstr(fmt::format(R"("dead_bytes":{{"used":{},"max":10000}})", used)));
  // Also after a restart, until some leave.
  w.Restart();
  EXPECT_EQ(w.stats().dead_bytes, used);
  EXPECT_TRUE(reject(6));
  DeadCommand purge;
  purge.purge = true;
  for (const uint64_t seq : {1, 2})
    purge.entries.emplace_back().key =
        DeadRejectKey("r", {1, 1, seq, kNow * 1'000'000, {}});
  ASSERT_TRUE(w.Send(std::move(purge)));
  w.Run();
  EXPECT_FALSE(reject(7));
}

// An older version counted neither stale ones nor bytes.
TEST(Stale, AreCountedOnceWhereAnOlderVersionWroteTheStore) {
  SchedulerOptions options;
  options.history_ms = kHistoryMs;
  options.dead = 100;
  ApiWorld w({TestRule("r")}, options);
  for (uint64_t i = 1; i <= 7; ++i) w.Schedule("k" + std::to_string(i), kLongAgo, {i});
  w.Run();
  WriteSet set;
  set.DeleteMeta("count/stale");
  set.DeleteMeta("count/dead_bytes");
  ASSERT_TRUE(w.store_->Write(&set).ok());
  const uint64_t bytes = w.stats().dead_bytes;
  w.Restart();
  EXPECT_EQ(w.stats().dead_bytes, bytes);
  EXPECT_GT(bytes, 0u);
  for (uint64_t i = 8; i <= 20; ++i) w.Schedule("k" + std::to_string(i), kLongAgo, {i});
  w.Run();
  EXPECT_EQ(w.stats().rules.at("r").rejected, 10u);
}

std::vector<std::string> Told(const std::string& log) {
  std::vector<std::string> lines;
  size_t at = 0;
  while ((at = log.find("stale messages were dropped", at)) != log.npos) {
    const size_t end = log.find('\n', at);
    lines.push_back(log.substr(at, end - at));
    at = end;
  }
  return lines;
}

TEST(Stale, IsToldOnceAMinuteAStreamWithFirstAndLastSequence) {
  SchedulerOptions options;
  options.history_ms = kHistoryMs;
  options.dead = 10;  // one is kept
  testing::internal::CaptureStderr();
  {
    ApiWorld w({TestRule("r")}, options);
    for (uint64_t i = 1; i <= 100; ++i) w.Schedule("k", kLongAgo, {i});
    w.Schedule("k", kLongAgo, {7, kNow, "T"});
    w.Run();
    for (uint64_t i = 101; i <= 150; ++i) {
      w.Schedule("k", kLongAgo, {i});
      w.Advance(1'000);
    }
    w.Advance(15'000);
    w.Schedule("k", kLongAgo, {151});
    w.Run();
  }
  const auto lines = Told(testing::internal::GetCapturedStderr());
  ASSERT_THAT(lines, SizeIs(4));
  EXPECT_THAT(lines[0], AllOf(HasSubstr("stream=S dropped=99 first_sequence=2"),
                              HasSubstr("last_sequence=100")));
  EXPECT_THAT(lines[1], HasSubstr("stream=T dropped=1 first_sequence=7"));
  EXPECT_THAT(lines[2], AllOf(HasSubstr("dropped=50 first_sequence=101"),
                              HasSubstr("last_sequence=150")));
  EXPECT_THAT(lines[3], HasSubstr("dropped=1 first_sequence=151")) << "at the end";
}

}  // namespace
}  // namespace expirer
