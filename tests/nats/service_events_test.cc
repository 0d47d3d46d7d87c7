// `events` of a rule, as those hear them who subscribe.

#include "nats/service_world.h"

namespace expirer::test {
namespace {

constexpr char kConfig[] = R"(
streams:
  - { name: TICKETING, subjects: ["order:created", "payment:created", "expiration:complete"] }
rules:
  - name: order
    schedule: { subject: "order:created", key: /id, due: /expiresAt }
    cancel: { subject: "payment:created", key: /orderId }
    publish: { subject: "expiration:complete", body: '{"orderId":${/id}}' }
    events: [scheduled, cancelled, fired]
)";

TEST(ServiceEvents, OneSubscriptionFollowsAnOrderToItsEnd) {
  World::Options options;
  options.config = kConfig;
  World world(options);
  world.service().StartReady();
  TestClient listener(world.server().url());
  listener.Subscribe("expirer.v1.event.>");
  world.Order("paid", NowMs() + 3'600'000);
  world.Pay("paid");
  world.Order("late", NowMs() + 300);
  for (const auto& [kind, key] : {std::pair("scheduled", "paid"),
                                  {"cancelled", "paid"},
                                  {"scheduled", "late"},
                                  {"fired", "late"}}) {
    const auto event = listener.Next(kLongMs);
    ASSERT_TRUE(event.has_value()) << kind;
    EXPECT_EQ(event->subject, std::string("expirer.v1.event.") + kind + ".order");
    EXPECT_NE(event->payload.find(std::string(R"("job":"order/)") + key + '"'),
              std::string::npos)
        << event->payload;
  }
}

}  // namespace
}  // namespace expirer::test
