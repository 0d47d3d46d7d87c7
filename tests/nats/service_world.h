// What the tests of the whole service share: a private nats-server, the real
// binary beside it, and a client that plays the ticketing application.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gtest/gtest.h"
#include "support/ledger.h"
#include "support/nats_server.h"
#include "support/service.h"

namespace expirer::test {

inline constexpr int64_t kLongMs = 60'000;  // generous: for what must happen

// RFC 3339 in UTC with milliseconds, as JavaScript writes a Date.
[[nodiscard]] std::string Iso(int64_t ms);
// An order as the app's orders service publishes it.
[[nodiscard]] std::string OrderJson(std::string_view id, int64_t due_ms);

// One server, store, service and client, all its own.
class World {
 public:
  struct Options {
    std::string config = {};         // of expirer; "" = the built-in rule
    std::string store = {};          // "" = a temporary one
    std::string server_config = {};  // appended to nats-server's
    Environment environment = {};    // of expirer
    std::string user = {};           // of the client
    std::string password = {};
    bool server_up = true;
  };
  World() : World(Options{}) {}
  explicit World(Options options);

  NatsServer& server() { return server_; }
  Service& service() { return *service_; }
  TestClient& client() { return *client_; }
  // For a world that began without its server.
  void StartServer();

  // Each is stored by its stream when it returns.
  void Publish(const std::string& subject, const std::string& payload);
  void Order(std::string_view id, int64_t due_ms);
  void Cancel(std::string_view id);
  void Pay(std::string_view id);

  // What the stream holds on `subject`, in order.
  [[nodiscard]] std::vector<StoredMessage> Stored(
      const std::string& subject, const std::string& stream = "TICKETING");
  // Those on expiration:complete of this order.
  [[nodiscard]] std::vector<StoredMessage> Fired(std::string_view id);
  // Waits for the first; fails the test when there is none.
  [[nodiscard]] StoredMessage WaitFired(std::string_view id);
  // Publishes an order that is due at once and waits until it fired: a rule
  // fires in due order, so whatever was due before would have fired by now.
  void WaitForAnotherOrder();
  // Until `stream` holds `count` messages on `subject`.
  [[nodiscard]] bool WaitStored(const std::string& subject, size_t count,
                                const std::string& stream, int64_t timeout_ms = kLongMs);

 private:
  const Options options_;
  NatsServer server_;
  std::unique_ptr<TestClient> client_;
  std::unique_ptr<Service> service_;
  int others_ = 0;
};

// The whole number at "name": in a reply of the JetStream API; -1 when missing.
[[nodiscard]] int64_t Number(const std::string& json, std::string_view name);

// The message that expirer promises for an order of the built-in rule.
void ExpectExpiration(const StoredMessage& message, std::string_view id, int64_t due_ms);

}  // namespace expirer::test
