#include "support/proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace expirer::test {
namespace {

constexpr int kPollMs = 50;

int Socket() { return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); }

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// Moves what is there; how many bytes, 0 at the end of the connection.
ssize_t Move(int from, int to) {
  char bytes[16'384];
  const ssize_t got = read(from, bytes, sizeof bytes);
  if (got <= 0) return 0;
  for (ssize_t sent = 0; sent < got;) {
    const ssize_t now =
        send(to, bytes + sent, static_cast<size_t>(got - sent), MSG_NOSIGNAL);
    if (now <= 0) return 0;
    sent += now;
  }
  return got;
}

}  // namespace

Proxy::Proxy(int to_port) : to_port_(to_port), listener_(Socket()) {
  sockaddr_in address = Loopback(0);
  socklen_t length = sizeof address;
  auto* const raw = reinterpret_cast<sockaddr*>(&address);
  if (bind(listener_, raw, length) != 0 || listen(listener_, 64) != 0 ||
      getsockname(listener_, raw, &length) != 0) {
    std::fprintf(stderr, "proxy test support: cannot listen\n");
    std::abort();
  }
  port_ = ntohs(address.sin_port);
  accepting_ = std::thread([this] { Accept(); });
}

Proxy::~Proxy() {
  stopping_ = true;
  Cut();
  accepting_.join();
  for (std::thread& carrier : carriers_) carrier.join();
  close(listener_);
}

std::string Proxy::url() const { return "nats://127.0.0.1:" + std::to_string(port_); }

void Proxy::Cut() {
  const std::lock_guard lock(mutex_);
  cut_ = true;
  for (const int socket : sockets_) shutdown(socket, SHUT_RDWR);
}

void Proxy::Mend() { MendFor(""); }

void Proxy::MendFor(const std::string& part) {
  const std::lock_guard lock(mutex_);
  cut_ = false;
  only_ = part;
  left_ = std::numeric_limits<int64_t>::max();
}

bool Proxy::cut() {
  const std::lock_guard lock(mutex_);
  return cut_;
}

void Proxy::Accept() {
  while (!stopping_) {
    pollfd readable{listener_, POLLIN, 0};
    if (poll(&readable, 1, kPollMs) <= 0) continue;
    const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) continue;
    const int server = Socket();
    const sockaddr_in address = Loopback(to_port_);
    const std::lock_guard lock(mutex_);
    if (cut_ || connect(server, reinterpret_cast<const sockaddr*>(&address),
                        sizeof address) != 0) {
      close(client);
      close(server);
      continue;
    }
    sockets_.insert({client, server});
    carriers_.emplace_back([this, client, server] { Carry(client, server); });
  }
}

// Looks at what the client says first, which is still there then.
bool Proxy::Welcome(int client) {
  char bytes[4'096];
  const ssize_t got = recv(client, bytes, sizeof bytes, MSG_PEEK);
  const std::lock_guard lock(mutex_);
  return got <= 0 || std::string_view(bytes, static_cast<size_t>(got)).find(only_) !=
                         std::string_view::npos;
}

void Proxy::Carry(int client, int server) {
  bool open = true;
  bool welcome = false;
  while (open && !stopping_) {
    pollfd both[2] = {{client, POLLIN, 0}, {server, POLLIN, 0}};
    if (poll(both, 2, kPollMs) <= 0) continue;
    if (both[0].revents != 0 && !welcome) open = welcome = Welcome(client);
    if (open && both[0].revents != 0) open = Move(client, server) > 0;
    if (!open || both[1].revents == 0) continue;
    const ssize_t moved = Move(server, client);
    open = moved > 0;
    if ((left_ -= moved) <= 0) Cut();
  }
  const std::lock_guard lock(mutex_);
  for (const int socket : {client, server}) {
    sockets_.erase(socket);
    close(socket);
  }
}

}  // namespace expirer::test
