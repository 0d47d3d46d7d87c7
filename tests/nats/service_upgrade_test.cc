// A store of commit 73155ef, killed -9 amid attempts in flight, and the JetStream
// beside it (tests/upgrade), taken over by this binary: nothing is lost, nothing is
// doubled, and what the older binary wrote goes out under the ids it gave.
//
// The streams of targets know their duplicates for 100 years, so a message sent again
// under its id is stored once, as it was in the week of the upgrade.
#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>
#include <sstream>

#include "gmock/gmock.h"
#include "json/view.h"
#include "nats/service_world.h"
#include "support/temp_dir.h"
#include "support/upgrade_store.h"

namespace expirer::test {
namespace {

using testing::HasSubstr;

constexpr int64_t kPastMs = 1577836800000;  // as in tests/upgrade/make

// A register as the older binary dumped it.
struct OldJob {
  std::string rule;
  std::string key;
  std::string state;
  int64_t due_ms = 0;
  [[nodiscard]] std::string name() const { return rule + "/" + key; }
  [[nodiscard]] std::string id() const { return name() + "/" + std::to_string(due_ms); }
  [[nodiscard]] bool live() const { return state == "pending" || state == "retrying"; }
  // Years from now.
  [[nodiscard]] bool far() const { return live() && due_ms > NowMs() + 86'400'000; }
};

std::string Text(const std::string& json, std::string_view name) {
  const auto members = JsonMembers(json);
  if (!members.ok()) return "";
  for (const auto& [known, value] : *members) {
    std::string scratch;
    if (known != name) continue;
    if (value.kind != JsonValue::Kind::kString) return std::string(value.raw);
    return std::string(JsonText(value, &scratch).value_or(""));
  }
  return "";
}

std::vector<OldJob> OldJobs() {
  std::vector<OldJob> jobs;
  std::istringstream dump(OldDump());
  for (std::string line; std::getline(dump, line);) {
    if (!line.starts_with("{\"register\"")) continue;
    const std::string due = Text(Text(line, "schedule"), "due_ms");
    jobs.push_back({Text(line, "register"), Text(line, "key"), Text(line, "state"),
                    due.empty() ? 0 : std::stoll(due)});
  }
  return jobs;
}

class ServiceUpgrade : public testing::Test {
 protected:
  ServiceUpgrade() : jobs_(OldJobs()) {
    UnpackOldStore(dir_.path());
    NatsServer::Options options;
    options.store_dir = dir_.path() + "/jetstream";
    server_ = std::make_unique<NatsServer>(options);
    client_ = std::make_unique<TestClient>(server_->url());
    // Now there are streams that take what they did not answer, or were not there for.
    Update("MUTE", R"("subjects":["mute.>"])");
    client_->CreateStream("GONE", {"gone.>"});
    client_->Subscribe("core.x");
    Service::Options service;
    service.config = OldRules();
    service.store = dir_.path() + "/store";
    service.url = server_->url();
    service_ = std::make_unique<Service>(service);
  }

  void Update(const std::string& stream, const std::string& config) {
    const std::string reply =
        client_->Api("STREAM.UPDATE." + stream,
                     R"({"name":")" + stream +
                         R"(","duplicate_window":3153600000000000000,)" + config + "}");
    ASSERT_THAT(reply, testing::Not(HasSubstr("\"error\""))) << reply;
  }
  std::string Ask(const std::string& endpoint, const std::string& body) {
    return client_->Request("upg.v1." + endpoint, body, 20'000).value_or("");
  }
  std::string State(const std::string& job) {
    return Text(Ask("get", R"({"job":")" + job + "\"}"), "state");
  }
  bool WaitState(const std::string& job, const std::string& state) {
    return WaitFor([&] { return State(job) == state; });
  }
  void Event(const std::string& subject, const std::string& id, int64_t due_ms,
             const std::string& more = "") {
    ASSERT_GT(client_->Publish("up." + subject, R"({"id":")" + id + R"(","due":)" +
                                                    std::to_string(due_ms) + more + "}"),
              0u);
  }
  // Ids and how often each is in a stream of targets, or came over core NATS.
  std::map<std::string, int> Ids() {
    std::map<std::string, int> ids;
    for (const char* stream : {"OUT", "MUTE", "FULL", "GONE"})
      for (const StoredMessage& message : client_->ReadStream(stream))
        if (message.payload != "first") ++ids[message.Header("Nats-Msg-Id")];
    while (const auto message = client_->Next(0))
      ++core_ids_[message->Header("Nats-Msg-Id")];
    ids.insert(core_ids_.begin(), core_ids_.end());
    return ids;
  }
  // What each job must be once all that is overdue went out.
  static std::string Outcome(const OldJob& job) {
    if (!job.live() || job.far()) return job.state;
    return job.rule == "skips" ? "skipped" : "fired";
  }
  void ExpectOutcomes() {
    for (const OldJob& job : jobs_)
      EXPECT_TRUE(WaitState(job.name(), Outcome(job)))
          << job.name() << " is " << State(job.name()) << " and not " << Outcome(job);
  }
  // Every message once, under the id of the older binary, and no other one.
  void ExpectOnce() {
    const std::map<std::string, int> ids = Ids();
    std::set<std::string> expected = {"mute/too-late/" + std::to_string(kPastMs)};
    for (const OldJob& job : jobs_)
      if (Outcome(job) == "fired") expected.insert(job.id());
    // Fired before: for an earlier due time, under the rule's older name, and over
    // core NATS, which keeps nothing.
    const std::string past = "/" + std::to_string(kPastMs);
    expected.insert({"plain/again" + past, "older/fired" + past});
    expected.erase("renamed/fired" + past);
    expected.erase("core/fired" + past);
    for (const std::string& id : expected) EXPECT_TRUE(ids.contains(id)) << id;
    for (const auto& [id, count] : ids) {
      EXPECT_TRUE(expected.contains(id)) << id << " is none of the older binary's";
      if (!id.starts_with("core/")) {
        EXPECT_EQ(count, 1) << id;
      }
    }
  }

  const TempDir dir_;
  const std::vector<OldJob> jobs_;
  std::unique_ptr<NatsServer> server_;
  std::unique_ptr<TestClient> client_;
  std::unique_ptr<Service> service_;
  std::map<std::string, int> core_ids_;
};

TEST_F(ServiceUpgrade, NothingIsLostOrDoubledAndIdsStay) {
  service_->StartReady();
  ExpectOutcomes();
  ExpectOnce();
  for (const auto& [id, count] : core_ids_) EXPECT_EQ(count, 1) << id;

  // Counts agree with the jobs that are left.
  const auto of = [this](const std::string& state) {
    return std::count_if(jobs_.begin(), jobs_.end(),
                         [&](const OldJob& job) { return Outcome(job) == state; });
  };
  const std::string stats = Ask("stats", "");
  EXPECT_EQ(Number(stats, "pending"), of("pending"));
  EXPECT_EQ(Number(stats, "retrying"), 0);
  EXPECT_EQ(Number(stats, "dead"), 2);
  EXPECT_EQ(Number(stats, "rejected"), 2);
  EXPECT_EQ(service_->Term(), 0);
  EXPECT_EQ(RunExpirer({"store", "verify", "--store", service_->store()}).code, 0);
}

TEST_F(ServiceUpgrade, NothingIsLostOrDoubledWhenItIsKilledMeanwhile) {
  for (int i = 0; i < 3; ++i) {
    service_->Start();
    (void)service_->WaitStatus("pending", "", [](int64_t) { return true; });
    service_->Kill9();
  }
  service_->StartReady();
  ExpectOutcomes();
  ExpectOnce();
}

TEST_F(ServiceUpgrade, DeadJobsAreRequeuedUnderTheirIds) {
  service_->StartReady();
  EXPECT_THAT(Ask("dead.requeue", R"({"rule":"plain"})"),
              HasSubstr(R"("requeued":0,"still_rejected":2)"));
  const std::string dead = R"({"job":"full/dead"})";
  EXPECT_THAT(Ask("dead.requeue", dead), HasSubstr(R"("requeued":1)"));
  // Refused once more, so this binary wrote it again; and it dies.
  EXPECT_TRUE(WaitFor([&] {
    const std::string got = Ask("get", dead);
    return Text(got, "state") == "dead" && Text(got, "attempts") == "2";
  }));
  service_->Kill9();
  Update("FULL", R"("subjects":["full.>"],"max_msgs":1000,"discard":"new")");
  service_->StartReady();
  EXPECT_THAT(Ask("dead.requeue", dead), HasSubstr(R"("requeued":1)"));
  EXPECT_THAT(Ask("dead.purge", R"({"job":"full/dead-too"})"),
              HasSubstr(R"("purged":1)"));
  EXPECT_TRUE(WaitState("full/dead", "fired"));
  EXPECT_EQ(State("full/dead-too"), "cancelled");
  const std::map<std::string, int> ids = Ids();
  EXPECT_TRUE(ids.contains("full/dead/" + std::to_string(kPastMs)));
  EXPECT_FALSE(ids.contains("full/dead-too/" + std::to_string(kPastMs)));
}

TEST_F(ServiceUpgrade, ClosedKeysStayClosed) {
  service_->StartReady();
  ExpectOutcomes();
  const std::map<std::string, int> before = Ids();
  const int64_t now_ms = NowMs();
  Event("plain.at", "fired", kPastMs);  // the due time that fired
  Event("once.at", "fired", now_ms);    // reopen: false
  Event("once.at", "cancelled", now_ms);
  Event("once.at", "flying", now_ms);
  Event("versions.at", "off", now_ms, R"(,"rev":4)");  // cancelled as revision 5
  Event("versions.at", "far", now_ms, R"(,"rev":2)");  // scheduled as revision 3
  for (const std::string rule : {"plain", "once", "versions"}) {
    Event(rule + ".at", "marker", now_ms, R"(,"rev":1)");
    EXPECT_TRUE(WaitState(rule + "/marker", "fired"));
  }
  std::map<std::string, int> after = Ids();
  std::erase_if(after, [](const auto& one) {
    return one.first.find("/marker/") != std::string::npos;
  });
  EXPECT_EQ(after, before);
  for (const std::string job : {"once/cancelled", "versions/off"})
    EXPECT_EQ(State(job), "cancelled");
  EXPECT_EQ(State("versions/far"), "pending");
}

TEST_F(ServiceUpgrade, OldJobsAreCancelledMovedAndRefunded) {
  service_->StartReady();
  ExpectOutcomes();
  const int64_t now_ms = NowMs();
  Event("plain.off", "far", 0);
  Event("renamed.off", "moved-name", 0);
  Event("trial.off", "half", 0);
  Event("plain.at", "moved", now_ms);
  Event("refund.off", "fired", 0);     // after its fire, by the older binary
  Event("refund.off", "refunded", 0);  // once more: its refund went out
  for (const std::string job : {"plain/far", "renamed/moved-name", "trial.end/half"})
    EXPECT_TRUE(WaitState(job, "cancelled")) << job;
  EXPECT_TRUE(WaitState("plain/moved", "fired"));
  EXPECT_TRUE(WaitState("refund.late/fired", "fired"));
  Event("refund.at", "marker", now_ms);
  EXPECT_TRUE(WaitState("refund/marker", "fired"));
  std::map<std::string, int> bodies;
  for (const StoredMessage& message : client_->ReadStream("GONE"))
    ++bodies[message.payload];
  EXPECT_EQ(bodies[R"({"refund":"fired"})"], 1);
  EXPECT_EQ(bodies[R"({"refund":"refunded"})"], 1);
}

}  // namespace
}  // namespace expirer::test
