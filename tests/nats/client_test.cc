// The client commands of the binary against a running service: what they
// print, and their exit codes.

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>

#include "nats/service_world.h"

namespace expirer::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class ClientWorld : public World {
 public:
  ClientWorld() { service().StartReady(); }

  Outcome Run(std::vector<std::string> args, const Environment& environment = {}) {
    args.insert(args.end(), {"-s", server().url()});
    return RunExpirer(args, environment);
  }
  void OrderKnown(std::string_view id, int64_t due_ms) {
    Order(id, due_ms);
    ASSERT_TRUE(WaitFor(
        [&] {
          return Run({"get", "order-expiration/" + std::string(id)}).code == 0;
        },
        kLongMs));
  }
};

TEST(ServiceClient, GetListAndCancelPrintAndSayHowItWent) {
  ClientWorld world;
  world.OrderKnown("a", NowMs() + 3'600'000);
  const Outcome list = world.Run({"ls"});
  EXPECT_EQ(list.code, 0);
  EXPECT_THAT(list.output, HasSubstr("order-expiration/a  pending"));
  const Outcome lines = world.Run({"ls", "--json", "--rule", "order-expiration"});
  EXPECT_THAT(lines.output, HasSubstr("{\"job\":\"order-expiration/a\",\"state\""));
  EXPECT_EQ(std::count(lines.output.begin(), lines.output.end(), '\n'), 1);
  EXPECT_THAT(world.Run({"get", "order-expiration/a"}).output,
              HasSubstr("target: expiration:complete"));
  const Outcome cancelled = world.Run({"cancel", "order-expiration/a"});
  EXPECT_EQ(cancelled.code, 0);
  EXPECT_EQ(cancelled.output, "order-expiration/a: cancelled\n");
  const Outcome unknown = world.Run({"cancel", "order-expiration/b"});
  EXPECT_EQ(unknown.code, 1);
  EXPECT_EQ(unknown.output, "order-expiration/b: unknown\n");
  EXPECT_EQ(world.Run({"get", "order-expiration/b"}).code, 1);
}

TEST(ServiceClient, NoControlCharacterOfAKeyReachesTheTerminalAndJsonIsExact) {
  ClientWorld world;
  const std::string key = "a\x1b[2J\xC2\x9B\xE2\x80\xAE\nb";
  const std::string shown = R"(order-expiration/a\u001b[2J\u009b\u202e\nb)";
  world.Publish("order:created", R"({"id":"a\u001b[2J\u009b\u202e\nb","expiresAt":")" +
                                     Iso(NowMs() + 3'600'000) + "\"}");
  ASSERT_TRUE(world.service().WaitCounter("scheduled", 1));
  const std::string job = "order-expiration/" + key;
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"ls"}, {"get", job}, {"cancel", job}}) {
    const Outcome run = world.Run(command);
    EXPECT_EQ(run.code, 0) << run.output;
    EXPECT_THAT(run.output, HasSubstr(shown)) << command[0];
    for (const char* raw : {"\x1b", "\xC2\x9B", "\xE2\x80\xAE"})
      EXPECT_THAT(run.output, Not(HasSubstr(raw))) << command[0];
  }
  EXPECT_THAT(world.Run({"get", "--json", job}).output, HasSubstr("\xE2\x80\xAE\\nb\""));
}

TEST(ServiceClient, ListGoesThroughAllPages) {
  ClientWorld world;
  world.client().PublishMany("order:created", 2'500, [](size_t i) {
    return OrderJson("o" + std::to_string(i), NowMs() + 3'600'000);
  });
  ASSERT_TRUE(world.service().WaitCounter("scheduled", 2'500));
  const std::string all = world.Run({"ls", "--json", "--limit", "0"}).output;
  EXPECT_EQ(std::count(all.begin(), all.end(), '\n'), 2'500);
  const Outcome some = world.Run({"ls", "--json"});
  EXPECT_THAT(some.output, HasSubstr("there are more"));
}

TEST(ServiceClient, StatsAndTheDeadStore) {
  ClientWorld world;
  world.Publish("order:created", "no JSON");
  ASSERT_TRUE(world.service().WaitCounter("rejected", 1));
  EXPECT_THAT(world.Run({"stats"}).output, HasSubstr("limits.window.max: 1000000"));
  EXPECT_THAT(world.Run({"dead", "ls"}).output, HasSubstr("rejected"));
  EXPECT_EQ(world.Run({"dead", "purge"}).code, 2) << "all of it, without a word?";
  EXPECT_THAT(world.Run({"dead", "requeue", "--all"}).output,
              HasSubstr("still_rejected: 1"));
  EXPECT_THAT(world.Run({"dead", "purge", "--all", "--dry-run"}).output,
              HasSubstr("purged: 1"));
  EXPECT_EQ(world.Run({"dead", "purge", "--rule", "order-expiration"}).code, 0);
  EXPECT_THAT(world.Run({"dead", "ls"}).output, Not(HasSubstr("rejected")));
}

TEST(ServiceClient, UsageIsTwoAndNobodyThereIsOneInOneSentence) {
  ClientWorld world;
  EXPECT_EQ(world.Run({"get"}).code, 2);
  EXPECT_EQ(world.Run({"get", "no-slash"}).code, 2);
  EXPECT_EQ(world.Run({"ls", "--nonsense"}).code, 2);
  for (const std::string limit : {"-1", "1.5", "some"}) {
    EXPECT_EQ(world.Run({"ls", "-n", limit}).code, 2) << limit;
    EXPECT_EQ(world.Run({"dead", "ls", "--limit", limit}).code, 2) << limit;
  }
  EXPECT_EQ(world.Run({"ls", "--context", "nobody"}).code, 2);
  const Outcome other = world.Run({"ls", "--name", "other"});
  EXPECT_EQ(other.code, 1);
  EXPECT_THAT(other.output, HasSubstr("no service called other answers"));
  EXPECT_EQ(std::count(other.output.begin(), other.output.end(), '\n'), 1);
  const Outcome nowhere =
      RunExpirer({"stats", "-s", "nats://127.0.0.1:1", "--timeout", "300ms"});
  EXPECT_EQ(nowhere.code, 1);
  EXPECT_THAT(nowhere.output, HasSubstr("no connection to NATS at"));
  EXPECT_EQ(std::count(nowhere.output.begin(), nowhere.output.end(), '\n'), 1)
      << nowhere.output;
}

TEST(ServiceClient, DoctorTellsWhatIsThereAndWhatIsNot) {
  ClientWorld world;
  const Environment here = {{"EXPIRER_STORE", world.service().store()}};
  const Outcome well = world.Run({"doctor"}, here);
  EXPECT_EQ(well.code, 0) << well.output;
  for (const char* line : {"ok    connection:", "stream of order:created: TICKETING",
                           "ok    consumer expirer-order-expiration of TICKETING:",
                           "clock:", "ok    service: expirer answers, 0 pending",
                           "ok    permissions:", "ok    store:"})
    EXPECT_THAT(well.output, HasSubstr(line));
  EXPECT_THAT(well.output, Not(HasSubstr("round trip")));
  const Outcome trip = world.Run({"doctor", "--round-trip"}, here);
  EXPECT_EQ(trip.code, 0) << trip.output;
  EXPECT_THAT(trip.output, HasSubstr("ok    round trip: a job due in 200 ms was stored"));
  // The status file is up to 1.5 s old.
  EXPECT_TRUE(WaitFor([&] { return world.service().Status("pending") == 0; }));
  const Outcome away =
      RunExpirer({"doctor", "-s", "nats://127.0.0.1:1", "--timeout", "300ms"}, here);
  EXPECT_EQ(away.code, 1);
  EXPECT_THAT(away.output, HasSubstr("FAIL  connection:"));
  world.client().DeleteConsumer("TICKETING", "expirer-order-expiration");
  ASSERT_EQ(world.service().Term(), 0);
  const Outcome stopped = world.Run({"doctor"}, here);
  EXPECT_THAT(stopped.output, HasSubstr("warn  service: no service called expirer"));
  EXPECT_THAT(stopped.output, HasSubstr("warn  store:"));
  EXPECT_EQ(world.Run({"doctor", "--round-trip"}, here).code, 1);
}

TEST(ServiceClient, ContextsAndTheEnvironmentSayWhereNatsIs) {
  ClientWorld world;
  const TempDir home;
  const std::string dir = home.path() + "/nats/context";
  std::filesystem::create_directories(dir);
  std::ofstream(dir + "/mine.json")
      << R"({"description":"","url":")" << world.server().url() << R"(","user":""})";
  const Environment here = {{"XDG_CONFIG_HOME", home.path()}};
  EXPECT_EQ(RunExpirer({"ls", "--context", "mine"}, here).code, 0);
  Environment named = here;
  named.emplace_back("NATS_CONTEXT", "mine");
  EXPECT_EQ(RunExpirer({"ls"}, named).code, 0);
  std::ofstream(home.path() + "/nats/context.txt") << "mine\n";
  EXPECT_EQ(RunExpirer({"ls"}, here).code, 0);
  Environment url = here;  // the environment goes before a context
  url.emplace_back("NATS_URL", "nats://127.0.0.1:1");
  EXPECT_EQ(RunExpirer({"ls", "--timeout", "300ms"}, url).code, 1);
  EXPECT_EQ(RunExpirer({"ls"}, {{"NATS_URL", world.server().url()}}).code, 0);
}

}  // namespace
}  // namespace expirer::test
