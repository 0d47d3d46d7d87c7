// How many threads the service has, and what it does when none can be made.
#include <filesystem>
#include <fstream>

#include <fmt/format.h>

#include "nats/service_world.h"

namespace expirer::test {
namespace {

// Rules r0, r1, ... that read in.<number> and write out.<number>, each tenth from
// core NATS.
std::string Rules(int count) {
  std::string config = "rules:\n";
  for (int i = 0; i < count; ++i)
    config += fmt::format(
        "  - name: r{0}\n{1}"
        "    schedule: {{ subject: in.{0}, key: /id, delay: 0s }}\n"
        "    publish: {{ subject: out.{0}{2} }}\n",
        i, i % 10 == 1 ? "    source: core\n" : "", i % 10 == 1 ? ", via: core" : "");
  return config;
}

size_t Threads(int pid) {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry :
       std::filesystem::directory_iterator(fmt::format("/proc/{}/task", pid)))
    ++count;
  return count;
}

// Those of a service with `count` rules, the last of which has fired.
size_t ThreadsWith(int count) {
  World w({.config = Rules(count)});
  w.client().CreateStream("IN", {"in.>", "out.>"});
  w.service().StartReady();
  const int last = count - 1;
  w.Publish(fmt::format("in.{}", last), R"({"id":"a"})");
  EXPECT_TRUE(w.WaitStored(fmt::format("out.{}", last), 1, "IN")) << w.service().Log();
  return Threads(w.service().pid());
}

TEST(ServiceThreads, AreNoMoreWith200RulesThanWithFive) {
  const size_t few = ThreadsWith(5);
  const size_t many = ThreadsWith(200);
  fmt::print("threads with 5 rules {}, with 200 rules {}\n", few, many);
  EXPECT_LE(many, few + 3);  // RocksDB's begin when there is work
}

#ifdef EXPIRER_THREADS_PRELOAD  // not with sanitizers, which bring their own allocator

bool HasThread(int pid, std::string_view wanted) {
  for (const auto& entry :
       std::filesystem::directory_iterator(fmt::format("/proc/{}/task", pid))) {
    std::string name;
    std::getline(std::ifstream(entry.path() / "comm"), name);
    if (name == wanted) return true;
  }
  return false;
}

// The allocator by itself gives back only while its threads allocate and free.
TEST(ServiceThreads, OneGivesBackFreedMemoryAlsoWhileTheServiceIsIdle) {
  World w;
  w.service().StartReady();
  EXPECT_TRUE(HasThread(w.service().pid(), "jemalloc_bg_thd"));
}

// While it is closed the service gets no further thread.
class ThreadLimit {
 public:
  [[nodiscard]] Environment Preload() const {
    return {{"LD_PRELOAD", EXPIRER_THREADS_PRELOAD}, {"EXPIRER_TEST_NO_THREADS", path_}};
  }
  void Close() const { std::ofstream(path_) << "none"; }
  void Lift() const { std::filesystem::remove(path_); }

 private:
  const TempDir dir_;
  const std::string path_ = dir_.path() + "/no-threads";
};

TEST(ServiceThreads, ARuleWhoseStreamComesLaterNeedsNone) {
  const ThreadLimit limit;
  World w({.config = Rules(1), .environment = limit.Preload()});
  w.service().Start();
  ASSERT_TRUE(w.service().WaitLog("no stream carries in.0")) << w.service().Log();
  limit.Close();
  w.client().CreateStream("IN", {"in.>", "out.>"});
  w.Publish("in.0", R"({"id":"a"})");
  EXPECT_TRUE(w.WaitStored("out.0", 1, "IN")) << w.service().Log();
  EXPECT_TRUE(w.service().WaitReady());
}

TEST(ServiceThreads, OneThatCannotBeMadeIsToldAndTriedAgain) {
  const ThreadLimit limit;
  World w({.config = Rules(3), .environment = limit.Preload(), .server_up = false});
  w.service().Start();
  ASSERT_TRUE(w.service().WaitLog("cannot connect to NATS"));
  limit.Close();
  w.StartServer();
  w.client().CreateStream("IN", {"in.>", "out.>"});
  const char* const kSentence = "no further thread can be made";
  EXPECT_TRUE(w.service().WaitLog(kSentence)) << w.service().Log();
  Outcome health;
  EXPECT_TRUE(WaitFor([&] {
    health = RunExpirer({"health", "--ready", "--store", w.service().store()});
    return health.output.find(kSentence) != std::string::npos;
  })) << health.output;
  EXPECT_EQ(health.code, 1);
  EXPECT_EQ(RunExpirer({"health", "--live", "--store", w.service().store()}).code, 0);
  limit.Lift();
  ASSERT_TRUE(w.service().WaitReady()) << w.service().Log();
  w.Publish("in.2", R"({"id":"a"})");
  EXPECT_TRUE(w.WaitStored("out.2", 1, "IN")) << w.service().Log();
}

// Without JetStream the service begins to answer requests 30 s after it connected:
// their threads are the ones that are missing.
TEST(ServiceThreads, OneThatIsMissingLaterIsToldAndTriedAgain) {
  const ThreadLimit limit;
  const NatsServer server({.jetstream = false});
  Service service(
      {.config = Rules(1), .url = server.url(), .environment = limit.Preload()});
  service.Start();
  ASSERT_TRUE(service.WaitLog("nobody answers $JS.API")) << service.Log();
  limit.Close();
  EXPECT_TRUE(service.WaitLog("no further thread can be made")) << service.Log();
  limit.Lift();
  TestClient client(server.url());
  EXPECT_TRUE(WaitFor([&] {
    return client.Request("$SRV.PING.expirer", "", 500).has_value();
  })) << service.Log();
}

TEST(ServiceThreads, AStartThatGetsNoneEndsWithASentence) {
  const ThreadLimit limit;
  limit.Close();
  Service service({.config = Rules(1), .environment = limit.Preload()});
  service.Start();
  EXPECT_EQ(service.WaitExit(), 1);
  EXPECT_NE(service.Log().find("no further thread can be made"), std::string::npos)
      << service.Log();
}

#endif

}  // namespace
}  // namespace expirer::test
