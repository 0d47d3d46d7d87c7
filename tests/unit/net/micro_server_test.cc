// Replies of the service protocol over a real server.
#include <gmock/gmock.h>

#include <set>

#include "net/micro.h"
#include "unit/net/net_world.h"

namespace expirer {
namespace {

using test::NatsServer;
using test::TestClient;
using test::WaitFor;
using testing::HasSubstr;

class MicroServer : public testing::Test {
 protected:
  void SetUp() override {
    if (test::NatsServerBinary().empty()) GTEST_SKIP() << "no nats-server";
    Begin("max_payload: 2048");
  }
  void Begin(const std::string& server_config) {
    TearDown();
    NatsServer::Options options;
    options.config = server_config;
    options.jetstream = false;
    server_ = std::make_unique<NatsServer>(options);
    ConnectionOptions to;
    to.servers = {server_->url()};
    connection_ = std::make_unique<Connection>(to, "test", Connection::Handlers{});
    Micro::Options of{"svc", "1.0.0", "A service.", "", {}};
    of.no_replies_to = {"orders.*", "out.expired"};
    micro_ = std::make_unique<Micro>(std::move(of), connection_.get());
    micro_->AddEndpoint("get", "svc.get", [this](const Caller& caller, std::string_view) {
      bytes_max_ = caller.bytes_max;
      micro_->Reply(caller, code_, body_);
      connection_->Flush();
    });
    micro_->Listen();
    connection_->Start();
    client_ = std::make_unique<TestClient>(server_->url());
    ASSERT_TRUE(
        WaitFor([&] { return !client_->Request("$SRV.PING", "").value_or("").empty(); }));
  }
  void TearDown() override {
    if (connection_) connection_->Stop(0);
  }
  // What is said to a request that is answered so.
  std::string Ask(int code, std::string body) {
    code_ = code;
    body_ = std::move(body);
    headers_.clear();
    return client_->Request("svc.get", "", 10'000, &headers_).value_or("nothing");
  }
  std::string Header(const std::string& name) {
    for (const auto& [known, value] : headers_)
      if (known == name) return value;
    return "";
  }

  std::unique_ptr<NatsServer> server_;
  std::unique_ptr<Connection> connection_;
  std::unique_ptr<Micro> micro_;
  std::unique_ptr<TestClient> client_;
  TestClient::HeaderList headers_;
  // Written before the request that reads them.
  std::atomic<int> code_ = 0;
  std::string body_;
  std::atomic<size_t> bytes_max_ = 0;
};

TEST_F(MicroServer, ReplyOverTheServersLimitIsAnsweredByAnErrorAndCounted) {
  EXPECT_EQ(Ask(0, std::string(2'048, 'x')).size(), 2'048u);
  EXPECT_EQ(bytes_max_, 2'048u);
  EXPECT_EQ(micro_->replies_failed(), 0u);
  EXPECT_THAT(
      Ask(0, std::string(2'049, 'x')),
      HasSubstr("the reply of 2049 bytes exceeds the server's max_payload of 2048"));
  EXPECT_EQ(Header("Nats-Service-Error-Code"), "429");
  EXPECT_EQ(micro_->replies_failed(), 1u);
  EXPECT_THAT(micro_->StatsJson(), HasSubstr(R"("num_requests":2,"num_errors":1)"));
}

TEST_F(MicroServer, ErrorOverTheServersLimitIsToldByItsBeginning) {
  EXPECT_THAT(Ask(404, "no job is known as " + std::string(2'000, 'x')),
              HasSubstr(R"({"error":{"code":404,"message":"no job is known as xxx)"));
  EXPECT_EQ(Header("Nats-Service-Error-Code"), "404");
  EXPECT_EQ(micro_->replies_failed(), 1u);
}

TEST_F(MicroServer, DiscoveryFitsWhateverTheLastErrorsWere) {
  (void)Ask(404, std::string(1'500, 'x'));
  EXPECT_THAT(client_->Request("$SRV.STATS.svc", "").value_or("nothing"),
              HasSubstr("stats_response"));
  EXPECT_EQ(micro_->replies_failed(), 1u);  // that error's header and body
}

TEST_F(MicroServer, ErrorIsToldByItsBodyWhereTheServerTakesNoHeaders) {
  Begin("no_header_support: true");
  EXPECT_THAT(Ask(404, "no such job"),
              HasSubstr(R"({"error":{"code":404,"message":"no such job"}})"));
  EXPECT_EQ(Header("Nats-Service-Error-Code"), "");
  EXPECT_EQ(micro_->replies_failed(), 0u);
}

// A request must not make the service publish where its sender may not.
TEST_F(MicroServer, RepliesLeaveOnlyForSubjectsThatAreForReplies) {
  client_->Subscribe(">");
  const std::vector<std::string> refused = {
      "$JS.API.STREAM.PURGE.X", "$SYS.REQ.X", "svc.v1.cancel",
      "orders.created",         "orders.>",   "out.expired"};
  const std::vector<std::string> sent = {"_INBOX.a.b", "_INBOX_app.a",
                                         "orders.created.too", "answers.here"};
  body_ = "the answer";
  for (const std::string& reply : refused)
    for (const char* request : {"svc.get", "$SRV.PING.svc"})
      client_->PublishRequest(request, reply, "");
  for (const std::string& reply : sent) client_->PublishRequest("svc.get", reply, "");
  std::multiset<std::string> answered;
  ASSERT_TRUE(WaitFor([&] {
    while (const auto next = client_->Next(10))
      if (next->payload == "the answer" || next->payload.starts_with("{\"type\""))
        answered.insert(next->subject);
    return answered.contains("answers.here") && micro_->replies_refused() >= 12;
  })) << micro_->replies_refused();
  std::multiset<std::string> expected(sent.begin(), sent.end());
  EXPECT_EQ(answered, expected);
  EXPECT_EQ(micro_->replies_refused(), 12u);
  EXPECT_EQ(micro_->replies_failed(), 0u);
}

TEST_F(MicroServer, ReplyWithoutAConnectionIsCounted) {
  server_->Kill();
  ASSERT_TRUE(WaitFor([&] { return !connection_->up(); }));
  micro_->Reply({"_INBOX.x", 0, 0}, 0, "{}");
  EXPECT_EQ(micro_->replies_failed(), 1u);
}

}  // namespace
}  // namespace expirer
