// Targets that do not take what is due: nobody's subject, a core listener, a
// full or forbidden one. Nothing is lost, nothing else waits, and what is
// cancelled meanwhile is not tried on.

#include <algorithm>

#include "gmock/gmock.h"
#include "nats/service_world.h"

namespace expirer::test {
namespace {

// Two rules over EVENTS, each with a target stream of its own.
constexpr char kTwoTargets[] = R"(
rules:
  - name: slow
    schedule: { subject: slow.created, key: /id, due: /expiresAt }
    cancel: { subject: slow.cancelled, key: /id }
    publish: { subject: notify.slow, body: '{"slow":${/id}}' }
    retry: { initial: 100ms, max: 300ms }
  - name: good
    schedule: { subject: good.created, key: /id, due: /expiresAt }
    publish: { subject: done.good, body: '{"good":${/id}}' }
)";

class ServiceTarget : public ::testing::Test {
 protected:
  ServiceTarget() : ServiceTarget(World::Options{.config = kTwoTargets}) {}
  explicit ServiceTarget(World::Options options) : world_(std::move(options)) {
    world_.client().CreateStream("EVENTS", {"slow.*", "good.*"});
    world_.client().CreateStream("DONE", {"done.>"});
  }
  void MakeNotifyStream(const std::string& config = "") {
    world_.client().CreateStream("NOTIFY", {"notify.>"}, config);
  }
  void Slow(std::string_view id, int64_t due_ms) {
    world_.Publish("slow.created", OrderJson(id, due_ms));
  }
  void CancelSlow(std::string_view id) {
    world_.Publish("slow.cancelled", R"({"id":")" + std::string(id) + "\"}");
  }
  // The other rule fires in time, whatever becomes of this one.
  void ExpectGoodFires(const std::string& id) {
    const size_t before = world_.Stored("done.good", "DONE").size();
    world_.Publish("good.created", OrderJson(id, NowMs()));
    EXPECT_TRUE(world_.WaitStored("done.good", before + 1, "DONE"));
  }
  std::vector<std::string> Notified() {
    std::vector<std::string> payloads;
    for (const StoredMessage& one : world_.Stored("notify.slow", "NOTIFY"))
      payloads.push_back(one.payload);
    return payloads;
  }
  // Has routes remember NOTIFY, then takes the stream away: the next job is
  // sent to whoever listens on the core subject, and nobody answers.
  void BeginUnanswered(TestClient* listener, std::string_view id, int64_t due_ms) {
    MakeNotifyStream();
    world_.service().StartReady();
    Slow("first", NowMs());
    ASSERT_TRUE(world_.WaitStored("notify.slow", 1, "NOTIFY"));
    listener->Subscribe("notify.slow");
    world_.client().DeleteStream("NOTIFY");
    Slow(id, due_ms);
    const auto sent = listener->Next(kLongMs);
    ASSERT_TRUE(sent.has_value()) << world_.service().LogOfThisStart();
  }
  // All that fired once NOTIFY is back and another job went through.
  std::vector<std::string> NotifiedAfterStreamIsBack() {
    MakeNotifyStream();
    Slow("last", NowMs());
    EXPECT_TRUE(WaitFor(
        [&] {
          const auto all = Notified();
          return std::find(all.begin(), all.end(), R"({"slow":"last"})") != all.end();
        },
        kLongMs));
    // What is still to come would come from these.
    for (const char* from : {"in_flight", "retrying"})
      EXPECT_TRUE(world_.service().WaitStatus(
          from, "", [](int64_t now) { return now == 0; }, kLongMs));
    return Notified();
  }

  World world_;
};

TEST_F(ServiceTarget, JobWaitsForAStreamAndDelaysNobody) {
  world_.service().StartReady();
  const int64_t due = NowMs() + 200;
  Slow("a", due);
  Slow("b", due);
  ASSERT_TRUE(world_.service().WaitCounter("retries", 6, kLongMs));
  ExpectGoodFires("in-time");
  EXPECT_EQ(world_.service().Status("retrying"), 2);
  MakeNotifyStream();
  ASSERT_TRUE(world_.WaitStored("notify.slow", 2, "NOTIFY"));
  const auto stored = world_.Stored("notify.slow", "NOTIFY");
  EXPECT_EQ(stored[0].JobAndDue().substr(0, 5), "slow/");
  EXPECT_GE(stored[0].time_ns, due * 1'000'000);
  EXPECT_TRUE(world_.service().WaitCounter("fired", 3));
  EXPECT_EQ(world_.client().StreamMessages("NOTIFY"), 2u);
}

TEST_F(ServiceTarget, ACoreListenerAloneIsSentNothing) {
  TestClient listener(world_.server().url());
  listener.Subscribe("notify.slow");
  world_.service().StartReady();
  Slow("a", NowMs());
  ASSERT_TRUE(world_.service().WaitCounter("retries", 8, kLongMs));
  EXPECT_EQ(world_.service().Status("retrying"), 1);
  EXPECT_EQ(listener.Next(100), std::nullopt);
  MakeNotifyStream();
  EXPECT_TRUE(world_.WaitStored("notify.slow", 1, "NOTIFY"));
}

TEST_F(ServiceTarget, StreamThatGoesAwayIsAskedForAgainAfterOneUnansweredAttempt) {
  TestClient listener(world_.server().url());
  ASSERT_NO_FATAL_FAILURE(BeginUnanswered(&listener, "a", NowMs()));
  ASSERT_TRUE(world_.service().WaitCounter("timeouts", 1, kLongMs));
  ASSERT_TRUE(world_.service().WaitCounter("retries", 6, kLongMs));
  EXPECT_EQ(listener.Next(100), std::nullopt) << "sent where nobody stores it";
  const std::vector<std::string> expected = {R"({"slow":"a"})", R"({"slow":"last"})"};
  EXPECT_THAT(NotifiedAfterStreamIsBack(),
              ::testing::UnorderedElementsAreArray(expected));
}

TEST_F(ServiceTarget, CancelWhileInFlightStopsFurtherAttempts) {
  TestClient listener(world_.server().url());
  ASSERT_NO_FATAL_FAILURE(BeginUnanswered(&listener, "a", NowMs()));
  CancelSlow("a");
  ASSERT_TRUE(world_.service().WaitCounter("too_late", 1, kLongMs));
  EXPECT_EQ(NotifiedAfterStreamIsBack(),
            std::vector<std::string>({R"({"slow":"last"})"}));
}

TEST_F(ServiceTarget, NewerEventWhileInFlightFiresOnceAtItsOwnDueTime) {
  TestClient listener(world_.server().url());
  ASSERT_NO_FATAL_FAILURE(BeginUnanswered(&listener, "a", NowMs()));
  const int64_t due = NowMs() + 1'000;
  Slow("a", due);
  ASSERT_TRUE(world_.service().WaitCounter("moved", 1, kLongMs));
  MakeNotifyStream();
  ASSERT_TRUE(world_.WaitStored("notify.slow", 1, "NOTIFY"));
  const auto stored = world_.Stored("notify.slow", "NOTIFY");
  EXPECT_EQ(stored[0].JobAndDue(), "slow/a/" + std::to_string(due));
  EXPECT_GE(stored[0].time_ns, due * 1'000'000);
  // The first generation's attempt times out into nothing.
  ASSERT_TRUE(world_.service().WaitStatus(
      "in_flight", "", [](int64_t now) { return now == 0; }, kLongMs));
  Slow("last", NowMs());
  ASSERT_TRUE(world_.WaitStored("notify.slow", 2, "NOTIFY"));
  EXPECT_EQ(Notified(),
            std::vector<std::string>({R"({"slow":"a"})", R"({"slow":"last"})"}));
}

TEST_F(ServiceTarget, CancelOfARefusedJobStopsFurtherAttempts) {
  MakeNotifyStream(R"("max_msgs":1,"discard":"new")");
  world_.service().StartReady();
  Slow("fills", NowMs());
  ASSERT_TRUE(world_.WaitStored("notify.slow", 1, "NOTIFY"));
  Slow("cancelled", NowMs());
  Slow("kept", NowMs());
  ASSERT_TRUE(world_.service().WaitStatus(
      "retrying", "", [](int64_t now) { return now == 2; }, kLongMs));
  ExpectGoodFires("in-time");
  CancelSlow("cancelled");
  ASSERT_TRUE(world_.service().WaitCounter("cancelled", 1, kLongMs));
  (void)world_.client().Api("STREAM.PURGE.NOTIFY");
  ASSERT_TRUE(world_.WaitStored("notify.slow", 1, "NOTIFY"));
  EXPECT_TRUE(world_.service().WaitStatus(
      "retrying", "", [](int64_t now) { return now == 0; }, kLongMs));
  EXPECT_EQ(Notified(), std::vector<std::string>({R"({"slow":"kept"})"}));
}

TEST_F(ServiceTarget, RefusedJobIsDeadAfterItsAttempts) {
  world_.service().SetConfig(R"(
rules:
  - name: slow
    schedule: { subject: slow.created, key: /id, due: /expiresAt }
    cancel: { subject: slow.cancelled, key: /id }
    publish: { subject: notify.slow, body: '{"slow":${/id}}' }
    retry: { initial: 10ms, max: 50ms, attempts: 3 }
)");
  MakeNotifyStream(R"("max_msgs":1,"discard":"new")");
  world_.service().StartReady();
  Slow("fills", NowMs());
  ASSERT_TRUE(world_.WaitStored("notify.slow", 1, "NOTIFY"));
  Slow("given-up", NowMs());
  ASSERT_TRUE(world_.service().WaitCounter("dead", 1, kLongMs));
  EXPECT_TRUE(world_.service().WaitLog("a job is given up and kept in the dead store"));
  EXPECT_EQ(world_.service().Status("dead", "rules"), 1);
  EXPECT_EQ(world_.service().Status("retrying"), 0);
  const Outcome doctor = RunExpirer({"doctor", "-s", world_.server().url(), "--config",
                                     world_.service().config_path()});
  EXPECT_THAT(doctor.output, ::testing::HasSubstr("warn  jobs of slow: 1 dead"));
}

TEST_F(ServiceTarget, AStreamThatNeverConfirmsGetsOneCopyAndEverybodyIsWarned) {
  // With the shortest window, so that a second copy would be seen.
  MakeNotifyStream(R"("no_ack":true,"duplicate_window":100000000)");
  world_.service().StartReady();
  ASSERT_TRUE(world_.service().WaitLog("a target's stream has no_ack"));
  Slow("a", NowMs());
  Slow("b", NowMs() + 3'600'000);
  ASSERT_TRUE(world_.service().WaitCounter("fired", 1, kLongMs));
  EXPECT_EQ(Notified(), std::vector<std::string>({R"({"slow":"a"})"}));
  EXPECT_EQ(world_.service().Status("in_flight"), 0);
  EXPECT_EQ(world_.service().Status("retrying"), 0);
  EXPECT_EQ(world_.service().Status("published", "counters"), 1);
  ASSERT_TRUE(world_.service().WaitCounter("scheduled", 2));
  const auto job = world_.client().Request("expirer.v1.get", R"({"job":"slow/b"})");
  EXPECT_THAT(job.value_or(""),
              ::testing::HasSubstr(R"("warning":"the target's stream has no_ack)"));
  const Outcome doctor = RunExpirer({"doctor", "-s", world_.server().url(), "--config",
                                     world_.service().config_path()});
  EXPECT_THAT(
      doctor.output,
      ::testing::HasSubstr("warn  rule slow, target notify.slow: NOTIFY has no_ack"));
  EXPECT_THAT(doctor.output,
              ::testing::HasSubstr("ok    rule good, target done.good: DONE"));
}

TEST_F(ServiceTarget, DoctorNamesTheTargetThatNoStreamTakesAndTheJobsThatWaitForIt) {
  world_.service().StartReady();
  Slow("a", NowMs() - 3'600'000);
  const auto told = [this](std::string_view name) {
    return world_.service().Status(name);
  };
  ASSERT_TRUE(WaitFor([&] { return told("retrying") == 1; }, kLongMs));
  EXPECT_TRUE(WaitFor([&] { return told("oldest_overdue_ms") >= 3'600'000; }, kLongMs));
  const std::vector<std::string> asks = {"doctor", "-s", world_.server().url(),
                                         "--config", world_.service().config_path()};
  const Environment here = {{"EXPIRER_STORE", world_.service().store()}};
  const Outcome doctor = RunExpirer(asks, here);
  EXPECT_EQ(doctor.code, 1) << doctor.output;
  for (const char* line :
       {"FAIL  rule slow, target notify.slow: no stream has it",
        "ok    rule good, target", "warn  jobs of slow: 1 being retried"})
    EXPECT_THAT(doctor.output, ::testing::HasSubstr(line));
  EXPECT_THAT(doctor.output, ::testing::Not(::testing::HasSubstr("jobs of good")));
  MakeNotifyStream();
  ASSERT_TRUE(world_.WaitStored("notify.slow", 1, "NOTIFY"));
  ASSERT_TRUE(WaitFor([&] { return told("oldest_overdue_ms") == 0; }, kLongMs));
  EXPECT_EQ(RunExpirer(asks, here).code, 0);
}

TEST(ServiceIntake, DoctorWarnsOfAnIntakeClosedForWantOfSpace) {
  World world({.config = std::string("limits: { disk_free: 1TB }\n") + kTwoTargets});
  world.client().CreateStream("EVENTS", {"slow.*", "good.*"});
  world.client().CreateStream("DONE", {"done.>", "notify.>"});
  world.service().StartReady();
  Outcome doctor;
  const auto tells = [&](std::string_view line) {
    return doctor.output.find(line) != std::string::npos;
  };
  // The status file is up to 1.5 s old.
  EXPECT_TRUE(WaitFor(
      [&] {
        doctor = RunExpirer({"doctor", "-s", world.server().url(), "--config",
                             world.service().config_path()},
                            {{"EXPIRER_STORE", world.service().store()}});
        return tells("warn  service: takes no input") &&
               tells("warn  store: takes no input");
      },
      kLongMs))
      << doctor.output;
  EXPECT_EQ(doctor.code, 0) << "a warning is no failure";
}

class ServiceTooLarge : public ServiceTarget {
 protected:
  // What is published is the event itself.
  explicit ServiceTooLarge(const std::string& server_config = "")
      : ServiceTarget({.config = R"(
rules:
  - name: slow
    schedule: { subject: slow.created, key: /id, due: /expiresAt }
    publish: { subject: notify.slow }
)",
                       .server_config = server_config}) {}
  void Event(const std::string& id, int64_t due_ms, size_t bytes) {
    const std::string order = OrderJson(id, due_ms);
    world_.Publish("slow.created", order + std::string(bytes, ' '));
  }
  void LimitNotify(int64_t bytes) {
    const std::string reply = world_.client().Api(
        "STREAM.UPDATE.NOTIFY",
        R"({"name":"NOTIFY","subjects":["notify.>"],"retention":"limits",)"
        R"("storage":"file","max_consumers":-1,"max_msgs":-1,"max_bytes":-1,)"
        R"("discard":"old","num_replicas":1,"max_msg_size":)" +
            std::to_string(bytes) + "}");
    ASSERT_EQ(reply.find("\"error\""), std::string::npos) << reply;
  }
  std::string Ask(const std::string& verb, const std::string& body) {
    return world_.client().Request("expirer.v1." + verb, body, 10'000).value_or("");
  }
};

TEST_F(ServiceTooLarge, ContentOverTheStreamsLimitIsRejectedWhenScheduledAndRequeued) {
  MakeNotifyStream(R"("max_msg_size":1000)");
  world_.service().StartReady();
  // The limit becomes known a moment after the start; until then they are taken.
  int sent = 0;
  ASSERT_TRUE(WaitFor(
      [&] {
        Event("big" + std::to_string(++sent), NowMs() + 3'600'000, 1'000);
        return world_.service().WaitCounter("rejected", 1, 1'100);
      },
      kLongMs));
  const std::string dead = Ask("dead.list", "{}");
  EXPECT_THAT(dead, ::testing::HasSubstr("max_msg_size of the stream NOTIFY is 1000"));
  ASSERT_NO_FATAL_FAILURE(LimitNotify(100'000));
  ASSERT_TRUE(WaitFor(
      [&] {
        return Ask("dead.requeue", "{}").find(R"("still_rejected":0)") !=
               std::string::npos;
      },
      kLongMs));
  EXPECT_TRUE(world_.service().WaitStatus(
      "pending", "", [&](int64_t now) { return now == sent; }, kLongMs));
}

TEST_F(ServiceTooLarge, WhatALimitThatShrankRefusesIsDeadAtOnceAndRequeued) {
  MakeNotifyStream();
  world_.service().StartReady();
  Event("a", NowMs() + 8'000, 1'000);
  ASSERT_TRUE(world_.service().WaitCounter("scheduled", 1));
  ASSERT_NO_FATAL_FAILURE(LimitNotify(1'000));
  ASSERT_TRUE(world_.service().WaitCounter("dead", 1, kLongMs));
  EXPECT_EQ(world_.service().Status("published", "counters"), 1);
  const std::string job = R"({"job":"slow/a"})";
  EXPECT_THAT(Ask("get", job),
              ::testing::HasSubstr("can never be delivered: message size exceeds "
                                   "maximum allowed (10054)"));
  ASSERT_NO_FATAL_FAILURE(LimitNotify(-1));
  EXPECT_THAT(Ask("dead.requeue", job), ::testing::HasSubstr(R"("requeued":1)"));
  ASSERT_TRUE(world_.WaitStored("notify.slow", 1, "NOTIFY"));
}

class ServiceMaxPayload : public ServiceTooLarge {
 protected:
  ServiceMaxPayload() : ServiceTooLarge("max_payload: 8192") {}
};

TEST_F(ServiceMaxPayload, WhatWasTooLargeIsRequeuedAndFiresAfterAReloadOfTheServer) {
  MakeNotifyStream();
  world_.service().StartReady();
  const int64_t due_ms = NowMs();
  // As large as may be: with its headers it is too large.
  Event("a", due_ms, 8'192 - OrderJson("a", due_ms).size());
  ASSERT_TRUE(world_.service().WaitCounter("rejected", 1));
  EXPECT_THAT(Ask("dead.list", "{}"),
              ::testing::HasSubstr("max_payload of the NATS server is 8192"));
  world_.server().SetConfig("max_payload: 65536");
  world_.server().Reload();
  ASSERT_TRUE(WaitFor([&] {
    return Ask("dead.requeue", "{}").find(R"("still_rejected":0)") != std::string::npos;
  }));
  EXPECT_TRUE(world_.WaitStored("notify.slow", 1, "NOTIFY")) << world_.service().Log();
  EXPECT_EQ(world_.service().Status("dead", "counters"), 0) << world_.service().Log();
}

class ServiceForbidden : public ServiceTarget {
 protected:
  ServiceForbidden()
      : ServiceTarget({.config = kTwoTargets,
                       .server_config = R"(
authorization { users = [
  { user: admin, password: a }
  { user: expirer, password: e, permissions: { publish: { deny: ["notify.slow"] } } }
] })",
                       .environment = {{"NATS_USER", "expirer"}, {"NATS_PASSWORD", "e"}},
                       .user = "admin",
                       .password = "a"}) {}
};

TEST_F(ServiceForbidden, ForbiddenTargetIsNamedInTheLogAndDelaysNobody) {
  MakeNotifyStream();
  world_.service().StartReady();
  Slow("forbidden", NowMs());
  ASSERT_TRUE(world_.service().WaitLog("no permission to publish", kLongMs));
  EXPECT_NE(world_.service().Log().find("target=notify.slow"), std::string::npos)
      << world_.service().Log();
  ExpectGoodFires("in-time");
  EXPECT_TRUE(world_.service().WaitStatus(
      "retrying", "", [](int64_t now) { return now == 1; }, kLongMs));
  EXPECT_EQ(world_.client().StreamMessages("NOTIFY"), 0u);
  // Allowed at last, it goes out.
  world_.server().Stop();
  world_.server().SetConfig(R"(
authorization { users = [
  { user: admin, password: a }
  { user: expirer, password: e }
] })");
  world_.server().Start();
  EXPECT_TRUE(world_.WaitStored("notify.slow", 1, "NOTIFY"));
}

}  // namespace
}  // namespace expirer::test
