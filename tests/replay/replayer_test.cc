// What the golden traces cannot tell: ends, summaries, the report and the diff.
#include <algorithm>

#include "base/rfc3339.h"
#include "replay/diff.h"
#include "replay/explain.h"
#include "replay/report.h"
#include "replay/run.h"

namespace expirer {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::string Time(const std::string& clock) { return "2027-02-01T" + clock + "Z"; }
std::string Created(const std::string& at, const std::string& id,
                    const std::string& due) {
  return R"({"at":")" + Time(at) + R"(","subject":"order:created","json":{"id":")" + id +
         R"(","expiresAt":")" + Time(due) + R"("}})";
}
std::string Paid(const std::string& at, const std::string& id) {
  return R"({"at":")" + Time(at) +
         R"(","subject":"payment:created","json":{"id":"p","orderId":")" + id + R"("}})";
}
std::string Do(const std::string& at, const std::string& what) {
  return R"({"at":")" + Time(at) + R"(","do":")" + what + R"("})";
}
int64_t Ms(const std::string& clock) { return *ParseRfc3339(Time(clock)); }
size_t Lines(const std::string& text) {
  return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
}

TEST(Replayer, RunsToTheEndThatIsSetAndThatMillisecondWhole) {
  const auto trace = TraceOf({Created("10:00:00", "a1", "10:15:00"),
                              Created("10:00:00", "a2", "10:15:01"),
                              Created("10:15:00.001", "a3", "10:15:02")});
  const Ran ran = RunTrace(DefaultConfig(), trace, Ms("10:15:00"));
  EXPECT_EQ(Lines(ran.fires), 1u);
  EXPECT_EQ(ran.summary.pending, 1u);
  EXPECT_EQ(ran.summary.events, 2u);
  EXPECT_EQ(Lines(RunTrace(DefaultConfig(), trace, Ms("10:14:59.999")).fires), 0u);
  EXPECT_EQ(RunTrace(DefaultConfig(), trace, Ms("09:00:00")).summary.events, 0u);
}

TEST(Replayer, WhereverItEndsItsSummaryAgreesWithItsFires) {
  const auto trace = TraceOf({Created("10:00:00", "a1", "10:00:00.003"),
                              Created("10:00:00", "a2", "10:00:00.004"),
                              Created("10:00:00.006", "a3", "10:00:00.009"),
                              Created("10:00:00.009", "a4", "10:00:00.030")});
  for (int64_t ms = 0; ms < 35; ++ms) {
    const Ran ran = RunTrace(DefaultConfig(), trace, Ms("10:00:00") + ms);
    EXPECT_EQ(ran.summary.fired, Lines(ran.fires)) << ms;
  }
}

TEST(Replayer, EndsWithJobsPendingWhenTheLinkStaysDown) {
  const Ran ran = RunTrace(
      DefaultConfig(),
      TraceOf({Created("10:00:00", "a1", "10:15:00"), Do("10:10:00", "nats-down")}));
  EXPECT_THAT(ran.fires, IsEmpty());
  EXPECT_EQ(ran.summary.pending, 1u);
}

TEST(Replayer, ShowsNoHeadersWhereNatsStreamingCarriesNone) {
  Config config = DefaultConfig();
  config.rules[0].publish[0].via = Transport::kStan;
  const Ran ran = RunTrace(config, TraceOf({Created("10:00:00", "a1", "10:15:00")}));
  EXPECT_THAT(ran.fires, HasSubstr(R"("job":"order-expiration/a1")"));
  EXPECT_THAT(ran.fires, HasSubstr(R"("headers":{})"));
}

// Lines that name no stream are of whichever an entry names.
TEST(Replayer, EntriesThatNameAStreamTakeItsLinesOnly) {
  Config config = DefaultConfig();
  config.rules[0].schedule[0].stream = "MIRROR";
  const auto of = [](const std::string& stream, const std::string& id) {
    std::string line = Created("10:00:00", id, "10:15:00");
    line.pop_back();
    return line + R"(,"stream":")" + stream + R"(","seq":1})";
  };
  const Ran ran = RunTrace(config, TraceOf({of("MIRROR", "a1"), of("OTHER", "a2"),
                                            Created("10:00:01", "a3", "10:15:00")}));
  EXPECT_THAT(ran.fires, HasSubstr("order-expiration/a1"));
  EXPECT_THAT(ran.fires, Not(HasSubstr("order-expiration/a2")));
  EXPECT_THAT(ran.fires, HasSubstr("order-expiration/a3"));
}

TEST(Replayer, AnEmptyTraceIsARunOfNothing) {
  const Ran ran = RunTrace(DefaultConfig(), {});
  EXPECT_EQ(ran.summary.events, 0u);
  EXPECT_EQ(ran.summary.first_ms, 0);
}

TEST(Replayer, CountsWhatIsDeliveredAgainOnce) {
  const Ran ran = RunTrace(
      DefaultConfig(),
      TraceOf({Created("10:00:00", "a1", "10:15:00"),
               Created("10:00:01", "a2", "10:15:00"), Paid("10:01:00", "a2"),
               R"({"at":"2027-02-01T10:01:00Z","subject":"order:created","json":{}})",
               R"({"at":"2027-02-01T10:01:00Z","subject":"else","json":{}})",
               Do("10:01:00", "crash"), Do("10:02:00", "redeliver"),
               Do("10:15:00", "crash")}));
  EXPECT_EQ(ran.summary.events, 5u);
  EXPECT_EQ(ran.summary.scheduled, 2u);
  EXPECT_EQ(ran.summary.cancelled, 1u);
  EXPECT_EQ(ran.summary.rejected, 1u);
  EXPECT_EQ(ran.summary.ignored, 1u);
  EXPECT_EQ(ran.summary.fired, 1u);
  EXPECT_EQ(ran.summary.attempts, 2u);
  EXPECT_EQ(ran.summary.crashes, 2u);
  EXPECT_EQ(ran.summary.first_ms, Ms("10:00:00"));
  EXPECT_EQ(ran.summary.last_ms, Ms("10:15:00"));
  EXPECT_EQ(ran.summary.queues.at(0).name, "order-expiration");
  EXPECT_EQ(ran.summary.queues.at(0).outcomes.fired, 1u);
  EXPECT_EQ(ran.summary.queues.at(0).outcomes.rejected, 1u);
}

TEST(Replayer, RedeliversNoMoreThanTheLastThousandEvents) {
  std::vector<std::string> lines = {Created("10:00:00", "first", "10:15:00")};
  for (size_t i = 1; i < kRedelivered; ++i)
    lines.push_back(Created("10:00:00", std::to_string(i), "10:15:00"));
  const auto redelivered = [](std::vector<std::string> texts) {
    texts.push_back(Do("10:01:00", "redeliver"));
    const Config config = DefaultConfig();
    const TempDir dir;
    ReplayOptions options = OptionsOf(config, dir.path() + "/store");
    Replayer replayer(std::move(options), config.rules);
    for (TraceLine& line : TraceOf(texts)) EXPECT_TRUE(replayer.Take(line).ok());
    EXPECT_TRUE(replayer.Finish().ok());
    return replayer.summary().redelivered;
  };
  EXPECT_EQ(redelivered(lines), kRedelivered);
  lines.push_back(Created("10:00:30", "last", "10:15:00"));
  EXPECT_EQ(redelivered(lines), kRedelivered);
}

// A store that a replay leaves is one that a service can go on with.
TEST(Replayer, LeavesAWholeStore) {
  const Config config = DefaultConfig();
  const TempDir dir;
  const std::string path = dir.path() + "/store";
  ReplayOptions options = OptionsOf(config, path);
  options.until_ms = Ms("10:10:00");
  {
    Replayer replayer(std::move(options), config.rules);
    for (TraceLine& line : TraceOf({Created("10:00:00", "a1", "10:15:00"),
                                    Created("10:00:01", "a2", "10:15:00"),
                                    Paid("10:01:00", "a2"), Do("10:01:00", "crash")}))
      ASSERT_TRUE(replayer.Take(line).ok());
    ASSERT_TRUE(replayer.Finish().ok());
  }
  StoreOptions store_options;
  store_options.path = path;
  const auto store = Store::Open(store_options);
  ASSERT_TRUE(store.ok()) << store.status();
  const auto a1 = (*store)->GetRegister(MakeId("order-expiration", "a1"));
  const auto a2 = (*store)->GetRegister(MakeId("order-expiration", "a2"));
  ASSERT_TRUE(a1.ok() && a1->has_value() && a2.ok() && a2->has_value());
  EXPECT_EQ((*a1)->state, JobState::kPending);
  EXPECT_EQ((*a2)->state, JobState::kCancelled);
}

TEST(FireDiff, KeepsOnlyWhatDiffers) {
  InstantBus::Published message;
  message.target = "out";
  message.headers = {{"Expirer-Job", "r/k"},
                     {"Expirer-Due", "2027-02-01T10:15:00.000Z"},
                     {"Expirer-Attempt", "1"}};
  FireDiff diff;
  const Fire fire = FireOf(Ms("10:15:00"), message);
  const Fire later = FireOf(Ms("10:15:01"), message);
  diff.Add(FireDiff::kBefore, fire);
  EXPECT_EQ(diff.size(), 1u);
  diff.Add(FireDiff::kAfter, fire);
  EXPECT_EQ(diff.size(), 0u);
  diff.Add(FireDiff::kBefore, later);
  diff.AddPending(FireDiff::kAfter, "r/k", Ms("10:15:00"));
  diff.AddPending(FireDiff::kBefore, "r/same", Ms("10:15:00"));
  diff.AddPending(FireDiff::kAfter, "r/same", Ms("10:15:00"));
  EXPECT_EQ(diff.size(), 1u);
  EXPECT_THAT(
      diff.Lines(),
      testing::MatchesRegex(
          R"re(\{"job":"r/k","before":\[\{"at":"2027-02-01T10:15:01.000Z".*\}\],)re"
          R"re("after":\[\{"pending":true,"due":"2027-02-01T10:15:00.000Z"\}\]\}
)re"));
}

// The first tag that is closed out of order, or is left open; "" is well formed.
std::string UnclosedTag(std::string_view html) {
  std::vector<std::string_view> open;
  while (true) {
    const size_t from = html.find('<');
    if (from == html.npos) return open.empty() ? "" : std::string(open.back());
    html.remove_prefix(from + 1);
    const std::string_view tag = html.substr(0, html.find('>'));
    const bool closes = tag.starts_with("/");
    const std::string_view name = tag.substr(closes ? 1 : 0);
    if (closes) {
      if (open.empty() || open.back() != name) return std::string(tag);
      open.pop_back();
    } else if (!tag.ends_with("/")) {
      open.push_back(name.substr(0, name.find_first_of(" \n")));
    }
  }
}

TEST(Report, IsOneWellFormedPageThatNeedsNoNetwork) {
  Report report;
  ReplaySummary summary;
  summary.events = 1'234'567;
  summary.first_ms = Ms("10:00:00");
  summary.last_ms = Ms("11:00:00");
  summary.queues.push_back({"<rule> & \"quotes\"", {}, 7});
  for (int64_t ms = summary.first_ms; ms < summary.last_ms; ms += 1'000)
    report.AddPending(ms, 5);
  const std::string html = report.Html(summary, "a<b.jsonl", "rules.yaml");
  EXPECT_THAT(html, testing::StartsWith("<!DOCTYPE html>"));
  EXPECT_EQ(UnclosedTag(html.substr(html.find("<html"))), "");
  EXPECT_THAT(html, Not(HasSubstr("http")));
  EXPECT_THAT(html, Not(HasSubstr("//")));
  EXPECT_THAT(html, Not(HasSubstr("<script")));
  EXPECT_THAT(html, HasSubstr("prefers-color-scheme: dark"));
  EXPECT_THAT(html, HasSubstr("&lt;rule&gt; &amp; &quot;quotes&quot;"));
  EXPECT_THAT(html, HasSubstr("a&lt;b.jsonl"));
  EXPECT_THAT(html, HasSubstr("1,234,567"));
  EXPECT_EQ(html, report.Html(summary, "a<b.jsonl", "rules.yaml"));
}

TEST(Report, OfNothingIsAPageToo) {
  const std::string html = Report().Html({}, "t", "c");
  EXPECT_EQ(UnclosedTag(html.substr(html.find("<html"))), "");
  EXPECT_THAT(html, Not(HasSubstr("<svg")));
}

TEST(UnclosedTag, IsSeen) {
  EXPECT_EQ(UnclosedTag("<p><b/><i>x</i></p>"), "");
  EXPECT_EQ(UnclosedTag("<p><i>x</p>"), "/p");
  EXPECT_EQ(UnclosedTag("<p class=\"a\">"), "p");
  EXPECT_EQ(UnclosedTag("</p>"), "/p");
}

TEST(Timeline, WidensSoThatTheBucketsStayFew) {
  Timeline line;
  constexpr int64_t kStart = 1'800'000'000'000;
  constexpr int64_t kDay = 86'400'000;
  uint64_t fires = 0;
  for (int64_t day = 0; day < 1'000; ++day) {
    line.AddFire(kStart + day * kDay);
    line.AddPending(kStart + day * kDay, 1'000 - static_cast<uint64_t>(day));
    EXPECT_LE(line.buckets().size(), Timeline::kBucketsMax);
  }
  for (const Timeline::Bucket& bucket : line.buckets()) fires += bucket.fires;
  EXPECT_EQ(fires, 1'000u);
  EXPECT_EQ(line.width_ms(), 604'800'000);
  EXPECT_EQ(line.buckets().front().pending_max, 1'000u);
  EXPECT_EQ(line.buckets().back().pending_last, 1u);
  EXPECT_LE(line.start_ms(), kStart);
}

TEST(Timeline, WhatWasPendingGoesOnWhereNothingHappens) {
  Timeline line;
  line.AddPending(1'000, 3);
  line.AddPending(1'002, 1);
  ASSERT_EQ(line.buckets().size(), 3u);
  EXPECT_EQ(line.buckets()[1].pending_max, 3u);
  EXPECT_EQ(line.buckets()[2].pending_max, 3u);
  EXPECT_EQ(line.buckets()[2].pending_last, 1u);
}

class Explain : public testing::Test {
 protected:
  std::string Of(const std::string& text, const Config& config = DefaultConfig()) {
    const TempDir dir;
    const auto said = ExplainEvent(OptionsOf(config, dir.path() + "/store"), config.rules,
                                   TraceOf({text})[0]);
    EXPECT_TRUE(said.ok()) << said.status();
    return said.value_or("");
  }
};

TEST_F(Explain, TellsWhatWouldFireWhenAndWhere) {
  EXPECT_EQ(
      Of(Created("10:00:00", "a1", "10:15:00")),
      "order-expiration schedules the key a1, due 2027-02-01T10:15:00.000Z\n"
      "  order-expiration/a1 fires at 2027-02-01T10:15:00.000Z to "
      "expiration:complete\n"
      "    Nats-Msg-Id: expirer/order-expiration/a1/1801476900000/08e0ce7b8a04a187\n"
      "    Expirer-Job: order-expiration/a1\n"
      "    Expirer-Due: 2027-02-01T10:15:00.000Z\n"
      "    Expirer-Attempt: 1\n"
      "    {\"orderId\":\"a1\"}\n");
}

TEST_F(Explain, TellsWhyNot) {
  EXPECT_EQ(Of(Paid("10:00:00", "a1")), "order-expiration cancels the key a1\n");
  EXPECT_EQ(Of(R"({"at":"2027-02-01T10:00:00Z","subject":"else","json":{}})"),
            "order-expiration does not read else\n");
  EXPECT_EQ(
      Of(R"({"at":"2027-02-01T10:00:00Z","subject":"order:created","json":{}})"),
      "order-expiration rejects it: key /id: it is missing, expected a string or an "
      "integer\n");
  EXPECT_THAT(Of(Created("10:00:00", "a1", "10:15:00").replace(7, 4, "2028")),
              HasSubstr("rejected as stale"));
  const Config late = ConfigOf(
      "tests/replay/golden/a-job-found-too-late-is-skipped-where-the-rule-says-so.yaml");
  EXPECT_EQ(Of(Created("10:00:00", "a1", "09:00:00"), late),
            "order schedules the key a1, due 2027-02-01T09:00:00.000Z\n"
            "  order: skipped, `late` says so\n");
  const ConfigResult match = ParseConfig(
      "rules:\n"
      "  - name: paid\n"
      "    schedule: { subject: a, match: { /status: paid }, key: /id, delay: 1m }\n"
      "    publish: { subject: b }\n",
      "match");
  ASSERT_THAT(match.errors, IsEmpty());
  EXPECT_EQ(
      Of(R"({"at":"2027-02-01T10:00:00Z","subject":"a","json":{"id":1}})", match.config),
      "paid reads its subject and ignores it: no entry's `match` holds\n");
}

}  // namespace
}  // namespace expirer
