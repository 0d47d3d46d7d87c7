// Reads a server's greeting without nats.c, whose errors do not distinguish a host that
// DNS does not know from one that is down, and do not say why a server closed a
// connection right after its greeting. Also, a server that has reloaded its config tells
// that only to new connections.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>

namespace expirer {

// Finds out why a connect to `server` ("host:port", optionally with scheme and login)
// failed. Returns one sentence: that DNS does not know the host, or the server's own
// words ("maximum connections exceeded"); "" if it finds nothing. Waits for name servers,
// and for at most `timeout_ms` for the server.
[[nodiscard]] std::string WhyNotConnected(const std::string& server, int64_t timeout_ms);

struct Greeting {
  std::string server_id;  // "" = the server sent no greeting
  int64_t max_payload = 0;
};
// Connects to `address`, waits at most `timeout_ms` for the greeting and disconnects.
[[nodiscard]] Greeting ReadGreeting(const sockaddr_storage& address, int64_t timeout_ms);

}  // namespace expirer
