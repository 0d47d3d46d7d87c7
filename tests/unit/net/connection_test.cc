// A connection to a server that a test plays by hand.
#include "net/connection.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "support/nats_server.h"

namespace expirer {
namespace {

using test::WaitFor;

// Takes one client, and says what it is told to.
class HandServer {
 public:
  HandServer() : listener_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(listener_, 1), 0);
    EXPECT_EQ(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    url_ = "nats://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  }
  ~HandServer() {
    close(client_);
    close(listener_);
  }
  void Accept() { client_ = accept(listener_, nullptr, nullptr); }
  void SayInfo(int max_payload) {
    Say(R"(INFO {"server_id":"S","version":"2.10.0","proto":1,"headers":true,)"
        R"("max_payload":)" +
        std::to_string(max_payload) + "}\r\n");
  }
  void Say(const std::string& text) {
    EXPECT_EQ(send(client_, text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }
  // Reads until the client has said `text`.
  void Hear(const std::string& text) {
    std::string heard;
    while (heard.find(text) == heard.npos) {
      char bytes[4096];
      const ssize_t got = recv(client_, bytes, sizeof bytes, 0);
      ASSERT_GT(got, 0);
      heard.append(bytes, static_cast<size_t>(got));
    }
  }
  [[nodiscard]] const std::string& url() const { return url_; }

 private:
  const int listener_;
  int client_ = -1;
  std::string url_;
};

TEST(Connection, MaxPayloadIsThatOfTheNewestInfo) {
  HandServer server;
  ConnectionOptions to;
  to.servers = {server.url()};
  to.connect_timeout_ms = 60'000;
  Connection connection(to, "test", Connection::Handlers{});
  connection.Start();
  server.Accept();
  server.SayInfo(1'000);
  server.Hear("PING\r\n");
  server.Say("PONG\r\n");
  ASSERT_TRUE(WaitFor([&] { return connection.up(); }));
  EXPECT_EQ(connection.max_payload(), 1'000);
  EXPECT_EQ(connection.Publish("a", "", std::string(1'500, 'x')),
            Connection::Sent::kTooLarge);
  server.SayInfo(2'000);
  EXPECT_TRUE(WaitFor([&] { return connection.max_payload() == 2'000; }));
  EXPECT_EQ(connection.Publish("a", "", std::string(1'500, 'x')), Connection::Sent::kOk);
  connection.Stop(0);
}

}  // namespace
}  // namespace expirer
