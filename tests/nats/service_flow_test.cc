// The ticketing flow through the whole service: what fires, when, how often,
// and what never does.

#include "job/fired.h"
#include "nats/service_world.h"

namespace expirer::test {
namespace {

// The built-in rule, but a key may be scheduled again.
constexpr char kReopening[] = R"(
streams:
  - { name: TICKETING, subjects: ["order:created", "order:cancelled", "expiration:complete"] }
rules:
  - name: order-expiration
    schedule: { subject: "order:created", key: /id, due: /expiresAt }
    cancel: { subject: "order:cancelled", key: /id }
    publish: { subject: "expiration:complete", body: '{"orderId":${/id}}' }
)";

TEST(ServiceFlow, UnpaidOrderFiresAtItsDueTimeWithTheBytesTheAppExpects) {
  World world;
  world.service().StartReady();
  const int64_t due = NowMs() + 700;
  world.Order("6f1a", due);
  ExpectExpiration(world.WaitFired("6f1a"), "6f1a", due);
  world.WaitForAnotherOrder();
  EXPECT_EQ(world.Fired("6f1a").size(), 1u);
}

// P2: by the id a rebuilt store, or another replica, would give it, too.
TEST(ServiceFlow, IdIsMadeOfServiceRuleKeyDueAndThePlaceOfTheEvent) {
  World world;
  world.service().StartReady();
  const int64_t due = NowMs() - 1'000;
  world.Order("a", due);
  const StoredMessage fired = world.WaitFired("a");
  const std::vector<StoredMessage> orders = world.Stored("order:created");
  ASSERT_EQ(orders.size(), 1u);
  Position place;
  place.seq = orders[0].seq;
  place.time_ns = orders[0].time_ns;
  EXPECT_EQ(fired.Header("Nats-Msg-Id"), "expirer/order-expiration/a/" +
                                             std::to_string(due) + "/" +
                                             SourceText(SourceHash("TICKETING", place)));
}

// Both in one duplicate window of the target's stream.
TEST(ServiceFlow, AJobMovedAwayAndBackAfterItsFireIsStoredTwice) {
  World world({.config = kReopening});
  world.service().StartReady();
  const int64_t due = NowMs() - 1'000;
  world.Order("a", due);
  ASSERT_TRUE(world.WaitStored("expiration:complete", 1, "TICKETING"));
  world.Order("a", NowMs() + 3'600'000);
  world.Order("a", due);
  ASSERT_TRUE(world.WaitStored("expiration:complete", 2, "TICKETING"));
}

TEST(ServiceFlow, OrderDueInThePastFiresAtOnce) {
  World world;
  world.service().StartReady();
  const int64_t due = NowMs() - 60'000;
  world.Order("late", due);
  ExpectExpiration(world.WaitFired("late"), "late", due);
}

TEST(ServiceFlow, PaidAndCancelledOrdersNeverFire) {
  World world;
  world.service().StartReady();
  const int64_t due = NowMs() + 2'500;
  world.Order("paid", due);
  world.Order("cancelled", due);
  world.Order("unpaid", due);
  world.Pay("paid");
  world.Cancel("cancelled");
  ASSERT_TRUE(world.service().WaitCounter("cancelled", 2));
  ExpectExpiration(world.WaitFired("unpaid"), "unpaid", due);
  world.WaitForAnotherOrder();
  EXPECT_EQ(world.Fired("paid").size(), 0u);
  EXPECT_EQ(world.Fired("cancelled").size(), 0u);
}

TEST(ServiceFlow, SameEventAgainFiresOnce) {
  World world;
  world.service().StartReady();
  const int64_t due = NowMs() + 700;
  world.Order("twice", due);
  world.Order("twice", due);
  ExpectExpiration(world.WaitFired("twice"), "twice", due);
  world.Order("twice", due);  // and again when it is long closed
  world.WaitForAnotherOrder();
  EXPECT_EQ(world.Fired("twice").size(), 1u);
}

TEST(ServiceFlow, CancelThatComesBeforeItsOrderWins) {
  World world;
  world.service().StartReady();
  world.Cancel("early");
  world.Pay("prepaid");
  const int64_t due = NowMs() + 300;
  world.Order("early", due);
  world.Order("prepaid", due);
  world.WaitForAnotherOrder();
  EXPECT_EQ(world.Fired("early").size(), 0u);
  EXPECT_EQ(world.Fired("prepaid").size(), 0u);
}

TEST(ServiceFlow, PaymentAfterTheFireChangesNothing) {
  World world;
  world.service().StartReady();
  world.Order("fired", NowMs());
  (void)world.WaitFired("fired");
  world.Pay("fired");
  world.Order("fired", NowMs());
  world.WaitForAnotherOrder();
  EXPECT_EQ(world.Fired("fired").size(), 1u);
}

TEST(ServiceFlow, NewerEventMovesTheJobLaterAndEarlier) {
  World world({.config = kReopening});
  world.service().StartReady();
  const int64_t now = NowMs();
  world.Order("later", now + 1'000);
  world.Order("later", now + 2'500);
  world.Order("sooner", now + 3'600'000);
  world.Order("sooner", now + 2'000);
  ExpectExpiration(world.WaitFired("later"), "later", now + 2'500);
  ExpectExpiration(world.WaitFired("sooner"), "sooner", now + 2'000);
  world.WaitForAnotherOrder();
  EXPECT_EQ(world.Fired("later").size(), 1u);
  EXPECT_EQ(world.Fired("sooner").size(), 1u);
  EXPECT_TRUE(world.service().WaitStatus("pending", "",
                                         [](int64_t pending) { return pending == 0; }));
}

TEST(ServiceFlow, ReopenedKeyFiresAgainForAnotherDueOnly) {
  World world({.config = kReopening});
  world.service().StartReady();
  const int64_t due = NowMs();
  world.Order("again", due);
  (void)world.WaitFired("again");
  world.Order("again", due);
  world.WaitForAnotherOrder();
  EXPECT_EQ(world.Fired("again").size(), 1u);
  world.Order("again", due + 1);
  EXPECT_TRUE(WaitFor([&] { return world.Fired("again").size() == 2; }, kLongMs));
}

TEST(ServiceFlow, OrdersFireInTheOrderOfTheirDueTimes) {
  World world;
  world.service().StartReady();
  const int64_t start = NowMs() + 1'000;
  for (int i = 0; i < 200; ++i)  // 37 and 200 share no factor: all dues differ
    world.Order("o" + std::to_string(i), start + i * 37 % 200);
  ASSERT_TRUE(world.WaitStored("expiration:complete", 200, "TICKETING"));
  const auto fired = world.Stored("expiration:complete");
  ASSERT_EQ(fired.size(), 200u);
  for (size_t i = 1; i < fired.size(); ++i)
    EXPECT_LT(fired[i - 1].Header("Expirer-Due"), fired[i].Header("Expirer-Due"));
}

TEST(ServiceFlow, TwoRulesOnOneSubjectEachReadTwoStreams) {
  World world({.config = R"(
rules:
  - name: expire
    reopen: false
    schedule: { subject: orders.created, key: /id, due: /expiresAt }
    cancel: { subject: payments.created, key: /orderId }
    publish: { subject: done.expired, body: '${key}' }
  - name: remind
    reopen: false
    schedule: { subject: orders.created, key: /id, delay: 200ms }
    cancel: { subject: payments.created, key: /orderId }
    publish: { subject: done.reminded, body: '${key}' }
)"});
  world.client().CreateStream("ORDERS", {"orders.>"});
  world.client().CreateStream("PAYMENTS", {"payments.>"});
  world.client().CreateStream("DONE", {"done.>"});
  world.service().StartReady();
  const int64_t due = NowMs() + 3'000;
  world.Publish("payments.created", R"({"orderId":"prepaid"})");
  for (const char* id : {"unpaid", "prepaid", "paid"})
    world.Publish("orders.created", OrderJson(id, due));
  ASSERT_TRUE(world.WaitStored("done.reminded", 2, "DONE"));
  world.Publish("payments.created", R"({"orderId":"paid"})");
  ASSERT_TRUE(world.service().WaitCounter("cancelled", 1));
  ASSERT_TRUE(world.WaitStored("done.expired", 1, "DONE"));
  world.Publish("orders.created", OrderJson("last", due));
  ASSERT_TRUE(world.WaitStored("done.expired", 2, "DONE"));
  const auto expired = world.Stored("done.expired", "DONE");
  EXPECT_EQ(expired[0].payload, "\"unpaid\"");
  EXPECT_EQ(expired[1].payload, "\"last\"");
  ASSERT_TRUE(world.WaitStored("done.reminded", 3, "DONE"));  // unpaid, paid, last
  EXPECT_EQ(world.Stored("done.reminded", "DONE").size(), 3u);
}

}  // namespace
}  // namespace expirer::test
