// metrics.listen of the running service: off by default, and what it says.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

#include "nats/service_world.h"
#include "support/stan_server.h"

namespace expirer::test {
namespace {

constexpr char kListening[] = "metrics: { listen: '127.0.0.1:0' }\n";
constexpr char kRule[] = R"(
streams: [{ name: TICKETING, subjects: ["order:created", "order:cancelled", "payment:created", "expiration:complete"] }]
rules:
  - name: order-expiration
    reopen: false
    schedule: { subject: "order:created", key: /id, due: /expiresAt }
    cancel: { subject: "payment:created", key: /orderId }
    publish: { subject: "expiration:complete", body: '{"orderId":${/id}}' }
)";

// The port the service says it serves metrics at; 0 = none so far.
int PortOf(const Service& service) {
  const std::string log = service.LogOfThisStart();
  const std::string mark = "address=127.0.0.1:";
  const size_t at = log.find(mark, log.find("metrics are served"));
  return at == std::string::npos ? 0 : std::atoi(log.c_str() + at + mark.size());
}
int PortOf(World* world) { return PortOf(world->service()); }

int Connect(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  timeval patience{60, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  to.sin_port = htons(static_cast<uint16_t>(port));
  if (connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0) return fd;
  close(fd);
  return -1;
}

// The whole response to a GET; "" when there is none.
std::string Get(int port, const std::string& path) {
  const int fd = Connect(port);
  if (fd < 0) return "";
  const std::string request = "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n";
  (void)!send(fd, request.data(), request.size(), MSG_NOSIGNAL);
  std::string response;
  char bytes[4'096];
  for (ssize_t got = 0; (got = recv(fd, bytes, sizeof bytes, 0)) > 0;)
    response.append(bytes, static_cast<size_t>(got));
  close(fd);
  return response;
}

int Code(int port, const std::string& path) {
  const std::string response = Get(port, path);
  return response.size() < 12 ? 0 : std::atoi(response.c_str() + 9);
}

double Metric(int port, const std::string& series) {
  const std::string text = Get(port, "/metrics");
  const size_t at = text.find("\n" + series + " ");
  return at == std::string::npos ? -1 : std::atof(text.c_str() + at + series.size() + 2);
}

bool WaitMetric(int port, const std::string& series, double value) {
  return WaitFor([&] { return Metric(port, series) == value; }, kLongMs);
}

// Sockets of this process that listen for TCP.
size_t Listeners(int pid) {
  const std::string proc = "/proc/" + std::to_string(pid);
  std::set<std::string> own;
  for (const auto& fd : std::filesystem::directory_iterator(proc + "/fd")) {
    std::error_code gone;
    const std::string target = std::filesystem::read_symlink(fd, gone).string();
    if (target.rfind("socket:[", 0) == 0) own.insert(target.substr(8, target.size() - 9));
  }
  size_t listeners = 0;
  for (const char* table : {"/net/tcp", "/net/tcp6"}) {
    std::ifstream file(proc + table);
    for (std::string line; std::getline(file, line);) {
      std::istringstream fields(line);
      std::string field;
      std::string state;
      for (int i = 0; i < 10 && fields >> field; ++i)
        if (i == 3) state = field;
      if (state == "0A" && own.contains(field)) ++listeners;
    }
  }
  return listeners;
}

TEST(ServiceMetrics, ByDefaultNothingListens) {
  World world;
  world.service().StartReady();
  EXPECT_EQ(Listeners(world.service().pid()), 0u);
}

TEST(ServiceMetrics, TellWhatBecameOfOrders) {
  World world({.config = std::string(kListening) + kRule});
  world.service().StartReady();
  EXPECT_EQ(Listeners(world.service().pid()), 1u);
  const int port = PortOf(&world);
  ASSERT_GT(port, 0) << world.service().Log();
  world.Order("fires", NowMs() + 200);
  world.Order("waits", NowMs() + 3'600'000);
  world.Order("paid", NowMs() + 3'600'000);
  world.Pay("paid");
  world.Publish("order:created", "not JSON");
  (void)world.WaitFired("fires");
  const std::string rule = R"({rule="order-expiration"})";
  EXPECT_TRUE(WaitMetric(port, "expirer_jobs_dispatched_total" + rule, 1));
  EXPECT_TRUE(WaitMetric(port, "expirer_jobs_cancelled_total" + rule, 1));
  EXPECT_TRUE(WaitMetric(port, "expirer_jobs_pending" + rule, 1));
  EXPECT_TRUE(WaitMetric(
      port, R"(expirer_jobs_rejected_total{rule="order-expiration",reason="not_json"})",
      1));
  EXPECT_EQ(Metric(port, "expirer_dispatch_lateness_seconds_count" + rule), 1);
  EXPECT_EQ(Metric(port, "expirer_dispatch_ack_seconds_count"), 1);
  // An ack for each; and for the fire, where one filter reads the whole stream.
  EXPECT_TRUE(WaitFor(
      [&] { return Metric(port, "expirer_ingest_commit_seconds_count") >= 5; }, kLongMs));
  EXPECT_LE(Metric(port, "expirer_ingest_commit_seconds_count"), 6);
  EXPECT_GE(Metric(port, "expirer_store_sync_seconds_count"), 1);
  EXPECT_EQ(Metric(port, R"(expirer_nats_connected{connection="egress"})"), 1);
  EXPECT_GT(Metric(port, "expirer_store_free_bytes"), 0);
  EXPECT_GT(Metric(port, "expirer_next_due_timestamp_seconds") * 1e3,
            static_cast<double>(NowMs()));
  EXPECT_EQ(Code(port, "/nothing"), 404);
}

#if defined(EXPIRER_STAN)

TEST(ServiceMetrics, RulesOverNatsStreamingAreCountedAsOthersAre) {
  if (StanServerBinary().empty()) GTEST_SKIP() << "no nats-streaming-server here";
  StanServer server;
  std::ifstream rules("examples/ticketing/expirer.yaml");
  std::stringstream config;
  config << kListening << rules.rdbuf();
  Service service({.config = config.str(), .url = server.url()});
  service.StartReady();
  const int port = PortOf(service);
  StanClient app(server.url());
  app.Publish("order:created", OrderJson("fires", NowMs()));
  app.Publish("order:created", OrderJson("paid", NowMs() + 600'000));
  app.Publish("order:created", OrderJson("waits", NowMs() + 600'000));
  app.Publish("order:created", "not JSON");
  app.Publish("payment:created", R"({"orderId":"paid"})");
  const std::string rule = R"({rule="order-expiration"})";
  EXPECT_TRUE(WaitMetric(port, "expirer_jobs_dispatched_total" + rule, 1));
  EXPECT_TRUE(WaitMetric(port, "expirer_jobs_cancelled_total" + rule, 1));
  EXPECT_TRUE(WaitMetric(port, "expirer_jobs_pending" + rule, 1));
  EXPECT_TRUE(WaitMetric(
      port, R"(expirer_jobs_rejected_total{rule="order-expiration",reason="not_json"})",
      1));
  EXPECT_TRUE(WaitMetric(port, "expirer_ingest_commit_seconds_count", 5));
  EXPECT_TRUE(WaitMetric(port, "expirer_rules_catching_up", 0));
  EXPECT_TRUE(WaitMetric(port, R"(expirer_nats_connected{connection="stan"})", 1));
  server.Kill();
  EXPECT_TRUE(WaitMetric(port, R"(expirer_nats_connected{connection="stan"})", 0));
  EXPECT_TRUE(WaitMetric(port, "expirer_rules_catching_up", 1));
  server.Start();
  EXPECT_TRUE(WaitMetric(port, R"(expirer_nats_reconnects_total{connection="stan"})", 1));
  EXPECT_TRUE(WaitMetric(port, "expirer_rules_catching_up", 0));
}

#endif  // EXPIRER_STAN

TEST(ServiceMetrics, ProbesFollowTheConnectionAndTheEnd) {
  World world({.config = std::string(kListening) + kRule});
  world.service().StartReady();
  const int port = PortOf(&world);
  EXPECT_TRUE(WaitFor([&] { return Code(port, "/readyz") == 200; }, kLongMs));
  EXPECT_EQ(Code(port, "/healthz"), 200);
  world.server().Kill();
  EXPECT_TRUE(WaitFor([&] { return Code(port, "/readyz") == 503; }, kLongMs));
  EXPECT_NE(Get(port, "/readyz").find("not connected to NATS"), std::string::npos);
  EXPECT_EQ(Code(port, "/healthz"), 200) << "liveness never depends on NATS";
  EXPECT_TRUE(WaitMetric(port, R"(expirer_nats_connected{connection="ingress"})", 0));
  EXPECT_EQ(world.service().Term(), 0);
  EXPECT_EQ(Code(port, "/healthz"), 0) << "nobody is there";
}

TEST(ServiceMetrics, SilentAndNoisyClientsDelayNeitherScrapesNorFires) {
  World world({.config = std::string(kListening) + kRule});
  world.service().StartReady();
  const int port = PortOf(&world);
  std::vector<int> silent;
  for (int i = 0; i < 200; ++i) silent.push_back(Connect(port));
  for (int i = 0; i < 50; ++i) {
    const int noisy = Connect(port);
    const std::string noise(2'000, static_cast<char>(i * 5));
    (void)!send(noisy, noise.data(), noise.size(), MSG_NOSIGNAL);
    close(noisy);
  }
  EXPECT_EQ(Code(port, "/metrics"), 200);
  const int64_t due = NowMs() + 300;
  world.Order("due", due);
  ExpectExpiration(world.WaitFired("due"), "due", due);
  EXPECT_TRUE(WaitFor(
      [&] { return Metric(port, R"(expirer_http_dropped_total{reason="crowded"})") > 0; },
      kLongMs));
  for (const int fd : silent) close(fd);
  EXPECT_EQ(world.service().Term(), 0);
}

TEST(ServiceMetrics, AnAddressThatIsTakenRefusesTheStartInOneSentence) {
  World world({.config = std::string(kListening) + kRule});
  world.service().StartReady();
  const std::string taken = "127.0.0.1:" + std::to_string(PortOf(&world));
  const TempDir dir;
  const std::string config = dir.path() + "/config.yaml";
  std::ofstream(config) << "metrics: { listen: '" << taken << "' }\n" << kRule;
  const Outcome second =
      RunExpirer({"serve", "--config", config, "--store", dir.path() + "/store"},
                 {{"NATS_URL", world.server().url()}});
  EXPECT_EQ(second.code, 1);
  EXPECT_NE(second.output.find("metrics.listen: cannot listen on " + taken +
                               ": Address already in use"),
            std::string::npos)
      << second.output;
  EXPECT_FALSE(std::filesystem::exists(dir.path() + "/store")) << "it opened nothing";
}

}  // namespace
}  // namespace expirer::test
