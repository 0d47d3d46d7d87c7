#include "app/exposition.h"

#include <atomic>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "app/metrics.h"

namespace expirer {
namespace {

using ::testing::HasSubstr;

class ExpositionTest : public testing::Test {
 protected:
  void Publish(bool ready, const std::string& why = "") {
    Status status;
    status.mono_ms = clock_.MonotonicMs();
    status.beat_mono_ms = clock_.MonotonicMs();
    status.ready = ready;
    status.not_ready_why = why;
    exposition_.Publish(std::move(status), {});
  }
  int Code(std::string_view path) { return exposition_.Answer(path).code; }

  const Config config_ = DefaultConfig();
  VirtualClock clock_{0};
  Exposition exposition_{&config_, &clock_};
};

TEST_F(ExpositionTest, BeforeTheFirstStatusEverythingIsUnavailable) {
  for (const char* path : {"/metrics", "/healthz", "/readyz"}) EXPECT_EQ(Code(path), 503);
  EXPECT_EQ(Code("/"), 404);
}

TEST_F(ExpositionTest, ProbesTellLiveFromReady) {
  Publish(true);
  EXPECT_EQ(Code("/healthz"), 200);
  EXPECT_EQ(Code("/readyz"), 200);
  Publish(false, "not connected to NATS");
  EXPECT_EQ(Code("/healthz"), 200) << "liveness never depends on NATS";
  EXPECT_EQ(exposition_.Answer("/readyz").body, "not connected to NATS\n");
  EXPECT_EQ(Code("/readyz"), 503);
}

TEST_F(ExpositionTest, ACoreOrWatcherThatStandsStillIsNotLive) {
  Publish(true);
  clock_.Advance(kBeatMaxMs);
  EXPECT_EQ(Code("/healthz"), 200);
  clock_.Advance(1);
  EXPECT_EQ(Code("/healthz"), 503);
  EXPECT_EQ(Code("/readyz"), 503);
  EXPECT_THAT(exposition_.Answer("/healthz").body, HasSubstr("no sign of life"));
}

TEST_F(ExpositionTest, AStartIsLiveAndHasNoMetricsYet) {
  Status status;
  status.starting = true;
  status.not_ready_why = "waiting for room to start";
  exposition_.Publish(std::move(status), {});
  EXPECT_EQ(Code("/healthz"), 200);
  for (const char* path : {"/metrics", "/readyz"}) {
    EXPECT_EQ(Code(path), 503);
    EXPECT_EQ(exposition_.Answer(path).body, "waiting for room to start\n");
  }
}

TEST_F(ExpositionTest, MetricsAreThoseOfTheLastStatus) {
  Publish(true);
  EXPECT_EQ(exposition_.Answer("/metrics").type, kMetricsType);
  EXPECT_THAT(exposition_.Answer("/metrics").body, HasSubstr("\nexpirer_ready 1\n"));
  Publish(false);
  EXPECT_THAT(exposition_.Answer("/metrics").body, HasSubstr("\nexpirer_ready 0\n"));
}

TEST_F(ExpositionTest, OnlyItsThreePathsAreThere) {
  Publish(true);
  for (const char* path : {"/", "/metrics/", "/metrics/x", "/livez", "", "//metrics"})
    EXPECT_EQ(Code(path), 404) << path;
}

TEST_F(ExpositionTest, IsAskedWhileItIsTold) {
  std::atomic<bool> done = false;
  std::thread teller([&] {
    for (int i = 0; i < 200; ++i) Publish(i % 2 == 0);
    done = true;
  });
  while (!done) {
    const HttpResponse response = exposition_.Answer("/metrics");
    EXPECT_TRUE(response.code == 200 || response.body == "the store is being opened\n");
  }
  teller.join();
}

}  // namespace
}  // namespace expirer
