#include "nats/service_world.h"

#include <algorithm>
#include <cstdlib>
#include <ctime>

namespace expirer::test {

std::string Iso(int64_t ms) {
  const std::time_t seconds = ms / 1000;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char date[32];
  std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc);
  char text[48];
  std::snprintf(text, sizeof text, "%s.%03dZ", date, static_cast<int>(ms % 1000));
  return text;
}

std::string OrderJson(std::string_view id, int64_t due_ms) {
  return R"({"id":")" + std::string(id) +
         R"(","version":0,"status":"created","userId":"u1","expiresAt":")" + Iso(due_ms) +
         R"(","ticket":{"id":"t1","price":20}})";
}

World::World(Options options)
    : options_(std::move(options)), server_([this] {
        NatsServer::Options server;
        server.config = options_.server_config;
        return server;
      }()) {
  Service::Options service;
  service.config = options_.config;
  service.store = options_.store;
  service.url = server_.url();
  service.environment = options_.environment;
  service_ = std::make_unique<Service>(service);
  if (options_.server_up)
    client_ =
        std::make_unique<TestClient>(server_.url(), options_.user, options_.password);
  else
    server_.Kill();
}

void World::StartServer() {
  server_.Start();
  client_ = std::make_unique<TestClient>(server_.url(), options_.user, options_.password);
}

void World::Publish(const std::string& subject, const std::string& payload) {
  ASSERT_GT(client_->Publish(subject, payload), 0u) << "no stream took " << subject;
}

void World::Order(std::string_view id, int64_t due_ms) {
  Publish("order:created", OrderJson(id, due_ms));
}

void World::Cancel(std::string_view id) {
  Publish("order:cancelled",
          R"({"id":")" + std::string(id) + R"(","version":1,"ticket":{"id":"t1"}})");
}

void World::Pay(std::string_view id) {
  Publish("payment:created",
          R"({"id":"p1","orderId":")" + std::string(id) + R"(","stripeId":"s1"})");
}

std::vector<StoredMessage> World::Stored(const std::string& subject,
                                         const std::string& stream) {
  std::vector<StoredMessage> all = client_->ReadStream(stream);
  std::erase_if(all, [&](const StoredMessage& m) { return m.subject != subject; });
  return all;
}

std::vector<StoredMessage> World::Fired(std::string_view id) {
  const std::string body = R"({"orderId":")" + std::string(id) + "\"}";
  std::vector<StoredMessage> all = Stored("expiration:complete");
  std::erase_if(all, [&](const StoredMessage& m) { return m.payload != body; });
  return all;
}

StoredMessage World::WaitFired(std::string_view id) {
  std::vector<StoredMessage> fired;
  uint64_t seen = UINT64_MAX;
  const bool came = WaitFor(
      [&] {
        const uint64_t last = client_->StreamLastSeq("TICKETING");
        if (std::exchange(seen, last) == last) return false;
        fired = Fired(id);
        return !fired.empty();
      },
      kLongMs);
  EXPECT_TRUE(came) << id << " never fired: " << service_->LogOfThisStart();
  return came ? fired.front() : StoredMessage{};
}

void World::WaitForAnotherOrder() {
  const std::string id = "another-" + std::to_string(++others_);
  Order(id, NowMs());
  (void)WaitFired(id);
}

bool World::WaitStored(const std::string& subject, size_t count,
                       const std::string& stream, int64_t timeout_ms) {
  uint64_t seen = UINT64_MAX;
  return WaitFor(
      [&] {
        const uint64_t last = client_->StreamLastSeq(stream);
        if (std::exchange(seen, last) == last) return false;
        return Stored(subject, stream).size() >= count;
      },
      timeout_ms);
}

int64_t Number(const std::string& json, std::string_view name) {
  const std::string quoted = "\"" + std::string(name) + "\":";
  const size_t at = json.find(quoted);
  if (at == std::string::npos) return -1;
  return std::strtoll(json.c_str() + at + quoted.size(), nullptr, 10);
}

void ExpectExpiration(const StoredMessage& message, std::string_view id, int64_t due_ms) {
  const std::string job = "order-expiration/" + std::string(id);
  EXPECT_EQ(message.subject, "expiration:complete");
  EXPECT_EQ(message.payload, R"({"orderId":")" + std::string(id) + "\"}");
  EXPECT_EQ(message.JobAndDue(), job + "/" + std::to_string(due_ms));
  EXPECT_EQ(message.Header("Expirer-Job"), job);
  EXPECT_EQ(message.Header("Expirer-Due"), Iso(due_ms));
  EXPECT_GE(message.time_ns, due_ms * 1'000'000) << "fired early";
}

}  // namespace expirer::test
