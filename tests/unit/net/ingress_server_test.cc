// The ingress against a real server that is killed, wiped and tampered with.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <optional>

#include "json/view.h"
#include "net/micro.h"
#include "sched/streams.h"
#include "support/temp_dir.h"
#include "unit/net/net_world.h"

namespace expirer {
namespace {

using test::Event;
using test::FakeCore;
using test::MakeRule;
using test::NatsServer;
using test::TestClient;
using test::WaitFor;
using ::testing::HasSubstr;

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
  // However the test ends, the core stops first.
  struct StopFirst {
    FakeCore* core;
    void operator()(Ingress* ingress) const {
      core->Stop();
      delete ingress;
    }
  };
  using IngressPtr = std::unique_ptr<Ingress, StopFirst>;
  IngressPtr MakeIngress(const NatsServer& server, FakeCore* core,
                         std::vector<StreamSpec> streams = {}) {
    IngressOptions options = Options(server);
    options.streams = std::move(streams);
    IngressPtr ingress(
        new Ingress(options, &rules_, &core->inbox, &clock_, core->Floors()), {core});
    core->Start(ingress.get());
    ingress->Start();
    return ingress;
  }
  // A life of the first store, which reads all there is.
  void ReadBefore(const NatsServer& server) {
    FakeCore core;
    const auto ingress = MakeIngress(server, &core);
    ASSERT_TRUE(WaitFor([&] { return core.CaughtUp(0); }));
    core.Stop();
  }
  IngressPtr MakeIngress(const IngressOptions& options, FakeCore* core) {
    IngressPtr ingress(new Ingress(options, &rules_, &core->inbox, &clock_,
                                   std::map<std::string, std::string>()),
                       {core});
    core->Start(ingress.get());
    ingress->Start();
    return ingress;
  }
  // The sentence an admission is refused with, "" when it is not.
  class Refused {
   public:
    std::function<void(const std::string&)> Hook() {
      return [this](const std::string& why) {
        std::lock_guard lock(mutex_);
        why_ = why;
      };
    }
    std::string why() {
      std::lock_guard lock(mutex_);
      return why_;
    }

   private:
    std::mutex mutex_;
    std::string why_;
  };
  std::string Refusal(const IngressOptions& options) {
    FakeCore core;
    Refused refused;
    std::atomic<bool> admitted = false;
    Ingress ingress(options, &rules_, &core.inbox, &clock_, {});
    ingress.OnAdmission({[&] { admitted = true; }, refused.Hook()});
    core.Start(&ingress);
    ingress.Start();
    EXPECT_TRUE(WaitFor([&] { return admitted || !refused.why().empty(); }));
    ingress.Stop();
    core.Stop();
    EXPECT_TRUE(admitted || core.Deliveries() == 0) << "read although refused";
    return refused.why();
  }
  void Fill(TestClient& client, size_t from, size_t count) {
    client.PublishMany("order.created", count,
                       [from](size_t i) { return Event(from + i); });
  }
  const SystemClock clock_;
  std::vector<Rule> rules_ = {MakeRule("orders", "order.created", {"order.cancelled"})};
  const StreamSpec spec_{"ORDERS", {"order.created", "order.cancelled"}};
};

TEST_F(IngressServer, AMessageOfASizeThatTheServerAllowsSinceIsRead) {
  NatsServer server({.config = "max_payload: 4096"});
  TestClient before(server.url());
  before.CreateStream("ORDERS", spec_.subjects);
  FakeCore core;
  core.inbox.SetBytesMax(64 << 10);
  const auto ingress = MakeIngress(server, &core);
  Fill(before, 0, 1);
  ASSERT_TRUE(WaitFor([&] { return core.Distinct() == 1; }));
  server.SetConfig("max_payload: 65536");
  server.Reload();
  ASSERT_TRUE(WaitFor([&] {
    return server.LogTail().find("Reloaded server config") != std::string::npos;
  }));
  TestClient client(server.url());
  client.Publish("order.created", Event(1) + std::string(40'000, ' '));
  EXPECT_TRUE(WaitFor([&] { return core.Distinct() == 2; })) << ingress->Trouble(0);
  EXPECT_EQ(ingress->connects(), 1U);
}

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
  EXPECT_TRUE(WaitFor([&] { return core.CaughtUp(0); }));
  const std::string info = client.Api("CONSUMER.INFO.ORDERS.expirer-orders");
  EXPECT_NE(info.find("\"num_ack_pending\":0"), std::string::npos) << info;
  EXPECT_NE(info.find("\"description\":\"expirer store test-store\""), std::string::npos)
      << info;
  EXPECT_TRUE(WaitFor([&] { return core.Floors().size() == 1; }));
  core.Stop();
}

// Each is made although no rule reads it; not where one of its subjects has a
// stream already.
TEST_F(IngressServer, StreamsThatOnlyTargetsGoToAreMade) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("THERE", {"there.a"});
  rules_.push_back(MakeRule("core", "core.a", {}));
  rules_.back().source = Transport::kCore;
  FakeCore core;
  const auto ingress = MakeIngress(
      server, &core,
      {spec_, {"DONE", {"done.>"}}, {"OTHER", {"there.*"}}, {"C", {"core.a"}}});
  const auto has = [&client](const std::string& name) {
    return client.Api("STREAM.NAMES").find("\"" + name + "\"") != std::string::npos;
  };
  for (const char* name : {"ORDERS", "DONE", "C"})
    EXPECT_TRUE(WaitFor([&] { return has(name); })) << name;
  EXPECT_FALSE(has("OTHER"));
  core.Stop();
}

TEST_F(IngressServer, IsCaughtUpOnlyAfterWhatStoodInTheStreamIsAcked) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("ORDERS", spec_.subjects);
  Fill(client, 0, 100);
  FakeCore core;
  core.acking = false;
  const auto ingress = MakeIngress(server, &core);
  ASSERT_TRUE(WaitFor([&] { return core.Distinct() == 100; }));
  EXPECT_FALSE(WaitFor([&] { return core.CaughtUp(0); }, 500));
  core.acking = true;
  Fill(client, 100, 1);
  core.Stop();
  ingress->Close(1'000);
  // A new process asks back what the old one left, long before ack_wait.
  FakeCore next;
  const auto second = MakeIngress(server, &next);
  EXPECT_TRUE(WaitFor([&] { return next.Distinct() == 101 || next.Distinct() == 100; }));
  EXPECT_TRUE(WaitFor([&] { return next.CaughtUp(0); }));
  EXPECT_TRUE(WaitFor([&] {
    return client.Api("CONSUMER.INFO.ORDERS.expirer-orders")
               .find("\"ack_wait\":30000000000") != std::string::npos;
  }));
  next.Stop();
}

// Whether it was said that all is applied that was published by then.
bool CaughtUpWith(FakeCore& core, int64_t mono_ms) {
  for (const RuleRead& read : core.Reads(0))
    if (read.state == RuleRead::State::kCaughtUp && read.at.mono_ms >= mono_ms)
      return true;
  return false;
}

TEST_F(IngressServer, AQuickLookTellsOfTheTimeUpToItAndDisturbsNoConsumer) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("ORDERS", spec_.subjects);
  FakeCore core;
  const auto ingress = MakeIngress(server, &core);
  ASSERT_TRUE(WaitFor([&] { return core.CaughtUp(0); }));
  for (size_t round = 0; round < 3; ++round) {
    core.draining = false;  // what is delivered is not applied
    Fill(client, round * 500, 500);
    const int64_t now_ms = clock_.MonotonicMs();
    ingress->LookAgain(Inbound::LookHow::kQuick);
    core.draining = true;
    EXPECT_TRUE(WaitFor([&] { return CaughtUpWith(core, now_ms); }));
    EXPECT_EQ(core.Distinct(), (round + 1) * 500) << "caught up too early";
  }
  EXPECT_EQ(core.RepeatedUpTo(1'500), 0U);
  for (const RuleRead& read : core.Reads(0))
    EXPECT_LE(read.at.mono_ms, clock_.MonotonicMs());
  core.Stop();
}

TEST_F(IngressServer, AStreamThatIsNeverIdleIsCaughtUpWithByItsMarks) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("ORDERS", spec_.subjects);
  FakeCore core;
  const auto ingress = MakeIngress(server, &core);
  ASSERT_TRUE(WaitFor([&] { return core.CaughtUp(0); }));
  std::atomic<bool> stop = false;
  std::thread busy([&] {
    TestClient other(server.url());
    // Few at a time: a slow machine reads no more slowly than it publishes.
    for (size_t i = 0; !stop; i += 2)
      other.PublishMany("order.created", 2, [i](size_t j) { return Event(i + j); });
  });
  for (int round = 0; round < 5; ++round) {
    const int64_t now_ms = clock_.MonotonicMs();
    ingress->LookAgain(Inbound::LookHow::kQuick);
    EXPECT_TRUE(WaitFor([&] { return CaughtUpWith(core, now_ms); }));
  }
  stop = true;
  busy.join();
  core.Stop();
}

// On a busy machine standstills come faster than what waits in the inbox is applied.
TEST_F(IngressServer, LooksThatFollowEachOtherDoNotKeepAMarkFromBeingReached) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("ORDERS", spec_.subjects);
  FakeCore core;
  const auto ingress = MakeIngress(server, &core);
  ASSERT_TRUE(WaitFor([&] { return core.CaughtUp(0); }));
  core.draining = false;
  Fill(client, 0, 5'000);
  const int64_t since_ms = clock_.MonotonicMs();
  std::atomic<bool> stop = false;
  std::thread busy([&] {
    TestClient other(server.url());
    // More than the core applies, a message a turn.
    for (size_t i = 5'000; !stop; i += 50)
      other.PublishMany("order.created", 50, [i](size_t j) { return Event(i + j); });
  });
  core.a_turn = 1;
  core.draining = true;
  EXPECT_TRUE(WaitFor([&] {
    ingress->LookAgain(Inbound::LookHow::kQuick);
    const std::vector<RuleRead> reads = core.Reads(0);
    return std::any_of(reads.begin(), reads.end(), [&](const RuleRead& read) {
      return read.state == RuleRead::State::kReading && read.at.mono_ms >= since_ms;
    });
  }));
  stop = true;
  busy.join();
  core.a_turn = 2'000;
  core.Stop();
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
  EXPECT_TRUE(WaitFor([&] { return core.CaughtUp(0); }));
  core.Stop();
}

TEST_F(IngressServer, AServerThatComesLateIsFound) {
  auto server = std::make_unique<NatsServer>();
  server->Kill();
  FakeCore core;
  const auto ingress = MakeIngress(*server, &core, {spec_});
  EXPECT_FALSE(WaitFor([&] { return ingress->up(); }, 500));
  server->Start();
  ASSERT_TRUE(WaitFor([&] { return core.CaughtUp(0); })) << ingress->Trouble(0);
  TestClient client(server->url());
  Fill(client, 0, 10);
  EXPECT_TRUE(WaitFor([&] { return core.Distinct() == 10; }));
  core.Stop();
}

TEST_F(IngressServer, AWipedServerIsProvisionedAgain) {
  NatsServer server;
  FakeCore core;
  const auto ingress = MakeIngress(server, &core, {spec_});
  ASSERT_TRUE(WaitFor([&] { return core.CaughtUp(0); }));
  {
    TestClient client(server.url());
    Fill(client, 0, 1'000);
  }
  ASSERT_TRUE(WaitFor([&] { return core.Distinct() == 1'000; }));
  server.Kill();
  server.Wipe();
  server.Start();
  ASSERT_TRUE(WaitFor([&] { return core.CaughtUp(0) && ingress->Trouble(0).empty(); }));
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
  EXPECT_TRUE(WaitFor([&] { return core.Distinct() == 2'000; })) << ingress->Trouble(0);
  // Above the floor some may come twice, when it is set up twice.
  EXPECT_EQ(core.RepeatedUpTo(1'000), 0U);
  const auto history = core.CaughtUpHistory(0);
  EXPECT_TRUE(WaitFor([&] { return core.CaughtUp(0); }));
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
  EXPECT_TRUE(WaitFor([&] { return core.Distinct() == 3'000; }))
      << core.Distinct() << ingress->Trouble(0);
  EXPECT_TRUE(WaitFor([&] { return core.CaughtUp(0); }));
  EXPECT_EQ(core.Lives().size(), 2U) << "each message tells of which stream it is";
  EXPECT_FALSE(core.Lives().contains(0));
  core.Stop();
}

TEST_F(IngressServer, AMirrorAndSourcesAreReadWhereEntriesNameThem) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("ORDERS", {"order.>"});
  client.CreateStream("MIRROR", {}, R"("mirror":{"name":"ORDERS"})");
  client.CreateStream("SOURCED", {"other"}, R"("sources":[{"name":"ORDERS"}])");
  rules_ = {MakeRule("mirror", "order.created"), MakeRule("sourced", "order.created"),
            MakeRule("both", "order.created", {"order.cancelled"})};
  rules_[0].schedule[0].stream = "MIRROR";
  rules_[1].schedule[0].stream = "SOURCED";
  rules_[2].cancel[0].stream = "MIRROR";
  FakeCore core;
  const auto ingress = MakeIngress(server, &core);
  Fill(client, 0, 10);
  client.Publish("order.cancelled", Event(1));
  for (RuleIndex rule = 0; rule < 3; ++rule)
    EXPECT_TRUE(WaitFor([&] { return core.Of(rule) == 10 && core.CaughtUp(rule); }))
        << ingress->Trouble(rule);
  EXPECT_TRUE(WaitFor([&] { return core.Cancels() == 1; })) << ingress->Trouble(2);
  core.Stop();
}

TEST_F(IngressServer, ANamedStreamThatIsMissingOrCannotMatchIsToldInASentence) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("ORDERS", {"order.>"});
  client.CreateStream("MIRROR", {}, R"("mirror":{"name":"ORDERS"})");
  rules_ = {MakeRule("gone", "order.created"), MakeRule("never", "paid.created"),
            MakeRule("made", "bill.created")};
  rules_[0].schedule[0].stream = "GONE";
  rules_[1].schedule[0].stream = "MIRROR";
  rules_[2].schedule[0].stream = "BILLS";
  FakeCore core;
  const auto ingress = MakeIngress(server, &core, {{"BILLS", {"bill.>"}}});
  EXPECT_TRUE(WaitFor([&] { return core.CaughtUp(2); })) << ingress->Trouble(2);
  EXPECT_TRUE(WaitFor([&] {
    return ingress->Trouble(0) == "there is no stream GONE, which the rule names";
  })) << ingress->Trouble(0);
  EXPECT_TRUE(WaitFor([&] {
    return ingress->Trouble(1) ==
           "stream MIRROR stores nothing that paid.created matches, only order.>; write "
           "the subject as it is stored, or name another `stream`";
  })) << ingress->Trouble(1);
  client.CreateStream("GONE", {"gone", "order"}, R"("sources":[{"name":"ORDERS"}])");
  Fill(client, 0, 3);
  EXPECT_TRUE(WaitFor([&] { return core.Of(0) == 3; })) << ingress->Trouble(0);
  core.Stop();
}

class TransformedStream : public IngressServer {
 protected:
  void SetUp() override {
    IngressServer::SetUp();
    if (IsSkipped()) return;
    server_.emplace();
    client_.emplace(server_->url());
    client_->CreateStream(
        "IN", {"orders.>"},
        R"("subject_transform":{"src":"orders.>","dest":"evt.orders.>"})");
    if (client_->Api("STREAM.INFO.IN").find("subject_transform") == std::string::npos)
      GTEST_SKIP() << "this server has no subject transforms";
  }
  std::optional<NatsServer> server_;
  std::optional<TestClient> client_;
};

TEST_F(TransformedStream, TheSubjectBeforeItIsRefusedWithTheMendAndTheOneAfterItIsRead) {
  client_->CreateStream("VIEW", {},
                        R"("mirror":{"name":"IN","subject_transforms":[)"
                        R"({"src":"evt.orders.*","dest":"view.$1"}]})");
  rules_ = {MakeRule("before", "orders.created"), MakeRule("after", "evt.orders.created"),
            MakeRule("view", "view.created"), MakeRule("unnamed", "evt.orders.created")};
  rules_[1].schedule[0].stream = "IN";
  rules_[2].schedule[0].stream = "VIEW";
  FakeCore core;
  const auto ingress = MakeIngress(*server_, &core);
  client_->PublishMany("orders.created", 5, Event);
  for (const RuleIndex rule : {RuleIndex{1}, RuleIndex{2}})
    EXPECT_TRUE(WaitFor([&] { return core.Of(rule) == 5 && core.CaughtUp(rule); }))
        << ingress->Trouble(rule);
  EXPECT_TRUE(WaitFor([&] {
    return ingress->Trouble(0).find(
               "write `subject: evt.orders.created` with "
               "`stream: IN`") != std::string::npos;
  })) << ingress->Trouble(0);
  EXPECT_THAT(ingress->Trouble(3), HasSubstr("is named by `stream`"));
  EXPECT_EQ(core.Of(0), 0U);
  core.Stop();
}

// A server on whose disk the messages of a stream can be lost, its consumers not.
class ShortenedStream : public IngressServer {
 protected:
  void SetUp() override {
    IngressServer::SetUp();
    if (!IsSkipped()) server_.emplace(NatsServer::Options{.store_dir = dir_.path()});
  }
  void LoseMessages() {
    server_->Stop();
    std::filesystem::remove_all(dir_.path() + "/jetstream/$G/streams/ORDERS/msgs");
    server_->Start();
  }
  TempDir dir_;
  std::optional<NatsServer> server_;
};

// nats-server keeps such a consumer waiting for sequences far ahead.
TEST_F(ShortenedStream, AConsumerAheadOfItsStreamIsMadeAnewAndReadsWhatIsThere) {
  TestClient(server_->url()).CreateStream("ORDERS", spec_.subjects);
  {
    TestClient client(server_->url());
    Fill(client, 0, 55);
  }
  FakeCore core;
  const auto ingress = MakeIngress(*server_, &core);
  ASSERT_TRUE(WaitFor([&] { return core.Distinct() == 55 && core.CaughtUp(0); }));
  LoseMessages();
  TestClient client(server_->url());
  Fill(client, 55, 11);
  ASSERT_TRUE(WaitFor([&] { return core.Distinct() == 66; })) << ingress->Trouble(0);
  EXPECT_TRUE(WaitFor([&] { return core.CaughtUp(0); }));
  Fill(client, 66, 100);  // past where the first one stood
  EXPECT_TRUE(WaitFor([&] { return core.Distinct() == 166; })) << ingress->Trouble(0);
  // What the floor of before said is forgotten.
  const std::string floor = core.Floors().begin()->second;
  EXPECT_FALSE(floor.ends_with("\n55")) << floor;
  core.Stop();
}

TEST_F(ShortenedStream, OverdueJobsWaitUntilWhatAConsumerCannotSeeIsRead) {
  TestClient(server_->url()).CreateStream("ORDERS", spec_.subjects);
  {
    TestClient client(server_->url());
    Fill(client, 0, 55);
  }
  ReadBefore(*server_);
  LoseMessages();
  TestClient client(server_->url());
  Fill(client, 55, 11);
  IngressOptions options = Options(*server_);
  options.read_marks = {{SourceKey("orders", "ORDERS"), 55}};
  FakeCore core;
  const auto ingress = MakeIngress(options, &core);
  ASSERT_TRUE(WaitFor([&] { return core.CaughtUp(0); })) << ingress->Trouble(0);
  EXPECT_EQ(core.Distinct(), 11U);
  core.Stop();
}

// Neither does it miss what came before it looked, nor read what it once left out.
TEST_F(ShortenedStream, ARuleThatReadsOnlyWhatIsNewGoesOnFromItsBeginning) {
  rules_[0].deliver.from = Deliver::From::kNew;
  {
    TestClient client(server_->url());
    client.CreateStream("ORDERS", spec_.subjects);
    Fill(client, 0, 5);
  }
  FakeCore core;
  const auto ingress = MakeIngress(*server_, &core);
  ASSERT_TRUE(WaitFor([&] { return core.CaughtUp(0); }));
  {
    TestClient client(server_->url());
    Fill(client, 5, 50);
  }
  ASSERT_TRUE(WaitFor([&] { return core.Distinct() == 50 && core.CaughtUp(0); }));
  LoseMessages();
  TestClient client(server_->url());
  Fill(client, 55, 11);
  EXPECT_TRUE(WaitFor([&] { return core.Distinct() == 61; })) << ingress->Trouble(0);
  client.DeleteStream("ORDERS");
  client.CreateStream("ORDERS", spec_.subjects);
  Fill(client, 66, 20);
  EXPECT_TRUE(WaitFor([&] { return core.Distinct() == 81; })) << ingress->Trouble(0);
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
  EXPECT_TRUE(WaitFor([&] { return core.CaughtUp(0) && core.CaughtUp(1); }));
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
  EXPECT_TRUE(WaitFor([&] { return core.CaughtUp(0); })) << ingress->Trouble(0);
  core.Stop();
}

TEST_F(IngressServer, AnUnfitDurableIsRefusedAndReplacedWhenAdopted) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("ORDERS", spec_.subjects);
  Fill(client, 0, 10);
  (void)client.Api("CONSUMER.DURABLE.CREATE.ORDERS.expirer-orders",
                   R"({"stream_name":"ORDERS","config":{"durable_name":"expirer-orders",)"
                   R"("ack_policy":"all","deliver_policy":"all"}})");
  EXPECT_THAT(Refusal(Options(server)), HasSubstr("ack policy all, expected explicit"));
  IngressOptions options = Options(server);
  options.adopt = Adopt::kNew;
  FakeCore core;
  const auto ingress = MakeIngress(options, &core);
  EXPECT_TRUE(WaitFor([&] { return core.CaughtUp(0); })) << ingress->Trouble(0);
  EXPECT_EQ(core.Distinct(), 10u);
  core.Stop();
}

TEST_F(IngressServer, ADurableThatIsNobodysAndReadsOtherSubjectsIsRefused) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("ORDERS", spec_.subjects);
  const auto make = [&](const std::string& more) {
    (void)client.Api(
        "CONSUMER.DURABLE.CREATE.ORDERS.expirer-orders",
        R"({"stream_name":"ORDERS","config":{"durable_name":"expirer-orders",)"
        R"("ack_policy":"explicit","deliver_policy":"all")" +
            more + "}}");
  };
  make(R"(,"filter_subject":"order.created")");
  EXPECT_THAT(Refusal(Options(server)),
              HasSubstr("is nobody's yet and filters order.created, the rule needs "
                        "order.cancelled, order.created"));
  client.DeleteConsumer("ORDERS", "expirer-orders");
  make(R"(,"description":"of the billing service")");
  EXPECT_THAT(Refusal(Options(server)),
              HasSubstr(R"(not expirer's: it is described as "of the billing service")"));
}

TEST_F(IngressServer, AnotherStoresDurableIsRefusedUnlessAdopted) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("ORDERS", spec_.subjects);
  Fill(client, 0, 10);
  ReadBefore(server);
  IngressOptions options = Options(server);
  options.store_id = "other-store";
  EXPECT_THAT(
      Refusal(options),
      HasSubstr("belongs to another store test-store, this is store other-store"));
  options.adopt = Adopt::kNew;
  FakeCore core;
  const auto ingress = MakeIngress(options, &core);
  EXPECT_TRUE(WaitFor([&] { return core.CaughtUp(0); })) << ingress->Trouble(0);
  EXPECT_EQ(core.Deliveries(), 0u);
  core.Stop();
}

TEST_F(IngressServer, ADurableTakenByAnotherStoreMeanwhileEndsTheProcess) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("ORDERS", spec_.subjects);
  FakeCore core;
  Refused refused;
  IngressOptions options = Options(server);
  options.adopt = Adopt::kNew;  // decides at the start only
  Ingress ingress(options, &rules_, &core.inbox, &clock_, {});
  ingress.OnAdmission({{}, refused.Hook()});
  core.Start(&ingress);
  ingress.Start();
  ASSERT_TRUE(WaitFor([&] { return core.CaughtUp(0); }));
  const auto info =
      JetStream::ReadConsumer(client.Api("CONSUMER.INFO.ORDERS.expirer-orders"));
  ASSERT_TRUE(info.ok()) << info.status();
  (void)client.Api(
      "CONSUMER.DURABLE.CREATE.ORDERS.expirer-orders",
      R"({"stream_name":"ORDERS","config":)" +
          WithMember(info->config, "description", R"("expirer store thief")") + "}");
  ingress.LookAgain(Inbound::LookHow::kAnew);
  EXPECT_TRUE(WaitFor([&] { return !refused.why().empty(); }));
  EXPECT_THAT(refused.why(), HasSubstr("belongs to another store thief"));
  core.Stop();
}

TEST_F(IngressServer, ARenamedRulesForeignDurableIsRefusedUnlessAdopted) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("ORDERS", spec_.subjects);
  Fill(client, 0, 10);
  ReadBefore(server);
  rules_[0].name = "renamed";
  rules_[0].was = "orders";
  IngressOptions options = Options(server);
  options.store_id = "other-store";
  EXPECT_THAT(Refusal(options), HasSubstr("consumer expirer-orders of stream ORDERS "
                                          "belongs to another store test-store"));
  options.adopt = Adopt::kNew;
  FakeCore core;
  const auto ingress = MakeIngress(options, &core);
  EXPECT_TRUE(WaitFor([&] { return core.CaughtUp(0); })) << ingress->Trouble(0);
  EXPECT_EQ(core.Deliveries(), 0u);
  core.Stop();
}

// The mark of what was read is the only trace of a restored volume.
TEST_F(IngressServer, ADurableAckedBeyondWhatTheStoreReadIsRefused) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("ORDERS", {"order.*", "bill.*"});
  Fill(client, 0, 10);
  ReadBefore(server);
  IngressOptions options = Options(server);
  const std::string key = SourceKey("orders", "ORDERS");
  options.read_marks = {{key, 9}};
  EXPECT_THAT(Refusal(options), HasSubstr("was acked up to 10, but this store has only "
                                          "read up to 9"));
  options.read_marks = {{key, 10}};
  // Behind by what the filter leaves out only: the floor passes over it.
  for (int i = 0; i < 5; ++i) client.Publish("bill.sent", "{}");
  FakeCore core;
  const auto ingress = MakeIngress(options, &core);
  EXPECT_TRUE(WaitFor([&] { return core.CaughtUp(0); })) << ingress->Trouble(0);
  core.Stop();
  ingress->Close(1'000);
  EXPECT_EQ(Refusal(options), "");
}

TEST_F(IngressServer, AServiceOfThatNameThatLivesIsNamedAndOneThatIsDeadIsNot) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("ORDERS", spec_.subjects);
  {
    Connection other(Options(server).connection, "other", {});
    Micro micro({"expirer", "1.0.0", "", "that-store", {}}, &other);
    micro.Listen();
    other.Start();
    ASSERT_TRUE(
        WaitFor([&] { return client.Request("$SRV.PING.expirer", "").has_value(); }));
    const std::string why = Refusal(Options(server));
    EXPECT_THAT(why, HasSubstr("another service named expirer runs on this NATS"));
    EXPECT_THAT(why, HasSubstr("store that-store"));
    EXPECT_THAT(why, HasSubstr(micro.id()));
    other.Stop(0);
  }
  // As the subscription of a host that went without a word.
  client.Subscribe("$SRV.PING.expirer");
  EXPECT_EQ(Refusal(Options(server)), "");
}

TEST_F(IngressServer, ARebuildWaitsForTheStoreAndReadsEverythingAnew) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("ORDERS", spec_.subjects);
  Fill(client, 0, 100);
  ReadBefore(server);
  IngressOptions options = Options(server);
  options.store_id = "other-store";
  options.adopt = Adopt::kRebuild;
  FakeCore core;
  const auto ingress = MakeIngress(options, &core);
  ASSERT_TRUE(WaitFor([&] { return core.rebuild_asked(); }));
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_EQ(core.Deliveries(), 0u);
  EXPECT_NE(client.Api("CONSUMER.INFO.ORDERS.expirer-orders").find("test-store"),
            std::string::npos)
      << "replaced before the store noted the rebuild";
  ingress->RebuildBegun();
  EXPECT_TRUE(WaitFor([&] { return core.CaughtUp(0); })) << ingress->Trouble(0);
  EXPECT_EQ(core.Distinct(), 100u);
  core.Stop();
}

// An earlier process had noted the rebuild and replaced all, or nothing yet; or the
// volume is a copy of before the rebuild ended, and what fell due since may have fired.
TEST_F(IngressServer, AnOpenRebuildGoesOnWithoutTheFlagAndBeginsAnewInAnOlderCopy) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("ORDERS", spec_.subjects);
  Fill(client, 0, 100);
  ReadBefore(server);
  IngressOptions options = Options(server);
  options.store_id = "other-store";
  options.rebuilding = true;
  {
    FakeCore core;
    const auto ingress = MakeIngress(options, &core);
    EXPECT_TRUE(WaitFor([&] { return core.rebuild_asked(); }));
    EXPECT_EQ(core.Deliveries(), 0u);
    ingress->RebuildBegun();
    EXPECT_TRUE(WaitFor([&] { return core.CaughtUp(0); })) << ingress->Trouble(0);
    EXPECT_EQ(core.Distinct(), 100u);
    core.Stop();
  }
  options.read_marks = {{SourceKey("orders", "ORDERS"), 100}};
  FakeCore core;
  const auto ingress = MakeIngress(options, &core);
  EXPECT_TRUE(WaitFor([&] { return core.CaughtUp(0); })) << ingress->Trouble(0);
  EXPECT_EQ(core.Deliveries(), 0u) << "it had been replaced already";
  EXPECT_FALSE(core.rebuild_asked());
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

TEST_F(IngressServer, RulesThatAreBehindShareAFullInbox) {
  constexpr size_t kRules = 6;
  constexpr size_t kEvents = 2'000;
  rules_.clear();
  for (size_t i = 0; i < kRules; ++i)
    rules_.push_back(MakeRule("orders" + std::to_string(i), "order.created"));
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("ORDERS", spec_.subjects);
  Fill(client, 0, kEvents);
  FakeCore core(/*places=*/600);
  core.a_turn = 5;
  const auto ingress = MakeIngress(server, &core);
  EXPECT_TRUE(WaitFor([&] { return core.Deliveries() >= kRules * kEvents / 2; }));
  core.draining = false;
  for (RuleIndex rule = 0; rule < kRules; ++rule)
    EXPECT_GE(core.Of(rule), kEvents / 4) << rule;
  core.draining = true;
  EXPECT_TRUE(WaitFor([&] { return core.Distinct() == kRules * kEvents; }));
  core.Stop();
}

// What is asked for at the same moment stays below what a server lets wait for one
// connection (64 MB by default).
class LargeEvents : public IngressServer {
 protected:
  // Of so many rules, each behind by so many events of 400 KB in one stream.
  void Behind(TestClient& client, size_t rules, size_t events) {
    client.CreateStream("ORDERS", spec_.subjects, "\"max_msgs_per_subject\":-1");
    rules_.clear();
    for (size_t i = 0; i < rules; ++i)
      rules_.push_back(MakeRule("orders" + std::to_string(i), "order.created"));
    for (size_t i = 0; i < events; ++i) {
      std::string event = Event(i);
      event.insert(event.size() - 1, ",\"much\":\"" + std::string(400'000, 'x') + "\"");
      ASSERT_GT(client.Publish("order.created", event), 0U);
    }
  }
};

TEST_F(LargeEvents, OfManyRulesAtOnceDoNotBreakTheConnection) {
  NatsServer server;
  TestClient client(server.url());
  Behind(client, 4, 200);
  FakeCore core;
  const auto ingress = MakeIngress(server, &core);
  EXPECT_TRUE(WaitFor([&] { return core.Distinct() == 800; }));
  EXPECT_EQ(ingress->connects(), 1U);
  EXPECT_EQ(core.Deliveries(), 800U);
  core.Stop();
}

TEST_F(LargeEvents, AreAskedForInHalvesAfterABreakForASlowConsumer) {
  NatsServer server({"max_pending: 4MB"});
  TestClient client(server.url());
  Behind(client, 4, 100);
  FakeCore core;
  testing::internal::CaptureStderr();
  const auto ingress = MakeIngress(server, &core);
  EXPECT_TRUE(WaitFor([&] { return core.Distinct() == 400; })) << core.Distinct();
  const std::string told = testing::internal::GetCapturedStderr();
  // How often is up to how fast this machine reads.
  std::printf("%d breaks\n", static_cast<int>(ingress->connects()) - 1);
  if (ingress->connects() > 1) {
    EXPECT_LT(core.inbox.bytes_max(), Inbox::kBytesMax);
    EXPECT_THAT(told, HasSubstr("slow consumer"));
  }
  core.Stop();
}

// A consumer of this store that allows pulls so much.
void MakeLimited(TestClient& client, const std::string& limits) {
  (void)client.Api("CONSUMER.DURABLE.CREATE.ORDERS.expirer-orders",
                   R"({"stream_name":"ORDERS","config":{"durable_name":"expirer-orders",)"
                   R"("description":"expirer store test-store","max_deliver":-1,)"
                   R"("filter_subject":"order.*",)"
                   R"("ack_policy":"explicit","deliver_policy":"all",)" +
                       limits + "}}");
}

TEST_F(IngressServer, PullsAreAsLargeAsAConsumerAllows) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("ORDERS", spec_.subjects);
  Fill(client, 0, 2'000);
  for (const char* limits :
       {R"("max_batch":7)", R"("max_expires":1000000000)", R"("max_bytes":20000)",
        R"("max_batch":100,"max_expires":2000000000,"max_bytes":100000)"}) {
    MakeLimited(client, limits);
    FakeCore core;
    const auto ingress = MakeIngress(server, &core);
    EXPECT_TRUE(WaitFor([&] { return core.Distinct() == 2'000; }, 20'000))
        << limits << ": " << core.Distinct();
    EXPECT_TRUE(WaitFor([&] { return core.CaughtUp(0); })) << limits;
    core.Stop();
    ingress->Close(1'000);
    client.DeleteConsumer("ORDERS", "expirer-orders");
  }
}

// A server whose JetStream has these limits.
NatsServer::Options Limited(const std::string& dir, const std::string& limits) {
  NatsServer::Options options;
  options.jetstream = false;  // by a config of its own
  options.config = "jetstream { store_dir: \"" + dir +
                   "\", max_mem: 1GB, max_file: 10GB, limits { " + limits + " } }";
  return options;
}

TEST_F(IngressServer, AConsumerHasAsManyUnackedMessagesAsTheServerAllows) {
  const TempDir dir;
  NatsServer server(Limited(dir.path(), "max_ack_pending: 100"));
  TestClient client(server.url());
  client.CreateStream("ORDERS", spec_.subjects);
  Fill(client, 0, 500);
  FakeCore core;
  const auto ingress = MakeIngress(server, &core);
  EXPECT_TRUE(WaitFor([&] { return core.Distinct() == 500; })) << ingress->Trouble(0);
  EXPECT_THAT(client.Api("CONSUMER.INFO.ORDERS.expirer-orders"),
              HasSubstr("\"max_ack_pending\":100,"));
  core.Stop();
}

TEST_F(IngressServer, PullsAreAsLargeAsTheServerAllows) {
  const TempDir dir;
  NatsServer server(Limited(dir.path(), "max_request_batch: 50"));
  TestClient client(server.url());
  client.CreateStream("ORDERS", spec_.subjects);
  Fill(client, 0, 2'000);
  FakeCore core;
  const auto ingress = MakeIngress(server, &core);
  EXPECT_TRUE(WaitFor([&] { return core.Distinct() == 2'000; }, 20'000))
      << core.Distinct();
  core.Stop();
}

// More requests than that are a busy loop.
uint64_t RequestsFor(TestClient& client, int64_t ms) {
  client.Subscribe("$JS.API.CONSUMER.MSG.NEXT.ORDERS.expirer-orders");
  uint64_t requests = 0;
  const int64_t until_ms = SystemClock().MonotonicMs() + ms;
  while (SystemClock().MonotonicMs() < until_ms && requests < 1'000)
    requests += client.Next(100).has_value() ? 1 : 0;
  return requests;
}

TEST_F(IngressServer, AMessageThatNoPullMayBringIsNotAskedForWithoutAPause) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("ORDERS", spec_.subjects);
  MakeLimited(client, R"("max_bytes":5000)");
  std::string event = Event(1);
  event.insert(event.size() - 1, ",\"much\":\"" + std::string(10'000, 'x') + "\"");
  client.Publish("order.created", event);
  FakeCore core;
  const auto ingress = MakeIngress(server, &core);
  ASSERT_TRUE(WaitFor([&] { return ingress->Trouble(0).empty(); }));
  EXPECT_LT(RequestsFor(client, 2'000), 200U);
  EXPECT_TRUE(WaitFor([&] { return !ingress->Trouble(0).empty(); }));
  EXPECT_THAT(ingress->Trouble(0),
              HasSubstr("consumer expirer-orders of stream ORDERS refuses what is asked "
                        "of it: 409 Message Size Exceeds MaxBytes"));
  client.DeleteConsumer("ORDERS", "expirer-orders");  // ours has no such limit
  EXPECT_TRUE(WaitFor([&] { return core.Distinct() == 1; }));
  EXPECT_TRUE(WaitFor([&] { return ingress->Trouble(0).empty(); }))
      << ingress->Trouble(0);
  core.Stop();
}

TEST_F(IngressServer, APausedConsumerIsToldUntilWhen) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("ORDERS", spec_.subjects);
  FakeCore core;
  const auto ingress = MakeIngress(server, &core);
  ASSERT_TRUE(WaitFor([&] { return core.CaughtUp(0); }));
  const std::string paused = client.Api("CONSUMER.PAUSE.ORDERS.expirer-orders",
                                        R"({"pause_until":"2099-01-01T00:00:00Z"})");
  if (paused.find("\"paused\":true") == std::string::npos)
    GTEST_SKIP() << "this nats-server pauses no consumer (2.11 does)";
  EXPECT_TRUE(WaitFor([&] { return !ingress->Trouble(0).empty(); }));
  EXPECT_EQ(ingress->Trouble(0),
            "consumer expirer-orders of stream ORDERS is paused until "
            "2099-01-01T00:00:00Z");
  (void)client.Api("CONSUMER.PAUSE.ORDERS.expirer-orders", "{}");
  EXPECT_TRUE(WaitFor([&] { return ingress->Trouble(0).empty(); }));
  Fill(client, 0, 1);
  EXPECT_TRUE(WaitFor([&] { return core.Distinct() == 1; }));
  core.Stop();
}

TEST_F(IngressServer, ASubjectThatMovedToAnotherStreamIsReadThere) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("ORDERS", spec_.subjects);
  FakeCore core;
  const auto ingress = MakeIngress(server, &core);
  ASSERT_TRUE(WaitFor([&] { return core.CaughtUp(0); }));
  (void)client.Api("STREAM.UPDATE.ORDERS",
                   R"({"name":"ORDERS","subjects":["order.cancelled"]})");
  client.CreateStream("MOVED", {"order.created"});
  Fill(client, 0, 1);
  EXPECT_TRUE(WaitFor([&] { return core.Distinct() == 1; }, 180'000));
  core.Stop();
}

TEST_F(IngressServer, ClosedIntakeAsksForNothingMore) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("ORDERS", spec_.subjects);
  FakeCore core;
  const auto ingress = MakeIngress(server, &core);
  ASSERT_TRUE(WaitFor([&] { return core.CaughtUp(0); }));
  ingress->SetIntake(false);
  Fill(client, 0, 20'000);
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  EXPECT_LE(core.Deliveries(), 3'000U);  // what was asked for before
  ingress->SetIntake(true);
  EXPECT_TRUE(WaitFor([&] { return core.Distinct() == 20'000; }));
  core.Stop();
}

// As when the leader of the consumer goes that they were sent to. What the gate waits
// for must not wait for ack_wait, which is 30 s.
TEST_F(IngressServer, WhatIsNotAckedThoughAppliedIsAskedBack) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("ORDERS", spec_.subjects);
  FakeCore core;
  const auto ingress = MakeIngress(server, &core);
  ASSERT_TRUE(WaitFor([&] { return core.CaughtUp(0); }));
  core.acking = false;
  Fill(client, 0, 10);
  ASSERT_TRUE(WaitFor([&] { return core.Distinct() == 10; }));
  core.acking = true;
  ingress->LookAgain(Inbound::LookHow::kQuick);
  EXPECT_TRUE(WaitFor([&] { return core.RepeatedUpTo(10) == 10; }, 20'000));
  core.Stop();
}

// On a slow machine it may be silent so long that it is set up again: not each time.
TEST_F(IngressServer, AConsumerThatMissesAHeartbeatIsLookedAtAndNotSetUpAgain) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("ORDERS", spec_.subjects);
  FakeCore core;
  const auto ingress = MakeIngress(server, &core);
  ASSERT_TRUE(WaitFor([&] { return core.CaughtUp(0); }));
  bool stayed = false;
  for (int round = 0; round < 10 && !stayed; ++round) {
    testing::internal::CaptureStderr();
    const int64_t since_ms = clock_.MonotonicMs();
    server.Pause();
    EXPECT_TRUE(WaitFor([&] {
      const RuleRead last = core.Reads(0).back();
      return last.state == RuleRead::State::kAway && last.at.mono_ms >= since_ms;
    }));
    const int64_t closed_ms = core.Reads(0).back().at.mono_ms;
    server.Resume();
    EXPECT_TRUE(WaitFor([&] { return CaughtUpWith(core, closed_ms); }));
    stayed =
        testing::internal::GetCapturedStderr().find("broke off") == std::string::npos;
  }
  EXPECT_TRUE(stayed);
  core.Stop();
}

TEST_F(IngressServer, APausedServerIsNoticedAndComesBack) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("ORDERS", spec_.subjects);
  FakeCore core;
  const auto ingress = MakeIngress(server, &core);
  ASSERT_TRUE(WaitFor([&] { return core.CaughtUp(0); }));
  server.Pause();
  std::this_thread::sleep_for(std::chrono::seconds(1));
  server.Resume();
  Fill(client, 0, 100);
  EXPECT_TRUE(WaitFor([&] { return core.Distinct() == 100; }));
  core.Stop();
}

}  // namespace
}  // namespace expirer
