// Rules with several publish entries, late cancels and a rate.
#include "sched/queues.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "unit/sched/world.h"

namespace expirer {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// A rule "r" with these publish entries.
Rule Named(const std::vector<std::string>& names) {
  Rule rule = TestRule("r");
  rule.publish.clear();
  for (const std::string& name : names) rule.publish.emplace_back().name = name;
  return rule;
}

// A rule "r" whose cancels publish when they come late.
Rule WithLateCancel() {
  Rule rule = TestRule("r");
  Entry& entry = rule.cancel.emplace_back();
  entry.late.emplace().name = kLateQueue;
  return rule;
}

Job JobOf(const std::string& key, int64_t due_ms, const std::string& target) {
  Job job;
  job.key = key;
  job.due_ms = due_ms;
  job.target = target;
  return job;
}

void ScheduleTwo(World* w, const std::string& key, int64_t first_ms, int64_t second_ms,
                 const World::At& at) {
  ScheduleIntent intent{JobOf(key, first_ms, "a")};
  intent.more.push_back(JobOf(key, second_ms, "b"));
  w->Push(std::move(intent), at);
}

void LateCancelOf(World* w, const std::string& key, const World::At& at,
                  const std::string& trouble = "") {
  CancelIntent intent{key};
  intent.late = std::make_unique<LateCancel>();
  intent.late->job = JobOf(key, 0, "refund");
  intent.late->trouble = trouble;
  w->Push(std::move(intent), at);
}

std::string Id(const std::string& queue, const std::string& key, int64_t due_ms) {
  return queue + "/" + key + "/" + std::to_string(due_ms);
}

TEST(Queues, AreOneForEachEntryAndOneForLateCancels) {
  Rule named = Named({"warning", "breach"});
  named.cancel = WithLateCancel().cancel;
  const Queues queues({TestRule("q"), named});
  std::vector<std::string> names;
  for (const Queue& queue : queues.all()) names.push_back(queue.name);
  EXPECT_THAT(names, ElementsAre("q", "r.warning", "r.breach", "r.late",
                                 std::string(kRoundTripQueue)));
  EXPECT_EQ(queues.Entries(1).first, 1);
  EXPECT_EQ(queues.Entries(1).count, 2);
  EXPECT_EQ(queues.LateCancels(1), 3);
  EXPECT_EQ(queues.Find("r.breach"), QueueIndex{2});
  EXPECT_EQ(queues.Find("r"), std::nullopt);
}

TEST(NamedEntries, OneEventSchedulesAllUnderOneAck) {
  World w({Named({"warning", "breach"})});
  ScheduleTwo(&w, "k", kNow + 100, kNow + 200, {1});
  w.Step();
  w.Step();
  EXPECT_THAT(w.bus_->acked(), IsEmpty()) << "not before the sync";
  w.Run();
  EXPECT_THAT(w.bus_->acked(), ElementsAre("ack.S.1"));
  w.Advance(100);
  EXPECT_THAT(w.Fires(), ElementsAre(Id("r.warning", "k", kNow + 100)));
  w.Advance(100);
  w.Confirm();
  EXPECT_THAT(w.Fires(), ElementsAre(Id("r.warning", "k", kNow + 100),
                                     Id("r.breach", "k", kNow + 200)));
  EXPECT_EQ(w.bus_->published()[1].target, "b");
}

TEST(NamedEntries, OneCancelClosesAll) {
  World w({Named({"warning", "breach"})});
  ScheduleTwo(&w, "k", kNow + 100, kNow + 200, {1});
  w.Run();
  w.Cancel("k", {2});
  w.Run();
  w.Advance(1'000);
  EXPECT_THAT(w.bus_->published(), IsEmpty());
  EXPECT_EQ(w.stats().cancelled, 2u);
  EXPECT_THAT(w.bus_->acked(), SizeIs(2));
}

TEST(NamedEntries, ACancelBetweenTwoFiresStopsTheSecond) {
  World w({Named({"warning", "breach"})});
  ScheduleTwo(&w, "k", kNow + 100, kNow + 200, {1});
  w.Run();
  w.Advance(100);
  w.Confirm();
  w.Cancel("k", {2});
  w.Run();
  w.Advance(1'000);
  EXPECT_THAT(w.Fires(), ElementsAre(Id("r.warning", "k", kNow + 100)));
}

TEST(NamedEntries, AStaleOneIsKeptAsRejectedAndTheOtherFires) {
  SchedulerOptions options;
  options.history_ms = 1'000;
  World w({Named({"warning", "breach"})}, options);
  ScheduleTwo(&w, "k", kNow - 5'000, kNow + 200, {1});
  w.Run();
  EXPECT_THAT(w.bus_->termed(), SizeIs(1));
  EXPECT_EQ(w.stats().rules.at("r.warning").rejected, 1u);
  w.Advance(200);
  EXPECT_THAT(w.Fires(), ElementsAre(Id("r.breach", "k", kNow + 200)));
}

TEST(NamedEntries, EachHasItsOwnLate) {
  Rule rule = Named({"warning", "breach"});
  rule.publish[0].late = {1'000, LateAction::kSkip};
  World w({rule});
  ScheduleTwo(&w, "k", kNow - 5'000, kNow - 5'000, {1});
  w.Run();
  EXPECT_THAT(w.Fires(), ElementsAre(Id("r.breach", "k", kNow - 5'000)));
  EXPECT_EQ(w.stats().skipped, 1u);
}

TEST(NamedEntries, SurviveARestartAndWaitForTheirRulesConsumers) {
  World w({Named({"warning", "breach"})});
  ScheduleTwo(&w, "k", kNow + 100, kNow + 200, {1});
  w.Run();
  w.Stop();
  w.clock_.Advance(500);
  w.Start(/*catch_up=*/false);
  EXPECT_THAT(w.bus_->published(), IsEmpty());
  w.CatchUp();
  w.Run();
  EXPECT_THAT(w.Fires(), SizeIs(2));
}

TEST(LateCancel, AfterTheFirePublishesOncePerFire) {
  World w({WithLateCancel()});
  w.Schedule("k", kNow + 100, {1});
  w.Run();
  w.Advance(100);
  w.Confirm();
  LateCancelOf(&w, "k", {2});
  w.Run();
  w.Confirm();
  EXPECT_THAT(w.Fires(),
              ElementsAre(Id("r", "k", kNow + 100), Id("r.late", "k", kNow + 100)));
  EXPECT_EQ(w.bus_->published()[1].target, "refund");
  LateCancelOf(&w, "k", {2});  // the same again
  LateCancelOf(&w, "k", {3});  // and another one
  w.Run();
  w.Advance(10'000);
  EXPECT_THAT(w.bus_->published(), SizeIs(2));
  EXPECT_THAT(w.bus_->acked(), SizeIs(4));
}

TEST(LateCancel, InTimePublishesNothing) {
  World w({WithLateCancel()});
  w.Schedule("k", kNow + 100, {1});
  LateCancelOf(&w, "k", {2});
  w.Run();
  w.Advance(10'000);
  EXPECT_THAT(w.bus_->published(), IsEmpty());
}

TEST(LateCancel, OfAnUnknownKeyOrReadAgainAfterItsTimePublishesNothing) {
  World w({WithLateCancel()});
  LateCancelOf(&w, "k", {2});
  w.Run();
  w.Schedule("k", kNow + 100, {3});  // newer: opens the key again
  w.Run();
  w.Advance(100);
  w.Confirm();
  LateCancelOf(&w, "k", {2});  // read again: older than the schedule that fired
  w.Run();
  w.Advance(10'000);
  EXPECT_THAT(w.Fires(), ElementsAre(Id("r", "k", kNow + 100)));
}

TEST(LateCancel, PublishesAlsoWhenAnotherCancelCameFirst) {
  World w({WithLateCancel()});
  w.Schedule("k", kNow + 100, {1});
  w.Run();
  w.Advance(100);
  w.Confirm();
  w.Cancel("k", {3});          // an entry without `late`
  LateCancelOf(&w, "k", {2});  // older than it, newer than the schedule
  w.Run();
  EXPECT_EQ(w.Fires().back(), Id("r.late", "k", kNow + 100));
}

TEST(LateCancel, EveryFireOfAKeyHasItsOwn) {
  World w({WithLateCancel()});
  for (uint64_t round = 0; round < 2; ++round) {
    const int64_t due = w.clock_.NowMs() + 100;
    w.Schedule("k", due, {10 * round + 1});
    w.Run();
    w.Advance(100);
    w.Confirm();
    LateCancelOf(&w, "k", {10 * round + 2});
    w.Run();
    w.Confirm();
    EXPECT_EQ(w.Fires().back(), Id("r.late", "k", due));
  }
  EXPECT_THAT(w.bus_->published(), SizeIs(4));
}

TEST(LateCancel, IsDurableBeforeItsAckAndSurvivesARestart) {
  World w({WithLateCancel()});
  w.Schedule("k", kNow + 100, {1});
  w.Run();
  w.Advance(100);
  w.Confirm();
  w.bus_->ClearRecords();
  w.bus_->SetStream("refund", false);
  LateCancelOf(&w, "k", {2});
  w.Run();
  EXPECT_THAT(w.bus_->acked(), SizeIs(1));
  w.Stop();
  w.clock_.Advance(600'000);
  w.Start();
  EXPECT_THAT(w.Fires(), ElementsAre(Id("r.late", "k", kNow + 100)));
}

TEST(LateCancel, OfAJobInFlightWaitsForTheAnswer) {
  World w({WithLateCancel()});
  w.Schedule("k", kNow + 100, {1});
  w.Run();
  w.Advance(100);
  const uint64_t attempt = w.LastAttempt();
  LateCancelOf(&w, "k", {2});
  w.Run();
  w.Advance(50);
  EXPECT_THAT(w.bus_->published(), SizeIs(1));
  w.bus_->Confirm(attempt);
  w.Run();
  EXPECT_THAT(w.Fires(),
              ElementsAre(Id("r", "k", kNow + 100), Id("r.late", "k", kNow + 100)));
}

TEST(LateCancel, OfARefusedAttemptPublishesNothing) {
  World w({WithLateCancel()});
  w.Schedule("k", kNow + 100, {1});
  w.Run();
  w.Advance(100);
  LateCancelOf(&w, "k", {2});
  w.Run();
  w.bus_->Answer(w.LastAttempt(), PubAnswer::Kind::kRefused, "full");
  w.Run();
  w.Advance(60'000);
  EXPECT_THAT(w.bus_->published(), SizeIs(1));
  EXPECT_EQ(w.stats().rules.at("r.late").pending, 0u);
}

TEST(LateCancel, InDoubtPublishesAlsoAfterACrash) {
  World w({WithLateCancel()});
  w.Schedule("k", kNow + 100, {1});
  w.Run();
  w.Advance(100);
  LateCancelOf(&w, "k", {2});
  w.Run();
  w.Stop();  // nobody will know the answer
  w.Start();
  w.Advance(10'000);
  EXPECT_THAT(w.Fires(), ElementsAre(Id("r.late", "k", kNow + 100)));
}

TEST(LateCancel, ThatCannotBeRenderedStillCancelsAndIsKeptAsRejected) {
  World w({WithLateCancel()});
  w.Schedule("in-time", kNow + 100, {1});
  LateCancelOf(&w, "in-time", {2}, "no value");
  w.Schedule("late", kNow, {3});
  w.Run();
  w.Confirm();
  LateCancelOf(&w, "late", {4}, "no value");
  w.Run();
  w.Advance(10'000);
  EXPECT_THAT(w.Fires(), ElementsAre(Id("r", "late", kNow)));
  EXPECT_EQ(w.stats().rejected, 1u);
  EXPECT_EQ(w.stats().cancelled, 1u);
}

TEST(LateCancel, OfSeveralEntriesIsLateOnlyAfterTheLastFire) {
  Rule rule = Named({"warning", "breach"});
  rule.cancel = WithLateCancel().cancel;
  World w({rule});
  ScheduleTwo(&w, "a", kNow + 100, kNow + 200, {1});
  ScheduleTwo(&w, "b", kNow + 100, kNow + 200, {2});
  w.Run();
  w.Advance(100);
  w.Confirm();
  LateCancelOf(&w, "a", {3});  // between warning and breach: in time
  w.Run();
  w.Advance(100);
  w.Confirm();
  LateCancelOf(&w, "b", {4});
  w.Run();
  EXPECT_THAT(
      w.Fires(),
      ElementsAre(Id("r.warning", "a", kNow + 100), Id("r.warning", "b", kNow + 100),
                  Id("r.breach", "b", kNow + 200), Id("r.late", "b", kNow + 200)));
}

// A rule that had the entries "remind" and "end", of which "end" is gone.
class RemovedEntry : public ::testing::TestWithParam<Orphans> {
 protected:
  RemovedEntry() { w_.options_.orphans = GetParam(); }
  void Restart(const std::vector<std::string>& names, bool catch_up = true) {
    w_.Stop();
    const Rule old = w_.rules_[0];
    w_.rules_[0] = Named(names);
    w_.rules_[0].cancel = old.cancel;
    w_.rules_[0].reopen = old.reopen;
    w_.Start(catch_up);
  }
  std::optional<JobState> End(const std::string& key) {
    const auto known = w_.store_->GetRegister(MakeId("r.end", key));
    EXPECT_TRUE(known.ok()) << known.status();
    return *known ? std::optional((*known)->state) : std::nullopt;
  }
  // The entry is back, and what it would have to fire is long due.
  void ExpectNoFireOnceRestored() {
    Restart({"remind", "end"});
    w_.Advance(60'000);
    for (const std::string& id : w_.Fires()) EXPECT_EQ(id.find("r.end/"), id.npos);
  }
  World w_{{Named({"remind", "end"})}};
};

TEST_P(RemovedEntry, ACancelClosesWhatItHolds) {
  ScheduleTwo(&w_, "k", kNow + 20'000, kNow + 30'000, {1});
  w_.Run();
  Restart({"remind"});
  w_.Cancel("k", {2});
  w_.Run();
  EXPECT_EQ(w_.stats().cancelled, 2u);
  EXPECT_EQ(End("k"), JobState::kCancelled);
  EXPECT_EQ(w_.stats().rules.at("r.end"), RuleCounts());
  EXPECT_EQ(w_.stats().closed, 2u);
  ExpectNoFireOnceRestored();
}

TEST_P(RemovedEntry, ACancelClosesItsDeadJob) {
  w_.Stop();
  w_.rules_[0].retry.attempts = 1;
  w_.Start();
  ScheduleTwo(&w_, "k", kNow + 20'000, kNow, {1});
  w_.Run();
  w_.bus_->Answer(w_.LastAttempt(), PubAnswer::Kind::kRefused, "full");
  w_.Run();
  ASSERT_EQ(End("k"), JobState::kDead);
  Restart({"remind"});
  w_.Cancel("k", {2});
  w_.Run();
  EXPECT_EQ(End("k"), JobState::kCancelled);
  EXPECT_EQ(w_.stats().rules.at("r.end").dead_jobs, 0u);
}

TEST_P(RemovedEntry, ANewerScheduleTakesAwayWhatItHolds) {
  ScheduleTwo(&w_, "k", kNow + 20'000, kNow + 30'000, {2});
  ScheduleTwo(&w_, "kept", kNow + 70'000, kNow + 70'000, {4});
  w_.Run();
  Restart({"remind"});
  w_.Schedule("k", kNow + 50'000, {3});
  w_.Schedule("kept", kNow + 50'000, {1});  // older: no news
  w_.Run();
  EXPECT_EQ(End("k"), JobState::kCancelled);
  EXPECT_EQ(End("kept"), JobState::kPending);
  EXPECT_EQ(w_.stats().rules.at("r.end").pending, 1u);
  ExpectNoFireOnceRestored();
}

TEST_P(RemovedEntry, OnceRestoredTakesNothingThatTheOthersKnowAsOld) {
  Restart({"remind"});
  w_.Schedule("k", kNow + 50'000, {3});
  w_.Cancel("closed", {4});
  w_.Run();
  Restart({"remind", "end"});
  ScheduleTwo(&w_, "k", kNow + 20'000, kNow + 30'000, {1});  // their acks were lost
  ScheduleTwo(&w_, "closed", kNow + 20'000, kNow + 30'000, {2});
  w_.Run();
  EXPECT_EQ(End("k"), std::nullopt);
  w_.Advance(60'000);
  for (const std::string& id : w_.Fires()) EXPECT_EQ(id.find("r.end/"), id.npos);
}

TEST_P(RemovedEntry, ACancelThatCameFirstIsRememberedForIt) {
  Restart({"remind"});
  w_.Cancel("k", {2});
  w_.Run();
  Restart({"remind", "end"});
  ScheduleTwo(&w_, "k", kNow + 10, kNow + 10, {1});
  w_.Run();
  w_.Advance(60'000);
  EXPECT_THAT(w_.Fires(), IsEmpty());
}

TEST_P(RemovedEntry, AnyCancelClosesItForGoodUnderReopenFalse) {
  w_.Stop();
  w_.rules_[0].reopen = false;
  w_.Start();
  ScheduleTwo(&w_, "k", kNow + 20'000, kNow + 30'000, {5});
  w_.Run();
  Restart({"remind"});
  w_.Cancel("k", {2});  // older than the schedule
  w_.Run();
  EXPECT_EQ(End("k"), JobState::kCancelled);
  Restart({"remind", "end"});
  ScheduleTwo(&w_, "k", kNow + 40'000, kNow + 40'000, {6});
  w_.Run();
  w_.Advance(60'000);
  EXPECT_THAT(w_.Fires(), IsEmpty());
}

TEST_P(RemovedEntry, ACancelOfARenamedRuleClosesWhatItHolds) {
  ScheduleTwo(&w_, "k", kNow + 20'000, kNow + 30'000, {1});
  w_.Run();
  w_.Stop();
  w_.rules_[0] = Named({"remind"});
  w_.rules_[0].name = "s";
  w_.rules_[0].was = "r";
  w_.Start();
  w_.Cancel("k", {2});
  w_.Run();
  EXPECT_EQ(w_.stats().rules.at("s.end"), RuleCounts());
  w_.Advance(60'000);
  EXPECT_THAT(w_.Fires(), IsEmpty());
}

TEST_P(RemovedEntry, ACancelAfterItsFirePublishesLate) {
  w_.rules_[0].cancel = WithLateCancel().cancel;
  Restart({"remind", "end"});
  ScheduleTwo(&w_, "k", kNow, kNow, {1});
  w_.Run();
  w_.Confirm();
  Restart({"other"});
  LateCancelOf(&w_, "k", {2});
  w_.Run();
  EXPECT_EQ(w_.Fires().back(), Id("r.late", "k", kNow));
}

TEST_P(RemovedEntry, ACancelOfOneRuleLeavesAnotherRulesJobs) {
  w_.Stop();
  w_.rules_.push_back(TestRule("r2"));
  w_.Start();
  w_.Schedule("k", kNow + 30'000, {1, kNow, "S", 1});
  w_.Run();
  w_.Stop();
  w_.rules_.pop_back();
  w_.Start();
  w_.Cancel("k", {2});
  w_.Run();
  EXPECT_EQ(w_.stats().rules.at("r2").pending, 1u);
}

INSTANTIATE_TEST_SUITE_P(While, RemovedEntry,
                         ::testing::Values(Orphans::kHold, Orphans::kFire),
                         [](const auto& one) {
                           return one.param == Orphans::kHold ? "Held" : "Fired";
                         });

// P3 holds for what --orphans=fire sends, where somebody still reads cancels.
TEST(FiredEntry, WaitsForTheCancelsOfItsRule) {
  World w({Named({"remind", "end"})});
  ScheduleTwo(&w, "k", kNow + 100, kNow + 100, {1});
  w.Run();
  w.Stop();
  w.rules_[0] = Named({"remind"});
  w.options_.orphans = Orphans::kFire;
  w.clock_.Advance(1'000);
  w.Start(/*catch_up=*/false);
  EXPECT_THAT(w.Fires(), IsEmpty());
  w.Cancel("k", {2});
  w.CatchUp();
  w.Run();
  w.Advance(60'000);
  EXPECT_THAT(w.Fires(), IsEmpty());
}

TEST(CoreTarget, NeedsNoStreamAndIsRetriedWhenRefused) {
  Rule rule = TestRule("r");
  rule.publish[0].via = Transport::kCore;
  World w({rule});
  w.bus_->SetStream("out", false);
  w.Schedule("k", kNow + 100, {1});
  w.Run();
  w.Advance(100);
  ASSERT_THAT(w.bus_->published(), SizeIs(1));
  EXPECT_EQ(w.bus_->published()[0].via, Transport::kCore);
  EXPECT_EQ(w.State("k"), JobState::kPending) << "until the server has it";
  w.bus_->Answer(w.LastAttempt(), PubAnswer::Kind::kRefused, "no permission");
  w.Run();
  EXPECT_EQ(w.State("k"), JobState::kRetrying);
  w.Advance(1'000);
  w.Confirm();
  EXPECT_EQ(w.State("k"), JobState::kFired);
}

// A message of core NATS: no stream, no ack.
void PushCore(World* w, Intent intent) {
  static const std::string kNoStream;
  MessageRequest message;
  message.stream = &kNoStream;
  message.time_ns = w->clock_.NowMs() * 1'000'000;
  message.received_ms = w->clock_.NowMs();
  message.intent = std::move(intent);
  ASSERT_TRUE(w->inbox_->Reserve(1));
  w->inbox_->Push(std::move(message));
}

TEST(CoreSource, ArrivalDecidesWhichEventIsNewerAlsoOverARestart) {
  Rule rule = TestRule("r");
  rule.source = Transport::kCore;
  World w({rule});
  PushCore(&w, ScheduleIntent{JobOf("moved", kNow + 500, "out")});
  PushCore(&w, ScheduleIntent{JobOf("gone", kNow + 500, "out")});
  w.Run();
  w.Stop();
  w.Start();
  PushCore(&w, ScheduleIntent{JobOf("moved", kNow + 700, "out")});
  PushCore(&w, CancelIntent{"gone"});
  PushCore(&w, RejectIntent{"bad"});
  w.Run();
  EXPECT_THAT(w.bus_->acked(), IsEmpty());
  EXPECT_THAT(w.bus_->termed(), IsEmpty());
  EXPECT_EQ(w.stats().rejected, 1u);
  w.Advance(1'000);
  EXPECT_THAT(w.Fires(), ElementsAre(Id("r", "moved", kNow + 700)));
}

// Attempts so far, per second since the start, as a rate of 100 allows.
TEST(Rate, SpreadsAStormEvenlyAndInDueOrder) {
  Rule rule = TestRule("r");
  rule.rate = 100;
  World w({rule, TestRule("other")});
  for (uint64_t i = 0; i < 250; ++i) {
    w.Schedule("k" + std::to_string(1000 + i), kNow, {i + 1});
  }
  w.Schedule("x", kNow, {1, kNow, "T", 1});
  w.Run();
  for (int ms = 0; ms < 1'000; ++ms) w.Advance(1);
  const size_t first = w.bus_->published().size() - 1;  // without the other rule's
  EXPECT_GE(first, 98u);
  EXPECT_LE(first, 102u);
  for (int ms = 0; ms < 1'600; ++ms) w.Advance(1);
  EXPECT_THAT(w.bus_->published(), SizeIs(251));
  std::vector<std::string> fires = w.Fires();
  const auto other = std::find(fires.begin(), fires.end(), Id("other", "x", kNow));
  EXPECT_LE(other - fires.begin(), 2) << "another rule is not held up";
  ASSERT_NE(other, fires.end());
  fires.erase(other);
  EXPECT_TRUE(std::is_sorted(fires.begin(), fires.end()));
}

TEST(Rate, AsksToBeWokenWhenTheNextAttemptMayBegin) {
  Rule rule = TestRule("r");
  rule.rate = 2;
  World w({rule});
  w.Schedule("a", kNow, {1});
  w.Schedule("b", kNow, {2});
  w.Run();
  EXPECT_THAT(w.bus_->published(), SizeIs(1));
  EXPECT_EQ(w.Step(), kNow + 500);
  w.AdvanceTo(kNow + 500);
  EXPECT_THAT(w.bus_->published(), SizeIs(2));
}

TEST(Rate, ATurnThatComesLateDoesNotLowerIt) {
  Rule rule = TestRule("r");
  rule.rate = 2;
  World w({rule});
  for (uint64_t i = 0; i < 5; ++i) w.Schedule("k" + std::to_string(i), kNow, {i + 1});
  w.Run();
  w.AdvanceTo(kNow + 507);
  EXPECT_EQ(w.Step(), kNow + 1'000);
  w.AdvanceTo(kNow + 1'000);
  EXPECT_THAT(w.bus_->published(), SizeIs(3));
  w.AdvanceTo(kNow + 1'600);  // as if nobody had waited: the gap begins anew
  EXPECT_EQ(w.scheduler_->next_work_ms(), kNow + 2'100);
}

TEST(Rate, PacingNeverMakesAJobLate) {
  Rule rule = TestRule("r");
  rule.rate = 1;
  rule.publish[0].late = {2'000, LateAction::kSkip};
  World w({rule});
  for (uint64_t i = 0; i < 10; ++i)
    w.Schedule("k" + std::to_string(i), kNow + 10, {i + 1});
  w.Run();
  for (int i = 0; i < 5; ++i) w.Advance(1'000);
  w.Confirm();
  w.Stop();
  w.clock_.Advance(60'000);
  w.Start();
  for (int i = 0; i < 12; ++i) {
    w.Advance(1'000);
    w.Confirm();
  }
  EXPECT_EQ(w.stats().skipped, 0u) << "due while a process ran";
  EXPECT_EQ(w.stats().rules.at("r").pending, 0u);
}

}  // namespace
}  // namespace expirer
