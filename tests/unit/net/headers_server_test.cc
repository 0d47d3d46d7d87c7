// Headers as they go over the wire: what a real server hands to us, and what it
// gets from us.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/mutex.h"
#include "job/header_block.h"
#include "net/connection.h"
#include "support/nats_server.h"
#include "support/raw_publish.h"

namespace expirer {
namespace {

using test::NatsServer;
using test::PublishRaw;
using test::StoredBlock;
using test::TestClient;
using test::WaitFor;

class HeadersServer : public testing::Test {
 protected:
  struct Message {
    std::string reply;
    std::string payload;
    Headers headers;
    Delivery::Status status;
    std::string description;
  };

  void SetUp() override {
    if (test::NatsServerBinary().empty()) GTEST_SKIP() << "no nats-server";
    server_.emplace();
    client_ = std::make_unique<TestClient>(server_->url());
    client_->CreateStream("OUT", {"out.>"});
    ConnectionOptions to;
    to.servers = {server_->url()};
    connection_ = std::make_unique<Connection>(to, "test", Connection::Handlers{});
    connection_->Subscribe("in", [this](const Delivery& d) { OnDelivery(d); });
    connection_->Start();
    ASSERT_TRUE(WaitFor([&] { return connection_->up(); }));
    // What comes back over this connection shows that the server has its subscription.
    ASSERT_EQ(connection_->Publish("in", "", "here"), Connection::Sent::kOk);
    connection_->Flush();
    ASSERT_TRUE(Come().has_value());
  }
  void TearDown() override {
    if (connection_ != nullptr) connection_->Stop(0);
  }
  void OnDelivery(const Delivery& delivery) {
    Message message{std::string(delivery.reply()),
                    std::string(delivery.payload()),
                    {},
                    delivery.status(),
                    ""};
    message.description = message.status.description;
    delivery.CopyHeaders(&message.headers);
    MutexLock lock(&mutex_);
    came_ = std::move(message);
  }
  // The next message; nothing if none comes.
  std::optional<Message> Come() {
    std::optional<Message> message;
    (void)WaitFor([&] {
      MutexLock lock(&mutex_);
      message.swap(came_);
      return message.has_value();
    });
    return message;
  }
  // The message as it is delivered to a subscriber.
  Message Deliver(const std::string& block, const std::string& payload = "payload") {
    PublishRaw(server_->port(), "in", block, payload);
    const std::optional<Message> message = Come();
    EXPECT_TRUE(message.has_value());
    if (!message) return {};
    EXPECT_EQ(message->payload, payload);
    return *message;
  }
  Headers Delivered(const std::string& lines) {
    return Deliver("NATS/1.0\r\n" + lines + "\r\n").headers;
  }
  // The block of the message as it is stored once published with `headers`.
  std::string Published(const HeaderViews& headers) {
    const uint64_t seq = client_->StreamLastSeq("OUT") + 1;
    EXPECT_EQ(connection_->Publish("out.a", "", headers, "payload"),
              Connection::Sent::kOk);
    connection_->Flush();
    EXPECT_TRUE(WaitFor([&] { return client_->StreamLastSeq("OUT") == seq; }));
    return StoredBlock(*client_, "OUT", seq);
  }

  std::optional<NatsServer> server_;
  std::unique_ptr<TestClient> client_;
  std::unique_ptr<Connection> connection_;
  Mutex mutex_;
  std::optional<Message> came_ ABSL_GUARDED_BY(mutex_);
};

TEST_F(HeadersServer, AMessageComesWithAllItsHeadersInTheirOrder) {
  EXPECT_EQ(Delivered("z: 1\r\na: 2\r\nZ: 3\r\nm: 4\r\nz: 5\r\n"),
            (Headers{{"z", "1"}, {"a", "2"}, {"Z", "3"}, {"m", "4"}, {"z", "5"}}));
  EXPECT_EQ(Deliver("").headers, Headers());
  EXPECT_EQ(Delivered(""), Headers());
  EXPECT_EQ(Deliver("NATS/1.0\r\na: 1\r\n\r\n", "").headers, (Headers{{"a", "1"}}));
}

TEST_F(HeadersServer, AnEmptyValueComesAsOneAlsoAtTheEnd) {
  EXPECT_EQ(Delivered("a: 1\r\nbaggage: \r\n"), (Headers{{"a", "1"}, {"baggage", ""}}));
  EXPECT_EQ(Delivered("baggage:\r\na: 1\r\n"), (Headers{{"baggage", ""}, {"a", "1"}}));
}

TEST_F(HeadersServer, AZeroByteCutsNothingOff) {
  EXPECT_EQ(Delivered(std::string("a: b\0c\r\nd: e\r\n", 14)),
            (Headers{{"a", std::string("b\0c", 3)}, {"d", "e"}}));
}

TEST_F(HeadersServer, ABlockThatCannotBeReadIsNotTakenForNone) {
  for (const char* block : {"NATS/1.0\r\nX\r\n\r\n", "NATS/1.0\r\n", "x", "\r\n\r\n"})
    EXPECT_EQ(Deliver(block).headers, UnreadHeaders(block)) << block;
}

TEST_F(HeadersServer, ALargeBlockAndAReplySubjectChangeNothing) {
  const std::string large(200'000, 'v');
  EXPECT_EQ(Delivered("a: " + large + "\r\n"), (Headers{{"a", large}}));
  PublishRaw(server_->port(), "in reply.to", "NATS/1.0\r\na: 1\r\n\r\n", "x");
  std::optional<Message> message;
  EXPECT_TRUE(WaitFor([&] {
    MutexLock lock(&mutex_);
    message.swap(came_);
    return message.has_value();
  }));
  EXPECT_EQ(message->reply, "reply.to");
  EXPECT_EQ(message->headers, (Headers{{"a", "1"}}));
}

TEST_F(HeadersServer, AStatusIsReadFromTheFirstLine) {
  EXPECT_EQ(Deliver("NATS/1.0 503\r\n\r\n", "").status.code, 503);
  const Message beat = Deliver("NATS/1.0 100 Idle Heartbeat\r\na: \r\n\r\n", "");
  EXPECT_EQ(beat.status.code, 100);
  EXPECT_EQ(beat.description, "Idle Heartbeat");
  for (const char* none : {"NATS/1.0 5034\r\n\r\n", "NATS/1.0 5\r\n\r\n",
                           "NATS/1.0 abc\r\n\r\n", "NATS/1.0\r\nStatus: 503\r\n\r\n"})
    EXPECT_EQ(Deliver(none, "").status.code, 0) << none;
}

TEST_F(HeadersServer, WhatIsPublishedLeavesInItsOrderByteForByte) {
  EXPECT_EQ(Published({{"z", "1"}, {"a", ""}, {"z", "\xff \t:"}, {"b", "2"}}),
            "NATS/1.0\r\nz: 1\r\na: \r\nz: \xff \t:\r\nb: 2\r\n\r\n");
  EXPECT_EQ(Published({{"one", "alone"}}), "NATS/1.0\r\none: alone\r\n\r\n");
  EXPECT_EQ(Published({{"b", "2"}, {"last", ""}}), "NATS/1.0\r\nb: 2\r\nlast: \r\n\r\n");
}

TEST_F(HeadersServer, NothingPublishedBeginsAnotherLine) {
  const std::string zero("a\0b", 3);
  EXPECT_EQ(Published({{"x\r\nNats-Rollup", "all"}, {zero, zero}, {"y", "1\n2\r\n3"}}),
            "NATS/1.0\r\nx  Nats-Rollup: all\r\na b: a b\r\ny: 1 2  3\r\n\r\n");
}

}  // namespace
}  // namespace expirer
