// The ticketing app's own transport: expirer in the place of its expiration
// service, on a real nats-streaming-server, told by three variables only.
//
//   EXPIRER_STAN_SERVER=build/go/nats-streaming-server scripts/test dev -R ServiceStan
#include "support/stan_server.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "nats/service_world.h"
#include "support/ledger.h"

namespace expirer::test {
namespace {

#if defined(EXPIRER_STAN)

class ServiceStan : public testing::Test {
 protected:
  static constexpr char kDone[] = "expiration:complete";

  void SetUp() override {
    if (StanServerBinary().empty())
      GTEST_SKIP() << "no nats-streaming-server here: go install "
                      "github.com/nats-io/nats-streaming-server@v0.25.6, and name it in "
                      "EXPIRER_STAN_SERVER";
    Begin(StanServer::Store::kFile);
  }
  void Begin(StanServer::Store store, const std::string& config = "") {
    service_.reset();
    client_.reset();
    server_ = std::make_unique<StanServer>(store);
    Service::Options options;
    options.config = config;
    // As the app's manifest writes it.
    options.url = "http" + server_->url().substr(4);
    options.environment = {{"NATS_CLUSTER_ID", "ticketing"},
                           {"NATS_CLIENT_ID", "expiration-depl-7d9c-x2x"}};
    service_ = std::make_unique<Service>(options);
    client_ = std::make_unique<StanClient>(server_->url());
    client_->Collect(kDone);
  }
  void Order(std::string_view id, int64_t due_ms) {
    client_->Publish("order:created", OrderJson(id, due_ms));
  }
  void Pay(std::string_view id) {
    client_->Publish("payment:created",
                     fmt::format(R"({{"id":"p1","orderId":"{}","stripeId":"s"}})", id));
  }
  void Cancel(std::string_view id) {
    client_->Publish(
        "order:cancelled",
        fmt::format(R"({{"id":"{}","version":1,"ticket":{{"id":"t"}}}})", id));
  }
  std::vector<StoredMessage> Fired(std::string_view id) {
    std::vector<StoredMessage> all = client_->Collected();
    std::erase_if(all, [&](const StoredMessage& m) {
      return m.payload != fmt::format(R"({{"orderId":"{}"}})", id);
    });
    return all;
  }
  // Fires last of all that is due by now.
  void WaitForAnotherOrder() {
    const std::string id = "another-" + std::to_string(++others_);
    Order(id, NowMs());
    ASSERT_TRUE(WaitFor([&] { return !Fired(id).empty(); })) << service_->Log();
  }

  std::unique_ptr<StanServer> server_;
  std::unique_ptr<StanClient> client_;
  std::unique_ptr<Service> service_;
  int others_ = 0;
};

TEST_F(ServiceStan, OrderExpiresAtItsTimeWithTheBodyTheAppExpects) {
  service_->StartReady();
  const int64_t due = NowMs() + 1'000;
  Order("o1", due);
  ASSERT_TRUE(WaitFor([&] { return !Fired("o1").empty(); })) << service_->Log();
  const std::vector<StoredMessage> all = client_->Collected();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].payload, R"({"orderId":"o1"})");
  EXPECT_GE(all[0].time_ns, due * 1'000'000) << "fired early";
}

TEST_F(ServiceStan, PaidAndCancelledOrdersDoNotExpire) {
  service_->StartReady();
  const int64_t due = NowMs() + 5'000;
  for (const char* const id : {"paid", "cancelled", "neither"}) Order(id, due);
  Cancel("before");
  Order("before", due);
  Pay("paid");
  Cancel("cancelled");
  ASSERT_TRUE(service_->WaitCounter("cancelled", 2));
  if (NowMs() >= due)
    GTEST_SKIP() << "too slow a machine: it was due before it was set up";
  ASSERT_TRUE(WaitFor([&] { return !Fired("neither").empty(); })) << service_->Log();
  WaitForAnotherOrder();
  EXPECT_EQ(client_->Collected().size(), 2u);
}

TEST_F(ServiceStan, AnOrderPublishedTwiceExpiresOnce) {
  service_->StartReady();
  const int64_t due = NowMs() + 500;
  Order("twice", due);
  Order("twice", due);
  WaitForAnotherOrder();
  ASSERT_TRUE(WaitFor([&] { return !Fired("twice").empty(); }));
  Order("twice", due);
  WaitForAnotherOrder();
  EXPECT_EQ(Fired("twice").size(), 1u);
}

TEST_F(ServiceStan, PaymentThatCameWhileExpirerWasDeadWins) {
  service_->StartReady();
  const int64_t due = NowMs() + 3'000;
  Order("paid", due);
  Order("unpaid", due);
  ASSERT_TRUE(service_->WaitCounter("scheduled", 2));
  if (NowMs() >= due)
    GTEST_SKIP() << "too slow a machine: it was due before it was set up";
  service_->Kill9();
  Pay("paid");
  ASSERT_TRUE(WaitFor([&] { return NowMs() > due; }));
  service_->StartReady();
  ASSERT_TRUE(WaitFor([&] { return !Fired("unpaid").empty(); })) << service_->Log();
  WaitForAnotherOrder();
  EXPECT_TRUE(Fired("paid").empty());
  EXPECT_EQ(Fired("unpaid").size(), 1u);
  EXPECT_EQ(service_->Log().find("did not catch up within limits.settle"),
            std::string::npos);
}

// More than the server delivers without acks: the end is told before it is read.
TEST_F(ServiceStan, ThousandsOfPaymentsThatCameWhileExpirerWasDeadAllWin) {
  std::ifstream rules("examples/ticketing/expirer.yaml");
  std::stringstream config;
  config << rules.rdbuf() << "limits: { settle: 10m }\n";
  Begin(StanServer::Store::kFile, config.str());
  service_->StartReady();
  constexpr size_t kOrders = 3'000;
  const int64_t due = NowMs() + 15'000;
  const auto id = [](size_t i) { return "o" + std::to_string(i); };
  client_->PublishMany("order:created", kOrders,
                       [&](size_t i) { return OrderJson(id(i), due); });
  ASSERT_TRUE(service_->WaitCounter("scheduled", kOrders));
  if (NowMs() >= due)
    GTEST_SKIP() << "too slow a machine: it was due before it was set up";
  service_->Kill9();
  client_->PublishMany("payment:created", kOrders, [&](size_t i) {
    return fmt::format(R"({{"id":"p","orderId":"{}"}})", id(i));
  });
  ASSERT_TRUE(WaitFor([&] { return NowMs() > due; }));
  service_->StartReady();
  WaitForAnotherOrder();
  EXPECT_EQ(client_->Collected().size(), 1u) << service_->LogOfThisStart();
}

TEST_F(ServiceStan, ServerRestartedWithItsFilesLosesNothing) {
  service_->StartReady();
  const int64_t due = NowMs() + 2'000;
  Order("during", due);
  Order("paid", NowMs() + 600'000);
  ASSERT_TRUE(service_->WaitCounter("scheduled", 2));
  server_->Kill();
  ASSERT_TRUE(service_->WaitLog("connection to NATS Streaming lost"));
  ASSERT_TRUE(WaitFor([&] { return NowMs() > due; }));
  server_->Start();
  client_->Reconnect();
  Pay("paid");
  ASSERT_TRUE(WaitFor([&] { return !Fired("during").empty(); })) << service_->Log();
  EXPECT_EQ(Fired("during").size(), 1u);
  ASSERT_TRUE(service_->WaitCounter("cancelled", 1)) << service_->Log();
  WaitForAnotherOrder();
}

TEST_F(ServiceStan, ServerThatForgotEverythingIsReadFromItsNewBeginning) {
  Begin(StanServer::Store::kMemory);
  service_->StartReady();
  for (int i = 0; i < 20; ++i) Order("filler-" + std::to_string(i), NowMs());
  const int64_t due = NowMs() + 6'000;
  Order("pending", due);
  ASSERT_TRUE(service_->WaitCounter("scheduled", 21));
  ASSERT_TRUE(service_->WaitCounter("fired", 20));
  server_->Kill();
  server_->Start();
  client_->Reconnect();
  WaitForAnotherOrder();
  ASSERT_TRUE(WaitFor([&] { return !Fired("pending").empty(); })) << service_->Log();
}

TEST_F(ServiceStan, DrainsAndComesBackToWhatCameMeanwhile) {
  service_->StartReady();
  WaitForAnotherOrder();
  EXPECT_EQ(service_->Term(), 0);
  Order("meanwhile", NowMs());
  service_->StartReady();
  ASSERT_TRUE(WaitFor([&] { return !Fired("meanwhile").empty(); })) << service_->Log();
  EXPECT_EQ(service_->Term(), 0);
}

// Stopped while fires are on their way and nothing answers: neither they nor the
// connection's own closing may hold the process.
TEST_F(ServiceStan, SigtermWhileTheServerIsSilentEndsInTime) {
  service_->StartReady();
  WaitForAnotherOrder();
  // Well before 5 s of silence end the connection: nothing is sent after that.
  const int64_t due = NowMs() + 2'500;
  constexpr int kOrders = 50;
  for (int i = 0; i < kOrders; ++i) Order("o" + std::to_string(i), due);
  ASSERT_TRUE(service_->WaitCounter("scheduled", kOrders + 1));
  if (NowMs() >= due)
    GTEST_SKIP() << "too slow a machine: it was due before it was set up";
  const int64_t gaps = service_->Status("gaps", "counters").value_or(0);
  server_->Pause();
  const bool sent = service_->WaitStatus(
      "in_flight", "", [](int64_t now) { return now > 0; }, 10'000);
  if (!sent && service_->Status("gaps", "counters").value_or(0) > gaps)
    GTEST_SKIP() << "too slow a machine: a thread stood still, so nothing is sent before "
                    "a look that the silent server does not answer";
  ASSERT_TRUE(sent) << service_->Log();
  EXPECT_EQ(service_->Term(), 0) << service_->Log();
  server_->Resume();
  service_->StartReady();
  for (int i = 0; i < kOrders; ++i)
    ASSERT_TRUE(WaitFor([&] { return !Fired("o" + std::to_string(i)).empty(); }))
        << service_->Log();
}

TEST_F(ServiceStan, SigtermWhileAConnectIsNotAnsweredEndsInTime) {
  service_->StartReady();
  server_->Pause();
  ASSERT_TRUE(service_->WaitLog("connection to NATS Streaming lost"));
  ASSERT_TRUE(service_->WaitLog("no NATS Streaming, trying on")) << service_->Log();
  EXPECT_EQ(service_->Term(), 0) << service_->Log();
  server_->Resume();
  service_->StartReady();
  client_->Reconnect();  // the server may have given it up
  WaitForAnotherOrder();
}

// NATS answers, and the streaming server beside it does not.
TEST_F(ServiceStan, SigtermWhileOnlyTheStreamingServerIsSilentEndsInTime) {
  service_.reset();
  client_.reset();
  NatsServer nats;
  server_ = std::make_unique<StanServer>(StanServer::Store::kFile, nats.url());
  Service::Options options;
  options.url = nats.url();
  options.environment = {{"NATS_CLUSTER_ID", "ticketing"}, {"NATS_CLIENT_ID", "one"}};
  service_ = std::make_unique<Service>(options);
  client_ = std::make_unique<StanClient>(nats.url());
  client_->Collect(kDone);
  service_->StartReady();
  const int64_t due = NowMs() + 5'000;
  Order("o1", due);
  ASSERT_TRUE(service_->WaitCounter("scheduled", 1));
  if (NowMs() >= due)
    GTEST_SKIP() << "too slow a machine: it was due before it was set up";
  const int64_t gaps = service_->Status("gaps", "counters").value_or(0);
  server_->Pause();
  const bool sent = service_->WaitStatus(
      "in_flight", "", [](int64_t now) { return now > 0; }, kLongMs);
  if (!sent && service_->Status("gaps", "counters").value_or(0) > gaps)
    GTEST_SKIP() << "too slow a machine: a thread stood still, so nothing is sent before "
                    "a look that the silent server does not answer";
  ASSERT_TRUE(sent) << service_->Log();
  EXPECT_EQ(service_->Term(), 0) << service_->Log();
  service_->Start();  // and again, with nothing but a connect that nobody answers
  ASSERT_TRUE(service_->WaitLog("no NATS Streaming, trying on")) << service_->Log();
  EXPECT_EQ(service_->Term(), 0) << service_->Log();
  server_->Resume();
  service_->StartReady();
  ASSERT_TRUE(WaitFor([&] { return !Fired("o1").empty(); })) << service_->Log();
}

TEST_F(ServiceStan, BadEventsAreKeptAndDoNotStallGoodOnes) {
  service_->StartReady();
  client_->Publish("order:created", "no JSON at all");
  client_->Publish("order:created", R"({"id":"x","expiresAt":"tomorrow"})");
  client_->Publish("order:created", R"({"id":"y"})");
  WaitForAnotherOrder();
  EXPECT_TRUE(service_->WaitCounter("rejected", 3)) << service_->Log();
  ASSERT_TRUE(service_->WaitCounter("fired", 1));  // else there may be a second copy
  service_->Kill9();
  service_->StartReady();
  WaitForAnotherOrder();
  EXPECT_EQ(client_->Collected().size(), 2u);
}

// The way on to JetStream: both on one nats-server.
TEST_F(ServiceStan, ReadsOneSideAndPublishesOnBothAndNeitherDelaysTheOther) {
  NatsServer nats;
  StanServer streaming(StanServer::Store::kFile, nats.url());
  TestClient jetstream(nats.url());
  jetstream.CreateStream("NEW", {"expiration:complete", "in.order"});
  Service::Options options;
  options.url = nats.url();
  options.config = R"(nats: { stan: { cluster: ticketing } }
rules:
  - name: both
    source: stan
    schedule: { subject: "order:created", key: /id, due: /expiresAt }
    publish:
      - { name: old, subject: "expiration:complete", via: stan, body: '{"orderId":${/id}}' }
      - { name: new, subject: "expiration:complete", body: '{"orderId":${/id}}' }
  - name: other
    schedule: { subject: in.order, key: /id, due: /expiresAt }
    publish: { subject: "expiration:complete", body: '{"orderId":${/id}}' }
)";
  Service service(options);
  service.StartReady();
  StanClient app(nats.url());
  app.Collect(kDone);
  app.Publish("order:created", OrderJson("o1", NowMs()));
  const auto on_jetstream = [&](const std::string& id) {
    for (const StoredMessage& one : jetstream.ReadStream("NEW"))
      if (one.payload == R"({"orderId":")" + id + "\"}") return true;
    return false;
  };
  ASSERT_TRUE(WaitFor([&] { return app.Collected().size() == 1; })) << service.Log();
  ASSERT_TRUE(WaitFor([&] { return on_jetstream("o1"); })) << service.Log();
  app.Publish("order:created", OrderJson("later", NowMs() + 1'500));
  ASSERT_TRUE(service.WaitCounter("scheduled", 4));
  streaming.Kill();
  jetstream.Publish("in.order", OrderJson("o2", NowMs()));
  ASSERT_TRUE(WaitFor([&] { return on_jetstream("o2"); })) << service.Log();
  streaming.Start();
  ASSERT_TRUE(WaitFor([&] { return on_jetstream("later"); })) << service.Log();
  app.Reconnect();
  ASSERT_TRUE(WaitFor([&] { return app.Collected().size() == 2; })) << service.Log();
}

uint64_t FromEnv(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// What the app's services do, many times, over a kill of expirer while it takes
// orders in and one of the streaming server while orders expire.
TEST_F(ServiceStan, ManyOrdersAcrossKillsOfBothSidesEachEndRight) {
  const auto orders = static_cast<size_t>(FromEnv("EXPIRER_ORDERS", 10'000));
  const uint64_t seed = FromEnv("EXPIRER_SEED", std::random_device{}());
  SCOPED_TRACE(fmt::format("EXPIRER_ORDERS={} EXPIRER_SEED={}", orders, seed));
  std::mt19937_64 random(seed);
  service_->StartReady();
  Ledger ledger;
  const int64_t first_ms = NowMs() + 8'000 + static_cast<int64_t>(orders / 2);
  std::uniform_int_distribution<int64_t> due(first_ms,
                                             first_ms + static_cast<int64_t>(orders / 2));
  const auto id = [](size_t i) { return fmt::format("{:024x}", i); };
  std::vector<int64_t> dues(orders);
  for (size_t i = 0; i < orders; ++i) {
    dues[i] = due(random);
    ledger.Begin(id(i), dues[i]);
  }
  constexpr size_t kChunk = 500;
  for (size_t from = 0; from < orders; from += kChunk) {
    const size_t count = std::min(kChunk, orders - from);
    if (from / kChunk == orders / kChunk / 2) service_->Kill9();
    client_->PublishMany("order:created", count, [&](size_t i) {
      return OrderJson(id(from + i), dues[from + i]);
    });
    std::vector<std::string> paid;
    std::vector<std::string> cancelled;
    for (size_t i = from; i < from + count; ++i) {
      if (i % 6 == 1) paid.push_back(id(i));
      if (i % 6 == 4) cancelled.push_back(id(i));
    }
    for (const auto* ids : {&paid, &cancelled})
      for (const std::string& one : *ids) ledger.WillCancel(one);
    client_->PublishMany("payment:created", paid.size(), [&](size_t i) {
      return fmt::format(R"({{"id":"p{}","orderId":"{}","stripeId":"s"}})", i, paid[i]);
    });
    client_->PublishMany("order:cancelled", cancelled.size(), [&](size_t i) {
      return fmt::format(R"({{"id":"{}","version":1,"ticket":{{"id":"t"}}}})",
                         cancelled[i]);
    });
    for (const auto* ids : {&paid, &cancelled})
      for (const std::string& one : *ids) ledger.Cancelled(one);
    if (!service_->running()) service_->Start();
  }
  const size_t expected = orders - orders / 3;
  ASSERT_TRUE(
      WaitFor([&] { return client_->Collected().size() >= expected / 3; }, 600'000))
      << service_->Log();
  server_->Kill();
  server_->Start();
  client_->Reconnect();
  ASSERT_TRUE(WaitFor([&] { return ledger.Missing(client_->Collected()) == 0; }, 600'000))
      << service_->Log();
  WaitForAnotherOrder();
  std::vector<StoredMessage> fired = client_->Collected();
  std::erase_if(fired, [](const StoredMessage& m) {
    return m.payload.find("another-") != std::string::npos;
  });
  // NATS Streaming has no headers: the id cannot be wrong.
  for (StoredMessage& one : fired) {
    const std::string order = FiredId(one.payload);
    const size_t number = std::strtoull(order.c_str(), nullptr, 16);
    if (order.size() == 24 && number < orders)
      one.headers.emplace("Nats-Msg-Id", fmt::format("expirer/{}/{}/{}/{:016x}", kRule,
                                                     order, dues[number], 0));
  }
  const Verdict verdict = Judge(ledger.orders(), fired);
  for (const std::string& example : verdict.examples)
    if (example.find("more than once") == std::string::npos) ADD_FAILURE() << example;
  EXPECT_EQ(verdict.lost + verdict.early + verdict.cancelled + verdict.wrong, 0u);
  // Nor does it know a second copy: only of what was on its way when the server
  // died, with its PubAck lost, there may be one.
  EXPECT_LE(fired.size() - verdict.fired, 4'096u);
  EXPECT_GT(verdict.in_time, 0u) << "too slow a machine: every cancel came too late";
  fmt::print(
      "orders {}, paid or cancelled in time {}, fired {}, lost {}, early {}, "
      "doubled {}, fired though cancelled {}, wrong {}\n",
      verdict.orders, verdict.in_time, verdict.fired, verdict.lost, verdict.early,
      verdict.doubled, verdict.cancelled, verdict.wrong);
}

#else

TEST(ServiceStan, IsSkippedWithoutIt) {
  GTEST_SKIP() << "this nats.c was built without its streaming API";
}

#endif  // EXPIRER_STAN

}  // namespace
}  // namespace expirer::test
