#include "support/nats_cluster.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace expirer::test {
namespace {

[[noreturn]] void Die(const std::string& why) {
  std::fprintf(stderr, "cluster test support: %s\n", why.c_str());
  std::abort();
}

std::string Name(int number) { return "n" + std::to_string(number); }

// "2.12.15" of "nats-server: v2.12.15"; "" when it does not say.
std::string VersionOf(const std::string& binary) {
  FILE* const output = popen(("'" + binary + "' --version").c_str(), "r");
  if (output == nullptr) return "";
  char line[128] = {};
  const bool read = std::fgets(line, sizeof line, output) != nullptr;
  pclose(output);
  const std::string text = read ? line : "";
  const size_t v = text.find(": v");
  return v == text.npos ? "" : text.substr(v + 3, text.find_first_of("\r\n") - v - 3);
}

bool HoldsWhenFrozen(const std::string& version) {
  int major = 0;
  int minor = 0;
  return std::sscanf(version.c_str(), "%d.%d", &major, &minor) == 2 &&
         (major > 2 || (major == 2 && minor >= 11));
}

bool Good(const std::string& reply) {
  return !reply.empty() && reply.find("\"error\"") == std::string::npos;
}

size_t CountOf(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1))
    ++count;
  return count;
}

}  // namespace

std::string ClusterServerBinary() {
  const char* named = std::getenv("EXPIRER_NATS_SERVER");
  for (const std::string& one :
       {std::string(named == nullptr ? "" : named), std::string("build/go/nats-server")})
    if (access(one.c_str(), X_OK) == 0 && HoldsWhenFrozen(VersionOf(one))) return one;
  return "";
}

NatsCluster::NatsCluster() {
  const std::string binary = ClusterServerBinary();
  version_ = VersionOf(binary);
  std::array<int, kServers> ports{};
  for (int& port : ports) port = FreePort();
  std::string routes;
  for (const int port : ports)
    routes += "\"nats://127.0.0.1:" + std::to_string(port) + "\", ";
  for (int i = 0; i < kServers; ++i) {
    NatsServer::Options options;
    options.binary = binary;
    options.config = "server_name: " + Name(i) + "\nserver_tags: [\"" + Name(i) +
                     "\"]\nlame_duck_duration: 30s\nlame_duck_grace_period: 1s\n" +
                     "cluster { name: test, listen: \"127.0.0.1:" +
                     std::to_string(ports[static_cast<size_t>(i)]) + "\", routes: [" +
                     routes + "] }";
    servers_[static_cast<size_t>(i)] = std::make_unique<NatsServer>(options);
  }
  for (int i = 0; i < kServers; ++i)
    clients_[static_cast<size_t>(i)] = std::make_unique<TestClient>(server(i).url());
  // Makes and places a stream on all: so the leader knows of all.
  MustApi("STREAM.CREATE.PROBE", R"({"name":"PROBE","subjects":["probe"],)"
                                 R"("num_replicas":3,"storage":"memory"})");
  MustApi("STREAM.DELETE.PROBE");
}

std::string NatsCluster::url() const {
  std::string all;
  for (const auto& one : servers_) all += (all.empty() ? "" : ",") + one->url();
  return all;
}

int NatsCluster::WithPort(int port) const {
  for (int i = 0; i < kServers; ++i)
    if (servers_[static_cast<size_t>(i)]->port() == port) return i;
  return -1;
}

void NatsCluster::Kill(int number) {
  away_[static_cast<size_t>(number)] = true;
  server(number).Kill();
}
void NatsCluster::Freeze(int number) {
  away_[static_cast<size_t>(number)] = true;
  server(number).Pause();
}
void NatsCluster::Thaw(int number) {
  server(number).Resume();
  away_[static_cast<size_t>(number)] = false;
}
void NatsCluster::RetireLameDuck(int number) {
  away_[static_cast<size_t>(number)] = true;
  server(number).RetireLameDuck();
}
void NatsCluster::Start(int number) {
  server(number).Start();
  away_[static_cast<size_t>(number)] = false;
}

TestClient& NatsCluster::client() {
  for (size_t i = 0; i < kServers; ++i)
    if (!away_[i]) return *clients_[i];
  Die("all servers are away");
}

std::string NatsCluster::Api(const std::string& verb, const std::string& body,
                             int64_t timeout_ms) {
  return client().Request("$JS.API." + verb, body, timeout_ms).value_or("");
}

std::string NatsCluster::MustApi(const std::string& verb, const std::string& body) {
  std::string reply;
  if (!WaitFor([&] { return Good(reply = Api(verb, body, 5'000)); }))
    Die(verb + " " + body + ": " + reply);
  return reply;
}

int NatsCluster::Leader(const std::string& stream, const std::string& consumer) {
  const std::string reply =
      Api(consumer.empty() ? "STREAM.INFO." + stream
                           : "CONSUMER.INFO." + stream + "." + consumer);
  if (!Good(reply)) return -1;
  for (int i = 0; i < kServers; ++i)
    if (reply.find("\"leader\":\"" + Name(i) + "\"") != reply.npos) return i;
  return -1;
}

void NatsCluster::Lead(int number, const std::string& stream,
                       const std::string& consumer) {
  const std::string verb = consumer.empty()
                               ? "STREAM.LEADER.STEPDOWN." + stream
                               : "CONSUMER.LEADER.STEPDOWN." + stream + "." + consumer;
  const bool leads = WaitFor([&] {
    const int now = Leader(stream, consumer);
    if (now == number) return true;
    if (now >= 0)
      (void)Api(verb, R"({"placement":{"preferred":")" + Name(number) + R"("}})", 2'000);
    return false;
  });
  if (!leads) Die(Name(number) + " does not become the leader of " + stream + consumer);
}

bool NatsCluster::Current(const std::string& stream, int replicas) {
  const auto current = [&](const std::string& info) {
    return Good(info) &&
           CountOf(info, "\"current\":true") >= static_cast<size_t>(replicas - 1) &&
           CountOf(info, "\"current\":") == static_cast<size_t>(replicas - 1);
  };
  if (!current(Api("STREAM.INFO." + stream))) return false;
  const std::string names = Api("CONSUMER.NAMES." + stream);
  if (!Good(names)) return false;
  const size_t list = names.find("\"consumers\":[");
  if (list == names.npos) return true;
  // ["a","b"]: texts at odd places between the quotes.
  const size_t from = list + 13;
  std::string rest = names.substr(from, names.find(']', from) - from);
  for (size_t open = rest.find('"'); open != rest.npos;) {
    const size_t close = rest.find('"', open + 1);
    const std::string one = rest.substr(open + 1, close - open - 1);
    if (!current(Api("CONSUMER.INFO." + stream + "." + one))) return false;
    open = rest.find('"', close + 1);
  }
  return true;
}

}  // namespace expirer::test
