// A private nats-streaming-server for tests, and a client that plays the
// ticketing application's services on it: nats.c's own, as expirer uses it, so
// tests/interop drives it with the app's library besides.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "support/nats_server.h"

namespace expirer::test {

// The server's binary: $EXPIRER_STAN_SERVER, or nats-streaming-server from
// build/go, PATH or GOPATH; "" when there is none, or when this nats.c has no
// streaming API.
[[nodiscard]] std::string StanServerBinary();

// One server, cluster `ticketing`, with an embedded nats-server on a free loopback
// port, or beside one that runs. The process dies with this object, and with the
// test process.
class StanServer {
 public:
  enum class Store { kFile, kMemory };
  // Started and answering; aborts the test process when that fails.
  // `nats_url`: of the nats-server; "" = its own.
  explicit StanServer(Store store = Store::kFile, std::string nats_url = "");
  ~StanServer();
  StanServer(const StanServer&) = delete;
  StanServer& operator=(const StanServer&) = delete;

  [[nodiscard]] std::string url() const;
  [[nodiscard]] std::string LogTail() const;
  void Kill();   // kill -9
  void Start();  // on the same port; waits until it takes clients
  void Pause();  // SIGSTOP
  void Resume();

 private:
  const Store store_;
  const std::string nats_url_;
  std::string dir_;
  int port_ = 0;
  int pid_ = -1;
};

// Blocking; every failure that the test did not ask for aborts with a sentence.
// One thread.
class StanClient {
 public:
  explicit StanClient(const std::string& url);
  ~StanClient();
  StanClient(const StanClient&) = delete;
  StanClient& operator=(const StanClient&) = delete;

  // Stored before it returns.
  void Publish(const std::string& channel, const std::string& payload);
  // `count` messages as fast as possible, confirmed together: payload(i).
  void PublishMany(const std::string& channel, size_t count,
                   const std::function<std::string(size_t)>& payload);
  // From the channel's beginning, also after Reconnect.
  void Collect(const std::string& channel);
  // What came so far, in the channel's order, each once.
  [[nodiscard]] std::vector<StoredMessage> Collected() const;
  // After the server was away: a new connection.
  void Reconnect();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace expirer::test
