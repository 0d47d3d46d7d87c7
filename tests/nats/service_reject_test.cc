// Bad input: kept, counted, announced, never delivered again, and never in the
// way of what is good.

#include <set>

#include "nats/service_world.h"

namespace expirer::test {
namespace {

constexpr char kDurable[] = "TICKETING.expirer-order-expiration";

// Every message delivered was acked or TERMed.
bool NothingUnacked(World* world) {
  const std::string info = world->client().Api(std::string("CONSUMER.INFO.") + kDurable);
  return Number(info, "num_ack_pending") == 0 && Number(info, "num_pending") == 0;
}

TEST(ServiceReject, BadEventsAreKeptAnnouncedAndTermedAndGoodOnesFlow) {
  World world;
  world.service().StartReady();
  TestClient announced(world.server().url());
  announced.Subscribe("expirer.v1.rejected.order-expiration");
  TestClient advised(world.server().url());
  advised.Subscribe("$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.>");

  const uint64_t before = world.client().StreamLastSeq("TICKETING");
  world.Publish("order:created", "no JSON at all");
  world.Publish("order:created", R"({"expiresAt":"2030-01-01T00:00:00Z"})");
  world.Publish("order:created", R"({"id":"x","expiresAt":"tomorrow"})");
  world.Publish("order:created", R"({"id":"x","expiresAt":"9999-12-31T23:59:59Z"})");
  world.Publish("payment:created", R"({"orderId":{"not":"a key"}})");
  const int64_t due = NowMs() + 200;
  world.Order("good", due);
  ExpectExpiration(world.WaitFired("good"), "good", due);

  std::set<int64_t> sequences;
  for (int i = 0; i < 5; ++i) {
    const auto one = announced.Next(kLongMs);
    ASSERT_TRUE(one.has_value()) << "announced only " << i;
    EXPECT_NE(one->payload.find("\"reason\":\""), std::string::npos) << one->payload;
    EXPECT_NE(one->payload.find("\"stream\":\"TICKETING\""), std::string::npos);
    sequences.insert(Number(one->payload, "seq"));
    ASSERT_TRUE(advised.Next(kLongMs).has_value()) << "TERMed only " << i;
  }
  const auto first = static_cast<int64_t>(before) + 1;
  EXPECT_EQ(sequences,
            std::set<int64_t>({first, first + 1, first + 2, first + 3, first + 4}));
  EXPECT_TRUE(world.service().WaitCounter("rejected", 5));
  EXPECT_EQ(world.service().Status("rejected", "rules"), 5);
  EXPECT_TRUE(WaitFor([&] { return NothingUnacked(&world); }, kLongMs));
}

TEST(ServiceReject, RejectedEventsStayOverARestartAndAreNotDeliveredAgain) {
  World world;
  world.service().StartReady();
  for (int i = 0; i < 3; ++i) world.Publish("order:created", "bad " + std::to_string(i));
  ASSERT_TRUE(world.service().WaitCounter("rejected", 3));
  ASSERT_TRUE(WaitFor([&] { return NothingUnacked(&world); }, kLongMs));
  world.service().Kill9();
  world.service().StartReady();
  world.WaitForAnotherOrder();
  EXPECT_TRUE(world.service().WaitCounter("fired", 1));
  EXPECT_EQ(world.service().Status("rejected", "counters"), 0);
  EXPECT_EQ(world.service().Status("rejected", "rules"), 3);
}

TEST(ServiceReject, EventThatMakesTooLargeAJobIsRejected) {
  World world({.config = R"(
limits: { payload: 1KB }
streams:
  - { name: TICKETING, subjects: ["order:created", "expiration:complete"] }
rules:
  - name: order-expiration
    schedule: { subject: "order:created", key: /id, due: /expiresAt }
    publish: { subject: "expiration:complete" }
)"});
  world.service().StartReady();
  TestClient announced(world.server().url());
  announced.Subscribe("expirer.v1.rejected.order-expiration");
  const std::string order = OrderJson("large", NowMs());
  world.Publish("order:created", order.substr(0, order.size() - 1) + R"(,"note":")" +
                                     std::string(2'000, 'x') + "\"}");
  const std::string small = OrderJson("small", NowMs());
  world.Publish("order:created", small);
  ASSERT_TRUE(world.WaitStored("expiration:complete", 1, "TICKETING"));
  EXPECT_EQ(world.Stored("expiration:complete")[0].payload, small);
  ASSERT_TRUE(announced.Next(kLongMs).has_value());
  EXPECT_TRUE(world.service().WaitCounter("rejected", 1));
  EXPECT_EQ(world.Stored("expiration:complete").size(), 1u);
}

}  // namespace
}  // namespace expirer::test
