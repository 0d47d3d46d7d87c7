// Three real nats-servers in one cluster, for what a single one cannot show:
// leaders that go, quorum that is lost, servers that leave one after the other.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "support/nats_server.h"

namespace expirer::test {

// Of nats-server 2.11 or newer (older ones lose confirmed entries when a leader
// is frozen): $EXPIRER_NATS_SERVER or build/go/nats-server, whichever is one; ""
// when neither is.
[[nodiscard]] std::string ClusterServerBinary();

// REQUIRES: ClusterServerBinary. All servers run, and one leads, when it is made.
// Each has the tag "n<number>". One thread.
class NatsCluster {
 public:
  static constexpr int kServers = 3;

  NatsCluster();

  [[nodiscard]] std::string url() const;  // of all, with commas
  [[nodiscard]] const std::string& version() const { return version_; }
  // As NatsServer's. A server that is away is not asked by what follows.
  void Kill(int number);
  void Freeze(int number);
  void Thaw(int number);
  void RetireLameDuck(int number);
  void Start(int number);
  // The number of the server with this port; -1 = none.
  [[nodiscard]] int WithPort(int port) const;

  // The reply of $JS.API.<verb>, asked of one server that is not away; "" when there
  // is none within `timeout_ms`.
  [[nodiscard]] std::string Api(const std::string& verb, const std::string& body = "",
                                int64_t timeout_ms = 150);
  // As Api, until the reply has no error; aborts when that does not come.
  std::string MustApi(const std::string& verb, const std::string& body = "");

  // The server that leads the stream, or its consumer where one is named, and answers
  // for it now; -1 = none does.
  [[nodiscard]] int Leader(const std::string& stream, const std::string& consumer = "");
  // Makes that server the leader. Aborts when it does not become it.
  void Lead(int number, const std::string& stream, const std::string& consumer = "");
  // Whether the stream and its consumers have `replicas` copies and all are current.
  [[nodiscard]] bool Current(const std::string& stream, int replicas = kServers);
  // A plain client of a server that is not away.
  TestClient& client();

 private:
  NatsServer& server(int number) { return *servers_[static_cast<size_t>(number)]; }

  std::string version_;
  std::array<std::unique_ptr<NatsServer>, kServers> servers_;
  std::array<std::unique_ptr<TestClient>, kServers> clients_;
  std::array<bool, kServers> away_{};
};

}  // namespace expirer::test
