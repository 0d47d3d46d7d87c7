// The service as a process: exit codes, probes, SIGTERM, one process a store.

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "nats/service_world.h"

namespace expirer::test {
namespace {

Outcome Health(World* world, const char* which) {
  return RunExpirer({"health", which, "--store", world->service().store()});
}

TEST(ServiceProcess, SecondProcessOnTheSameStoreIsRefusedInOneSentence) {
  World world;
  world.service().StartReady();
  const Outcome second = RunExpirer({"serve", "--store", world.service().store()},
                                    {{"NATS_URL", world.server().url()}});
  EXPECT_EQ(second.code, 1);
  EXPECT_EQ(Health(&world, "--live").code, 0) << "the first one's file is its own";
  EXPECT_NE(second.output.find("another process"), std::string::npos) << second.output;
  EXPECT_NE(second.output.find(world.service().store()), std::string::npos)
      << second.output;
  world.WaitForAnotherOrder();  // the first one never noticed
}

// A server that takes connections and says nothing: nats.c waits for its greeting.
TEST(ServiceProcess, AStopWaitsForNoAttemptToConnect) {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(listener, 16), 0);
  ASSERT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), 0);
  Service service({.config = "nats: { connect_timeout: 10m }\nrules:\n  - name: r\n"
                             "    schedule: { subject: in.r, key: /id, due: /at }\n"
                             "    publish: { subject: out.r }\n",
                   .url = "nats://127.0.0.1:" + std::to_string(ntohs(address.sin_port))});
  service.Start();
  for (int connection = 0; connection < 2; ++connection)  // ingress and egress
    ASSERT_GE(accept(listener, nullptr, nullptr), 0);
  EXPECT_EQ(service.Term(), 0) << service.Log();
  EXPECT_EQ(RunExpirer({"store", "verify", "--store", service.store()}).code, 0);
  close(listener);
}

TEST(ServiceProcess, UnknownConfigKeyIsAUsageErrorWithItsPlace) {
  const TempDir dir;
  const std::string path = dir.path() + "/config.yaml";
  std::ofstream(path) << "name: expirer\nretries: 3\n";
  const Outcome outcome =
      RunExpirer({"serve", "--config", path, "--store", dir.path() + "/s"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(outcome.output.find(path + ":2:1: retries"), std::string::npos)
      << outcome.output;
  EXPECT_EQ(RunExpirer({"serve", "--no-such-flag"}).code, 2);
  EXPECT_EQ(RunExpirer({"config", "check", path}).code, 2);
}

TEST(ServiceProcess, WithoutAConfigTheFirstLineWarnsAndNamesRuleStreamAndStore) {
  World world;
  world.service().StartReady();
  const std::string log = world.service().Log();
  const std::string first = log.substr(0, log.find('\n'));
  EXPECT_NE(first.find("level=warn"), std::string::npos) << first;
  EXPECT_NE(first.find("order-expiration"), std::string::npos) << first;
  EXPECT_NE(first.find("TICKETING"), std::string::npos) << first;
  EXPECT_NE(first.find(world.service().store()), std::string::npos) << first;
}

TEST(ServiceProcess, HealthTellsLiveFromReady) {
  World world({.server_up = false});
  EXPECT_EQ(Health(&world, "--live").code, 1) << "there is no process yet";
  world.service().Start();
  ASSERT_TRUE(WaitFor([&] { return Health(&world, "--live").code == 0; }, kLongMs));
  EXPECT_TRUE(WaitFor(
      [&] {
        const Outcome ready = Health(&world, "--ready");
        EXPECT_EQ(ready.code, 1);
        return ready.output.find("not connected to NATS") != std::string::npos;
      },
      kLongMs));
  world.StartServer();
  ASSERT_TRUE(WaitFor([&] { return Health(&world, "--ready").code == 0; }, kLongMs));
  world.server().Kill();
  ASSERT_TRUE(WaitFor([&] { return Health(&world, "--ready").code == 1; }, kLongMs));
  EXPECT_EQ(Health(&world, "--live").code, 0) << "liveness never depends on NATS";
  ASSERT_EQ(world.service().Term(), 0);
  EXPECT_EQ(Health(&world, "--ready").code, 1);
}

TEST(ServiceProcess, HealthOfAStartIsNotThatOfTheProcessBefore) {
  World world;
  world.service().StartReady();
  world.service().Kill9();
  EXPECT_EQ(Health(&world, "--live").code, 0) << "the file is seconds old";
  // A start that gets as far as the store and no further.
  std::ofstream(world.service().store() + "/CURRENT") << "nothing of ours\n";
  EXPECT_EQ(RunExpirer({"serve", "--store", world.service().store()}).code, 1);
  EXPECT_EQ(Health(&world, "--live").code, 1);
}

TEST(ServiceProcess, SigtermUnderLoadEndsCleanlyAndLosesNothing) {
  World world;
  world.service().StartReady();
  const int64_t start = NowMs();
  constexpr size_t kOrders = 2'000;
  world.client().PublishMany("order:created", kOrders, [&](size_t i) {
    return OrderJson("o" + std::to_string(i), start + static_cast<int64_t>(i) / 2);
  });
  EXPECT_EQ(world.service().Term(), 0) << world.service().Log();
  EXPECT_NE(world.service().Log().find("drained=true"), std::string::npos)
      << world.service().Log();
  world.service().StartReady();
  ASSERT_TRUE(world.WaitStored("expiration:complete", kOrders, "TICKETING"));
  world.WaitForAnotherOrder();
  EXPECT_EQ(world.Stored("expiration:complete").size(), kOrders + 1);
}

TEST(ServiceProcess, Sigusr1IsIgnored) {
  World world;
  world.service().StartReady();
  world.service().Signal(SIGUSR1);
  world.WaitForAnotherOrder();
  EXPECT_EQ(world.service().Term(), 0) << world.service().Log();
}

TEST(ServiceProcess, ItsStoreAndStatusFileAreTheirOwnersAloneWhateverTheUmask) {
  World world;
  const mode_t before = umask(0);
  world.service().StartReady();
  umask(before);
  const auto mode = [](const std::string& path) {
    return static_cast<unsigned>(std::filesystem::status(path).permissions());
  };
  EXPECT_EQ(mode(world.service().store()), 0700u);
  EXPECT_EQ(mode(world.service().status_path()), 0600u);
  for (const auto& entry : std::filesystem::directory_iterator(world.service().store()))
    EXPECT_EQ(mode(entry.path()), 0600u) << entry;
}

// As a terminal sends it that is closed; also where these tests are under nohup.
TEST(ServiceProcess, SighupDrainsAsSigtermDoes) {
  World world;
  const auto before = std::signal(SIGHUP, SIG_DFL);  // the service takes it over
  world.service().StartReady();
  std::signal(SIGHUP, before);
  world.service().Signal(SIGHUP);
  EXPECT_EQ(world.service().WaitExit(), 0) << world.service().Log();
  EXPECT_NE(world.service().Log().find("drained=true"), std::string::npos)
      << world.service().Log();
}

TEST(ServiceProcess, SighupIsIgnoredUnderNohup) {
  World world;
  const auto before = std::signal(SIGHUP, SIG_IGN);
  world.service().StartReady();
  std::signal(SIGHUP, before);
  world.service().Signal(SIGHUP);
  world.WaitForAnotherOrder();
  EXPECT_EQ(world.service().LogOfThisStart().find("draining"), std::string::npos);
  EXPECT_EQ(world.service().Term(), 0) << world.service().Log();
}

TEST(ServiceProcess, SigtermWithoutAServerEndsInTime) {
  World world;
  world.service().StartReady();
  const int64_t due = NowMs() + 500;
  world.Order("kept", due);
  ASSERT_TRUE(world.service().WaitCounter("scheduled", 1));
  world.server().Kill();
  EXPECT_EQ(world.service().Term(), 0) << world.service().Log();
  world.server().Start();
  world.service().StartReady();
  (void)world.WaitFired("kept");
}

TEST(ServiceProcess, SigtermWhileTheServerIsSilentEndsInTime) {
  World world;
  world.service().StartReady();
  world.WaitForAnotherOrder();  // now it knows the target's stream
  // After a gap in its own time it sends nothing before the server tells what came
  // meanwhile, and a slow machine makes such gaps: then it is tried again.
  size_t orders = 1;
  bool in_flight = false;
  for (int round = 0; round < 20 && !in_flight; ++round) {
    const int64_t due = NowMs() + 1'500;
    for (int i = 0; i < 50; ++i) world.Order("o" + std::to_string(orders++), due);
    ASSERT_TRUE(world.service().WaitCounter("scheduled", static_cast<int64_t>(orders)));
    world.server().Pause();
    in_flight = world.service().WaitStatus(
        "in_flight", "", [](int64_t now) { return now > 0; }, 5'000);
    if (!in_flight) world.server().Resume();
  }
  ASSERT_TRUE(in_flight);
  EXPECT_EQ(world.service().Term(), 0) << world.service().Log();
  world.server().Resume();
  world.service().StartReady();
  ASSERT_TRUE(world.WaitStored("expiration:complete", orders, "TICKETING"));
  world.WaitForAnotherOrder();
  EXPECT_EQ(world.Stored("expiration:complete").size(), orders + 1);
}

TEST(ServiceProcess, PendingJobsAreReadAgainAtTheNextStart) {
  World world;
  world.service().StartReady();
  const int64_t due = NowMs() + 8'000;
  world.Order("kept", due);
  ASSERT_TRUE(world.service().WaitCounter("scheduled", 1));
  ASSERT_EQ(world.service().Term(), 0);
  world.service().StartReady();
  const bool pending = world.service().WaitStatus(
      "pending", "", [](int64_t n) { return n == 1; }, due - NowMs());
  EXPECT_TRUE(pending || NowMs() >= due);  // a slow machine may be late for it
  ExpectExpiration(world.WaitFired("kept"), "kept", due);
}

}  // namespace
}  // namespace expirer::test
