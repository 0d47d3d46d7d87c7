#include "net/greeting.h"

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/clock.h"

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

// All that comes before an error of the server, the end, or `until_mono_ms`.
std::string ReadError(int fd, int64_t until_mono_ms) {
  std::string text;
  const SystemClock clock;
  while (text.size() < (64 << 10)) {
    const int64_t left_ms = until_mono_ms - clock.MonotonicMs();
    pollfd wait{fd, POLLIN, 0};
    if (left_ms <= 0 || poll(&wait, 1, static_cast<int>(left_ms)) <= 0) break;
    char bytes[4096];
    const ssize_t got = recv(fd, bytes, sizeof bytes, 0);
    if (got <= 0) break;
    text.append(bytes, static_cast<size_t>(got));
    const size_t error = text.find("-ERR '");
    if (error == text.npos) continue;
    const size_t end = text.find('\'', error + 6);
    if (end != text.npos) return text.substr(error + 6, end - error - 6);
  }
  return "";
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
  const int64_t until_ms = SystemClock().MonotonicMs() + timeout_ms;
  const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return "";
  (void)connect(fd, found->ai_addr, found->ai_addrlen);
  const std::string error = ReadError(fd, until_ms);
  close(fd);
  return error.empty() ? "" : "the server says: " + error;
}

}  // namespace expirer
