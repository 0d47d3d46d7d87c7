// What docs/operations.md tells to do with the directory of a stopped store.
#include <filesystem>

#include "base/clock.h"
#include "nats/service_world.h"
#include "support/temp_dir.h"

namespace expirer::test {
namespace {

TEST(ServiceBackup, AStoreThatWasCopiedWholeGoesOnElsewhereWithoutAFlag) {
  World world;
  world.service().StartReady();
  const int64_t due_ms = SystemClock().NowMs() + 10'000;
  world.Order("1", due_ms);
  ASSERT_TRUE(world.service().WaitCounter("scheduled", 1));
  ASSERT_EQ(world.service().Term(), 0);
  const TempDir other;
  std::filesystem::copy(world.service().store(), other.path() + "/store",
                        std::filesystem::copy_options::recursive);
  Service moved({.store = other.path() + "/store", .url = world.server().url()});
  moved.StartReady();
  ExpectExpiration(world.WaitFired("1"), "1", due_ms);
  world.WaitForAnotherOrder();
  ASSERT_EQ(moved.Term(), 0);
  // The copy has read on, so the first one is the older now.
  world.service().Start();
  EXPECT_EQ(world.service().WaitExit(), 1) << world.service().LogOfThisStart();
  EXPECT_NE(world.service().LogOfThisStart().find("restored from an older copy"),
            std::string::npos)
      << world.service().LogOfThisStart();
}

TEST(ServiceBackup, ACopyIsTriedWithoutAServer) {
  World world;
  world.service().StartReady();
  world.Order("1", SystemClock().NowMs() + 3'600'000);
  ASSERT_TRUE(world.service().WaitCounter("scheduled", 1));
  ASSERT_EQ(world.service().Term(), 0);
  const TempDir other;
  const std::string store = other.path() + "/store";
  std::filesystem::copy(world.service().store(), store,
                        std::filesystem::copy_options::recursive);
  Service whole({.store = store, .url = "nats://127.0.0.1:1"});
  whole.Start();
  EXPECT_TRUE(whole.WaitStatus("pending", "", [](int64_t n) { return n == 1; }))
      << whole.Log();
  ASSERT_EQ(whole.Term(), 0);
  // A file that a careless copy left out.
  std::filesystem::remove(store + "/SYNCED");
  for (const auto& entry : std::filesystem::directory_iterator(store))
    if (entry.path().extension() == ".sst" || entry.path().extension() == ".log")
      std::filesystem::remove(entry.path());
  Service part({.store = store, .url = "nats://127.0.0.1:1"});
  part.Start();
  EXPECT_EQ(part.WaitExit(), 1) << part.Log();
  EXPECT_NE(part.Log().find("expirer does not start"), std::string::npos) << part.Log();
}

}  // namespace
}  // namespace expirer::test
