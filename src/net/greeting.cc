#include "net/greeting.h"

#include <netdb.h>
#include <poll.h>
#include <unistd.h>

#include <memory>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/clock.h"
#include "json/places.h"

namespace expirer {
namespace {

// Host and port of a server's URL.
std::pair<std::string, std::string> Address(std::string_view server) {
  if (const size_t scheme = server.find("://"); scheme != server.npos)
    server.remove_prefix(scheme + 3);
  server.remove_prefix(server.rfind('@') + 1);
  std::string port = "4222";
  const size_t colon = server.rfind(':');
  if (colon != server.npos && !server.ends_with(']')) {
    port = server.substr(colon + 1);
    server = server.substr(0, colon);
  }
  if (server.starts_with('[') && server.ends_with(']'))
    server = server.substr(1, server.size() - 2);
  return {std::string(server), port};
}

// Connects and reads until the server has said what stands between `begin` and `end`:
// that, or "" when it has not by `timeout_ms`.
std::string Hear(const sockaddr* address, socklen_t size, int64_t timeout_ms,
                 std::string_view begin, std::string_view end) {
  const SystemClock clock;
  const int64_t until_ms = clock.MonotonicMs() + timeout_ms;
  const int fd =
      socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return "";
  (void)connect(fd, address, size);
  std::string text;
  std::string heard;
  while (heard.empty() && text.size() < (64 << 10)) {
    const int64_t left_ms = until_ms - clock.MonotonicMs();
    pollfd wait{fd, POLLIN, 0};
    if (left_ms <= 0 || poll(&wait, 1, static_cast<int>(left_ms)) <= 0) break;
    char bytes[4096];
    const ssize_t got = recv(fd, bytes, sizeof bytes, 0);
    if (got <= 0) break;
    text.append(bytes, static_cast<size_t>(got));
    size_t from = text.find(begin);
    if (from == text.npos) continue;
    from += begin.size();
    if (const size_t to = text.find(end, from); to != text.npos)
      heard = text.substr(from, to - from);
  }
  close(fd);
  return heard;
}

}  // namespace

std::string WhyNotConnected(const std::string& server, int64_t timeout_ms) {
  const auto [host, port] = Address(server);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int failed = getaddrinfo(host.c_str(), port.c_str(), &hints, &found);
      failed != 0)
    return fmt::format("DNS: the host {} cannot be resolved ({})", host,
                       gai_strerror(failed));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> addresses(found, freeaddrinfo);
  const std::string error =
      Hear(found->ai_addr, found->ai_addrlen, timeout_ms, "-ERR '", "'");
  return error.empty() ? "" : "the server says: " + error;
}

Greeting ReadGreeting(const sockaddr_storage& address, int64_t timeout_ms) {
  const std::string info = Hear(reinterpret_cast<const sockaddr*>(&address),
                                sizeof address, timeout_ms, "INFO ", "\r\n");
  Greeting greeting;
  (void)ReadPlaces(info, {{"/server_id", &greeting.server_id},
                          {"/max_payload", &greeting.max_payload}});
  return greeting;
}

}  // namespace expirer
