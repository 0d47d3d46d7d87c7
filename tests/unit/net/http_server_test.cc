// The listener on a loopback port: what is answered, and that no client can keep
// another from being answered.
#include "net/http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/nats_server.h"

namespace expirer {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr int64_t kLongMs = 60'000;  // generous: for what must happen

// Stands still but for what a test sets.
class SetClock final : public Clock {
 public:
  [[nodiscard]] int64_t NowMs() const override { return 0; }
  [[nodiscard]] int64_t MonotonicMs() const override { return ms_; }
  void Set(int64_t ms) { ms_ = ms; }

 private:
  std::atomic<int64_t> ms_ = 0;
};

// One connection of a client, which hangs up at its end.
class Client {
 public:
  Client() : fd_(socket(AF_INET, SOCK_STREAM, 0)) {}
  explicit Client(const HttpServer& server) : Client() { Connect(server); }
  void Connect(const HttpServer& server) {
    const std::string& address = server.address();
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port =
        htons(static_cast<uint16_t>(std::atoi(address.c_str() + address.rfind(':') + 1)));
    EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
  }
  ~Client() { close(fd_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void Send(std::string_view bytes) {
    EXPECT_EQ(send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  // Also where the server may have hung up.
  void TrySend(char byte) { (void)!send(fd_, &byte, 1, MSG_NOSIGNAL); }
  void SmallWindow() {
    const int bytes = 4'096;
    setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  }
  bool Hears(int64_t within_ms) {
    pollfd one{fd_, POLLIN, 0};
    return poll(&one, 1, static_cast<int>(within_ms)) == 1;
  }
  // Everything up to the server's end; "(silence)" when that does not come.
  std::string Rest() {
    std::string all;
    char bytes[4'096];
    while (true) {
      if (!Hears(kLongMs)) return "(silence)";
      const ssize_t got = recv(fd_, bytes, sizeof bytes, 0);
      if (got <= 0) return all;
      all.append(bytes, static_cast<size_t>(got));
    }
  }

 private:
  const int fd_;
};

class HttpServerTest : public testing::Test {
 protected:
  void Listen(const HttpServer::Options& options, const std::string& body = "all well\n",
              const Clock* clock = nullptr) {
    auto server = HttpServer::Listen(
        "127.0.0.1:0", options,
        [body](std::string_view path) {
          return path == "/metrics" ? HttpResponse{200, body}
                                    : HttpResponse{404, "not " + std::string(path)};
        },
        clock == nullptr ? &clock_ : clock);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  std::string Ask(std::string_view request) {
    Client client(*server_);
    client.Send(request);
    return client.Rest();
  }
  std::string Scrape() { return Ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"); }
  uint64_t Responses(int code) const {
    const HttpCounts counts = server_->counts();
    for (size_t i = 0; i < kHttpCodes.size(); ++i)
      if (kHttpCodes[i] == code) return counts.responses[i];
    return 0;
  }

  const SystemClock clock_;
  SetClock set_clock_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, AGetIsAnsweredAndTheConnectionClosed) {
  Listen({});
  EXPECT_THAT(server_->address(), StartsWith("127.0.0.1:"));
  EXPECT_EQ(Scrape(),
            "HTTP/1.0 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n"
            "Content-Length: 9\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
            "all well\n");
  EXPECT_THAT(Ask("GET /x?y HTTP/1.0\r\n\r\n"), HasSubstr("\r\n\r\nnot /x"));
  EXPECT_EQ(Responses(200), 1u);
  EXPECT_EQ(Responses(404), 1u);
}

TEST_F(HttpServerTest, NothingButGetIsAnswered) {
  Listen({});
  for (const char* method : {"POST", "PUT", "DELETE", "HEAD", "OPTIONS", "CONNECT"}) {
    const std::string answer = Ask(std::string(method) + " /metrics HTTP/1.1\r\n\r\n");
    EXPECT_THAT(answer, StartsWith("HTTP/1.0 405 ")) << method;
    EXPECT_THAT(answer, HasSubstr("\r\nAllow: GET\r\n"));
  }
}

TEST_F(HttpServerTest, GarbageIsRefusedAndHarmsNobody) {
  Listen({});
  // The first bytes of a TLS client; a line of noise; a line without end.
  for (const std::string& garbage :
       {std::string("\x16\x03\x01\x02\x00\x01", 6), std::string(600, '\xFF'),
        std::string("GET /metrics\r\n\r\n"), std::string(3'000, 'A')})
    EXPECT_THAT(Ask(garbage), StartsWith("HTTP/1.0 400 "));
  std::string headers = "GET /metrics HTTP/1.1\r\n";
  while (headers.size() < 9'000) headers += "X-Header: 0123456789012345\r\n";
  EXPECT_THAT(Ask(headers), StartsWith("HTTP/1.0 431 "));
  unsigned seed = 7;
  for (int i = 0; i < 100; ++i) {
    std::string noise(static_cast<size_t>(rand_r(&seed) % 3'000 + 1), ' ');
    for (char& c : noise) c = static_cast<char>(rand_r(&seed));
    Client client(*server_);
    client.Send(noise);  // and hangs up
  }
  EXPECT_THAT(Scrape(), HasSubstr("all well"));
}

TEST_F(HttpServerTest, AClientThatSendsNothingIsDroppedWhenItsTimeIsOver) {
  Listen({.client_ms = 200});
  Client idle(*server_);
  EXPECT_EQ(idle.Rest(), "");
  EXPECT_EQ(server_->counts().slow, 1u);
}

TEST_F(HttpServerTest, AByteNowAndThenBuysNoTime) {
  Listen({.client_ms = 1'000}, "", &set_clock_);
  Client slow(*server_);
  slow.Send("GET /me");
  EXPECT_TRUE(test::WaitFor([this] { return server_->counts().clients == 1; }, kLongMs));
  set_clock_.Set(999);
  slow.Send("tri");
  EXPECT_EQ(server_->counts().slow, 0u);
  set_clock_.Set(1'000);
  slow.TrySend('c');
  EXPECT_EQ(slow.Rest(), "");
  EXPECT_EQ(server_->counts().slow, 1u);
}

TEST_F(HttpServerTest, AClientThatDoesNotReadIsDroppedWhenItsTimeIsOver) {
  // More than the kernel's buffers of both ends hold.
  Listen({.client_ms = 300}, std::string(32 << 20, 'x'));
  Client deaf(*server_);
  deaf.SmallWindow();
  deaf.Send("GET /metrics HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(test::WaitFor([this] { return server_->counts().slow == 1; }, kLongMs));
}

TEST_F(HttpServerTest, ACrowdOfSilentClientsKeepsNobodyOut) {
  Listen({.clients_max = 4, .client_ms = 600'000});
  std::vector<std::unique_ptr<Client>> crowd;
  for (int i = 0; i < 40; ++i) crowd.push_back(std::make_unique<Client>(*server_));
  for (int i = 0; i < 10; ++i) EXPECT_THAT(Scrape(), HasSubstr("all well"));
  const HttpCounts counts = server_->counts();
  EXPECT_GE(counts.crowded, 36u);
  EXPECT_LE(counts.clients, 4u);
  EXPECT_EQ(crowd[0]->Rest(), "") << "the oldest made room";
}

TEST_F(HttpServerTest, ManyClientsAtOnceAreAllAnswered) {
  Listen({});
  std::vector<std::thread> threads;
  std::atomic<int> good = 0;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([this, &good] {
      for (int j = 0; j < 50; ++j)
        good += Scrape().find("all well") != std::string::npos ? 1 : 0;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 400);
  EXPECT_EQ(Responses(200), 400u);
}

TEST_F(HttpServerTest, AClientWaitsWhileThereAreNoDescriptors) {
#ifdef __SANITIZE_ADDRESS__
  // Its sibling asks the kernel, through a pipe, whether an object may be read.
  GTEST_SKIP() << "UndefinedBehaviorSanitizer needs descriptors of its own";
#endif
  Listen({});
  Client client;
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none = before;
  none.rlim_cur = 3;  // those are taken
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  client.Connect(*server_);
  client.Send("GET /metrics HTTP/1.1\r\n\r\n");
  EXPECT_FALSE(client.Hears(200));
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_THAT(client.Rest(), HasSubstr("all well"));
}

TEST_F(HttpServerTest, EndsWithClientsConnected) {
  Listen({});
  Client idle(*server_);
  Client half(*server_);
  half.Send("GET /met");
  server_.reset();
  EXPECT_EQ(idle.Rest(), "");
  EXPECT_EQ(half.Rest(), "");
}

TEST_F(HttpServerTest, AnAddressThatCannotBeTakenIsNamedWithTheReason) {
  Listen({});
  const auto error = [this](const std::string& address) {
    const auto server = HttpServer::Listen(
        address, {}, [](auto) { return HttpResponse{}; }, &clock_);
    return server.ok() ? "listens" : Message(server.status());
  };
  EXPECT_EQ(error(server_->address()),
            "cannot listen on " + server_->address() + ": Address already in use");
  EXPECT_THAT(error("192.0.2.1:0"),
              StartsWith("cannot listen on 192.0.2.1:0: Cannot assign requested"));
  EXPECT_THAT(error("9464"), StartsWith("cannot listen on 9464: expected HOST:PORT"));
}

}  // namespace
}  // namespace expirer
