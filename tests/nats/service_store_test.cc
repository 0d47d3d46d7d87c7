// A service's store through `store dump` and `store load`, and beside it.
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/clock.h"
#include "nats/service_world.h"

namespace expirer::test {
namespace {

int64_t NowMs() { return SystemClock().NowMs(); }

// `expirer store ARGS`, which must succeed.
void StoreDo(std::vector<std::string> args) {
  args.insert(args.begin(), "store");
  const Outcome outcome = RunExpirer(args);
  EXPECT_EQ(outcome.code, 0) << outcome.output;
}

std::string Dump(const std::string& store, const std::string& file) {
  StoreDo({"dump", "--store", store, "--out", file});
  std::ifstream in(file, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

TEST(ServiceStore, ALoadedStoreGoesOnWhereTheDumpedOneStood) {
  World world;
  world.service().StartReady();
  world.Order("1", NowMs() + 50);
  (void)world.WaitFired("1");
  const int64_t due_ms = NowMs() + 5'000;
  world.Order("2", due_ms);
  world.Order("3", NowMs() + 3'600'000);
  ASSERT_TRUE(world.service().WaitCounter("scheduled", 3));
  ASSERT_EQ(world.service().Term(), 0);

  const std::string store = world.service().store();
  const TempDir dir;
  const std::string dump = Dump(store, dir.path() + "/dump");
  std::filesystem::remove_all(store);
  StoreDo({"load", dir.path() + "/dump", "--store", store});
  EXPECT_EQ(Dump(store, dir.path() + "/again"), dump);

  // The same store to its consumers: no flag is needed.
  world.service().StartReady();
  ExpectExpiration(world.WaitFired("2"), "2", due_ms);
  world.Pay("3");
  world.WaitForAnotherOrder();
  EXPECT_EQ(world.Fired("1").size(), 1u);
  EXPECT_EQ(world.Fired("2").size(), 1u);
  EXPECT_EQ(world.Fired("3").size(), 0u);
  EXPECT_EQ(world.service().Term(), 0);
  StoreDo({"verify", "--store", store});
}

TEST(ServiceStore, ARunningServicesStoreIsRefusedToTheTools) {
  World world;
  world.service().StartReady();
  for (const std::string command : {"verify", "stats", "dump"}) {
    const Outcome outcome =
        RunExpirer({"store", command, "--store", world.service().store()});
    EXPECT_EQ(outcome.code, 1);
    EXPECT_NE(outcome.output.find("is in use by another process"), std::string::npos)
        << outcome.output;
  }
  world.WaitForAnotherOrder();
  // A killed one leaves what can be read, and found whole.
  world.service().Kill9();
  StoreDo({"verify", "--store", world.service().store()});
}

}  // namespace
}  // namespace expirer::test
