// What a server says to whoever connects, read beside nats.c: its errors do not
// tell a host that DNS does not know from one that is down, nor why a server
// closed a connection it had just greeted; and whoever is connected already hears
// nothing of a config that the server has loaded anew.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>

namespace expirer {

// Looks at `server` ("host:port", perhaps with scheme and login) after a failed
// connect. One sentence: DNS does not know the host, or the server's own words
// ("maximum connections exceeded"); "" where there is nothing more to tell. Waits
// for name servers, and at most `timeout_ms` for the server.
[[nodiscard]] std::string WhyNotConnected(const std::string& server, int64_t timeout_ms);

struct Greeting {
  std::string server_id;  // "" = it said nothing
  int64_t max_payload = 0;
};
// Connects to `address`, listens for at most `timeout_ms` and leaves.
[[nodiscard]] Greeting ReadGreeting(const sockaddr_storage& address, int64_t timeout_ms);

}  // namespace expirer
