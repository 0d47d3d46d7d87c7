// A connection to a server that a test plays by hand.
#include "net/connection.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "base/clock.h"
#include "net/pull_replies.h"
#include "net/pull_source.h"
#include "sched/inbox.h"
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

// Connects to `server`, which then has said nothing but that.
void ConnectTo(HandServer* server, Connection* connection) {
  connection->Start();
  server->Accept();
  server->SayInfo(1'000);
  server->Hear("PING\r\n");
  server->Say("PONG\r\n");
  ASSERT_TRUE(WaitFor([&] { return connection->up(); }));
}

ConnectionOptions To(const HandServer& server) {
  ConnectionOptions to;
  to.servers = {server.url()};
  to.connect_timeout_ms = 60'000;
  return to;
}

// As of one that is frozen, or of a host that is gone.
TEST(Connection, AServerThatSaysNothingIsLeftWithinSeconds) {
  HandServer server;
  Connection connection(To(server), "test", Connection::Handlers{});
  ConnectTo(&server, &connection);
  // nats.c by itself, asking each 10 s, would need 20 to 30.
  EXPECT_TRUE(WaitFor([&] { return !connection.up(); }, 15'000));
  EXPECT_TRUE(WaitFor([&] {
    return connection.trouble() ==
           "the server sent nothing for 5 s, not even an answer to a PING";
  })) << connection.trouble();
}

// A PONG waits behind all that a slow link has yet to carry.
TEST(Connection, AServerThatSaysAnythingIsKept) {
  HandServer server;
  Connection connection(To(server), "test", Connection::Handlers{});
  ConnectTo(&server, &connection);
  for (int i = 0; i < 35; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    server.Say("PING\r\n");
  }
  EXPECT_EQ(connection.generation(), 1u);
  EXPECT_TRUE(connection.up());
}

// A stream takes no cancel for 4 s at least after its leader went: by then the rule is
// known to be not read, and what falls due waits.
TEST(PullSource, ASilentConsumerIsUnheardThenBrokenBeforeItCanHaveAnotherLeader) {
  HandServer server;
  Connection connection(To(server), "test", Connection::Handlers{});
  PullReplies replies(&connection);
  Inbox inbox(1'000, [] {});
  const std::string stream = "S";
  const std::atomic<int64_t> created_ns = 0;
  const SystemClock clock;
  PullSource::Options options;
  options.stream = &stream;
  options.created_ns = &created_ns;
  options.consumer = "c";
  options.api_prefix = "$JS.API.";
  std::atomic<int> unheard = 0;
  std::atomic<bool> broken = false;
  PullSource source(
      options, &connection, &replies, &inbox, &clock,
      [](const EventView&, int64_t) { return Intent(); },
      {[&unheard] { ++unheard; }, [&broken](const std::string&) { broken = true; }});
  ConnectTo(&server, &connection);
  source.Open(10, 10'000);
  server.Hear("idle_heartbeat");
  int64_t ticks = 0;
  int64_t unheard_after = 0;
  // Of 100 ms each as the source counts: not of the machine's time.
  for (; ticks < 100 && !broken; ++ticks) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    if (ticks % 10 == 0) server.Say("PING\r\n");
    source.Tick();
    if (unheard == 0) unheard_after = ticks;
  }
  EXPECT_TRUE(broken);
  EXPECT_EQ(unheard, 1);
  EXPECT_LT(unheard_after, ticks - 5);
  EXPECT_LT(ticks, 35);
  EXPECT_GT(ticks, 10);
  connection.Stop(0);
}

TEST(Connection, MaxPayloadIsThatOfTheNewestInfo) {
  HandServer server;
  Connection connection(To(server), "test", Connection::Handlers{});
  ConnectTo(&server, &connection);
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
