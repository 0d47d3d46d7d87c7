// The whole service on a volume that is full, in bytes or in inodes.
#include <cerrno>
#include <cstring>

#include <gmock/gmock.h>

#include "base/clock.h"
#include "nats/service_world.h"
#include "support/temp_dir.h"
#include "support/volume.h"

namespace expirer::test {
namespace {

using ::testing::HasSubstr;

int64_t NowMs() { return SystemClock().NowMs(); }

// The built-in rule, on a volume smaller than limits.disk_free usually is.
constexpr char kConfig[] = R"(
limits: { disk_free: 48MB }
streams:
  - { name: TICKETING, subjects: ["order:created", "order:cancelled", "payment:created",
      "expiration:complete"] }
rules:
  - name: order-expiration
    reopen: false
    schedule: { subject: "order:created", key: /id, due: /expiresAt }
    cancel:
      - { subject: "order:cancelled", key: /id }
      - { subject: "payment:created", key: /orderId }
    publish: { subject: "expiration:complete", body: '{"orderId":${/id}}' }
)";

enum class Lack { kBytes, kInodes, kReserve };

class ServiceVolume : public testing::TestWithParam<Lack> {
 protected:
  void SetUp() override {
    if (!volume_.mounted()) GTEST_SKIP() << "mount: " << std::strerror(errno);
    world_.emplace(World::Options{.config = kConfig, .store = dir_.path() + "/store"});
  }
  void Fill() const {
    if (GetParam() == Lack::kInodes) return volume_.TakeInodes();
    volume_.TakeBytes(kMegabytes);
    if (GetParam() == Lack::kReserve) volume_.GiveBack(20'000'000);
  }
  Outcome Health(const char* flag) {
    return RunExpirer({"health", flag, "--store", world_->service().store()});
  }
  // Until it says that there is no room; and it goes on saying so.
  void ExpectLiveWithoutRoom() {
    std::string why;
    EXPECT_TRUE(WaitFor(
        [&] {
          const Outcome ready = Health("--ready");
          why = ready.output;
          return ready.code == 1 && why.find("has no room") != std::string::npos;
        },
        kLongMs))
        << why;
    const auto beat = [this] { return world_->service().Status("mono_ms").value_or(-1); };
    const int64_t before = beat();
    EXPECT_TRUE(WaitFor([&] { return beat() >= before + 2'000; }, kLongMs));
    const Outcome live = Health("--live");
    EXPECT_EQ(live.code, 0) << live.output;
  }

  static constexpr int kMegabytes = 160;
  const TempDir dir_;
  const Volume volume_{dir_.path(), "size=160m,nr_inodes=500"};
  std::optional<World> world_;
};

TEST_P(ServiceVolume, FilledWhileItRunsLeavesItLiveAndItGoesOnWhenThereIsRoom) {
  world_->service().StartReady();
  const int pid = world_->service().pid();
  world_->Order("1", NowMs() + 3'600'000);
  ASSERT_TRUE(world_->service().WaitCounter("scheduled", 1));
  Fill();
  ExpectLiveWithoutRoom();
  world_->Order("2", NowMs());
  volume_.Release();
  ASSERT_TRUE(world_->service().WaitReady());
  (void)world_->WaitFired("2");
  world_->WaitForAnotherOrder();
  EXPECT_EQ(world_->Fired("2").size(), 1u);
  EXPECT_EQ(world_->service().pid(), pid);
  EXPECT_EQ(world_->service().Term(), 0);
}

TEST_P(ServiceVolume, AStartWithoutRoomSaysSoAndWaitsLiveUntilThereIs) {
  world_->service().StartReady();
  world_->Order("1", NowMs() + 200);
  ASSERT_TRUE(world_->service().WaitCounter("scheduled", 1));
  world_->service().Kill9();
  Fill();
  world_->service().Start();
  ASSERT_TRUE(world_->service().WaitLog("no room to start: waiting for free space"));
  ExpectLiveWithoutRoom();
  EXPECT_EQ(world_->service().Term(), 0) << "stopped while it waits";
  EXPECT_THAT(Health("--ready").output, HasSubstr("stopped"));

  world_->service().Start();
  ExpectLiveWithoutRoom();
  volume_.Release();
  ASSERT_TRUE(world_->service().WaitReady());
  (void)world_->WaitFired("1");
  EXPECT_EQ(world_->service().Term(), 0);
}

std::string NameOf(const testing::TestParamInfo<Lack>& param) {
  constexpr const char* kNames[] = {"Bytes", "Inodes", "Reserve"};
  return kNames[static_cast<int>(param.param)];
}
INSTANTIATE_TEST_SUITE_P(Lacks, ServiceVolume,
                         testing::Values(Lack::kBytes, Lack::kInodes, Lack::kReserve),
                         NameOf);

}  // namespace
}  // namespace expirer::test
