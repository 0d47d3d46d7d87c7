// Many orders through the service as it comes: no config, the built-in rule.
//
//   EXPIRER_ORDERS=100000 ctest --preset nats -R ServiceMany
#include <algorithm>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "nats/service_world.h"
#include "support/ledger.h"

namespace expirer::test {
namespace {

constexpr size_t kChunk = 1'000;

uint64_t FromEnv(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

TEST(ServiceMany, OrdersFireOnceAndNotEarlyAndPaidOrCancelledOnesNever) {
  const auto orders = static_cast<size_t>(FromEnv("EXPIRER_ORDERS", 10'000));
  const uint64_t seed = FromEnv("EXPIRER_SEED", std::random_device{}());
  SCOPED_TRACE(fmt::format("EXPIRER_ORDERS={} EXPIRER_SEED={}", orders, seed));
  std::mt19937_64 random(seed);
  World world;
  world.service().StartReady();
  Ledger ledger;
  // Time to publish them all, then 5,000 a second.
  const int64_t first_ms = NowMs() + 2'000 + static_cast<int64_t>(orders / 8);
  std::uniform_int_distribution<int64_t> due(first_ms,
                                             first_ms + static_cast<int64_t>(orders / 5));
  const auto id = [](size_t i) { return fmt::format("order-{:06}", i); };
  std::vector<int64_t> dues(orders);
  for (size_t i = 0; i < orders; ++i) {
    dues[i] = due(random);
    ledger.Begin(id(i), dues[i]);
  }
  for (size_t from = 0; from < orders; from += kChunk) {
    const size_t count = std::min(kChunk, orders - from);
    world.client().PublishMany("order:created", count, [&](size_t i) {
      return OrderJson(id(from + i), dues[from + i]);
    });
    // A third does not expire: of every six one is paid and one cancelled.
    std::vector<std::string> paid;
    std::vector<std::string> cancelled;
    for (size_t i = from; i < from + count; ++i) {
      if (i % 6 == 1) paid.push_back(id(i));
      if (i % 6 == 4) cancelled.push_back(id(i));
    }
    for (const auto* ids : {&paid, &cancelled})
      for (const std::string& one : *ids) ledger.WillCancel(one);
    world.client().PublishMany("payment:created", paid.size(), [&](size_t i) {
      return fmt::format(R"({{"id":"p{}","orderId":"{}"}})", i, paid[i]);
    });
    world.client().PublishMany("order:cancelled", cancelled.size(), [&](size_t i) {
      return fmt::format(R"({{"id":"{}","version":1}})", cancelled[i]);
    });
    for (const auto* ids : {&paid, &cancelled})
      for (const std::string& one : *ids) ledger.Cancelled(one);
  }
  ASSERT_TRUE(WaitFor([&] { return NowMs() > ledger.last_due_ms(); }, 600'000));
  world.WaitForAnotherOrder();  // fires last, being due last
  std::vector<StoredMessage> fired = world.Stored("expiration:complete");
  ASSERT_FALSE(fired.empty());
  fired.pop_back();
  const Verdict verdict = Judge(ledger.orders(), fired);
  for (const std::string& example : verdict.examples) ADD_FAILURE() << example;
  EXPECT_TRUE(verdict.good());
  EXPECT_GT(verdict.in_time, 0u) << "too slow a machine: every cancel came too late";
  EXPECT_EQ(fired.size(), verdict.fired);
  fmt::print(
      "orders {}, paid or cancelled in time {}, fired {}, lost {}, early {}, "
      "doubled {}, fired though cancelled {}, wrong {}\n",
      verdict.orders, verdict.in_time, verdict.fired, verdict.lost, verdict.early,
      verdict.doubled, verdict.cancelled, verdict.wrong);
}

}  // namespace
}  // namespace expirer::test
