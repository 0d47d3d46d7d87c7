// What was cancelled or moved in time does not fire: after cuts of any length,
// whichever connection is back first, and after freezes of any length.

#include <atomic>
#include <chrono>
#include <csignal>
#include <set>
#include <thread>

#include "nats/service_world.h"
#include "support/proxy.h"

namespace expirer::test {
namespace {

constexpr int64_t kSettleMs = 2'000;

constexpr char kConfig[] = R"(
limits: { settle: 2s }
streams:
  - { name: TICKETING, subjects: ["order:created", "order:cancelled", "payment:created", "expiration:complete"] }
rules:
  - name: order-expiration
    reopen: false
    schedule: { subject: "order:created", key: /id, due: /expiresAt }
    cancel: { subject: "payment:created", key: /orderId }
    publish: { subject: "expiration:complete", body: '{"orderId":${/id}}' }
)";

void Sleep(int64_t ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }

std::string Id(const std::string& kind, size_t i) { return kind + std::to_string(i); }

std::string Payment(const std::string& id) { return "{\"orderId\":\"" + id + "\"}"; }

void Orders(TestClient* client, const std::string& kind, size_t count, int64_t due) {
  client->PublishMany("order:created", count,
                      [&](size_t i) { return OrderJson(Id(kind, i), due); });
}

void Payments(TestClient* client, const std::string& kind, size_t count) {
  client->PublishMany("payment:created", count,
                      [&](size_t i) { return Payment(Id(kind, i)); });
}

// How many of the ids that begin with `kind` fired, copies too.
size_t Fired(TestClient* client, const std::string& kind) {
  size_t fired = 0;
  for (const StoredMessage& one : client->ReadStream("TICKETING"))
    if (one.subject == "expiration:complete" &&
        one.payload.find('"' + kind) != std::string::npos)
      ++fired;
  return fired;
}

// Events for the rule, none of which matters, until it ends.
class Traffic {
 public:
  Traffic(const std::string& url, bool on) {
    if (on) thread_ = std::thread([this, url] { Run(url); });
  }
  ~Traffic() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }

 private:
  void Run(const std::string& url) {
    TestClient client(url);
    const int64_t due = NowMs() + 3'600'000;
    for (int i = 0; !stop_; ++i) {
      Orders(&client, "traffic" + std::to_string(i) + "-", 5, due);
      Sleep(4);
    }
  }
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

struct Cut {
  std::string name;
  std::string first;  // the connection that comes back first; "" = as it comes
  int64_t ms = 0;     // until the other one is back, from the due time on
  bool traffic = false;
};

class ServiceGateCut : public testing::TestWithParam<Cut> {};

TEST_P(ServiceGateCut, WhatWasPaidMeanwhileDoesNotFire) {
  const Cut& cut = GetParam();
  constexpr size_t kCount = 100;
  NatsServer server;
  TestClient client(server.url());
  Proxy link(server.port());
  Service service({.config = kConfig, .url = link.url()});
  service.StartReady();
  const int64_t due = NowMs() + 4'000;
  Orders(&client, "paid", kCount, due);
  Orders(&client, "unpaid", kCount, due);
  ASSERT_TRUE(service.WaitCounter("scheduled", 2 * kCount));
  link.Cut();
  ASSERT_TRUE(service.WaitLog("connection to NATS lost"));
  const Traffic traffic(server.url(), cut.traffic);
  Payments(&client, "paid", kCount);
  if (NowMs() >= due)
    GTEST_SKIP() << "too slow a machine: it was due before it was set up";
  ASSERT_TRUE(WaitFor([&] { return NowMs() > due; }));
  if (!cut.first.empty()) link.MendFor("-" + cut.first + "\"");
  Sleep(cut.ms);  // what must not count: no condition tells that it passed
  EXPECT_EQ(Fired(&client, ""), 0U);
  link.Mend();
  ASSERT_TRUE(WaitFor([&] { return Fired(&client, "unpaid") == kCount; }, kLongMs))
      << service.Log();
  ASSERT_GT(client.Publish("order:created", OrderJson("last", NowMs())), 0U);
  ASSERT_TRUE(WaitFor([&] { return Fired(&client, "last") == 1; }, kLongMs));
  EXPECT_EQ(Fired(&client, "paid"), 0U) << service.Log();
  EXPECT_EQ(Fired(&client, "unpaid"), kCount);
}

INSTANTIATE_TEST_SUITE_P(
    All, ServiceGateCut,
    testing::Values(Cut{"ShorterThanSettle", "", kSettleMs / 2, true},
                    Cut{"ThriceSettle", "", 3 * kSettleMs, false},
                    Cut{"ThriceSettleWithTraffic", "", 3 * kSettleMs, true},
                    Cut{"EgressIsBackFirst", "egress", 2 * kSettleMs, false},
                    Cut{"EgressIsBackFirstWithTraffic", "egress", 3 * kSettleMs, true},
                    Cut{"IngressIsBackFirst", "ingress", 2 * kSettleMs, false},
                    Cut{"IngressIsBackFirstWithTraffic", "ingress", 3 * kSettleMs, true}),
    [](const auto& one) { return one.param.name; });

class ServiceGateFreeze : public testing::TestWithParam<int64_t> {};

// The process stops so long before the orders are due that it goes on right after.
TEST_P(ServiceGateFreeze, WhatWasPaidOrMovedMeanwhileDoesNotFire) {
  const int64_t freeze_ms = GetParam();
  constexpr size_t kCount = 100;
  constexpr int kTries = 20;
  World world({.config = kConfig});
  world.service().StartReady();
  world.WaitForAnotherOrder();  // now it knows the target's stream
  const Traffic traffic(world.server().url(), true);
  TestClient& client = world.client();
  int kept = 0;
  for (int round = 0; round < kTries && kept < 3; ++round) {
    const std::string n = std::to_string(round) + "-";
    const int64_t due = NowMs() + 1'000 + freeze_ms;
    Orders(&client, "paid" + n, kCount, due);
    Orders(&client, "moved" + n, kCount, due);
    ASSERT_TRUE(WaitFor([&] { return NowMs() >= due - freeze_ms; }));
    world.service().Signal(SIGSTOP);
    const int64_t stopped = NowMs();
    Payments(&client, "paid" + n, kCount);
    Orders(&client, "moved" + n, kCount, due + 1'000);
    const bool in_time = NowMs() < due;
    while (NowMs() < std::max(due + 5, stopped + freeze_ms)) Sleep(1);
    world.service().Signal(SIGCONT);
    world.WaitForAnotherOrder();
    // What was moved fires then, and once.
    ASSERT_TRUE(WaitFor([&] { return Fired(&client, "moved" + n) >= kCount; }, kLongMs));
    world.WaitForAnotherOrder();
    if (!in_time) continue;  // too slow a machine for this round
    ++kept;
    EXPECT_EQ(Fired(&client, "paid" + n), 0U) << freeze_ms << " ms";
    EXPECT_EQ(Fired(&client, "moved" + n), kCount) << freeze_ms << " ms";
  }
  EXPECT_GT(kept, 0) << "too slow a machine for this test";
}

INSTANTIATE_TEST_SUITE_P(ForMs, ServiceGateFreeze,
                         testing::Values(50, 100, 300, 700, 1'200, 1'900, 3'000),
                         testing::PrintToStringParamName());

TEST(ServiceGate, ShortFreezesAreCountedAndLongOnesAreToldInTheLog) {
  World world({.config = kConfig});
  world.service().StartReady();
  world.WaitForAnotherOrder();
  world.service().Signal(SIGSTOP);
  Sleep(300);
  world.service().Signal(SIGCONT);
  ASSERT_TRUE(world.service().WaitCounter("gaps", 1));
  EXPECT_EQ(world.service().Log().find("stood still"), std::string::npos);
  world.service().Signal(SIGSTOP);
  Sleep(2'200);
  world.service().Signal(SIGCONT);
  EXPECT_TRUE(world.service().WaitLog("the process stood still"));
  EXPECT_TRUE(world.service().WaitCounter("standstills", 1));
}

}  // namespace
}  // namespace expirer::test
