// Streams, consumers and servers that go away and come back: everything
// unpaid fires once, nothing paid fires, new events are read again.

#include <csignal>
#include <cstdlib>
#include <set>

#include "nats/service_world.h"
#include "support/proxy.h"

namespace expirer::test {
namespace {

constexpr char kDurable[] = "expirer-order-expiration";

bool HasDurable(World* world) {
  return Number(world->client().Api(std::string("CONSUMER.INFO.TICKETING.") + kDurable),
                "num_pending") >= 0;
}

// nats-server 2.9 may find its own file still being written and answer that
// the directory is not empty: the consumer is gone all the same.
void DeleteDurable(World* world) {
  const std::string reply =
      world->client().Api(std::string("CONSUMER.DELETE.TICKETING.") + kDurable);
  ASSERT_TRUE(reply.find("\"success\":true") != std::string::npos ||
              reply.find("directory not empty") != std::string::npos)
      << reply;
}

// Ids of what fired, each as often as it did.
std::multiset<std::string> FiredIds(World* world) {
  std::multiset<std::string> ids;
  for (const StoredMessage& one : world->Stored("expiration:complete"))
    ids.insert(one.payload.substr(12, one.payload.size() - 14));
  return ids;
}

TEST(ServiceOutage, DeletedDurableIsMadeAgainWhileRunning) {
  World world;
  world.service().StartReady();
  world.Order("fired", NowMs());
  (void)world.WaitFired("fired");
  const int64_t due = NowMs() + 1'500;
  world.Order("pending", due);
  ASSERT_TRUE(world.service().WaitCounter("scheduled", 2));
  DeleteDurable(&world);
  ASSERT_TRUE(WaitFor([&] { return HasDurable(&world); }, kLongMs));
  ExpectExpiration(world.WaitFired("pending"), "pending", due);
  world.WaitForAnotherOrder();
  EXPECT_EQ(FiredIds(&world),
            std::multiset<std::string>({"fired", "pending", "another-1"}));
}

TEST(ServiceOutage, WholeStreamReadAgainFiresNothingAgain) {
  World world;
  world.service().StartReady();
  world.Cancel("cancelled");
  world.Order("cancelled", NowMs());
  world.Order("fired", NowMs());
  (void)world.WaitFired("fired");
  const int64_t due = NowMs() + 3'000;
  world.Order("pending", due);
  ASSERT_TRUE(world.service().WaitCounter("scheduled", 2));
  // Without its durable, and before it noted how far it had read.
  world.service().Kill9();
  DeleteDurable(&world);
  world.service().StartReady();
  ExpectExpiration(world.WaitFired("pending"), "pending", due);
  world.WaitForAnotherOrder();
  EXPECT_EQ(FiredIds(&world),
            std::multiset<std::string>({"fired", "pending", "another-1"}));
  EXPECT_TRUE(world.service().WaitCounter("unchanged", 1)) << "nothing was read again";
}

TEST(ServiceOutage, StreamMadeAnewWithLowerSequencesIsRead) {
  World world;
  world.service().StartReady();
  for (int i = 0; i < 50; ++i) world.Order("filler-" + std::to_string(i), NowMs());
  const int64_t due = NowMs() + 8'000;
  world.Order("pending", due);
  world.Order("paid", due);
  ASSERT_TRUE(world.WaitStored("expiration:complete", 50, "TICKETING"));
  ASSERT_TRUE(world.service().WaitCounter("scheduled", 52));
  world.client().DeleteStream("TICKETING");
  // expirer makes its configured stream again.
  ASSERT_TRUE(WaitFor([&] { return HasDurable(&world); }, kLongMs));
  world.Pay("paid");
  if (NowMs() >= due)
    GTEST_SKIP() << "too slow a machine: it was due before it was set up";
  world.Order("filler-1", NowMs());  // is closed: it fired in the old stream
  world.WaitForAnotherOrder();
  ExpectExpiration(world.WaitFired("pending"), "pending", due);
  EXPECT_EQ(FiredIds(&world), std::multiset<std::string>({"pending", "another-1"}));
  EXPECT_TRUE(world.service().WaitCounter("rewinds", 1));
}

TEST(ServiceOutage, StreamDeletedToBeMadeInAnotherWayIsLeftToItsOwner) {
  World world;
  world.service().StartReady();
  world.WaitForAnotherOrder();
  world.client().DeleteStream("TICKETING");
  ASSERT_TRUE(world.service().WaitLog("a consumer broke off"));
  world.client().CreateStream(
      "TICKETING",
      {"order:created", "order:cancelled", "payment:created", "expiration:complete"},
      "\"max_msgs\":1000");
  ASSERT_TRUE(WaitFor([&] { return HasDurable(&world); }, kLongMs));
  world.WaitForAnotherOrder();
  EXPECT_EQ(Number(world.client().Api("STREAM.INFO.TICKETING"), "max_msgs"), 1'000);
}

TEST(ServiceOutage, ServerKilledInMidFlowLosesAndDoublesNothing) {
  World world;
  world.service().StartReady();
  const int64_t start = NowMs() + 500;
  std::multiset<std::string> expected;
  for (int i = 0; i < 60; ++i) {
    const std::string id = "o" + std::to_string(i);
    world.Order(id, start + i * 40);
    if (i % 3 == 0)
      world.Pay(id);
    else
      expected.insert(id);
  }
  ASSERT_TRUE(world.service().WaitCounter("cancelled", 20));
  ASSERT_TRUE(world.WaitStored("expiration:complete", 10, "TICKETING"));
  world.server().Kill();
  ASSERT_TRUE(world.service().WaitLog("connection to NATS lost"));
  world.server().Start();
  ASSERT_TRUE(world.WaitStored("expiration:complete", expected.size(), "TICKETING"));
  world.WaitForAnotherOrder();
  expected.insert("another-1");
  EXPECT_EQ(FiredIds(&world), expected);
}

TEST(ServiceOutage, ServerThatLostItsDiskGetsThePendingJobsAllTheSame) {
  World world;
  world.service().StartReady();
  const int64_t due = NowMs() + 5'000;
  std::multiset<std::string> expected;
  for (int i = 0; i < 20; ++i) {
    expected.insert("o" + std::to_string(i));
    world.Order("o" + std::to_string(i), due);
  }
  ASSERT_TRUE(world.service().WaitCounter("scheduled", 20));
  world.server().Kill();
  world.server().Wipe();
  world.server().Start();
  ASSERT_TRUE(WaitFor([&] { return HasDurable(&world); }, kLongMs));
  world.WaitForAnotherOrder();
  expected.insert("another-1");
  ASSERT_TRUE(world.WaitStored("expiration:complete", expected.size(), "TICKETING"));
  EXPECT_EQ(FiredIds(&world), expected);
}

TEST(ServiceOutage, StartsWithoutAServerAndWaitsForIt) {
  World world({.server_up = false});
  world.service().Start();
  ASSERT_TRUE(world.service().WaitLog("cannot connect to NATS"));
  EXPECT_TRUE(world.service().running());
  world.StartServer();
  ASSERT_TRUE(world.service().WaitReady(kLongMs));
  world.WaitForAnotherOrder();
}

// Two orders fall due while no process runs; `paid` is paid in that time.
void OutageWithPayment(World* world, const std::string& paid, const std::string& unpaid) {
  const int64_t due = NowMs() + 4'000;
  const int64_t scheduled = world->service().Status("scheduled", "counters").value_or(0);
  world->Order(paid, due);
  world->Order(unpaid, due);
  ASSERT_TRUE(world->service().WaitCounter("scheduled", scheduled + 2));
  world->service().Kill9();
  world->Pay(paid);
  if (NowMs() >= due)
    GTEST_SKIP() << "too slow a machine: it was due before it was set up";
  ASSERT_TRUE(WaitFor([&] { return NowMs() > due + 100; }));
  world->service().Start();
  ExpectExpiration(world->WaitFired(unpaid), unpaid, due);
  world->WaitForAnotherOrder();
}

TEST(ServiceOutage, PaymentThatCameWhileExpirerWasDownWins) {
  World world;
  world.service().StartReady();
#ifdef EXPIRER_MUTANTS
  const char* mutant = std::getenv("EXPIRER_MUTANT");
  if (mutant != nullptr && std::string_view(mutant) == "settle_off") {
    // The fault is a race that the payment may still win.
    size_t fired = 0;
    for (int round = 0; round < 20 && fired == 0; ++round) {
      const std::string paid = "paid" + std::to_string(round);
      OutageWithPayment(&world, paid, "un" + paid);
      fired = world.Fired(paid).size();
    }
    EXPECT_EQ(fired, 1u) << "the control did not show the fault";
    return;
  }
#endif
  OutageWithPayment(&world, "paid", "unpaid");
  EXPECT_EQ(world.Fired("paid").size(), 0u);
}

TEST(ServiceOutage, PaymentThatCameWhileExpirerWasFrozenWins) {
  World world;
  world.service().StartReady();
  world.WaitForAnotherOrder();  // now it knows the target's stream
  const int64_t due = NowMs() + 5'000;
  for (int i = 0; i < 20; ++i) world.Order("paid" + std::to_string(i), due);
  ASSERT_TRUE(world.service().WaitCounter("scheduled", 21));
  world.service().Signal(SIGSTOP);
  for (int i = 0; i < 20; ++i) world.Pay("paid" + std::to_string(i));
  if (NowMs() >= due)
    GTEST_SKIP() << "too slow a machine: it was due before it was set up";
  ASSERT_TRUE(WaitFor([&] { return NowMs() > due + 100; }));
  world.service().Signal(SIGCONT);
  world.WaitForAnotherOrder();
  EXPECT_NE(world.service().Log().find("the process stood still or the clock leapt"),
            std::string::npos);
  EXPECT_EQ(FiredIds(&world), std::multiset<std::string>({"another-1", "another-2"}));
}

TEST(ServiceOutage, PaymentThatCameWhileTheLinkWasCutWins) {
  NatsServer server;
  TestClient client(server.url());
  Proxy link(server.port());
  Service service({.url = link.url()});
  service.StartReady();
  const int64_t due = NowMs() + 5'000;
  for (const char* id : {"paid", "unpaid"})
    ASSERT_GT(client.Publish("order:created", OrderJson(id, due)), 0u);
  ASSERT_TRUE(service.WaitCounter("scheduled", 2));
  link.Cut();
  ASSERT_TRUE(service.WaitLog("connection to NATS lost"));
  ASSERT_GT(client.Publish("payment:created", R"({"orderId":"paid"})"), 0u);
  if (NowMs() >= due)
    GTEST_SKIP() << "too slow a machine: it was due before it was set up";
  ASSERT_TRUE(WaitFor([&] { return NowMs() > due + 100; }));
  link.Mend();
  ASSERT_TRUE(service.WaitCounter("fired", 1, kLongMs)) << service.Log();
  ASSERT_GT(client.Publish("order:created", OrderJson("last", NowMs())), 0u);
  ASSERT_TRUE(service.WaitCounter("fired", 2, kLongMs));
  std::vector<std::string> fired;
  for (const StoredMessage& one : client.ReadStream("TICKETING"))
    if (one.subject == "expiration:complete") fired.push_back(one.payload);
  EXPECT_EQ(fired, std::vector<std::string>(
                       {R"({"orderId":"unpaid"})", R"({"orderId":"last"})"}));
}

}  // namespace
}  // namespace expirer::test
