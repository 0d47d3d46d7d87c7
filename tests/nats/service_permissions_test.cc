// The NATS permissions of SECURITY.md, read from there: with exactly those the
// ticketing flow runs, and each that is taken away is named in the log.
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "nats/service_world.h"
#include "support/stan_server.h"

namespace expirer::test {
namespace {

struct Permissions {
  std::vector<std::string> publish;
  std::vector<std::string> subscribe;
  bool responses = false;
};

// The quoted subjects of SECURITY.md, one a line: of its first block, or its second,
// for NATS Streaming.
Permissions Documented(int block = 1) {
  Permissions documented;
  std::ifstream file("SECURITY.md");
  std::vector<std::string>* into = nullptr;
  int at = 0;
  for (std::string line; std::getline(file, line);) {
    if (line.find("publish: { allow: [") != line.npos) ++at;
    if (at != block) continue;
    const size_t begin = line.find_first_not_of(' ');
    if (line.find("publish: { allow: [") != line.npos) into = &documented.publish;
    if (line.find("subscribe: { allow: [") != line.npos) into = &documented.subscribe;
    if (line.find("allow_responses: {") != line.npos) documented.responses = true;
    if (into == nullptr || begin == line.npos) continue;
    if (line[begin] == ']') into = nullptr;
    if (into != nullptr && line[begin] == '"')
      into->push_back(line.substr(begin + 1, line.rfind('"') - begin - 1));
  }
  return documented;
}

std::string Lines(const std::vector<std::string>& subjects) {
  std::string out;
  for (const std::string& subject : subjects) out += "    \"" + subject + "\"\n";
  return out;
}

World::Options Granting(const Permissions& granted) {
  World::Options options;
  options.server_config = fmt::format(
      "authorization {{ users = [\n"
      "  {{ user: admin, password: a }}\n"
      "  {{ user: expirer, password: e, permissions: {{\n"
      "  publish: {{ allow: [\n{}] }}\n  subscribe: {{ allow: [\n{}] }}\n{} }} }}\n] "
      "}}\n",
      Lines(granted.publish), Lines(granted.subscribe),
      granted.responses ? "  allow_responses: { max: 1, expires: \"1m\" }\n" : "");
  const Outcome built_in = RunExpirer({"config", "default"});
  options.config = built_in.output;
  const std::string before = "nats: { ";
  options.config.insert(options.config.find(before) + before.size(),
                        "inbox_prefix: _INBOX_expirer, ");
  const std::string reopen = "    reopen: false";
  options.config.insert(options.config.find(reopen), "    events: [scheduled, fired]\n");
  options.environment = {{"NATS_USER", "expirer"}, {"NATS_PASSWORD", "e"}};
  options.user = "admin";
  options.password = "a";
  return options;
}

Outcome RoundTrip(World* world) {
  return RunExpirer({"doctor", "--round-trip", "--timeout", "2s", "--server",
                     world->server().url(), "--user", "admin", "--password", "a"});
}

// Stopped, on a volume from before the last event, and told to rebuild.
void RestoreAnOlderVolume(World* world) {
  const std::filesystem::path store = world->service().store();
  const std::filesystem::path older = store.string() + ".older";
  ASSERT_EQ(world->service().Term(), 0);
  std::filesystem::copy(store, older, std::filesystem::copy_options::recursive);
  world->service().StartReady();
  world->client().PublishCore("order:created", "no JSON either");
  ASSERT_TRUE(world->service().WaitCounter("rejected", 1));
  ASSERT_EQ(world->service().Term(), 0);
  std::filesystem::remove_all(store);
  std::filesystem::rename(older, store);
  world->service().SetFlags({"--adopt=rebuild"});
}

TEST(ServicePermissions, ThoseOfSecurityMdRunTheWholeFlow) {
  const Permissions documented = Documented();
  ASSERT_GT(documented.publish.size(), 10u);
  ASSERT_EQ(documented.subscribe.size(), 3u);
  World world(Granting(documented));
  world.service().StartReady();
  const int64_t due_ms = NowMs() + 1'500;
  world.Order("paid", due_ms);
  world.Order("one", due_ms);
  world.Pay("paid");
  world.client().Publish("order:created", "no JSON");
  ExpectExpiration(world.WaitFired("one"), "one", due_ms);
  EXPECT_TRUE(world.Fired("paid").empty());
  EXPECT_TRUE(world.service().WaitCounter("rejected", 1));
  const Outcome trip = RoundTrip(&world);
  EXPECT_EQ(trip.code, 0) << trip.output;
  EXPECT_NE(trip.output.find("ok    round trip"), std::string::npos) << trip.output;
  EXPECT_TRUE(
      world.service().WaitStatus("in_flight", "", [](int64_t now) { return now == 0; }));
  RestoreAnOlderVolume(&world);
  world.service().StartReady();
  EXPECT_NE(world.service().Log().find("rebuilt"), std::string::npos);
  for (const char* wrong : {"Permissions Violation", "no permission", "to be retried"})
    EXPECT_EQ(world.service().Log().find(wrong), std::string::npos) << wrong;
}

// As in the chart, where the test's pod is the service's own user.
TEST(ServicePermissions, TheTwoMoreOfSecurityMdLetTheServicesUserTestIt) {
  Permissions granted = Documented();
  World::Options options = Granting(granted);
  World denied(options);
  denied.service().StartReady();
  const auto as_service = [](World* world, std::vector<std::string> args) {
    args.insert(args.end(), {"--server", world->server().url(), "--user", "expirer",
                             "--password", "e", "--timeout", "2s"});
    return RunExpirer(args);
  };
  const std::vector<std::string> list = {"ls", "--inbox-prefix", "_INBOX_expirer"};
  const Outcome refused = as_service(&denied, list);
  EXPECT_EQ(refused.code, 1);
  EXPECT_NE(refused.output.find("NATS does not let this user ask: Permissions Violation "
                                "for Publish to \"expirer.v1.list\""),
            std::string::npos)
      << refused.output;

  for (const char* more : {"expirer.v1.stats", "expirer.v1.round-trip"})
    granted.publish.emplace_back(more);
  World world(Granting(granted));
  world.service().StartReady();
  const std::string config = world.service().store() + "/../doctor.yaml";
  std::ofstream(config) << Granting(granted).config;
  const Outcome trip = as_service(&world, {"doctor", "--round-trip", "--config", config});
  EXPECT_EQ(trip.code, 0) << trip.output;
}

// How the log names what is missing.
std::string Named(const std::string& subject, bool subscribe) {
  const std::string fixed = subject.substr(0, subject.find_first_of("*>"));
  for (const char* fired : {"expiration:complete", "expirer.v1.round-trip.", "_INBOX"})
    if (!subscribe && fixed.starts_with(fired))
      return "msg=\"no permission to publish\" target=" + fixed;
  return std::string("Permissions Violation for ") +
         (subscribe ? "Subscription" : "Publish") + " to \\\"" + fixed;
}

void ExpectNamed(const Permissions& granted, const std::string& subject, bool subscribe) {
  World world(Granting(granted));
  if (subject.find("STREAM.CREATE") == subject.npos) {
    world.client().CreateStream("TICKETING", {"order:created", "order:cancelled",
                                              "payment:created", "expiration:complete"});
  }
  world.service().Start();
  const std::string named = Named(subject, subscribe);
  const auto seen = [&](int64_t timeout_ms) {
    return world.service().WaitLog(named, timeout_ms);
  };
  if (seen(2'500)) return;
  world.client().PublishCore("order:created", OrderJson("one", NowMs()));
  world.client().PublishCore("order:created", "no JSON");
  if (seen(2'500)) return;
  (void)RoundTrip(&world);
  if (seen(2'500)) return;
  RestoreAnOlderVolume(&world);
  world.service().Start();
  EXPECT_TRUE(seen(kLongMs)) << named << "\n" << world.service().Log();
}

TEST(ServicePermissions, EachThatIsTakenAwayIsNamed) {
  const Permissions documented = Documented();
  for (size_t i = 0; i < documented.publish.size(); ++i) {
    Permissions granted = documented;
    const std::string subject = documented.publish[i];
    SCOPED_TRACE(subject);
    granted.publish.erase(granted.publish.begin() + static_cast<ptrdiff_t>(i));
    // A server takes one ack for the response that this would allow.
    if (subject.starts_with("$JS.ACK")) granted.responses = false;
    ExpectNamed(granted, subject, /*subscribe=*/false);
  }
  for (size_t i = 0; i < documented.subscribe.size(); ++i) {
    Permissions granted = documented;
    const std::string subject = documented.subscribe[i];
    SCOPED_TRACE(subject);
    granted.subscribe.erase(granted.subscribe.begin() + static_cast<ptrdiff_t>(i));
    ExpectNamed(granted, subject, /*subscribe=*/true);
  }
  Permissions silent = documented;
  silent.responses = false;
  ExpectNamed(silent, "", /*subscribe=*/false);  // a reply's subject is the asker's
}

#if defined(EXPIRER_STAN)

// A nats-server that grants this, and a streaming server beside it.
struct StreamingWorld {
  explicit StreamingWorld(const Permissions& granted)
      : options(Granting(granted)), nats({.config = options.server_config}) {
    url = "nats://admin:a@" + nats.url().substr(nats.url().rfind('/') + 1);
    streaming = std::make_unique<StanServer>(StanServer::Store::kFile, url);
    std::ifstream rules("examples/ticketing/expirer.yaml");
    std::stringstream config;
    config << rules.rdbuf();
    std::string text = config.str();
    const std::string before = "nats: { ";
    text.insert(text.find(before) + before.size(), "inbox_prefix: _INBOX_expirer, ");
    service = std::make_unique<Service>(Service::Options{
        .config = text,
        .url = nats.url(),
        .environment = {{"NATS_USER", "expirer"}, {"NATS_PASSWORD", "e"}}});
    app = std::make_unique<StanClient>(url);
    app->Collect("expiration:complete");
  }
  World::Options options;
  NatsServer nats;
  std::string url;
  std::unique_ptr<StanServer> streaming;
  std::unique_ptr<Service> service;
  std::unique_ptr<StanClient> app;
};

TEST(ServicePermissions, ThoseForNatsStreamingRunTheWholeFlow) {
  if (StanServerBinary().empty()) GTEST_SKIP() << "no nats-streaming-server here";
  StreamingWorld world(Documented(2));
  world.service->StartReady();
  world.app->Publish("order:created", OrderJson("paid", NowMs() + 2'000));
  world.app->Publish("payment:created", R"({"orderId":"paid"})");
  world.app->Publish("order:created", OrderJson("one", NowMs() + 2'500));
  world.app->Publish("order:created", "no JSON");
  ASSERT_TRUE(WaitFor([&] { return world.app->Collected().size() == 1; }))
      << world.service->Log();
  EXPECT_EQ(world.app->Collected()[0].payload, R"({"orderId":"one"})");
  EXPECT_TRUE(world.service->WaitCounter("rejected", 1));
  EXPECT_EQ(world.service->Term(), 0);
  for (const char* wrong : {"Permissions Violation", "no permission", "to be retried"})
    EXPECT_EQ(world.service->Log().find(wrong), std::string::npos)
        << world.service->Log();
}

void ExpectStreamingNamed(const Permissions& granted, const std::string& subject,
                          bool subscribe) {
  SCOPED_TRACE(subject);
  StreamingWorld world(granted);
  world.app->Publish("order:created", OrderJson("one", NowMs()));
  world.service->Start();
  const std::string named = std::string("Permissions Violation for ") +
                            (subscribe ? "Subscription" : "Publish") + " to \\\"" +
                            subject.substr(0, subject.find('>'));
  const auto seen = [&](int64_t timeout_ms) {
    return world.service->WaitLog(named, timeout_ms);
  };
  if (seen(8'000)) return;  // pings come every five seconds
  world.service->Signal(SIGTERM);
  EXPECT_TRUE(seen(kLongMs)) << named << "\n" << world.service->Log();
}

TEST(ServicePermissions, EachForNatsStreamingThatIsTakenAwayIsNamed) {
  if (StanServerBinary().empty()) GTEST_SKIP() << "no nats-streaming-server here";
  const Permissions documented = Documented(2);
  ASSERT_EQ(documented.publish.size(), 9u);
  ASSERT_EQ(documented.subscribe.size(), 4u);
  for (size_t i = 0; i < documented.publish.size(); ++i) {
    const std::string subject = documented.publish[i];
    // The others are the service's own, as without NATS Streaming.
    if (!subject.starts_with("_")) continue;
    Permissions granted = documented;
    granted.publish.erase(granted.publish.begin() + static_cast<ptrdiff_t>(i));
    ExpectStreamingNamed(granted, subject, /*subscribe=*/false);
  }
  Permissions granted = documented;
  std::erase(granted.subscribe, "_STAN.acks.>");  // where confirmations come
  ASSERT_EQ(granted.subscribe.size(), 3u);
  ExpectStreamingNamed(granted, "_STAN.acks.>", /*subscribe=*/true);
}

#endif  // EXPIRER_STAN

}  // namespace
}  // namespace expirer::test
