// The ingress against a real server that is killed, wiped and tampered with.
#include <gtest/gtest.h>

#include <chrono>

#include "unit/net/net_world.h"

namespace expirer {
namespace {

using test::Event;
using test::FakeCore;
using test::MakeRule;
using test::NatsServer;
using test::TestClient;
using test::WaitFor;

class IngressServer : public testing::Test {
 protected:
  void SetUp() override {
    if (test::NatsServerBinary().empty()) GTEST_SKIP() << "no nats-server";
  }
  IngressOptions Options(const NatsServer& server) {
    IngressOptions options;
    options.connection.servers = {server.url()};
    options.store_id = "test-store";
    return options;
  }
  std::unique_ptr<Ingress> MakeIngress(const NatsServer& server, FakeCore* core,
                                       std::vector<StreamSpec> streams = {}) {
    IngressOptions options = Options(server);
    options.streams = std::move(streams);
    auto ingress = std::make_unique<Ingress>(options, &rules_, &core->inbox, &clock_,
                                             core->Floors());
    core->Start(ingress.get());
    ingress->Start();
    return ingress;
  }
  void Fill(TestClient& client, size_t from, size_t count) {
    client.PublishMany("order.created", count,
                       [from](size_t i) { return Event(from + i); });
  }
  const SystemClock clock_;
  std::vector<Rule> rules_ = {MakeRule("orders", "order.created", {"order.cancelled"})};
  const StreamSpec spec_{"ORDERS", {"order.created", "order.cancelled"}};
};

TEST_F(IngressServer, AHundredThousandMessagesArriveOnceAndAreAcked) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("ORDERS", spec_.subjects);
  Fill(client, 0, 100'000);
  FakeCore core;
  const auto began = std::chrono::steady_clock::now();
  const auto ingress = MakeIngress(server, &core);
  ASSERT_TRUE(WaitFor([&] { return core.Deliveries() >= 100'000; }, 60'000))
      << core.Deliveries() << ingress->Trouble(0);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  RecordProperty("per_second", static_cast<int>(100'000 / seconds));
  std::printf("pull + parse + push + ack: %.0f/s\n", 100'000 / seconds);
  EXPECT_EQ(core.Distinct(), 100'000U);
  EXPECT_EQ(core.Deliveries(), 100'000U);
  EXPECT_TRUE(WaitFor([&] { return core.Settled(0); }));
  const std::string info = client.Api("CONSUMER.INFO.ORDERS.expirer-orders");
  EXPECT_NE(info.find("\"num_ack_pending\":0"), std::string::npos) << info;
  EXPECT_NE(info.find("\"description\":\"expirer store test-store\""), std::string::npos)
      << info;
  EXPECT_TRUE(WaitFor([&] { return core.Floors().size() == 1; }));
  core.Stop();
}

TEST_F(IngressServer, SettlesOnlyAfterWhatStoodInTheStreamIsAcked) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("ORDERS", spec_.subjects);
  Fill(client, 0, 100);
  FakeCore core;
  core.acking = false;
  const auto ingress = MakeIngress(server, &core);
  ASSERT_TRUE(WaitFor([&] { return core.Distinct() == 100; }));
  EXPECT_FALSE(WaitFor([&] { return core.Settled(0); }, 500));
  core.acking = true;
  Fill(client, 100, 1);
  core.Stop();
  ingress->Close(1'000);
  // A new process asks back what the old one left, long before ack_wait.
  FakeCore next;
  const auto second = MakeIngress(server, &next);
  EXPECT_TRUE(
      WaitFor([&] { return next.Distinct() == 101 || next.Distinct() == 100; }, 20'000));
  EXPECT_TRUE(WaitFor([&] { return next.Settled(0); }, 20'000));
  EXPECT_TRUE(WaitFor([&] {
    return client.Api("CONSUMER.INFO.ORDERS.expirer-orders")
               .find("\"ack_wait\":30000000000") != std::string::npos;
  }));
  next.Stop();
}

TEST_F(IngressServer, AServerKilledInMidFlowLosesNothing) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("ORDERS", spec_.subjects);
  Fill(client, 0, 60'000);
  FakeCore core;
  const auto ingress = MakeIngress(server, &core);
  ASSERT_TRUE(WaitFor([&] { return core.Distinct() > 5'000; }));
  server.Kill();
  ASSERT_TRUE(WaitFor([&] { return !ingress->up(); }));
  server.Start();
  EXPECT_TRUE(WaitFor([&] { return core.Distinct() == 60'000; }, 60'000))
      << core.Distinct();
  EXPECT_TRUE(WaitFor([&] { return core.Settled(0); }, 40'000));
  core.Stop();
}

TEST_F(IngressServer, AServerThatComesLateIsFound) {
  auto server = std::make_unique<NatsServer>();
  server->Kill();
  FakeCore core;
  const auto ingress = MakeIngress(*server, &core, {spec_});
  EXPECT_FALSE(WaitFor([&] { return ingress->up(); }, 500));
  server->Start();
  ASSERT_TRUE(WaitFor([&] { return core.Settled(0); }, 5'000)) << ingress->Trouble(0);
  TestClient client(server->url());
  Fill(client, 0, 10);
  EXPECT_TRUE(WaitFor([&] { return core.Distinct() == 10; }, 5'000));
  core.Stop();
}

TEST_F(IngressServer, AWipedServerIsProvisionedAgain) {
  NatsServer server;
  FakeCore core;
  const auto ingress = MakeIngress(server, &core, {spec_});
  ASSERT_TRUE(WaitFor([&] { return core.Settled(0); }));
  {
    TestClient client(server.url());
    Fill(client, 0, 1'000);
  }
  ASSERT_TRUE(WaitFor([&] { return core.Distinct() == 1'000; }));
  server.Kill();
  server.Wipe();
  server.Start();
  ASSERT_TRUE(
      WaitFor([&] { return core.Settled(0) && ingress->Trouble(0).empty(); }, 15'000));
  TestClient client(server.url());
  ASSERT_TRUE(
      WaitFor([&] { return client.Publish("order.created", Event(5'000)) == 1; }));
  EXPECT_TRUE(WaitFor([&] { return core.Distinct() == 1'001; }));
  core.Stop();
}

TEST_F(IngressServer, ADeletedConsumerIsMadeAgainWhereItWas) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("ORDERS", spec_.subjects);
  Fill(client, 0, 1'000);
  FakeCore core;
  const auto ingress = MakeIngress(server, &core);
  ASSERT_TRUE(WaitFor([&] { return core.Distinct() == 1'000; }));
  ASSERT_TRUE(WaitFor([&] {
    const auto floors = core.Floors();
    return floors.size() == 1 && floors.begin()->second.ends_with("\n1000");
  }));
  client.DeleteConsumer("ORDERS", "expirer-orders");
  Fill(client, 1'000, 1'000);
  EXPECT_TRUE(WaitFor([&] { return core.Distinct() == 2'000; }, 15'000))
      << ingress->Trouble(0);
  // Above the floor some may come twice, when it is set up twice.
  EXPECT_EQ(core.RepeatedUpTo(1'000), 0U);
  const auto history = core.SettledHistory(0);
  EXPECT_TRUE(WaitFor([&] { return core.Settled(0); }));
  core.Stop();
}

TEST_F(IngressServer, AStreamDeletedAndMadeAgainIsReadFromItsBeginning) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("ORDERS", spec_.subjects);
  Fill(client, 0, 1'000);
  FakeCore core;
  const auto ingress = MakeIngress(server, &core);
  ASSERT_TRUE(WaitFor([&] { return core.Floors().size() == 1; }));
  client.DeleteStream("ORDERS");
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  client.CreateStream("ORDERS", spec_.subjects);
  Fill(client, 1'000, 2'000);
  EXPECT_TRUE(WaitFor([&] { return core.Distinct() == 3'000; }, 15'000))
      << core.Distinct() << ingress->Trouble(0);
  EXPECT_TRUE(WaitFor([&] { return core.Settled(0); }));
  core.Stop();
}

TEST_F(IngressServer, TwoRulesReadOneStreamEachOnTheirOwn) {
  rules_.push_back(MakeRule("payments", "payment.*", {"order.created"}));
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("ALL", {"order.*", "payment.*"});
  Fill(client, 0, 500);
  client.PublishMany("payment.due", 300, [](size_t i) { return Event(i); });
  FakeCore core;
  const auto ingress = MakeIngress(server, &core);
  EXPECT_TRUE(WaitFor([&] {
    return core.Of(0) == 500 && core.Of(1) == 300 && core.Cancels() == 500;
  })) << core.Of(0)
      << " " << core.Of(1) << " " << core.Cancels();
  EXPECT_TRUE(WaitFor([&] { return core.Settled(0) && core.Settled(1); }));
  EXPECT_EQ(core.Deliveries(), 500U + 300U + 500U);
  core.Stop();
}

TEST_F(IngressServer, NoStreamIsMadeWhereOneCarriesAnyOfItsSubjects) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("OTHER", {"order.cancelled"});
  FakeCore core;
  const auto ingress = MakeIngress(server, &core, {spec_});
  ASSERT_TRUE(WaitFor([&] {
    return ingress->Trouble(0).find("is not made because OTHER") != std::string::npos;
  })) << ingress->Trouble(0);
  EXPECT_EQ(client.Api("STREAM.NAMES").find("ORDERS"), std::string::npos);
  client.CreateStream("LATE", {"order.created"});
  EXPECT_TRUE(WaitFor([&] { return core.Settled(0); }, 15'000)) << ingress->Trouble(0);
  core.Stop();
}

TEST_F(IngressServer, AnUnfitDurableIsNotUsed) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("ORDERS", spec_.subjects);
  (void)client.Api("CONSUMER.DURABLE.CREATE.ORDERS.expirer-orders",
                   R"({"stream_name":"ORDERS","config":{"durable_name":"expirer-orders",)"
                   R"("ack_policy":"all","deliver_policy":"all"}})");
  FakeCore core;
  const auto ingress = MakeIngress(server, &core);
  EXPECT_TRUE(WaitFor([&] {
    return ingress->Trouble(0).find("ack policy all, explicit is needed") !=
           std::string::npos;
  })) << ingress->Trouble(0);
  EXPECT_FALSE(core.Settled(0));
  core.Stop();
}

TEST_F(IngressServer, AnotherStoresDurableIsNotUsedUnlessAdopted) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("ORDERS", spec_.subjects);
  {
    FakeCore core;
    const auto ingress = MakeIngress(server, &core);
    ASSERT_TRUE(WaitFor([&] { return core.Settled(0); }));
    core.Stop();
  }
  IngressOptions options = Options(server);
  options.store_id = "other-store";
  {
    FakeCore core;
    Ingress ingress(options, &rules_, &core.inbox, &clock_, {});
    core.Start(&ingress);
    ingress.Start();
    EXPECT_TRUE(WaitFor([&] {
      return ingress.Trouble(0).find("belongs to another store") != std::string::npos;
    }));
    core.Stop();
  }
  options.adopt = true;
  FakeCore core;
  Ingress ingress(options, &rules_, &core.inbox, &clock_, {});
  core.Start(&ingress);
  ingress.Start();
  EXPECT_TRUE(WaitFor([&] { return core.Settled(0); })) << ingress.Trouble(0);
  core.Stop();
}

TEST_F(IngressServer, AFullInboxStopsThePullsAndGoesOnWithRoom) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("ORDERS", spec_.subjects);
  Fill(client, 0, 5'000);
  FakeCore core(/*places=*/600);
  core.draining = false;
  const auto ingress = MakeIngress(server, &core);
  ASSERT_TRUE(WaitFor([&] { return core.inbox.requests() >= 300; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_LE(core.inbox.requests(), 600U);
  core.draining = true;
  EXPECT_TRUE(WaitFor([&] { return core.Distinct() == 5'000; }));
  EXPECT_EQ(core.Deliveries(), 5'000U);
  core.Stop();
}

TEST_F(IngressServer, ClosedIntakeAsksForNothingMore) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("ORDERS", spec_.subjects);
  FakeCore core;
  const auto ingress = MakeIngress(server, &core);
  ASSERT_TRUE(WaitFor([&] { return core.Settled(0); }));
  ingress->SetIntake(false);
  Fill(client, 0, 20'000);
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  EXPECT_LE(core.Deliveries(), 3'000U);  // what was asked for before
  ingress->SetIntake(true);
  EXPECT_TRUE(WaitFor([&] { return core.Distinct() == 20'000; }));
  core.Stop();
}

TEST_F(IngressServer, APausedServerIsNoticedAndComesBack) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("ORDERS", spec_.subjects);
  FakeCore core;
  const auto ingress = MakeIngress(server, &core);
  ASSERT_TRUE(WaitFor([&] { return core.Settled(0); }));
  server.Pause();
  std::this_thread::sleep_for(std::chrono::seconds(1));
  server.Resume();
  Fill(client, 0, 100);
  EXPECT_TRUE(WaitFor([&] { return core.Distinct() == 100; }, 20'000));
  core.Stop();
}

}  // namespace
}  // namespace expirer
