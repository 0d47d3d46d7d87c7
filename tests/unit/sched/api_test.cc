// The API's requests in the core: what get and cancel answer, also in races,
// and when the reply may leave.

#include <gmock/gmock.h>

#include <limits>
#include <set>

#include "api/list.h"
#include "json/view.h"
#include "sched/process_gaps.h"
#include "store/meta.h"
#include "unit/sched/api_world.h"

namespace expirer {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

constexpr int64_t kDue = kNow + 1'000;

TEST(Api, ReplyLeavesOnlyAfterTheSyncOfItsCancel) {
  ApiWorld w;
  w.Schedule("a", kDue, {1});
  w.Run();
  ASSERT_TRUE(w.SendCancel("a"));
  w.Step();
  w.Step();
  EXPECT_THAT(w.bus_->replied(), IsEmpty());
  w.Sync();
  w.Step();
  ASSERT_THAT(w.bus_->replied(), SizeIs(1));
  EXPECT_EQ(w.LastBody(), R"({"job":"r/a","outcome":"cancelled"})");
}

TEST(Api, ReplyThatChangesNothingWaitsForTheWriteItRead) {
  ApiWorld w;
  w.Schedule("a", kDue, {1});
  w.Step();  // written, not synced
  ASSERT_TRUE(w.SendGet("a"));
  ASSERT_TRUE(w.SendGet("nobody"));
  ASSERT_TRUE(w.SendCancel("nobody"));
  ASSERT_TRUE(w.Send(MakeCommand("stats", "")));
  ASSERT_TRUE(w.Send(ListCommand{}));
  w.Step();
  EXPECT_THAT(w.bus_->replied(), IsEmpty());
  w.Sync();
  w.Step();
  EXPECT_THAT(w.bus_->replied(), SizeIs(5));
}

TEST(Api, GetInTheTurnOfItsScheduleTellsOfIt) {
  ApiWorld w;
  w.Schedule("a", kDue, {1});
  const std::string told = w.Get("a");
  EXPECT_THAT(told, HasSubstr(R"("state":"pending")"));
  EXPECT_THAT(told, HasSubstr(R"("target":"out")"));
  EXPECT_THAT(told, HasSubstr(R"("attempts":0)"));
  EXPECT_THAT(told, HasSubstr(R"("source":{"stream":"S","seq":1)"));
  EXPECT_THAT(told, HasSubstr(R"("due":"2027-01-15T08:00:01.000Z")"));
}

TEST(Api, RequestsOfOneTurnSeeWhatThoseBeforeThemDid) {
  ApiWorld w;
  w.Schedule("a", kDue, {1});
  w.Schedule("b", kDue, {2});
  w.Run();
  w.Schedule("b", kDue + 1'000, {3});
  w.Schedule("c", kDue, {4});
  for (const std::string key : {"a", "b", "c", "a", "nobody"})
    ASSERT_TRUE(w.SendCancel(key));
  for (const std::string key : {"a", "b", "c", "nobody"}) ASSERT_TRUE(w.SendGet(key));
  w.Run();
  std::vector<std::string> told;
  for (const auto& replied : w.bus_->replied()) told.push_back(replied.body);
  const auto of = [](std::string_view job, std::string_view more) {
    return AllOf(HasSubstr("\"r/" + std::string(job) + "\""), HasSubstr(more));
  };
  const auto outcome = [&](std::string_view job, std::string_view is) {
    return of(job, "\"outcome\":\"" + std::string(is) + "\"");
  };
  EXPECT_THAT(
      told,
      ElementsAre(outcome("a", "cancelled"), outcome("b", "cancelled"),
                  outcome("c", "cancelled"), outcome("a", "cancelled"),
                  outcome("nobody", "unknown"), of("a", "\"state\":\"cancelled\""),
                  of("b", "\"state\":\"cancelled\""), of("c", "\"state\":\"cancelled\""),
                  HasSubstr("no job is known")));
  w.Advance(3'600'000);
  EXPECT_THAT(w.bus_->published(), IsEmpty());
}

TEST(Api, GetOfAnUnknownJobIs404) {
  ApiWorld w;
  ASSERT_TRUE(w.SendGet("a"));
  w.Run();
  EXPECT_EQ(w.Last().code, 404);
}

TEST(Api, GetFollowsAJobThroughItsLife) {
  ApiWorld w;
  w.Schedule("a", kDue, {1});
  w.Advance(1'000);
  EXPECT_THAT(w.Get("a"), HasSubstr(R"("state":"in_flight")"));
  w.bus_->Answer(w.LastAttempt(), PubAnswer::Kind::kRefused, "stream full");
  w.Run();
  const std::string retrying = w.Get("a");
  EXPECT_THAT(retrying, HasSubstr(R"("state":"retrying")"));
  EXPECT_THAT(retrying, HasSubstr(R"("last_error":"stream full")"));
  EXPECT_THAT(retrying, HasSubstr(R"("attempts":1)"));
  EXPECT_THAT(retrying, HasSubstr(R"("next":)"));
  w.Advance(1'000);
  w.Confirm();
  const std::string fired = w.Get("a");
  EXPECT_THAT(fired, HasSubstr(R"("state":"fired")"));
  EXPECT_THAT(fired, HasSubstr(R"("lateness_ms":)"));
  EXPECT_THAT(fired, HasSubstr(R"("acked":)"));
}

TEST(Api, GetOfALiveJobReadsItsRegisterAlone) {
  ApiWorld w;
  w.audited_ = false;
  w.Schedule("a", kDue, {1});
  w.Run();
  WriteSet set;
  set.DeleteJob(*w.Known("a")->job);
  ASSERT_TRUE(w.store_->Write(&set).ok());
  EXPECT_THAT(w.Get("a"), HasSubstr(R"("target":"out","attempts":0)"));
}

TEST(Api, GetOfARegisterWithoutABriefReadsTheRow) {
  ApiWorld w;
  w.Schedule("a", kDue, {1});
  w.Run();
  Register old = *w.Known("a");
  old.brief.reset();
  WriteSet set;
  set.PutRegister(MakeId("r", "a"), EncodeRegister(old));
  ASSERT_TRUE(w.store_->Write(&set).ok());
  EXPECT_THAT(w.Get("a"), HasSubstr(R"("target":"out","attempts":0)"));
}

TEST(Api, CancelledJobNeverFires) {
  ApiWorld w;
  w.Schedule("a", kDue, {1});
  w.Run();
  EXPECT_EQ(w.Outcome("a"), "cancelled");
  w.Advance(3'600'000);
  EXPECT_THAT(w.bus_->published(), IsEmpty());
  EXPECT_THAT(w.Get("a"), HasSubstr(R"("state":"cancelled")"));
}

TEST(Api, CancelInTheTurnOfItsScheduleFindsIt) {
  ApiWorld w;
  w.Schedule("a", kDue, {1});
  EXPECT_EQ(w.Outcome("a"), "cancelled");
  w.Advance(2'000);
  EXPECT_THAT(w.bus_->published(), IsEmpty());
}

TEST(Api, CancelOfAJobInFlightIsTooLateAndStaysSo) {
  ApiWorld w;
  w.Schedule("a", kDue, {1});
  w.Advance(1'000);
  EXPECT_EQ(w.Outcome("a"), "too_late");
  EXPECT_EQ(w.Outcome("a"), "too_late");
  EXPECT_THAT(w.Get("a"), HasSubstr(R"("state":"in_flight")"));
  w.Confirm();
  EXPECT_EQ(w.Outcome("a"), "too_late");
  EXPECT_THAT(w.Get("a"), HasSubstr(R"("state":"fired")"));
  EXPECT_THAT(w.bus_->published(), SizeIs(1));
}

TEST(Api, CancelAfterTheFireIsTooLate) {
  ApiWorld w;
  w.Schedule("a", kDue, {1});
  w.Advance(1'000);
  w.Confirm();
  EXPECT_EQ(w.Outcome("a"), "too_late");
  EXPECT_EQ(w.Stored("a"), "fired");
}

TEST(Api, CancelOfARefusedJobThatWaitsForItsRetryIsCancelled) {
  ApiWorld w;
  w.Schedule("a", kDue, {1});
  w.Advance(1'000);
  w.bus_->Answer(w.LastAttempt(), PubAnswer::Kind::kRefused, "stream full");
  w.Run();
  EXPECT_EQ(w.Outcome("a"), "cancelled");
  w.Advance(3'600'000);
  EXPECT_THAT(w.bus_->published(), SizeIs(1));
}

TEST(Api, CancelAfterAnAttemptThatWasNeverAnsweredIsTooLate) {
  ApiWorld w;
  w.Schedule("a", kDue, {1});
  w.Advance(1'000);
  w.bus_->StoreWithoutAnswer(w.LastAttempt());
  w.Advance(5'000);  // timed out
  ASSERT_EQ(w.Stored("a"), "retrying");
  EXPECT_EQ(w.Outcome("a"), "too_late") << "the stream holds its message";
  EXPECT_EQ(w.Outcome("a"), "too_late");
  w.Advance(3'600'000);
  EXPECT_THAT(w.bus_->published(), SizeIs(1));
}

TEST(Api, CancelOfAnUnansweredJobIsTooLateAlsoAfterARestartAndARefusal) {
  ApiWorld w;
  w.Schedule("a", kDue, {1});
  w.Advance(1'000);
  w.Advance(5'000);
  w.Advance(10'000);  // sent again
  w.bus_->Answer(w.LastAttempt(), PubAnswer::Kind::kRefused, "stream full");
  w.Run();
  ASSERT_EQ(w.Stored("a"), "retrying");
  w.Restart(1);
  EXPECT_EQ(w.Outcome("a"), "too_late");
}

TEST(Api, CancelAfterTheConnectionWentWithTheAttemptIsTooLate) {
  ApiWorld w;
  w.Schedule("a", kDue, {1});
  w.Advance(1'000);
  w.bus_->SetConnected(false);
  w.Run();
  ASSERT_EQ(w.Stored("a"), "pending");
  EXPECT_EQ(w.Outcome("a"), "too_late");
  w.bus_->SetConnected(true);
  w.Run();
  EXPECT_THAT(w.bus_->published(), SizeIs(1));
}

TEST(Api, CancelOfWhatADeadProcessMayHaveSentIsTooLate) {
  ApiWorld w;
  w.Schedule("a", kDue, {1});
  w.Schedule("b", kNow + 600'000, {2});
  w.Advance(1'000);  // a is in flight
  w.Stop();
  w.clock_.Advance(100);
  w.Start(/*catch_up=*/false);
  EXPECT_EQ(w.Outcome("a"), "too_late");
  EXPECT_EQ(w.Outcome("b"), "cancelled") << "not due yet: it cannot have been sent";
}

TEST(Api, CancelOfWhatADeadProcessMayHaveSentIsTooLateAlsoWhenTheNextOneFoundNoStream) {
  ApiWorld w;
  w.Schedule("a", kDue, {1});
  w.Advance(1'000);  // a is in flight
  w.Stop();
  w.clock_.Advance(100);
  w.Start(/*catch_up=*/false);
  w.bus_->SetStream("out", false);
  w.CatchUp();
  w.Run();
  ASSERT_EQ(w.Stored("a"), "retrying");
  EXPECT_EQ(w.Outcome("a"), "too_late");
}

TEST(Api, CancelOfWhatADeadProcessMayHaveSentIsTooLateAfterAStepBackOfTheClock) {
  ApiWorld w;
  w.Schedule("a", kDue, {1});
  w.Schedule("b", kDue + 3'600'000, {2});
  w.Advance(1'000);  // a is in flight
  w.clock_.Step(kNow - 3'600'000);
  w.Run();
  w.Stop();
  w.clock_.Advance(100);
  w.Start(/*catch_up=*/false);
  w.Restart(20'000, /*catch_up=*/false);
  EXPECT_EQ(w.Outcome("a"), "too_late");
  EXPECT_EQ(w.Outcome("b"), "cancelled") << "no clock has shown its due time";
}

TEST(Api, CancelOfWhatADeadProcessMayHaveSentIsTooLateWhenTheClockSteppedBackMeanwhile) {
  ApiWorld w;
  w.Schedule("a", kDue, {1});
  w.Advance(1'000);  // a is in flight
  w.Stop();
  w.clock_.Step(kNow - 3'600'000);
  w.Start(/*catch_up=*/false);
  w.Restart(20'000, /*catch_up=*/false);
  w.Schedule("b", kDue, {2});
  w.Run();
  w.Restart(20'000, /*catch_up=*/false);
  EXPECT_EQ(w.Outcome("a"), "too_late");
  EXPECT_EQ(w.Outcome("b"), "cancelled") << "written when the clock was right again";
}

TEST(Api, CancelOfWhatCameDueWhileTheLinkWasDownIsInTimeAlsoAfterRestarts) {
  ApiWorld w;
  w.Schedule("sent", kNow + 500, {1});
  w.Schedule("a", kDue, {2});
  w.Schedule("b", kNow + 28'000, {3});
  w.Advance(500);
  w.bus_->SetConnected(false);
  w.Run();
  w.Advance(5'000);
  w.Restart(20'000, /*catch_up=*/false);
  EXPECT_EQ(w.Outcome("a"), "cancelled") << "nothing was sent since the link went";
  w.bus_->SetConnected(false);
  w.Run();
  w.Advance(5'000);
  w.Restart(20'000, /*catch_up=*/false);
  EXPECT_EQ(w.Outcome("b"), "cancelled");
  EXPECT_EQ(w.Outcome("sent"), "too_late");
}

TEST(Api, CancelOfWhatWasSentAfterAnOutageIsTooLateAfterARestart) {
  ApiWorld w;
  w.Schedule("a", kDue, {1});
  w.bus_->SetConnected(false);
  w.Run();
  w.Advance(5'000);
  w.bus_->SetConnected(true);
  w.CatchUp();
  w.Step();
  EXPECT_THAT(w.bus_->published(), IsEmpty()) << "the store still says: nothing sent";
  w.Run();
  EXPECT_THAT(w.bus_->published(), SizeIs(1));
  w.Restart(20'000, /*catch_up=*/false);
  EXPECT_EQ(w.Outcome("a"), "too_late");
}

// The clock's two hours were noted once; the process after the outage has
// caught up with them, and takes the note for covered by its signs of life.
TEST(Api, CancelOfWhatWasSentBeforeAStepBackIsTooLateAlsoAfterRestartsWithoutALink) {
  ApiWorld w;
  w.Schedule("a", kDue + 7'200'000, {1});
  w.AdvanceTo(kDue + 7'200'000);  // a is in flight
  w.clock_.Step(kNow);
  w.Run();
  w.bus_->SetConnected(false);
  w.Run();
  w.Advance(5'000);
  for (int i = 0; i < 2; ++i) {
    w.Stop();
    w.clock_.Advance(8'000'000);
    w.StartApart();
    w.Advance(5'000);
  }
  w.Restart(100, /*catch_up=*/false);
  EXPECT_EQ(w.Outcome("a"), "too_late");
}

TEST(Api, CancelOfWhatWasSentBeforeAStepBackIsTooLateAlsoWhenTheNextOnesHadNoLink) {
  ApiWorld w;
  w.Schedule("a", kDue + 7'200'000, {1});
  w.AdvanceTo(kDue + 7'200'000);  // a is in flight
  w.clock_.Step(kNow);
  w.Run();
  for (int i = 0; i < 2; ++i) {
    w.Stop();
    w.clock_.Advance(8'000'000);
    w.StartApart();
    w.Advance(5'000);
  }
  w.Restart(100, /*catch_up=*/false);
  EXPECT_EQ(w.Outcome("a"), "too_late");
}

TEST(Api, CancelAfterAProcessThatKnewNothingOfTheDisconnectedNoteIsTooLate) {
  ApiWorld w;
  w.Schedule("a", kNow + 20'000, {1});
  w.bus_->SetConnected(false);
  w.Run();
  w.Advance(5'000);
  std::string note;
  ASSERT_TRUE(*w.store_->GetMeta(kMetaDisconnected, &note));
  // An older binary: its sign of life, and the note as it found it.
  WriteSet set;
  ProcessGaps::StageAlive(kNow + 21'000, &set);
  ASSERT_TRUE(w.store_->Write(&set).ok());
  w.Restart(20'000, /*catch_up=*/false);
  EXPECT_EQ(w.Outcome("a"), "too_late");
  EXPECT_FALSE(*w.store_->GetMeta(kMetaDisconnected, &note)) << "void for good";
}

TEST(Api, CancelOfWhatWasSentAfterAnOutageIsTooLateAlsoWhenTheLinkWentAgain) {
  ApiWorld w;
  w.Schedule("a", kDue, {1});
  w.Schedule("b", kNow + 10'000, {2});
  w.bus_->SetConnected(false);
  w.Run();
  w.Advance(5'000);
  w.bus_->SetConnected(true);
  w.CatchUp();
  w.Run();
  EXPECT_THAT(w.bus_->published(), SizeIs(1));
  w.bus_->SetConnected(false);
  w.Run();
  w.Advance(10'000);
  w.Restart(20'000, /*catch_up=*/false);
  EXPECT_EQ(w.Outcome("a"), "too_late");
  EXPECT_EQ(w.Outcome("b"), "cancelled");
}

TEST(Api, CancelOfWhatWasSentAfterALeapOfTheClockIsTooLateAfterACrash) {
  ApiWorld w;
  w.Schedule("a", kNow + 3'600'000, {1});
  w.Run();
  w.clock_.Step(kNow + 3'600'000);
  w.inbox_->Complete(StoodStill{3'600'000});
  w.CatchUp();
  for (int i = 0; i < 3; ++i) w.Step();
  EXPECT_THAT(w.bus_->published(), IsEmpty()) << "the store knows nothing of that time";
  w.Run();
  EXPECT_THAT(w.bus_->published(), SizeIs(1));
  w.Restart(100, /*catch_up=*/false);
  EXPECT_EQ(w.Outcome("a"), "too_late");
}

TEST(Api, NothingIsSentAfterAStartBeforeTheStoreKnowsOfIt) {
  ApiWorld w;
  w.Schedule("a", kDue, {1});
  w.Run();
  w.Stop();
  w.clock_.Advance(3'600'000);
  w.Begin();
  w.inbox_->Complete(EgressChanged{true});
  w.CatchUp();
  for (int i = 0; i < 3; ++i) w.Step();
  EXPECT_THAT(w.bus_->published(), IsEmpty()) << "no sign of life is durable";
  w.Run();
  EXPECT_THAT(w.bus_->published(), SizeIs(1));
}

TEST(Api, LinkThatIsGoneForLessThanASecondCostsNoSync) {
  ApiWorld w;
  w.Advance(1'500);
  const uint64_t before = w.committer_->wanted();
  for (int i = 0; i < 8; ++i) {
    w.bus_->SetConnected(i % 2 == 1);
    w.Run();
    w.Advance(200);
  }
  EXPECT_EQ(w.committer_->wanted(), before);
}

TEST(Api, CancelAnsweredTooLateIsSoAfterARestart) {
  ApiWorld w;
  w.Schedule("a", kDue, {1});
  w.Advance(1'000);
  EXPECT_EQ(w.Outcome("a"), "too_late");
  w.Restart();
  EXPECT_EQ(w.Outcome("a"), "too_late");
  EXPECT_THAT(w.bus_->published(), IsEmpty()) << "no further attempt";
}

TEST(Api, CancelOfADeadJobTakesItFromTheDeadStore) {
  Rule rule = TestRule("r");
  rule.retry.attempts = 1;
  ApiWorld w({rule});
  w.Schedule("a", kDue, {1});
  w.Advance(1'000);
  w.bus_->Answer(w.LastAttempt(), PubAnswer::Kind::kRefused, "no permission");
  w.Run();
  ASSERT_EQ(w.Stored("a"), "dead");
  EXPECT_THAT(w.Get("a"), HasSubstr("no permission"));
  EXPECT_EQ(w.Outcome("a"), "cancelled");
  EXPECT_EQ(w.stats().rules.at("r").dead_jobs, 0u);
}

TEST(Api, CancelOfAnUnknownJobIsUnknownAndLeavesNoTrace) {
  ApiWorld w;
  EXPECT_EQ(w.Outcome("a"), "unknown");
  EXPECT_EQ(w.Stored("a"), "none");
  w.Schedule("a", kDue, {1});
  w.Advance(1'000);
  EXPECT_THAT(w.bus_->published(), SizeIs(1));
}

TEST(Api, OldScheduleDeliveredAgainDoesNotReviveACancelledJob) {
  ApiWorld w;
  w.Schedule("a", kDue, {5});
  w.Run();
  EXPECT_EQ(w.Outcome("a"), "cancelled");
  w.Schedule("a", kDue, {5});
  w.Schedule("a", kDue + 1, {4, kNow - 10});
  w.Run();
  w.Restart();
  w.Schedule("a", kDue, {5});
  w.Advance(5'000);
  EXPECT_THAT(w.bus_->published(), IsEmpty());
}

TEST(Api, ScheduleSentBeforeTheCancelAndReadAfterItDoesNotReviveTheJob) {
  ApiWorld w;
  w.Schedule("a", kDue, {1});
  w.Advance(500);
  EXPECT_EQ(w.Outcome("a"), "cancelled");
  w.Schedule("a", kDue + 100, {2, kNow + 400});
  w.Advance(5'000);
  EXPECT_THAT(w.bus_->published(), IsEmpty());
}

TEST(Api, LaterScheduleOpensACancelledJobAgainAlsoAfterARestart) {
  ApiWorld w;
  w.Schedule("a", kDue, {1});
  w.Run();
  EXPECT_EQ(w.Outcome("a"), "cancelled");
  w.Restart();
  w.Schedule("a", kDue + 5'000, {2, w.clock_.NowMs() + 1});
  w.Advance(6'000);
  EXPECT_THAT(w.bus_->published(), SizeIs(1));
}

TEST(Api, CancelCountsAfterAScheduleWhoseServerClockIsAhead) {
  ApiWorld w;
  w.Schedule("a", kDue, {1, kNow + 30'000});
  w.Run();
  EXPECT_EQ(w.Outcome("a"), "cancelled");
  w.Schedule("a", kDue, {1, kNow + 30'000});
  w.Advance(60'000);
  EXPECT_THAT(w.bus_->published(), IsEmpty());
}

TEST(Api, CancelLeavesTheVersionOfAnEventsCancelInForce) {
  ApiWorld w;
  w.Schedule("before", kDue, {.seq = 1, .version = 5});
  w.Cancel("before", {.seq = 2, .version = 7});
  w.Schedule("after", kDue, {.seq = 3, .version = 5});
  w.Run();
  w.Advance(10);
  EXPECT_EQ(w.Outcome("before"), "cancelled");
  EXPECT_EQ(w.Outcome("after"), "cancelled");
  w.Cancel("after", {.seq = 4, .version = 7});  // published before the API's
  w.Schedule("before", kDue, {.seq = 5, .time_ms = kNow + 20, .version = 6});
  w.Schedule("after", kDue, {.seq = 6, .time_ms = kNow + 20, .version = 6});
  w.Advance(5'000);
  EXPECT_THAT(w.bus_->published(), IsEmpty());
  w.Schedule("after", kDue, {.seq = 7, .time_ms = kNow + 30, .version = 8});
  w.Advance(5'000);
  EXPECT_THAT(w.bus_->published(), SizeIs(1));
}

TEST(Api, FloodIsRefusedAtItsLimitAndMessagesGoOn) {
  ApiWorld w;
  size_t taken = 0;
  while (w.SendGet("a")) ++taken;
  EXPECT_EQ(taken, w.inbox_->asks_capacity());
  w.Schedule("a", kDue, {1});  // has a place of its own
  w.Step();
  EXPECT_EQ(w.stats().scheduled, 1u);
  w.Run();
  EXPECT_THAT(w.bus_->replied(), SizeIs(taken));
  EXPECT_TRUE(w.SendGet("a")) << "places come back with the replies";
}

TEST(Api, TurnTakesABoundedNumberOfRequests) {
  ApiWorld w;
  while (w.SendGet("a")) {
  }
  std::vector<Completion> completions;
  std::vector<Request> requests;
  w.inbox_->Drain(1'000, &completions, &requests);
  EXPECT_THAT(requests, SizeIs(Inbox::kAsksPerDrain));
}

// ---- Lists.

ListCommand Page(ApiWorld* w, const ListQuery& query,
                 size_t bytes_max = std::numeric_limits<size_t>::max()) {
  ListCommand page;
  page.caller.bytes_max = bytes_max;
  page.query = query;
  const Queues queues(w->rules_);
  page.queues = &queues;
  page.clock = &w->clock_;
  const absl::Status read = page.Read(*w->store_);
  EXPECT_TRUE(read.ok()) << read;
  return page;
}

TEST(Api, ListGoesThroughAllJobsInDueOrderPageByPage) {
  ApiWorld w({TestRule("r"), TestRule("s")});
  for (int i = 0; i < 25; ++i)
    w.Schedule("k" + std::to_string(i), kDue + i * 37 % 25,
               {static_cast<uint64_t>(i + 1), kNow, "S", static_cast<RuleIndex>(i % 2)});
  w.Run();
  ListQuery query;
  query.limit = 10;
  std::vector<std::string> all;
  for (int pages = 0; pages < 4; ++pages) {
    const ListCommand page = Page(&w, query);
    for (const auto& row : page.jobs) all.push_back(row.tail);
    if (page.cursor.empty()) break;
    const auto next = ParseListQuery(R"({"limit":10,"cursor":")" + page.cursor + "\"}");
    ASSERT_TRUE(next.ok()) << next.status();
    query = *next;
  }
  ASSERT_THAT(all, SizeIs(25));
  EXPECT_TRUE(std::is_sorted(all.begin(), all.end()))  // each begins with its due
      << all.front();
}

TEST(Api, ListPagesFitWhatTheServerTakesAndShowAllJobs) {
  for (const size_t bytes_max : {2'048u, 4'096u, 65'536u}) {
    ApiWorld w;
    constexpr uint64_t kJobs = 300;
    for (uint64_t i = 0; i < kJobs; ++i)  // one in ten alone is over 2 KB
      w.Schedule("k" + std::to_string(i), kDue, {i + 1}, "{}",
                 std::string(i % 10 == 0 ? 4'000 : i, 't'));
    w.Run();
    ListQuery query;
    query.limit = kPageMax;
    size_t jobs = 0;
    std::string all;
    while (true) {
      ListCommand page = Page(&w, query, bytes_max);
      ASSERT_THAT(page.jobs, Not(IsEmpty())) << "a page that does not lead on";
      jobs += page.jobs.size();
      const std::string cursor = page.cursor;
      ASSERT_TRUE(w.Send(std::move(page)));
      w.Run();
      const std::string body = w.LastBody();
      EXPECT_LE(body.size(), bytes_max);
      all += body;
      if (cursor.empty()) break;
      query.after = ParseListQuery(R"({"cursor":")" + cursor + "\"}")->after;
    }
    EXPECT_EQ(jobs, kJobs);
    for (uint64_t i = 0; i < kJobs; ++i)
      EXPECT_THAT(all, HasSubstr("\"r/k" + std::to_string(i) + "\""));
    EXPECT_EQ(all.find(R"("shortened":true)") != all.npos, bytes_max < 65'536);
  }
}

TEST(Api, ListFiltersByRulePrefixAndDue) {
  ApiWorld w({TestRule("r"), TestRule("s")});
  w.Schedule("a1", kDue, {1});
  w.Schedule("a2", kDue + 10, {2});
  w.Schedule("b1", kDue, {3});
  w.Schedule("a1", kDue, {4, kNow, "S", 1});
  w.Run();
  ListQuery query;
  query.rule = "r";
  query.prefix = "a";
  EXPECT_THAT(Page(&w, query).jobs, SizeIs(2));
  query.due_before_ms = kDue + 10;
  EXPECT_THAT(Page(&w, query).jobs, SizeIs(1));
  query.rule = "";
  EXPECT_THAT(Page(&w, query).jobs, SizeIs(2));
}

TEST(Api, PageThatFiltersLeaveEmptyStillHasACursor) {
  ApiWorld w;
  for (uint64_t i = 0; i <= kPageRowsMax; ++i) {
    w.Schedule("k" + std::to_string(i), kDue, {i + 1});
    if (i % 1'000 == 0) w.Run();
  }
  w.Run();
  ListQuery query;
  query.prefix = "zzz";
  const ListCommand page = Page(&w, query);
  EXPECT_THAT(page.jobs, IsEmpty());
  EXPECT_NE(page.cursor, "");
}

TEST(Api, ListTellsWhatIsInFlightAndWhatIsRetried) {
  ApiWorld w;
  w.Schedule("a", kDue, {1});
  w.Schedule("b", kDue, {2});
  w.Schedule("c", kDue + 60'000, {3});
  w.Advance(1'000);
  w.bus_->Answer(w.LastAttempt(), PubAnswer::Kind::kRefused, "full");
  w.Run();
  ASSERT_TRUE(w.Send(Page(&w, {})));
  w.Run();
  const std::string told = w.LastBody();
  EXPECT_THAT(told, HasSubstr(R"({"job":"r/a","state":"in_flight","due":)"));
  EXPECT_THAT(told, HasSubstr(R"({"job":"r/b","state":"retrying","due":)"));
  EXPECT_THAT(told, HasSubstr(R"({"job":"r/c","state":"pending","due":)"));
  ListCommand flying = Page(&w, {});
  flying.query.state = "in_flight";
  ASSERT_TRUE(w.Send(std::move(flying)));
  w.Run();
  EXPECT_THAT(w.LastBody(), Not(HasSubstr("retrying")));
}

TEST(Api, StatsCountOverdueJobsInBuckets) {
  ApiWorld w;
  w.FallBehind();
  w.Run();
  w.Schedule("a", kDue, {1});
  w.Schedule("b", kDue + 5'000, {2});
  w.Run();
  w.Advance(6'500);
  ASSERT_TRUE(w.Send(MakeCommand("stats", "")));
  w.Run();
  const std::string told = w.LastBody();
  EXPECT_THAT(told, HasSubstr(R"("overdue":{"0s":1,"1s":1,"10s":0)")) << told;
  EXPECT_THAT(told, HasSubstr(R"("pending":2)"));
}

TEST(Api, StatsOfManyRulesComeInPagesThatFit) {
  std::vector<Rule> rules;
  for (int i = 0; i < 200; ++i) rules.push_back(TestRule("rule-" + std::to_string(i)));
  ApiWorld w(rules);
  for (uint64_t i = 0; i < 200; ++i)
    w.Schedule("a", kDue, {i + 1, kNow, "S", static_cast<RuleIndex>(i)});
  w.Run();
  std::set<std::string> seen;
  std::string cursor;
  int pages = 0;
  do {
    auto request = MakeCommand("stats", JsonObject("cursor", cursor).text);
    request->caller.bytes_max = 4'096;
    ASSERT_TRUE(w.Send(std::move(request)));
    w.Run();
    const std::string body = w.LastBody();
    EXPECT_LE(body.size(), 4'096u);
    EXPECT_THAT(body, HasSubstr(R"("pending":200)"));
    cursor.clear();
    const auto members = JsonMembers(body);
    ASSERT_TRUE(members.ok()) << members.status();
    for (const auto& [name, value] : *members) {
      if (name == "cursor") cursor = value.raw.substr(1, value.raw.size() - 2);
      if (name != "rules") continue;
      const auto told = JsonMembers(value.raw);
      ASSERT_TRUE(told.ok());
      for (const auto& [rule, counts] : *told) EXPECT_TRUE(seen.insert(rule).second);
    }
  } while (!cursor.empty() && ++pages < 200);
  EXPECT_THAT(seen, SizeIs(200));
  EXPECT_GT(pages, 2);
}

TEST(Api, GetThatIsTooLongIsShortened) {
  ApiWorld w;
  w.Schedule("a", kDue, {1}, "{}", std::string(4'000, 't'));
  w.Run();
  auto request = MakeJobCommand("get", "r", "a");
  request->caller.bytes_max = 1'024;
  ASSERT_TRUE(w.Send(std::move(request)));
  w.Run();
  const std::string body = w.LastBody();
  EXPECT_LE(body.size(), 1'024u);
  EXPECT_THAT(body, HasSubstr(R"("state":"pending")"));
  EXPECT_THAT(body, HasSubstr(R"("shortened":true)"));
}

TEST(SchedulerApi, ARoundTripIsStoredFiresOverCoreNatsAndIsClosed) {
  ApiWorld w;
  ASSERT_TRUE(w.Send(MakeCommand("round-trip", R"({"id":"id1","in_ms":200})")));
  w.Run();
  const std::string name = "\"job\":\"api.doctor/id1\"";
  EXPECT_THAT(w.LastBody(), HasSubstr(name));
  w.Advance(199);
  EXPECT_TRUE(w.bus_->published().empty());
  w.Advance(1);
  ASSERT_EQ(w.bus_->published().size(), 1u);
  EXPECT_EQ(w.bus_->published()[0].target, "expirer.v1.round-trip.id1");
  EXPECT_EQ(w.bus_->published()[0].via, Transport::kCore);
  EXPECT_THAT(w.bus_->published()[0].body, HasSubstr(name));
  w.Confirm();
  ASSERT_TRUE(w.Send(MakeCommand("round-trip", R"({"id":"id1"})")));
  w.Run();
  EXPECT_EQ(w.Last().code, 409);
}

TEST(Api, GetTellsWhatThereIsToKnowOfTheTarget) {
  ApiWorld w;
  w.bus_->SetWarning("out", "it never confirms");
  w.Schedule("a", kNow + 60'000, {1});
  w.Schedule("b", kNow + 60'000, {2}, "{}", "other");
  w.Run();
  EXPECT_THAT(w.Get("a"), HasSubstr(R"("warning":"it never confirms")"));
  EXPECT_THAT(w.Get("b"), Not(HasSubstr("warning")));
}

}  // namespace
}  // namespace expirer
