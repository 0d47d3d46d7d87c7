// A store and a server that do not fit together: each is refused with one
// sentence, and decided by the flag it names.

#include <filesystem>
#include <vector>

#include "base/clock.h"
#include "nats/service_world.h"

namespace expirer::test {
namespace {

constexpr char kDurable[] = "expirer-order-expiration";

int64_t NowMs() { return SystemClock().NowMs(); }

// The service starts, refuses with `sentence`, and ends with 1.
void ExpectRefused(Service* service, const std::string& sentence) {
  service->Start();
  EXPECT_EQ(service->WaitExit(), 1) << service->LogOfThisStart();
  const std::string log = service->LogOfThisStart();
  EXPECT_NE(log.find("expirer does not start"), std::string::npos) << log;
  EXPECT_NE(log.find(sentence), std::string::npos) << log;
  EXPECT_EQ(log.find("cannot read a rule's streams"), std::string::npos) << log;
}

void CopyStore(const std::string& from, const std::string& to) {
  std::filesystem::remove_all(to);
  std::filesystem::copy(from, to, std::filesystem::copy_options::recursive);
}

// Orders 1 (due soon, fired by the first life), 2 (due meanwhile, while nothing
// runs) and 3 (due later), read by a store that is then lost.
struct Lost {
  World world;
  int64_t third_due_ms = 0;
  Lost() {
    world.service().StartReady();
    world.Order("1", NowMs() + 50);
    (void)world.WaitFired("1");
    const int64_t second_due_ms = NowMs() + 3'000;
    world.Order("2", second_due_ms);
    third_due_ms = NowMs() + 20'000;
    world.Order("3", third_due_ms);
    EXPECT_TRUE(world.service().WaitCounter("scheduled", 3));
    EXPECT_EQ(world.service().Term(), 0);
    EXPECT_EQ(world.Fired("2").size(), 0u) << "the machine is too slow for this test";
    std::filesystem::remove_all(world.service().store());
    while (NowMs() <= second_due_ms) (void)WaitFor([] { return false; }, 50);
  }
};

TEST(ServiceInstall, ASecondServiceOfTheSameNameIsRefused) {
  World world;
  world.service().StartReady();
  Service second({.url = world.server().url()});
  ExpectRefused(&second, "another service named expirer runs on this NATS");
  world.WaitForAnotherOrder();
  // A kill leaves no living service behind.
  world.service().Kill9();
  world.service().StartReady();
  world.WaitForAnotherOrder();
}

TEST(ServiceInstall, AnotherNameLivesBesideIt) {
  World world;
  world.service().StartReady();
  const std::string config =
      "name: other\nrules:\n"
      "  - name: orders\n"
      "    schedule: { subject: \"order:created\", key: /id, due: /expiresAt }\n"
      "    publish: { subject: \"expiration:complete\", body: '{}' }\n";
  Service second({.config = config, .url = world.server().url()});
  second.StartReady();
  EXPECT_EQ(second.Term(), 0);
}

TEST(ServiceInstall, ALostVolumeIsRefused) {
  Lost lost;
  ExpectRefused(&lost.world.service(),
                "consumer expirer-order-expiration of stream "
                "TICKETING belongs to another store");
  ExpectRefused(&lost.world.service(), "--adopt=rebuild");
}

TEST(ServiceInstall, ARebuiltStoreFiresWhatIsToComeAndKeepsWhatMayHaveFired) {
  Lost lost;
  World& world = lost.world;
  world.service().SetFlags({"--adopt=rebuild"});
  world.service().StartReady();
  const StoredMessage third = world.WaitFired("3");
  ExpectExpiration(third, "3", lost.third_due_ms);
  EXPECT_EQ(world.Fired("1").size(), 1u) << "fired a second time";
  EXPECT_EQ(world.Fired("2").size(), 0u);
  EXPECT_TRUE(world.service().WaitCounter("may_have_fired", 2));
  const Outcome dead = RunExpirer({"dead", "ls", "--json", "-s", world.server().url()});
  EXPECT_NE(dead.output.find("may have fired"), std::string::npos) << dead.output;
  EXPECT_NE(dead.output.find("order-expiration/2"), std::string::npos) << dead.output;
  // The flag stays where it was set: the next start has nothing to decide.
  EXPECT_EQ(world.service().Term(), 0);
  world.service().StartReady();
  EXPECT_EQ(world.service().LogOfThisStart().find("rebuild"), std::string::npos);
  world.WaitForAnotherOrder();
}

TEST(ServiceInstall, ARebuildFiresWhatIsOverdueWhenAskedFor) {
  Lost lost;
  lost.world.service().SetFlags({"--adopt=rebuild", "--fire-overdue"});
  lost.world.service().StartReady();
  (void)lost.world.WaitFired("2");
  (void)lost.world.WaitFired("3");
}

TEST(ServiceInstall, ARebuildKilledOverAndOverStillFiresNothingTwice) {
  Lost lost;
  World& world = lost.world;
  world.service().SetFlags({"--adopt=rebuild"});
  for (int i = 0; i < 4; ++i) {
    world.service().Start();
    if (i % 2 == 0)
      (void)world.service().WaitLog("rebuilding");
    else
      (void)world.service().WaitLog("connected to NATS");
    world.service().Kill9();
  }
  world.service().SetFlags({});
  world.service().StartReady();
  (void)world.WaitFired("3");
  EXPECT_EQ(world.Fired("1").size(), 1u);
  EXPECT_EQ(world.Fired("2").size(), 0u);
}

TEST(ServiceInstall, AdoptNewGoesOnWithoutTheJobsReadBefore) {
  Lost lost;
  World& world = lost.world;
  world.service().SetFlags({"--adopt=new"});
  world.service().StartReady();
  world.WaitForAnotherOrder();
  EXPECT_EQ(world.service().Status("pending"), 0);
  EXPECT_EQ(world.Fired("2").size(), 0u);
  EXPECT_EQ(world.service().Term(), 0);
  world.service().SetFlags({});  // they know each other now
  world.service().StartReady();
}

TEST(ServiceInstall, ARestoredVolumeIsRefusedAndRebuilt) {
  World world;
  const std::string store = world.service().store();
  const TempDir copy;
  world.service().StartReady();
  world.Order("old", NowMs() + 3'600'000);
  ASSERT_TRUE(world.service().WaitCounter("scheduled", 1));
  ASSERT_EQ(world.service().Term(), 0);
  CopyStore(store, copy.path() + "/store");
  world.service().StartReady();
  const int64_t due_ms = NowMs() + 15'000;
  world.Order("new", due_ms);
  world.Cancel("old");
  ASSERT_TRUE(world.service().WaitCounter("cancelled", 1));
  ASSERT_EQ(world.service().Term(), 0);
  CopyStore(copy.path() + "/store", store);
  ExpectRefused(&world.service(), "restored from an older copy");
  ExpectRefused(&world.service(),
                "was acked up to 3, but this store has only read up to 1");
  world.service().SetFlags({"--adopt=rebuild"});
  world.service().StartReady();
  EXPECT_TRUE(world.service().WaitCounter("cancelled", 1));
  ExpectExpiration(world.WaitFired("new"), "new", due_ms);
}

// Two accounts on one server: streams of one are not seen from the other.
constexpr char kTwoAccounts[] = R"(
accounts {
  A { jetstream: enabled, users: [{ user: a, password: a }] }
  B { jetstream: enabled, users: [{ user: b, password: b }] }
})";
Environment Login(const std::string& user) {
  return {{"NATS_USER", user}, {"NATS_PASSWORD", user}};
}

TEST(ServiceInstall, AnotherAccountsCredentialsAreRefusedUnlessToldToGoOn) {
  World world({.server_config = kTwoAccounts,
               .environment = Login("a"),
               .user = "a",
               .password = "a"});
  world.service().StartReady();
  world.Order("mine", NowMs() + 3'600'000);
  ASSERT_TRUE(world.service().WaitCounter("scheduled", 1));
  ASSERT_EQ(world.service().Term(), 0);

  Service stranger({.store = world.service().store(),
                    .url = world.server().url(),
                    .environment = Login("b")});
  ExpectRefused(&stranger,
                "stream TICKETING, which rule order-expiration has read up to");
  ExpectRefused(&stranger, "--adopt=new");
  stranger.SetFlags({"--adopt=rebuild"});
  ExpectRefused(&stranger,
                "stream TICKETING, which rule order-expiration has read up to");
  TestClient there(world.server().url(), "b", "b");
  EXPECT_EQ(there.Api("STREAM.INFO.TICKETING").find("TICKETING"), std::string::npos)
      << "made in a stranger's account";
  stranger.SetFlags({"--adopt=new"});
  stranger.StartReady();
  EXPECT_EQ(stranger.Term(), 0);
  // Back where it belongs all is as it was.
  world.service().StartReady();
  EXPECT_TRUE(world.service().WaitStatus("pending", "",
                                         [](int64_t pending) { return pending == 1; }));
  world.WaitForAnotherOrder();
}

TEST(ServiceInstall, AStreamThatIsGoneIsToldOnceAndMadeAgainWhereToldTo) {
  World world({.config = R"(
rules:
  - name: r
    schedule: { subject: old.in, key: /id, due: /expiresAt }
    publish: { subject: out.r, body: '{}' }
)"});
  world.client().CreateStream("OLD", {"old.in"});
  world.client().CreateStream("OUT", {"out.>"});
  world.service().StartReady();
  world.Publish("old.in", OrderJson("1", NowMs()));
  ASSERT_TRUE(world.WaitStored("out.r", 1, "OUT"));
  ASSERT_EQ(world.service().Term(), 0);
  world.client().DeleteStream("OLD");
  world.client().CreateStream("NEW", {"old.in"});
  ExpectRefused(&world.service(),
                "stream OLD, which rule r has read up to 1, does not exist");
  world.service().SetFlags({"--adopt=new"});
  world.service().StartReady();
  ASSERT_EQ(world.service().Term(), 0);
  world.service().SetFlags({});
  world.service().StartReady();
  world.Publish("old.in", OrderJson("2", NowMs()));
  EXPECT_TRUE(world.WaitStored("out.r", 2, "OUT"));
}

TEST(ServiceInstall, AnUnfitDurableIsRefusedAndReplaced) {
  World world;
  world.client().CreateStream("TICKETING", {"order:created", "order:cancelled",
                                            "payment:created", "expiration:complete"});
  const auto make = [&](const std::string& members) {
    world.client().DeleteConsumer("TICKETING", kDurable);
    (void)world.client().Api(
        std::string("CONSUMER.DURABLE.CREATE.TICKETING.") + kDurable,
        std::string(R"({"stream_name":"TICKETING","config":{"durable_name":")") +
            kDurable + "\"," + members + "}}");
  };
  (void)world.client().Api(
      std::string("CONSUMER.DURABLE.CREATE.TICKETING.") + kDurable,
      std::string(R"({"stream_name":"TICKETING","config":{"durable_name":")") + kDurable +
          R"(","ack_policy":"none"}})");
  ExpectRefused(&world.service(), "has ack policy none, expected explicit");
  make(R"("ack_policy":"explicit","max_deliver":5)");
  ExpectRefused(&world.service(), "gives up after 5 deliveries, expected -1");
  make(R"("ack_policy":"explicit","deliver_subject":"push.here")");
  ExpectRefused(&world.service(), "is push based");
  make(R"("ack_policy":"explicit","filter_subject":"order:cancelled")");
  ExpectRefused(&world.service(), "is nobody's yet and filters order:cancelled");
  world.service().SetFlags({"--adopt=new"});
  world.service().StartReady();
  world.WaitForAnotherOrder();
}

TEST(ServiceInstall, JobsOfARuleThatIsGoneAreRefusedHeldOrFired) {
  const auto config = [](const std::string& rule, const std::string& subject) {
    return "rules:\n  - name: " + rule + "\n    schedule: { subject: \"" + subject +
           "\", key: /id, due: /expiresAt }\n"
           "    publish: { subject: \"expiration:complete\", body: "
           "'{\"orderId\":${/id}}' }\n"
           "streams:\n"
           "  - { name: TICKETING, subjects: [\"order:created\", \"order:cancelled\", "
           "\"expiration:complete\"] }\n";
  };
  World world({.config = config("first", "order:created")});
  world.service().StartReady();
  const int64_t due_ms = NowMs() + 10'000;
  world.Order("a", due_ms);
  ASSERT_TRUE(world.service().WaitCounter("scheduled", 1));
  ASSERT_EQ(world.service().Term(), 0);
  world.service().SetConfig(config("second", "order:cancelled"));
  ExpectRefused(&world.service(), "pending jobs of rule \\\"first\\\"");
  world.service().SetFlags({"--orphans=hold"});
  world.service().StartReady();
  EXPECT_EQ(world.service().Term(), 0);
  world.service().SetFlags({"--orphans=fire"});
  world.service().StartReady();
  const StoredMessage fired = world.WaitFired("a");
  EXPECT_EQ(fired.Header("Expirer-Job"), "first/a");
  EXPECT_EQ(world.service().Term(), 0);
  world.service().SetFlags({});
  world.service().StartReady();
}

}  // namespace
}  // namespace expirer::test
