#include "net/http_server.h"

#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/check.h"
#include "base/thread.h"
#include "net/http_request.h"
#include "net/listen_address.h"

namespace expirer {
namespace {

constexpr int kBacklog = 64;
// When no descriptors are left the listener stays readable: not asked again for
// this long, lest the thread spin.
constexpr int64_t kNoDescriptorsMs = 100;

std::string_view Phrase(int code) {
  switch (code) {
    case 200: return "OK";
    case 400: return "Bad Request";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 431: return "Request Header Fields Too Large";
    default: return "Service Unavailable";
  }
}

std::string Bytes(const HttpResponse& response) {
  return fmt::format(
      "HTTP/1.0 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n{}Cache-Control: "
      "no-store\r\nConnection: close\r\n\r\n{}",
      response.code, Phrase(response.code), response.type, response.body.size(),
      response.code == 405 ? "Allow: GET\r\n" : "", response.body);
}

std::string Spelled(const sockaddr_storage& address, socklen_t size) {
  char host[NI_MAXHOST] = {};
  char port[NI_MAXSERV] = {};
  getnameinfo(reinterpret_cast<const sockaddr*>(&address), size, host, sizeof host, port,
              sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
  return address.ss_family == AF_INET6 ? fmt::format("[{}]:{}", host, port)
                                       : fmt::format("{}:{}", host, port);
}

// The socket bound to one of the addresses that a name has, or errno.
int Bind(const addrinfo& where) {
  const int fd =
      socket(where.ai_family, where.ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  const int on = 1;
  const int off = 0;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  // The IPv6 wildcard takes IPv4 too.
  if (where.ai_family == AF_INET6)
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  if (bind(fd, where.ai_addr, where.ai_addrlen) == 0 && listen(fd, kBacklog) == 0)
    return fd;
  const int why = errno;
  close(fd);
  errno = why;
  return -1;
}

absl::StatusOr<int> BindAny(const ListenAddress& address) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const std::string port = std::to_string(address.port);
  const int failed = getaddrinfo(address.host.empty() ? nullptr : address.host.c_str(),
                                 port.c_str(), &hints, &found);
  if (failed != 0) return Unavailable(gai_strerror(failed));
  std::vector<const addrinfo*> order;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next)
    order.push_back(one);
  // Of the two wildcards the IPv6 one, which is both.
  if (address.host.empty())
    std::stable_sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
      return a->ai_family == AF_INET6 && b->ai_family != AF_INET6;
    });
  int fd = -1;
  for (const addrinfo* one : order)
    if (fd < 0) fd = Bind(*one);
  const int why = errno;
  freeaddrinfo(found);
  if (fd < 0) return Unavailable(std::strerror(why));
  return fd;
}

}  // namespace

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Listen(const std::string& address,
                                                               const Options& options,
                                                               Handler handler,
                                                               const Clock* clock) {
  const std::string what = "cannot listen on " + address;
  const absl::StatusOr<ListenAddress> where = ParseListenAddress(address);
  if (!where.ok()) return Annotate(where.status(), what);
  const absl::StatusOr<int> listener = BindAny(*where);
  if (!listener.ok()) return Annotate(listener.status(), what);
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  getsockname(*listener, reinterpret_cast<sockaddr*>(&bound), &size);
  return std::unique_ptr<HttpServer>(new HttpServer(*listener, Spelled(bound, size),
                                                    options, std::move(handler), clock));
}

HttpServer::HttpServer(int listener, std::string address, const Options& options,
                       Handler handler, const Clock* clock)
    : listener_(listener),
      address_(std::move(address)),
      options_(options),
      handler_(std::move(handler)),
      clock_(clock),
      wake_fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  CHECK(wake_fd_ >= 0);
  CHECK(options.clients_max > 0);
  thread_ = StartThread("http", [this] { Run(); });
}

HttpServer::~HttpServer() {
  stopping_ = true;
  const uint64_t one = 1;
  (void)!write(wake_fd_, &one, sizeof one);
  thread_.join();
  for (const Client& client : clients_) close(client.fd);
  close(listener_);
  close(wake_fd_);
}

HttpCounts HttpServer::counts() const {
  MutexLock lock(&mutex_);
  return counts_;
}

void HttpServer::Note(uint64_t HttpCounts::*count) {
  MutexLock lock(&mutex_);
  ++(counts_.*count);
}

void HttpServer::Run() {
  while (!stopping_) Turn();
}

// Clients before the listener: everyone who was accepted is looked at once
// before anyone newer can take the place.
void HttpServer::Turn() {
  std::vector<pollfd> fds;
  fds.push_back({wake_fd_, POLLIN, 0});
  const bool accepting = clock_->MonotonicMs() >= accept_after_ms_;
  fds.push_back({listener_, static_cast<short>(accepting ? POLLIN : 0), 0});
  for (const Client& client : clients_) {
    const bool writing = !client.out.empty() && !client.answered();
    fds.push_back({client.fd, static_cast<short>(writing ? POLLOUT : POLLIN), 0});
  }
  (void)poll(fds.data(), fds.size(), TimeoutMs());
  size_t i = 2;
  for (auto client = clients_.begin(); client != clients_.end(); ++i) {
    const auto one = client++;
    if (fds[i].revents != 0 && !Serve(&*one)) Drop(one);
  }
  DropSlow();
  if ((fds[1].revents & POLLIN) != 0) Accept();
  MutexLock lock(&mutex_);
  counts_.clients = clients_.size();
}

// Until the first deadline; -1 = no limit.
int HttpServer::TimeoutMs() const {
  const int64_t now_ms = clock_->MonotonicMs();
  int64_t until_ms = INT64_MAX;
  if (!clients_.empty()) until_ms = clients_.front().deadline_ms;
  if (accept_after_ms_ > now_ms) until_ms = std::min(until_ms, accept_after_ms_);
  if (until_ms == INT64_MAX) return -1;
  return static_cast<int>(std::max<int64_t>(until_ms - now_ms, 0));
}

void HttpServer::DropSlow() {
  const int64_t now_ms = clock_->MonotonicMs();
  while (!clients_.empty() && clients_.front().deadline_ms <= now_ms) {
    // One that has its answer and does not close was not slow.
    if (!clients_.front().answered()) Note(&HttpCounts::slow);
    Drop(clients_.begin());
  }
}

// As many as there is room for, and at least one.
void HttpServer::Accept() {
  const size_t free = options_.clients_max - clients_.size();
  for (size_t i = 0; i < std::max<size_t>(free, 1); ++i) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      const bool out =
          errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
      if (out) accept_after_ms_ = clock_->MonotonicMs() + kNoDescriptorsMs;
      return;
    }
    if (clients_.size() == options_.clients_max) {
      if (!clients_.front().answered()) Note(&HttpCounts::crowded);
      Drop(clients_.begin());
    }
    clients_.push_back({fd, clock_->MonotonicMs() + options_.client_ms, "", "", 0});
  }
}

bool HttpServer::Serve(Client* client) {
  if (client->out.empty() || client->answered()) {
    if (!Read(client)) return false;
    if (client->out.empty()) return true;
  }
  if (client->answered()) return true;
  if (!Send(client)) return false;
  if (client->answered()) shutdown(client->fd, SHUT_WR);
  return true;
}

// What comes behind the request is read, too, and forgotten. False at the
// client's end.
bool HttpServer::Read(Client* client) {
  char bytes[4'096];
  const ssize_t got = recv(client->fd, bytes, sizeof bytes, 0);
  if (got < 0) return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
  if (got == 0) return false;
  if (!client->out.empty()) return true;
  client->in.append(bytes, static_cast<size_t>(got));
  Answer(client);
  return true;
}

// The response, once the request is whole or can never be.
void HttpServer::Answer(Client* client) {
  const HttpRequest request = ParseHttpRequest(client->in);
  HttpResponse response;
  if (request.parse == HttpParse::kBad) {
    response = {400, "expected GET and a path over HTTP/1\n"};
  } else if (request.parse == HttpParse::kMore) {
    if (client->in.size() < options_.request_bytes_max) return;
    response = {431, "the request is too long\n"};
  } else if (request.method != "GET") {
    response = {405, "expected GET\n"};
  } else {
    response = handler_(request.path);
  }
  const auto* const code = std::find(kHttpCodes.begin(), kHttpCodes.end(), response.code);
  CHECK(code != kHttpCodes.end());
  client->out = Bytes(response);
  client->in.clear();
  MutexLock lock(&mutex_);
  ++counts_.responses[static_cast<size_t>(code - kHttpCodes.begin())];
}

bool HttpServer::Send(Client* client) {
  const ssize_t sent = send(client->fd, client->out.data() + client->sent,
                            client->out.size() - client->sent, MSG_NOSIGNAL);
  if (sent < 0) return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
  client->sent += static_cast<size_t>(sent);
  return true;
}

void HttpServer::Drop(std::list<Client>::iterator client) {
  close(client->fd);
  clients_.erase(client);
}

}  // namespace expirer
