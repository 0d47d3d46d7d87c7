// What the rule language does through the whole service.

#include <fstream>

#include "nats/service_world.h"
#include "support/temp_dir.h"

namespace expirer::test {
namespace {

constexpr char kStream[] = R"(
streams:
  - { name: SHOP, subjects: ["in.>", "out.>"], max_age: 1h, duplicates: 1m }
)";

World::Options Rules(const std::string& rules) { return {.config = kStream + rules}; }

std::string Event(const std::string& id, int64_t due_ms) {
  return "{\"id\":\"" + id + "\",\"at\":" + std::to_string(due_ms) + "}";
}

TEST(ServiceRules, ACancelAfterTheFirePublishesItsLateMessageOnce) {
  World world(Rules(R"(
rules:
  - name: pay
    schedule: { subject: in.order, key: /id, due: /at }
    cancel: { subject: in.paid, key: /id, late: { subject: out.refund, body: '{"of":${/id}}' } }
    publish: { subject: out.expired, headers: { X-Kind: 'to ${/id}' } }
)"));
  world.service().StartReady();
  const int64_t due = NowMs() + 200;
  world.Publish("in.order", Event("a", due));
  ASSERT_TRUE(world.WaitStored("out.expired", 1, "SHOP"));
  world.Publish("in.paid", R"({"id":"a"})");
  world.Publish("in.paid", R"({"id":"a"})");
  ASSERT_TRUE(world.WaitStored("out.refund", 1, "SHOP"));
  ASSERT_TRUE(world.service().WaitCounter("too_late", 2));
  const auto fired = world.Stored("out.expired", "SHOP");
  EXPECT_EQ(fired[0].Header("X-Kind"), "to a");
  const auto refunds = world.Stored("out.refund", "SHOP");
  ASSERT_EQ(refunds.size(), 1u);
  EXPECT_EQ(refunds[0].payload, R"({"of":"a"})");
  EXPECT_EQ(refunds[0].JobAndDue(), "pay.late/a/" + std::to_string(due));
}

TEST(ServiceRules, OneEventFiresEveryNamedEntryAtItsOffset) {
  World world(Rules(R"(
rules:
  - name: sla
    schedule: { subject: in.ticket, key: /id, due: /at }
    cancel: { subject: in.solved, key: /id }
    publish:
      - { name: warning, subject: out.warning, offset: -1s }
      - { name: breach, subject: out.breach }
)"));
  world.service().StartReady();
  const int64_t due = NowMs() + 1'500;
  world.Publish("in.ticket", Event("a", due));
  world.Publish("in.ticket", Event("b", due));
  world.Publish("in.solved", R"({"id":"b"})");
  ASSERT_TRUE(world.WaitStored("out.breach", 1, "SHOP"));
  const auto warnings = world.Stored("out.warning", "SHOP");
  const auto breaches = world.Stored("out.breach", "SHOP");
  ASSERT_EQ(warnings.size(), 1u);
  ASSERT_EQ(breaches.size(), 1u);
  EXPECT_EQ(warnings[0].JobAndDue(), "sla.warning/a/" + std::to_string(due - 1'000));
  EXPECT_EQ(breaches[0].JobAndDue(), "sla.breach/a/" + std::to_string(due));
}

TEST(ServiceRules, DeliverNewLeavesOutWhatTheStreamHeldBefore) {
  World world(Rules(R"(
rules:
  - name: old
    schedule: { subject: in.order, key: /id, due: /at }
    publish: { subject: out.all }
)"));
  world.service().StartReady();
  const int64_t due = NowMs();
  world.Publish("in.order", Event("before", due));
  ASSERT_TRUE(world.WaitStored("out.all", 1, "SHOP"));
  ASSERT_EQ(world.service().Term(), 0);
  world.service().SetConfig(std::string(kStream) + R"(
rules:
  - name: old
    schedule: { subject: in.order, key: /id, due: /at }
    publish: { subject: out.all }
  - name: fresh
    deliver: new
    schedule: { subject: in.order, key: /id, due: /at }
    publish: { subject: out.new }
)");
  world.service().StartReady();
  world.Publish("in.order", Event("after", due));
  ASSERT_TRUE(world.WaitStored("out.new", 1, "SHOP"));
  ASSERT_TRUE(world.WaitStored("out.all", 2, "SHOP"));
  EXPECT_EQ(world.Stored("out.new", "SHOP")[0].Header("Expirer-Job"), "fresh/after");
}

TEST(ServiceRules, ARenamedRuleKeepsItsJobsAndReadsOnWhereItWas) {
  const std::string tail = R"(
    reopen: false
    schedule: { subject: in.order, key: /id, due: /at }
    cancel: { subject: in.paid, key: /id }
    publish: { subject: out.expired }
)";
  World world(Rules("rules:\n  - name: old\n" + tail));
  world.service().StartReady();
  const int64_t due = NowMs() + 8'000;
  world.Publish("in.order", Event("kept", due));
  world.Publish("in.order", Event("paid", due + 3'600'000));
  ASSERT_TRUE(world.service().WaitCounter("scheduled", 2));
  ASSERT_EQ(world.service().Term(), 0);
  world.Publish("in.paid", R"({"id":"paid"})");
  world.service().SetConfig(kStream + ("rules:\n  - name: new\n    was: old\n" + tail));
  world.service().StartReady();
  ASSERT_TRUE(world.service().WaitCounter("cancelled", 1));
  EXPECT_EQ(world.service().Status("scheduled", "counters"), 0) << "nothing is read anew";
  ASSERT_TRUE(world.WaitStored("out.expired", 1, "SHOP"));
  EXPECT_EQ(world.Stored("out.expired", "SHOP")[0].JobAndDue(),
            "old/kept/" + std::to_string(due));
  EXPECT_EQ(world.client().Api("CONSUMER.INFO.SHOP.expirer-old").find("\"config\""),
            std::string::npos);
}

TEST(ServiceRules, AStreamThatTakesFromAnotherIsReadByItsName) {
  const std::string tail = R"(
    cancel: { subject: in.paid, key: /id }
    publish: { subject: out.expired }
)";
  World world(Rules(R"(
rules:
  - name: view
    schedule: { subject: in.order, stream: VIEW, key: /id, due: /at })" +
                    tail));
  world.client().CreateStream("VIEW", {"view"}, R"("sources":[{"name":"SHOP"}])");
  world.service().StartReady();
  const int64_t due = NowMs() + 3'000;
  world.Publish("in.order", Event("paid", due + 3'600'000));
  world.Publish("in.order", Event("kept", due));
  ASSERT_TRUE(world.service().WaitCounter("scheduled", 2));
  world.Publish("in.paid", R"({"id":"paid"})");
  ASSERT_TRUE(world.service().WaitCounter("cancelled", 1));
  ASSERT_TRUE(world.WaitStored("out.expired", 1, "SHOP"));
  EXPECT_EQ(world.Stored("out.expired", "SHOP")[0].Header("Expirer-Job"), "view/kept");
}

TEST(ServiceRules, AFilterThatNeverMatchesKeepsItsRuleFromReadinessAndDoctorSaysWhy) {
  const std::string config = R"(
rules:
  - name: never
    schedule: { subject: paid.created, stream: MIRROR, key: /id, due: /at }
    publish: { subject: out.expired }
)";
  World world({.config = config});
  world.client().CreateStream("ORDERS", {"order.>"});
  world.client().CreateStream("MIRROR", {}, R"("mirror":{"name":"ORDERS"})");
  world.service().Start();
  const std::string why = "stream MIRROR stores nothing that paid.created matches";
  EXPECT_TRUE(world.service().WaitLog(why));
  EXPECT_EQ(RunExpirer({"health", "--ready", "--store", world.service().store()}).code,
            1);
  const TempDir dir;
  const std::string file = dir.path() + "/c.yaml";
  std::ofstream(file) << config;
  const Outcome doctor = RunExpirer(
      {"doctor", "--config", file, "--timeout", "2s", "-s", world.server().url()},
      {{"EXPIRER_STORE", world.service().store()}});
  EXPECT_EQ(doctor.code, 1) << doctor.output;
  EXPECT_NE(doctor.output.find("FAIL  rule never, stream MIRROR: " + why),
            std::string::npos)
      << doctor.output;
}

TEST(ServiceRules, CoreEventsAndCoreTargetsNeedNoStream) {
  World world({.config = R"(
rules:
  - name: ping
    source: core
    schedule: { subject: live.in, key: /id, due: /at }
    cancel: { subject: live.stop, key: /id }
    publish: { subject: live.out, via: core, headers: { X: '${/id}' } }
)"});
  TestClient listener(world.server().url());
  listener.Subscribe("live.out");
  world.service().StartReady();
  const int64_t due = NowMs() + 300;
  world.client().PublishCore("live.in", Event("a", due));
  world.client().PublishCore("live.in", Event("b", due));
  world.client().PublishCore("live.in", "no JSON");
  world.client().PublishCore("live.stop", R"({"id":"b"})");
  const std::optional<StoredMessage> fired = listener.Next(kLongMs);
  ASSERT_TRUE(fired.has_value());
  EXPECT_GE(NowMs(), due);
  EXPECT_EQ(fired->JobAndDue(), "ping/a/" + std::to_string(due));
  EXPECT_EQ(fired->Header("X"), "a");
  ASSERT_TRUE(world.service().WaitCounter("fired", 1));
  ASSERT_TRUE(world.service().WaitCounter("rejected", 1));
  EXPECT_FALSE(listener.Next(300).has_value()) << "b was cancelled";
}

TEST(ServiceRules, CoreEventsOfDifferentSubjectsKeepTheirOrder) {
  World world({.config = R"(
rules:
  - name: ping
    source: core
    schedule: { subject: live.in, key: /id, due: /at }
    cancel: { subject: live.stop, key: /id }
    publish: { subject: live.out, via: core }
)"});
  world.service().StartReady();
  const int64_t due = NowMs() + 600'000;
  for (int i = 0; i < 500; ++i) {
    const std::string id = std::to_string(i);
    world.client().PublishCore("live.in", Event(id, due));
    world.client().PublishCore("live.stop", "{\"id\":\"" + id + "\"}");
  }
  ASSERT_TRUE(world.service().WaitCounter("scheduled", 500));
  EXPECT_TRUE(world.service().WaitCounter("cancelled", 500, 5'000));
}

TEST(ServiceRules, ACoreTargetThatIsForbiddenIsRetriedAndNotLost) {
  World world({.config = R"(
rules:
  - name: ping
    source: core
    schedule: { subject: live.in, key: /id, due: /at }
    publish: { subject: '${/to}.out', via: core }
    retry: { initial: 100ms, max: 200ms }
)",
               .server_config = R"(
authorization { users = [
  { user: app, password: app }
  { user: svc, password: svc, permissions: { publish: { deny: "closed.out" } } } ] }
)",
               .environment = {{"NATS_USER", "svc"}, {"NATS_PASSWORD", "svc"}},
               .user = "app",
               .password = "app"});
  world.service().StartReady();
  const std::string at = std::to_string(NowMs());
  world.client().PublishCore("live.in", R"({"id":"a","to":"closed","at":)" + at + "}");
  world.client().PublishCore("live.in", R"({"id":"b","to":"open","at":)" + at + "}");
  ASSERT_TRUE(world.service().WaitCounter("fired", 1));
  ASSERT_TRUE(world.service().WaitCounter("retries", 2));
  EXPECT_EQ(world.service().Status("fired", "counters"), 1);
}

}  // namespace
}  // namespace expirer::test
