// Two requests of one turn that concern one key, in each order, and in two turns:
// whatever comes of them, the store is of one mind and its counts are right.

#include <gmock/gmock.h>

#include <functional>

#include "api/dead.h"
#include "unit/sched/api_world.h"

namespace expirer {
namespace {

using ::testing::IsEmpty;

constexpr int64_t kDue = kNow + 600'000;

// What the second of two events of one key finds.
class TurnWorld : public ApiWorld {
 public:
  TurnWorld() : ApiWorld({OneAttempt()}) {}

  // The key is given up.
  void MakeDead(const std::string& key) {
    MakeInFlight(key);
    bus_->Answer(LastAttempt(), PubAnswer::Kind::kRefused, "no permission");
    Run();
    ASSERT_EQ(Stored(key), "dead");
  }
  // Its only attempt is out.
  void MakeInFlight(const std::string& key) {
    Schedule(key, clock_.NowMs(), {++seq_});
    Run();
    ASSERT_EQ(Stored(key), "pending");
  }
  // A message of it was rejected; the entry's place is kept in `rejected_`.
  void MakeRejected(const std::string& /*key*/) {
    rejected_ = {++seq_};
    Reject("bad", rejected_);
    Run();
  }

  // Requests of which none waits for the inbox, so that their order is the test's.
  void Turn(std::vector<Request> requests) {
    inbox_->Drain(0, &completions_, &requests_);
    for (const Request& request : requests)
      if (!std::holds_alternative<MessageRequest>(request)) {
        ASSERT_TRUE(inbox_->TakePlace());
      }
    const auto wake = scheduler_->Step(Now(), &completions_, &requests);
    ASSERT_TRUE(wake.ok()) << wake.status();
  }

  Request Message(Intent intent, const At& at) {
    MessageRequest message;
    message.stream = &*names_.insert(at.stream).first;
    message.stream_seq = at.seq;
    message.time_ns = clock_.NowMs() * 1'000'000;
    message.received_ms = clock_.NowMs();
    message.reply = "ack." + std::to_string(at.seq);
    if (std::holds_alternative<RejectIntent>(intent))
      message.raw = std::make_unique<RawMessage>(RawMessage{"in", {}, "bad bytes"});
    message.intent = std::move(intent);
    return message;
  }
  ScheduleIntent Scheduling(const std::string& key) {
    Job job;
    job.key = key;
    job.due_ms = kDue;
    job.target = "out";
    return {std::move(job)};
  }
  Request OnDead(const std::string& key, bool purge) {
    auto command = std::make_unique<DeadCommand>();
    DeadCommand& request = *command;
    request.purge = purge;
    request.entries.emplace_back().key = DeadJobKey("r", key);
    if (rejected_.seq == 0) return command;
    const Position source{1, 1, rejected_.seq, kNow * 1'000'000, {}};
    request.entries[0].key = DeadRejectKey("r", source);
    request.entries[0].intent = Scheduling(key);
    request.entries[0].source = source;
    return command;
  }

  std::vector<std::string> Findings() {
    std::vector<std::string> findings;
    Audit(*store_, [&](const std::string& what) { findings.push_back(what); });
    return findings;
  }
  // The attempt begun last, answered already or not.
  void AnswerLast(PubAnswer::Kind kind) {
    if (bus_->published().empty()) return;
    bus_->Answer(LastAttempt(), kind, "no permission");
  }
  void ForgetRejected() { rejected_ = {0}; }

  uint64_t seq_ = 0;
  At rejected_{0};

 private:
  static Rule OneAttempt() {
    Rule rule = TestRule("r");
    rule.retry.attempts = 1;
    return rule;
  }
};

struct Act {
  const char* name;
  std::function<void(TurnWorld*, const std::string& key, std::vector<Request>*)> add;
};

const Act kActs[] = {
    {"event schedule",
     [](TurnWorld* w, const std::string& key, std::vector<Request>* out) {
       out->push_back(w->Message(w->Scheduling(key), {++w->seq_}));
     }},
    {"event cancel",
     [](TurnWorld* w, const std::string& key, std::vector<Request>* out) {
       out->push_back(w->Message(CancelIntent{key}, {++w->seq_}));
     }},
    {"API cancel",
     [](TurnWorld*, const std::string& key, std::vector<Request>* out) {
       out->push_back(MakeJobCommand("cancel", "r", key, {"reply", 0, 0}));
     }},
    {"requeue", [](TurnWorld* w, const std::string& key,
                   std::vector<Request>* out) { out->push_back(w->OnDead(key, false)); }},
    {"purge", [](TurnWorld* w, const std::string& key,
                 std::vector<Request>* out) { out->push_back(w->OnDead(key, true)); }},
    {"the rejected message again",
     [](TurnWorld* w, const std::string&, std::vector<Request>* out) {
       const World::At at = w->rejected_.seq > 0 ? w->rejected_ : World::At{++w->seq_};
       out->push_back(w->Message(RejectIntent{"bad"}, at));
     }},
    {"time-out", [](TurnWorld* w, const std::string&,
                    std::vector<Request>*) { w->clock_.Advance(5'000); }},
    {"refusal", [](TurnWorld* w, const std::string&,
                   std::vector<Request>*) { w->AnswerLast(PubAnswer::Kind::kRefused); }},
    {"PubAck", [](TurnWorld* w, const std::string&,
                  std::vector<Request>*) { w->AnswerLast(PubAnswer::Kind::kAck); }},
};

constexpr const char* kOneTurn = "in one turn";
constexpr const char* kTwoTurns = "in two turns";
constexpr const char* kSynced = "in two turns with a sync between them";

struct Beginning {
  const char* name;
  void (TurnWorld::*make)(const std::string& key);
};

class SameTurn : public ::testing::TestWithParam<Beginning> {};

TEST_P(SameTurn, EachPairOfWhatTouchesAKeyLeavesTheStoreOfOneMind) {
  TurnWorld w;
  int number = 0;
  for (const Act& first : kActs) {
    for (const Act& second : kActs) {
      for (const char* how : {kOneTurn, kTwoTurns, kSynced}) {
        SCOPED_TRACE(std::string(first.name) + ", " + second.name + " " + how);
        const std::string key = "k" + std::to_string(++number);
        w.ForgetRejected();
        (w.*GetParam().make)(key);
        std::vector<Request> requests;
        first.add(&w, key, &requests);
        if (how != kOneTurn) w.Turn(std::exchange(requests, {}));
        if (how == kSynced) w.Run();
        second.add(&w, key, &requests);
        w.Turn(std::move(requests));
        EXPECT_THAT(w.Findings(), IsEmpty());
        w.Run();
        ASSERT_THAT(w.Findings(), IsEmpty());
      }
    }
  }
  w.Restart();
  w.AdvanceTo(kDue);
  w.Confirm();
  EXPECT_THAT(w.Findings(), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(
    Key, SameTurn,
    ::testing::Values(Beginning{"Dead", &TurnWorld::MakeDead},
                      Beginning{"InFlight", &TurnWorld::MakeInFlight},
                      Beginning{"Rejected", &TurnWorld::MakeRejected}),
    [](const auto& one) { return std::string(one.param.name); });

// 3,000 dead jobs, purged page by page beside events for the same keys.
TEST(SameTurn, PurgePagesBesideEventsOfTheSameKeysKeepTheCounts) {
  constexpr int kJobs = 600;
  TurnWorld w;
  std::vector<std::string> keys;
  for (int i = 0; i < kJobs; ++i) keys.push_back("k" + std::to_string(i));
  for (const std::string& key : keys) w.Schedule(key, kNow, {++w.seq_});
  w.Run();
  for (const auto& sent : std::vector(w.bus_->published()))
    w.bus_->Answer(sent.attempt, PubAnswer::Kind::kRefused, "no permission");
  w.Run();
  ASSERT_EQ(w.stats().rules.at("r").dead_jobs, kJobs);
  for (int page = 0; page < kJobs; page += 20) {
    std::vector<Request> requests;
    for (int i = page; i < page + 20; i += 2) kActs[i % 3].add(&w, keys[i], &requests);
    DeadCommand purge;
    purge.purge = true;
    for (int i = page; i < page + 20; ++i)
      purge.entries.emplace_back().key = DeadJobKey("r", keys[i]);
    requests.emplace_back(std::make_unique<DeadCommand>(std::move(purge)));
    for (int i = page + 1; i < page + 20; i += 2)
      kActs[i % 3].add(&w, keys[i], &requests);
    w.Turn(std::move(requests));
  }
  w.Run();
  EXPECT_EQ(w.stats().rules.at("r").dead_jobs, 0u);
  EXPECT_THAT(w.Findings(), IsEmpty());
}

}  // namespace
}  // namespace expirer
