// What /metrics says of a status, and that Prometheus' own tool finds nothing
// wrong with it.
#include "app/metrics.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/temp_dir.h"

namespace expirer {
namespace {

using ::testing::ContainsRegex;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// A service with two rules, one of them with two publish entries.
Status Example() {
  Status status;
  status.now_ms = 1'800'000'060'000;
  status.started_ms = 1'800'000'000'500;
  status.ready = true;
  status.queues = {"cart", "trial.first", "trial.second", "api.doctor"};
  status.queue_rules = {"cart", "trial", "trial", ""};
  status.stats.outcomes.resize(4);
  return status;
}

std::string Text(const Status& status, const HttpCounts& http = {}) {
  return MetricsText(status, DefaultConfig(), http);
}

// The value of this series, as it stands there; "(none)".
std::string Value(const std::string& text, const std::string& series) {
  const size_t at = ("\n" + text).find("\n" + series + " ");
  if (at == std::string::npos) return "(none)";
  const size_t from = at + series.size() + 1;
  return text.substr(from, text.find('\n', from) - from);
}

TEST(Metrics, TellWhatTheStoreHoldsByRule) {
  Status status = Example();
  status.stats.rules["cart"] = {3, 1, 2, 4};
  status.stats.rules["gone"] = {5, 0, 0, 0};
  status.stats.rules["gone-and-empty"] = {};
  const std::string text = Text(status);
  EXPECT_EQ(Value(text, R"(expirer_jobs_pending{rule="cart"})"), "3");
  EXPECT_EQ(Value(text, R"(expirer_jobs_pending{rule="trial.first"})"), "0");
  EXPECT_EQ(Value(text, R"(expirer_jobs_pending{rule="gone"})"), "5");
  EXPECT_EQ(Value(text, R"(expirer_jobs_retrying{rule="cart"})"), "1");
  EXPECT_EQ(Value(text, R"(expirer_dead_entries{rule="cart",kind="job"})"), "2");
  EXPECT_EQ(Value(text, R"(expirer_dead_entries{rule="cart",kind="rejected"})"), "4");
  EXPECT_EQ(Value(text, R"(expirer_limit_used{limit="dead"})"), "6");
  EXPECT_EQ(Value(text, R"(expirer_limit{limit="dead"})"), "100000");
  EXPECT_THAT(text, Not(HasSubstr("gone-and-empty")));
}

TEST(Metrics, TellTheBacklogInSecondsAndByBuckets) {
  Status status = Example();
  status.stats.oldest_due_ms = status.now_ms - 1'500;
  status.stats.next_due_ms = status.now_ms - 1'500;
  status.stats.overdue.jobs = {7, 2, 0, 0, 1};
  std::string text = Text(status);
  EXPECT_EQ(Value(text, "expirer_oldest_due_age_seconds"), "1.5");
  EXPECT_EQ(Value(text, "expirer_next_due_timestamp_seconds"), "1800000058.5");
  EXPECT_EQ(Value(text, R"(expirer_jobs_due{overdue="0s"})"), "7");
  EXPECT_EQ(Value(text, R"(expirer_jobs_due{overdue="10m"})"), "1");
  EXPECT_EQ(Value(text, "expirer_jobs_due_uncounted"), "0");
  text = Text(Example());
  EXPECT_EQ(Value(text, "expirer_oldest_due_age_seconds"), "0");
  EXPECT_EQ(Value(text, "expirer_start_time_seconds"), "1800000000.5");
}

TEST(Metrics, TellOutcomesByQueueAndReasonsByRule) {
  Status status = Example();
  Outcomes& first = status.stats.outcomes[1];
  first.scheduled = 9;
  first.moved = 4;
  first.fired = 5;
  first.rejected_by[static_cast<size_t>(RejectKind::kHorizon)] = 3;
  status.stats.outcomes[2].dead_by[static_cast<size_t>(DeadKind::kTooLate)] = 2;
  const std::string text = Text(status);
  EXPECT_EQ(Value(text, R"(expirer_jobs_scheduled_total{rule="trial.first"})"), "9");
  EXPECT_EQ(Value(text, R"(expirer_jobs_moved_total{rule="trial.first"})"), "4");
  EXPECT_EQ(Value(text, R"(expirer_jobs_dispatched_total{rule="trial.first"})"), "5");
  EXPECT_EQ(Value(text, R"(expirer_jobs_rejected_total{rule="trial",reason="too_far"})"),
            "3");
  EXPECT_EQ(Value(text, R"(expirer_jobs_rejected_total{rule="cart",reason="not_json"})"),
            "0");
  EXPECT_EQ(
      Value(text, R"(expirer_deadletter_total{rule="trial.second",reason="too_late"})"),
      "2");
  EXPECT_THAT(text, Not(HasSubstr(R"(rejected_total{rule="")")));
}

TEST(Metrics, TellFailuresRetriesAndLatenessByQueue) {
  Status status = Example();
  Outcomes& outcomes = status.stats.outcomes[2];
  outcomes.failed_by[static_cast<size_t>(FailureKind::kNoStream)] = 121;
  outcomes.retries = 120;
  outcomes.lateness_ms.Add(3);
  const std::string text = Text(status);
  EXPECT_EQ(
      Value(text,
            R"(expirer_dispatch_failures_total{rule="trial.second",reason="no_stream"})"),
      "121");
  EXPECT_EQ(
      Value(text, R"(expirer_dispatch_failures_total{rule="cart",reason="timeout"})"),
      "0");
  EXPECT_EQ(Value(text, R"(expirer_dispatch_retries_total{rule="trial.second"})"), "120");
  EXPECT_EQ(
      Value(text, R"(expirer_dispatch_lateness_seconds_count{rule="trial.second"})"),
      "1");
  EXPECT_EQ(Value(text, R"(expirer_dispatch_lateness_seconds_count{rule="cart"})"), "0");
}

TEST(Metrics, TellOfNatsStreamingWhereARuleUsesIt) {
  Status status = Example();
  const std::string connected = R"(expirer_nats_connected{connection="stan"})";
  const std::string again = R"(expirer_nats_reconnects_total{connection="stan"})";
  EXPECT_EQ(Value(Text(status), connected), "(none)");
  EXPECT_EQ(Value(Text(status), again), "(none)");
  status.uses_stan = true;
  status.stan_up = true;
  status.stan_connects = 4;
  EXPECT_EQ(Value(Text(status), connected), "1");
  EXPECT_EQ(Value(Text(status), again), "3");
}

TEST(Metrics, TellTheVersionsOfTheLinkedLibraries) {
  const std::string number = "[0-9]+[.][0-9]+[.][0-9]+";
  EXPECT_THAT(Text(Example()),
              ContainsRegex("expirer_build_info[{].*rocksdb=\"" + number +
                            "\".*nats_c=\"" + number + "[^ ]*\"[}] 1"));
}

TEST(Metrics, IngestedAddsUpToWhatCameIn) {
  Status status = Example();
  status.stats.scheduled = 10;
  status.stats.moved = 4;
  status.stats.unchanged = 3;
  status.stats.rejected = 2;
  status.stats.ignored = 8;
  status.stats.markers = 5;
  const std::string text = Text(status);
  EXPECT_EQ(Value(text, R"(expirer_jobs_ingested_total{result="stored"})"), "6");
  EXPECT_EQ(Value(text, R"(expirer_jobs_ingested_total{result="replaced"})"), "4");
  EXPECT_EQ(Value(text, R"(expirer_jobs_ingested_total{result="duplicate"})"), "3");
  EXPECT_EQ(Value(text, R"(expirer_jobs_ingested_total{result="rejected"})"), "2");
  EXPECT_EQ(Value(text, R"(expirer_jobs_ingested_total{result="ignored"})"), "8");
  EXPECT_EQ(Value(text, R"(expirer_jobs_ingested_total{result="marker"})"), "5");
}

TEST(Metrics, HistogramsAreCumulativeAndInSeconds) {
  Status status = Example();
  for (const int64_t ms : {0, 1, 3, 150, 7'200'000})
    status.stats.outcomes[1].lateness_ms.Add(ms);
  status.sync_us.Add(250);
  const std::string text = Text(status);
  const auto lateness = [&text](const std::string& le) {
    return Value(
        text, R"(expirer_dispatch_lateness_seconds_bucket{rule="trial.first",le=")" + le +
                  "\"}");
  };
  EXPECT_EQ(lateness("0.001"), "2");
  EXPECT_EQ(lateness("0.002"), "2");
  EXPECT_EQ(lateness("0.005"), "3");
  EXPECT_EQ(lateness("0.1"), "3");
  EXPECT_EQ(lateness("0.2"), "4");
  EXPECT_EQ(lateness("3600"), "4");
  EXPECT_EQ(lateness("+Inf"), "5");
  EXPECT_EQ(Value(text, R"(expirer_dispatch_lateness_seconds_count{rule="trial.first"})"),
            "5");
  EXPECT_EQ(Value(text, R"(expirer_dispatch_lateness_seconds_sum{rule="trial.first"})"),
            "7200.154");
  EXPECT_EQ(Value(text, R"(expirer_store_sync_seconds_bucket{le="0.0002"})"), "0");
  EXPECT_EQ(Value(text, R"(expirer_store_sync_seconds_bucket{le="0.0005"})"), "1");
  EXPECT_EQ(Value(text, R"(expirer_ingest_batch_jobs_bucket{le="1024"})"), "0");
}

TEST(Metrics, TellTheStoreTheConnectionsAndTheirOwnListener) {
  Status status = Example();
  status.ingress_up = true;
  status.ingress_connects = 3;
  status.stats.no_space = 2;
  status.writable = false;
  status.sizes.background_errors = 1;
  status.loop.clock_jumps.Notice(-5'000, 0);
  HttpCounts http;
  http.responses[0] = 12;
  http.slow = 4;
  const std::string text = Text(status, http);
  EXPECT_EQ(Value(text, R"(expirer_nats_connected{connection="ingress"})"), "1");
  EXPECT_EQ(Value(text, R"(expirer_nats_connected{connection="egress"})"), "0");
  EXPECT_EQ(Value(text, R"(expirer_nats_reconnects_total{connection="ingress"})"), "2");
  EXPECT_EQ(Value(text, R"(expirer_nats_reconnects_total{connection="egress"})"), "0");
  EXPECT_EQ(Value(text, R"(expirer_store_errors_total{severity="soft"})"), "2");
  EXPECT_EQ(Value(text, R"(expirer_store_errors_total{severity="hard"})"), "1");
  EXPECT_EQ(Value(text, "expirer_store_writable"), "0");
  EXPECT_EQ(Value(text, R"(expirer_clock_jump_seconds_total{direction="backward"})"),
            "5");
  EXPECT_EQ(Value(text, R"(expirer_http_responses_total{code="200"})"), "12");
  EXPECT_EQ(Value(text, R"(expirer_http_dropped_total{reason="slow"})"), "4");
  EXPECT_NE(Value(text, "process_open_fds"), "0");
  EXPECT_NE(Value(text, "process_cpu_seconds_total"), "(none)");
}

TEST(Metrics, HaveNoMoreSeriesThanTheConfigHasQueues) {
  const auto lines = [](const std::string& text) {
    return std::count(text.begin(), text.end(), '\n');
  };
  Status status = Example();
  const auto before = lines(Text(status));
  status.queues.push_back("more");
  status.queue_rules.push_back("more");
  status.stats.outcomes.resize(5);
  // pending, retrying, 2 dead, 6 outcomes, 9 reject reasons, 5 dead reasons, 5 of
  // failures, 21 of the lateness.
  EXPECT_EQ(lines(Text(status)) - before, 50);
  EXPECT_LT(before, 500);
}

TEST(Metrics, NothingIsSaidTwice) {
  std::istringstream lines(Text(Example()));
  std::set<std::string> series;
  for (std::string line; std::getline(lines, line);)
    EXPECT_TRUE(series.insert(line.substr(0, line.rfind(' '))).second) << line;
}

TEST(Metrics, OfAStatusBeforeTheFirstTurnCanBeTold) {
  Status status = Example();
  status.stats.outcomes.clear();
  EXPECT_EQ(Value(Text(status), "expirer_ready"), "1");
}

TEST(Metrics, PromtoolFindsNothingToMend) {
  // tests/alerts/run leaves it in build/.
  const std::string find = "PATH=$PATH:build; command -v promtool";
  if (std::system((find + " >/dev/null").c_str()) != 0)
    GTEST_SKIP() << "promtool is not here";
  const TempDir dir;
  const std::string path = dir.path() + "/metrics";
  Status status = Example();
  status.stats.outcomes[0].lateness_ms.Add(3);
  std::ofstream(path) << Text(status);
  const std::string command = "$(" + find + ") check metrics <" + path + " 2>&1";
  FILE* const promtool = popen(command.c_str(), "r");
  ASSERT_NE(promtool, nullptr);
  std::string said;
  char bytes[1'024];
  while (std::fgets(bytes, sizeof bytes, promtool) != nullptr) said += bytes;
  EXPECT_EQ(pclose(promtool), 0);
  EXPECT_EQ(said, "");
}

TEST(MetricsConfig, TellsWhereToListen) {
  const auto parsed = [](std::string_view text) { return ParseConfig(text, "f"); };
  EXPECT_EQ(parsed("name: x").config.metrics.listen, "");
  EXPECT_EQ(parsed("metrics: { listen: ':9464' }").config.metrics.listen, ":9464");
  EXPECT_THAT(
      parsed("metrics: { listen: 9464 }").errors,
      ElementsAre(
          "f:1:20: metrics.listen: expected HOST:PORT, [IPV6]:PORT or :PORT, such "
          "as 127.0.0.1:9464; port 0 is a free one, found \"9464\""));
}

// On failure the message holds the table to paste.
TEST(MetricsDocs, HaveARowForEachMetric) {
  std::string table = "| metric | type | labels | what it tells |\n|---|---|---|---|\n";
  for (const MetricDoc& doc : MetricDocs()) {
    table += "| `" + doc.name + "` | " + doc.type + " | " +
             (doc.labels.empty() ? "" : "`" + doc.labels + "`") + " | " + doc.help +
             " |\n";
  }
  std::ifstream file("docs/metrics.md", std::ios::binary);
  const std::string guide(std::istreambuf_iterator<char>(file), {});
  EXPECT_NE(guide.find("\n\n" + table), guide.npos) << "expected in docs/metrics.md:\n"
                                                    << table;
}

}  // namespace
}  // namespace expirer
