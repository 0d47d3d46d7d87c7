// Streams read through the reader's own consumers, beside a real server.
#include "net/stream_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/requests.h"
#include "support/nats_server.h"
#include "support/proxy.h"
#include "support/raw_publish.h"

namespace expirer {
namespace {

using test::NatsServer;
using test::Proxy;
using test::StoredMessage;
using test::TestClient;
using test::WaitFor;
using testing::HasSubstr;

class StreamReaderServer : public testing::Test {
 protected:
  void SetUp() override {
    if (test::NatsServerBinary().empty()) GTEST_SKIP() << "no nats-server";
    server_.emplace();
    client_ = std::make_unique<TestClient>(server_->url());
    client_->CreateStream("S", {"s.>"});
  }
  void TearDown() override {
    if (connection_ != nullptr) connection_->Stop(0);
  }

  void Publish(size_t count, const std::string& subject = "s.x") {
    client_->PublishMany(subject, count, [](size_t i) { return std::to_string(i); });
  }
  void Open(StreamReader::Options options, const std::string& url = "") {
    ConnectionOptions to;
    to.servers = {url.empty() ? server_->url() : url};
    Connection::Handlers handlers;
    handlers.down = [this](const std::string&) { requests_->ConnectionLost(); };
    handlers.tick = [this] { requests_->Tick(); };
    connection_ = std::make_unique<Connection>(to, "test", handlers);
    requests_ = std::make_unique<Requests>(connection_.get());
    js_ = std::make_unique<JetStream>(requests_.get(), "", 2'000);
    replies_ = std::make_unique<PullReplies>(connection_.get());
    connection_->Start();
    ASSERT_TRUE(WaitFor([&] { return connection_->up(); }));
    options.stream = "S";
    reader_ = std::make_unique<StreamReader>(std::move(options), connection_.get(),
                                             replies_.get(), js_.get());
  }
  // The next `count` messages, or those up to the end.
  std::vector<StreamMessage> Read(size_t count = SIZE_MAX) {
    std::vector<StreamMessage> messages;
    StreamMessage message;
    while (messages.size() < count) {
      const auto more = reader_->Next(&message);
      EXPECT_TRUE(more.ok()) << more.status();
      if (!more.ok() || !*more) break;
      messages.push_back(std::move(message));
    }
    return messages;
  }
  absl::Status ReadToTheError() {
    StreamMessage message;
    while (true) {
      const auto more = reader_->Next(&message);
      if (!more.ok()) return more.status();
      if (!*more) return absl::OkStatus();
    }
  }
  static std::vector<uint64_t> Sequences(const std::vector<StreamMessage>& messages) {
    std::vector<uint64_t> sequences;
    for (const StreamMessage& one : messages) sequences.push_back(one.seq);
    return sequences;
  }
  static std::vector<uint64_t> Range(uint64_t first, uint64_t last) {
    std::vector<uint64_t> sequences;
    for (uint64_t seq = first; seq <= last; ++seq) sequences.push_back(seq);
    return sequences;
  }
  std::string Consumers() { return client_->Api("CONSUMER.NAMES.S"); }

  std::optional<NatsServer> server_;
  std::unique_ptr<TestClient> client_;
  std::unique_ptr<Connection> connection_;
  std::unique_ptr<Requests> requests_;
  std::unique_ptr<JetStream> js_;
  std::unique_ptr<PullReplies> replies_;
  std::unique_ptr<StreamReader> reader_;
};

TEST_F(StreamReaderServer, MessagesComeInOrderWithAllThatTheyHave) {
  Publish(1'000);
  const std::string bytes("\0\xff\xfe\n", 4);
  test::PublishRaw(server_->port(), "s.y",
                   "NATS/1.0\r\nb: 1\r\na: 2\r\nNats-Msg-Id: m\r\nb:\r\n\r\n", bytes);
  client_->Publish("s.y", "");
  Open({.last_seq = 1'002});
  const std::vector<StreamMessage> read = Read();
  EXPECT_EQ(Sequences(read), Range(1, 1'002));
  const std::vector<StoredMessage> stored = client_->ReadStream("S");
  ASSERT_EQ(read.size(), stored.size());
  for (size_t i = 0; i < read.size(); ++i) {
    EXPECT_EQ(read[i].time_ns, stored[i].time_ns);
    EXPECT_EQ(read[i].subject, stored[i].subject);
    EXPECT_EQ(read[i].payload, stored[i].payload);
  }
  EXPECT_EQ(read[1'000].headers,
            (Headers{{"b", "1"}, {"a", "2"}, {"Nats-Msg-Id", "m"}, {"b", ""}}));
  EXPECT_EQ(read[1'000].payload, bytes);
}

TEST_F(StreamReaderServer, EndsAtTheSequenceItIsTold) {
  Publish(20);
  Open({.last_seq = 10});
  EXPECT_EQ(Sequences(Read()), Range(1, 10));
  EXPECT_EQ(Read().size(), 0u) << "and stays there";
}

TEST_F(StreamReaderServer, AnEmptyStreamEndsAtOnce) {
  Open({.last_seq = 0});
  EXPECT_EQ(Read().size(), 0u);
}

TEST_F(StreamReaderServer, WhatWasDeletedIsPassedOverAlsoAtTheEnd) {
  Publish(10);
  for (const char* seq : {"1", "4", "10"})
    (void)client_->Api("STREAM.MSG.DELETE.S", "{\"seq\":" + std::string(seq) + "}");
  Open({.last_seq = 10});
  EXPECT_EQ(Sequences(Read()), (std::vector<uint64_t>{2, 3, 5, 6, 7, 8, 9}));
}

TEST_F(StreamReaderServer, WhatIsDeletedMeanwhileIsNotWaitedFor) {
  Publish(1'000);
  Open({.last_seq = 1'000, .timeout_ms = 300});
  EXPECT_EQ(Read(1).size(), 1u);
  (void)client_->Api("STREAM.PURGE.S");
  const std::vector<StreamMessage> rest = Read();
  EXPECT_LE(rest.size(), StreamReader::kMessagesMax);
}

TEST_F(StreamReaderServer, BeginsAtTheNanosecondAndFilters) {
  for (int i = 0; i < 3; ++i) {
    Publish(1, "s.x");
    Publish(1, "s.y");
  }
  const std::vector<StoredMessage> stored = client_->ReadStream("S");
  Open({.filter = "s.y", .since_ns = stored[3].time_ns, .last_seq = 6});
  EXPECT_EQ(Sequences(Read()), (std::vector<uint64_t>{4, 6}));
  connection_->Stop(0);
  Open({.since_ns = stored[3].time_ns + 1, .last_seq = 6});
  EXPECT_EQ(Sequences(Read()), (std::vector<uint64_t>{5, 6}));
  connection_->Stop(0);
  Open({.since_ns = stored[5].time_ns + 1, .last_seq = 6});
  EXPECT_EQ(Read().size(), 0u);
}

TEST_F(StreamReaderServer, GoesOnWhereItWasWhenTheConnectionComesBack) {
  Publish(5'000);
  Proxy link(server_->port());
  Open({.last_seq = 5'000, .patience_ms = 60'000}, link.url());
  std::vector<StreamMessage> read = Read(100);
  link.Cut();
  ASSERT_TRUE(WaitFor([&] { return !connection_->up(); }));
  link.Mend();
  for (StreamMessage& one : Read()) read.push_back(std::move(one));
  EXPECT_EQ(Sequences(read), Range(1, 5'000));
  reader_->Close();
  EXPECT_THAT(Consumers(), HasSubstr("\"total\":0")) << "the one before was deleted, too";
}

TEST_F(StreamReaderServer, GoesOnWithAServerThatForgotItsConsumer) {
  Publish(2'000);
  Open({.last_seq = 2'000, .patience_ms = 60'000});
  std::vector<StreamMessage> read = Read(100);
  server_->Stop();
  server_->Start();
  for (StreamMessage& one : Read()) read.push_back(std::move(one));
  EXPECT_EQ(Sequences(read), Range(1, 2'000));
}

TEST_F(StreamReaderServer, LeavesNoConsumerBehindAndTakesNoMessage) {
  Publish(10);
  Open({.last_seq = 10});
  EXPECT_EQ(Read(1).size(), 1u);
  EXPECT_THAT(Consumers(), HasSubstr("expirer-record-"));
  reader_->Close();
  EXPECT_THAT(Consumers(), HasSubstr("\"total\":0"));
  EXPECT_EQ(client_->StreamMessages("S"), 10u);
}

TEST_F(StreamReaderServer, GivesUpWhenNobodyComesBack) {
  Publish(2'000);
  Open({.last_seq = 2'000, .timeout_ms = 200, .patience_ms = 3'000});
  EXPECT_EQ(Read(1).size(), 1u);
  server_->Kill();
  const absl::Status ended = ReadToTheError();
  EXPECT_TRUE(absl::IsUnavailable(ended)) << ended;
  EXPECT_EQ(Message(ended),
            "stream S: the connection was lost, and reading did not go on within 3s: "
            "not connected to NATS");
}

TEST_F(StreamReaderServer, AStreamMadeAnewIsNotTakenForTheSame) {
  Publish(2'000);
  Open({.last_seq = 2'000, .timeout_ms = 300});
  EXPECT_EQ(Read(1).size(), 1u);
  client_->DeleteStream("S");
  client_->CreateStream("S", {"s.>"});
  Publish(5);
  EXPECT_EQ(Message(ReadToTheError()),
            "stream S: it was created again, or has lost messages, while it was read");
}

TEST_F(StreamReaderServer, StopsWhereItWaits) {
  Publish(1'000);
  bool stopped = false;
  Open({.last_seq = 1'000, .stopped = [&stopped] { return stopped; }});
  EXPECT_EQ(Read(1).size(), 1u);
  server_->Pause();
  stopped = true;
  EXPECT_EQ(ReadToTheError().code(), absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace expirer
