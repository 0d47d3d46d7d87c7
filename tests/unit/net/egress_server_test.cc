// The egress against a real server.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <map>
#include <set>

#include "job/fired.h"
#include "unit/net/net_world.h"

namespace expirer {
namespace {

using test::NatsServer;
using test::TestClient;
using test::WaitFor;

// What this thread has cost, whatever else the machine does.
double CpuSeconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

class EgressServer : public testing::Test {
 protected:
  void SetUp() override {
    if (test::NatsServerBinary().empty()) GTEST_SKIP() << "no nats-server";
  }
  void Connect(const NatsServer& server, const std::vector<std::string>& targets = {},
               const std::string& user = "", const std::string& password = "") {
    ConnectionOptions options;
    options.servers = {server.url()};
    options.user = user;
    options.password = password;
    egress_ = std::make_unique<NatsEgress>(options, &inbox_, targets);
    egress_->Start();
    ASSERT_TRUE(WaitFor([&] { return Up(); }));
  }
  void TearDown() override {
    if (egress_ != nullptr) egress_->Stop(1'000);
  }
  void Collect() {
    std::vector<Completion> completions;
    std::vector<Request> requests;
    inbox_.Drain(1, &completions, &requests);
    for (const Completion& one : completions) {
      if (const auto* answer = std::get_if<PubAnswer>(&one)) {
        EXPECT_EQ(answers_.count(answer->attempt), 0U) << "answered twice";
        answers_[answer->attempt] = *answer;
      } else if (const auto* changed = std::get_if<EgressChanged>(&one)) {
        up_ = changed->up;
        if (!up_) lost_before_down_ = answers_.size();
      } else if (const auto* known = std::get_if<TargetKnown>(&one)) {
        ++known_;
        known_targets_.insert(known->target);
      }
    }
  }
  bool Up() {
    Collect();
    return up_;
  }
  bool Answered(uint64_t attempt) {
    Collect();
    return answers_.count(attempt) > 0;
  }
  Egress::Target LookedUp(const std::string& target) {
    Egress::Target state = Egress::Target::kResolving;
    (void)WaitFor([&] {
      state = egress_->Resolve(Transport::kJetStream, target, &why_);
      return state != Egress::Target::kResolving;
    });
    return state;
  }
  bool Send(uint64_t attempt, const std::string& target, const std::string& id) {
    return egress_->Publish(attempt, Transport::kJetStream, target,
                            {{"Nats-Msg-Id", id},
                             {"Expirer-Job", "r/k"},
                             {"Expirer-Due", "2030-01-01T00:00:00.000Z"},
                             {"Expirer-Attempt", "1"}},
                            "{\"orderId\":\"" + id + "\"}");
  }

  Inbox inbox_{10, [] {}};
  std::unique_ptr<NatsEgress> egress_;
  std::map<uint64_t, PubAnswer> answers_;
  bool up_ = false;
  size_t known_ = 0;
  std::set<std::string> known_targets_;
  size_t lost_before_down_ = 0;
  std::string why_;
};

TEST_F(EgressServer, AJobReachesTheStreamWithItsHeadersAndIsConfirmed) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("OUT", {"out.>"});
  Connect(server);
  ASSERT_EQ(LookedUp("out.a"), Egress::Target::kReady);
  EXPECT_EQ(known_, 0U);
  ASSERT_TRUE(Send(7, "out.a", "id-1"));
  ASSERT_TRUE(Send(8, "out.a", "id-1"));
  egress_->Flush();
  ASSERT_TRUE(WaitFor([&] { return Answered(7) && Answered(8); }));
  EXPECT_EQ(known_, 1U);
  EXPECT_EQ(answers_[7].kind, PubAnswer::Kind::kAck);
  EXPECT_EQ(answers_[8].kind, PubAnswer::Kind::kAck);  // as a duplicate
  EXPECT_EQ(answers_[8].stream_seq, answers_[7].stream_seq);
  const auto stored = client.ReadStream("OUT");
  ASSERT_EQ(stored.size(), 1U);
  EXPECT_EQ(stored[0].subject, "out.a");
  EXPECT_EQ(stored[0].payload, "{\"orderId\":\"id-1\"}");
  EXPECT_EQ(stored[0].Header("Nats-Msg-Id"), "id-1");
  EXPECT_EQ(stored[0].Header("Expirer-Job"), "r/k");
  EXPECT_EQ(stored[0].Header("Expirer-Attempt"), "1");
}

// nats-server looks for the text in all of the headers.
TEST_F(EgressServer, ASecondCopyIsADuplicateWhateverHeadersTheEventBrought) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("OUT", {"out.>"}, "\"allow_rollup_hdrs\":true");
  Connect(server);
  ASSERT_EQ(LookedUp("out.a"), Egress::Target::kReady);
  client.Publish("out.b", "stays");
  std::vector<std::pair<std::string, std::string>> brought = {
      {"X-Source", "see Nats-Msg-Id"},
      {"A", "Nats-Msg-Id: other"},
      {"X-Nats-Rollup", "all"},
      {"B", "Nats-Rollup: all"},
      {"X-Nats-Expected-Stream", "OTHER"},
      {"C", "Nats-Expected-Last-Sequence: 77"},
      {"X-Nats-Expected-Last-Msg-Id", "none"},
      {"X-Nats-TTL", "1s"},
      {"D", "Nats-TTL: 1s"},
      {"X-Nats-Schedule", "@at 2030-01-01T00:00:00Z"},
      {"X-Nats-Batch-Id", "b"}};
  for (char c = 'A'; c <= 'Z'; ++c)
    brought.emplace_back(std::string(1, c) + "-Nats-Msg-Id", "1");
  uint64_t attempt = 0;
  for (const auto& [name, value] : brought) {
    const std::string id = "id-" + name;
    for (int copy = 0; copy < 2; ++copy) {
      ASSERT_TRUE(egress_->Publish(++attempt, Transport::kJetStream, "out.a",
                                   {{"Nats-Msg-Id", id},
                                    {"Expirer-Job", "r/k"},
                                    {"Expirer-Due", "2030-01-01T00:00:00.000Z"},
                                    {"Expirer-Attempt", "1"},
                                    {name, value}},
                                   "body"));
      egress_->Flush();
      ASSERT_TRUE(WaitFor([&] { return Answered(attempt); }));
      EXPECT_EQ(answers_[attempt].kind, PubAnswer::Kind::kAck)
          << name << ": " << answers_[attempt].text;
    }
    EXPECT_EQ(answers_[attempt].stream_seq, answers_[attempt - 1].stream_seq) << name;
  }
  const auto stored = client.ReadStream("OUT");
  ASSERT_EQ(stored.size(), 1 + brought.size()) << "none doubled, none removed";
  for (size_t i = 0; i < brought.size(); ++i)
    EXPECT_EQ(stored[1 + i].Header(brought[i].first), brought[i].second);
}

TEST_F(EgressServer, ATargetWithoutAStreamIsRefusedUntilOneIsMade) {
  NatsServer server;
  TestClient client(server.url());
  client.Subscribe("lonely");  // a core listener is no stream
  Connect(server);
  EXPECT_EQ(LookedUp("lonely"), Egress::Target::kRefused);
  EXPECT_EQ(why_, "no stream takes lonely");
  client.CreateStream("OUT", {"lonely"});
  EXPECT_TRUE(WaitFor([&] { return LookedUp("lonely") == Egress::Target::kReady; }));
  EXPECT_FALSE(client.Next(100).has_value());
}

TEST_F(EgressServer, TargetsOfAKnownStreamAreReadyAtOnce) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("OUT", {"out.>"});
  Connect(server);
  ASSERT_EQ(LookedUp("out.a"), Egress::Target::kReady);
  EXPECT_EQ(egress_->Resolve(Transport::kJetStream, "out.b.c", &why_),
            Egress::Target::kReady);
  // Forgotten: asked for again, and so found out that it is gone.
  client.DeleteStream("OUT");
  egress_->Forget(1, "out.b.c", /*timed_out=*/true);
  EXPECT_NE(egress_->Resolve(Transport::kJetStream, "out.b.c", &why_),
            Egress::Target::kReady);
}

TEST_F(EgressServer, EveryTargetLookedForIsToldOfHoweverManyThereAreAndIfForgotten) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("OUT", {"out.>"});
  Connect(server);
  constexpr size_t kMany = Routes::kTargetsMax + 1'000;
  const auto target = [](size_t i) {
    return (i % 2 == 0 ? "out." : "nowhere.") + std::to_string(i);
  };
  std::set<std::string> asked;
  for (size_t i = 0; i < kMany; ++i) {
    // Refused where the answer is here already.
    if (egress_->Resolve(Transport::kJetStream, target(i), &why_) !=
        Egress::Target::kReady)
      asked.insert(target(i));
    if (i % 100 == 1) egress_->Forget(i, target(i), /*timed_out=*/true);
  }
  EXPECT_GE(asked.size(), kMany / 2) << "nothing is known of these";
  EXPECT_TRUE(WaitFor(
      [&] {
        Collect();
        return std::includes(known_targets_.begin(), known_targets_.end(), asked.begin(),
                             asked.end());
      },
      60'000));
}

TEST_F(EgressServer, AStreamThatWentAnswersNoStreamAndIsAskedForAgain) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("OUT", {"out"});
  Connect(server);
  ASSERT_EQ(LookedUp("out"), Egress::Target::kReady);
  client.DeleteStream("OUT");
  ASSERT_TRUE(Send(1, "out", "x"));
  egress_->Flush();
  ASSERT_TRUE(WaitFor([&] { return Answered(1); }));
  EXPECT_EQ(answers_[1].kind, PubAnswer::Kind::kNoStream);
  EXPECT_EQ(LookedUp("out"), Egress::Target::kRefused);
}

// As of a cluster without quorum: no reason to wait as for a stream that is not there.
TEST_F(EgressServer, ATargetNobodyCanBeAskedAboutIsUnknownAndNotRefused) {
  NatsServer::Options options;
  options.jetstream = false;
  NatsServer server(options);
  Connect(server);
  EXPECT_EQ(LookedUp("out"), Egress::Target::kUnknown);
}

TEST_F(EgressServer, AFullStreamsRefusalSaysWhy) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("OUT", {"out"}, "\"max_msgs\":1,\"discard\":\"new\"");
  Connect(server);
  ASSERT_EQ(LookedUp("out"), Egress::Target::kReady);
  ASSERT_TRUE(Send(1, "out", "x"));
  ASSERT_TRUE(Send(2, "out", "y"));
  egress_->Flush();
  ASSERT_TRUE(WaitFor([&] { return Answered(1) && Answered(2); }));
  EXPECT_EQ(answers_[1].kind, PubAnswer::Kind::kAck);
  EXPECT_EQ(answers_[2].kind, PubAnswer::Kind::kRefused);
  EXPECT_EQ(answers_[2].text, "maximum messages exceeded (10077)");
}

TEST_F(EgressServer, AForbiddenTargetIsRefusedByName) {
  NatsServer::Options options;
  options.config =
      "authorization { users = [ {user: admin, password: a},"
      "{user: x, password: y, permissions: {"
      "publish: [\"$JS.API.>\", \"allowed\"], subscribe: [\"_INBOX.>\"]}} ] }";
  NatsServer server(options);
  TestClient client(server.url(), "admin", "a");
  client.CreateStream("OUT", {"allowed", "denied"});
  Connect(server, {}, "x", "y");
  ASSERT_EQ(LookedUp("denied"), Egress::Target::kReady);
  ASSERT_TRUE(Send(1, "denied", "x"));
  ASSERT_TRUE(Send(2, "allowed", "y"));
  egress_->Flush();
  ASSERT_TRUE(WaitFor([&] { return Answered(1) && Answered(2); }));
  EXPECT_EQ(answers_[1].kind, PubAnswer::Kind::kRefused);
  EXPECT_EQ(answers_[1].text, "no permission to publish to denied");
  EXPECT_EQ(answers_[2].kind, PubAnswer::Kind::kAck);
  EXPECT_EQ(egress_->Resolve(Transport::kJetStream, "denied", &why_),
            Egress::Target::kRefused);
}

TEST_F(EgressServer, WrongCredentialsAreTriedUntilTheyAreRight) {
  NatsServer::Options options;
  options.config = "authorization { user: x, password: new }";
  NatsServer server(options);
  ConnectionOptions connection;
  connection.servers = {server.url()};
  connection.user = "x";
  connection.password = "old";
  egress_ = std::make_unique<NatsEgress>(connection, &inbox_);
  egress_->Start();
  EXPECT_FALSE(WaitFor([&] { return Up(); }, 1'500));
  server.Stop();
  server.SetConfig("authorization { user: x, password: old }");
  server.Start();
  EXPECT_TRUE(WaitFor([&] { return Up(); }));
}

TEST_F(EgressServer, WhatIsInFlightIsLostBeforeTheConnectionIsReportedDown) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("OUT", {"out"});
  Connect(server);
  ASSERT_EQ(LookedUp("out"), Egress::Target::kReady);
  server.Pause();
  for (uint64_t i = 1; i <= 100; ++i) ASSERT_TRUE(Send(i, "out", std::to_string(i)));
  egress_->Flush();
  server.Kill();
  ASSERT_TRUE(WaitFor([&] { return !Up(); }));
  EXPECT_EQ(lost_before_down_, 100U);
  for (uint64_t i = 1; i <= 100; ++i) EXPECT_EQ(answers_[i].kind, PubAnswer::Kind::kLost);
  EXPECT_FALSE(Send(101, "out", "late"));
  server.Start();
  ASSERT_TRUE(WaitFor([&] { return Up(); }));
  ASSERT_EQ(LookedUp("out"), Egress::Target::kReady);
  ASSERT_TRUE(Send(102, "out", "again"));
  egress_->Flush();
  ASSERT_TRUE(WaitFor([&] { return Answered(102); }));
  EXPECT_EQ(answers_[102].kind, PubAnswer::Kind::kAck);
  EXPECT_EQ(answers_.count(101), 0U);
}

TEST_F(EgressServer, AnotherProcessAnswersAreNotOurs) {
  NatsServer server;
  TestClient client(server.url());
  Connect(server);
  client.PublishCore("_INBOX.other.a.5", R"({"stream":"S","seq":1})");
  EXPECT_FALSE(WaitFor([&] { return Answered(5); }, 200));
}

TEST_F(EgressServer, AMessageOverTheServersLimitIsRefusedAtOnce) {
  NatsServer::Options options;
  options.config = "max_payload: 4096";
  NatsServer server(options);
  TestClient client(server.url());
  client.CreateStream("OUT", {"out"});
  Connect(server);
  ASSERT_EQ(LookedUp("out"), Egress::Target::kReady);
  ASSERT_TRUE(egress_->Publish(1, Transport::kJetStream, "out", {{"Nats-Msg-Id", "big"}},
                               std::string(5'000, 'x')));
  ASSERT_TRUE(WaitFor([&] { return Answered(1); }));
  EXPECT_EQ(answers_[1].kind, PubAnswer::Kind::kNever);
  EXPECT_EQ(answers_[1].text,
            "the message has 5030 bytes, max_payload of the NATS server is 4096");
  ASSERT_TRUE(egress_->Publish(2, Transport::kCore, "out", {}, std::string(5'000, 'x')));
  ASSERT_TRUE(WaitFor([&] { return Answered(2); }));
  EXPECT_EQ(answers_[2].kind, PubAnswer::Kind::kNever);
  EXPECT_TRUE(egress_->up());
}

TEST_F(EgressServer, WhatAStreamCanNeverStoreIsToldApartFromWhatItMayStoreLater) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("SMALL", {"small"}, "\"max_msg_size\":1000");
  client.CreateStream("OUT", {"out"});
  Connect(server);
  ASSERT_EQ(LookedUp("small"), Egress::Target::kReady);
  ASSERT_EQ(LookedUp("out"), Egress::Target::kReady);
  const std::string large(1'000, 'x');
  const std::string huge(65'536, 'x');
  ASSERT_TRUE(egress_->Publish(1, Transport::kJetStream, "small", {{"H", "v"}}, large));
  ASSERT_TRUE(egress_->Publish(2, Transport::kJetStream, "out", {{"H", huge}}, ""));
  egress_->Flush();
  ASSERT_TRUE(WaitFor([&] { return Answered(1) && Answered(2); }));
  EXPECT_EQ(answers_[1].kind, PubAnswer::Kind::kNever);
  EXPECT_EQ(answers_[1].text, "message size exceeds maximum allowed (10054)");
  EXPECT_EQ(answers_[2].kind, PubAnswer::Kind::kNever);
  EXPECT_EQ(answers_[2].text, "header size exceeds maximum allowed of 64k (10097)");
  // The block of 65,535 bytes is taken: that is the limit, and so we count.
  const std::string most(65'535 - 12 - 5, 'x');
  ASSERT_EQ(HeaderBytes(HeaderViews{{"H", most}}), 65'535U);
  ASSERT_TRUE(egress_->Publish(3, Transport::kJetStream, "out", {{"H", most}}, ""));
  egress_->Flush();
  ASSERT_TRUE(WaitFor([&] { return Answered(3); }));
  EXPECT_EQ(answers_[3].kind, PubAnswer::Kind::kAck);
}

constexpr char kUpdateToNoAck[] =
    R"({"name":"OUT","subjects":["out.*"],"retention":"limits","storage":"file",)"
    R"("max_consumers":-1,"max_msgs":-1,"max_bytes":-1,"discard":"old",)"
    R"("num_replicas":1,"no_ack":true})";

TEST_F(EgressServer, AStreamThatNeverConfirmsIsTreatedAsACoreTarget) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("OUT", {"out.*"}, "\"no_ack\":true");
  client.CreateStream("OTHER", {"other"});
  Connect(server);
  ASSERT_EQ(LookedUp("out.a"), Egress::Target::kReady);
  ASSERT_EQ(LookedUp("other"), Egress::Target::kReady);
  EXPECT_NE(egress_->Warning(Transport::kJetStream, "out.a"), "");
  EXPECT_NE(egress_->Warning(Transport::kJetStream, "out.not-seen-yet"), "");
  EXPECT_EQ(egress_->Warning(Transport::kJetStream, "other"), "");
  EXPECT_EQ(egress_->Warning(Transport::kCore, "out.a"), "");
  ASSERT_TRUE(Send(1, "out.a", "x"));
  ASSERT_EQ(LookedUp("out.b"), Egress::Target::kReady);  // by its stream's subjects
  ASSERT_TRUE(Send(2, "out.b", "y"));
  ASSERT_TRUE(Send(3, "other", "z"));
  egress_->Flush();
  ASSERT_TRUE(WaitFor([&] { return Answered(1) && Answered(2) && Answered(3); }));
  EXPECT_EQ(answers_[1].kind, PubAnswer::Kind::kAck);
  EXPECT_EQ(answers_[2].kind, PubAnswer::Kind::kAck);
  EXPECT_EQ(answers_[3].kind, PubAnswer::Kind::kAck);
  EXPECT_EQ(answers_[1].stream_seq, 0U);
  EXPECT_GT(answers_[3].stream_seq, 0U);
  EXPECT_EQ(client.ReadStream("OUT").size(), 2U);
}

TEST_F(EgressServer, NoAckThatIsSetLaterIsFoundOutAfterOneUnansweredAttempt) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("OUT", {"out.*"});
  Connect(server);
  ASSERT_EQ(LookedUp("out.a"), Egress::Target::kReady);
  (void)client.Api("STREAM.UPDATE.OUT", kUpdateToNoAck);
  ASSERT_TRUE(Send(1, "out.a", "x"));
  egress_->Flush();
  // The server has it and says nothing; then the core gives the attempt up.
  ASSERT_TRUE(WaitFor([&] { return client.ReadStream("OUT").size() == 1; }));
  Collect();
  EXPECT_EQ(answers_.count(1), 0U);
  egress_->Forget(1, "out.a", /*timed_out=*/true);
  ASSERT_EQ(LookedUp("out.a"), Egress::Target::kReady);
  ASSERT_TRUE(Send(2, "out.a", "x"));
  egress_->Flush();
  ASSERT_TRUE(WaitFor([&] { return Answered(2); }));
  EXPECT_EQ(answers_[2].kind, PubAnswer::Kind::kAck);
  EXPECT_EQ(client.ReadStream("OUT").size(), 1U) << "by the same id, one copy";
}

TEST_F(EgressServer, WhatIsKnownOfATargetsStreamIsLookedAtAgain) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("OUT", {"out.*"});
  Connect(server);
  ASSERT_EQ(LookedUp("out.a"), Egress::Target::kReady);
  EXPECT_EQ(egress_->Warning(Transport::kJetStream, "out.a"), "");
  (void)client.Api("STREAM.UPDATE.OUT", kUpdateToNoAck);
  EXPECT_TRUE(WaitFor(
      [&] { return !egress_->Warning(Transport::kJetStream, "out.a").empty(); }, 60'000));
  // Nothing would tell that a message to it was stored by nobody.
  client.DeleteStream("OUT");
  EXPECT_TRUE(
      WaitFor([&] { return LookedUp("out.a") == Egress::Target::kRefused; }, 60'000));
}

TEST_F(EgressServer, TheLimitsOfServerAndStreamAreKnownBeforeAnythingIsSent) {
  NatsServer::Options options;
  options.config = "max_payload: 8192";
  NatsServer server(options);
  TestClient client(server.url());
  client.CreateStream("OUT", {"out.*"}, "\"max_msg_size\":4096");
  client.CreateStream("SMALL", {"small"}, "\"max_bytes\":2048");
  client.CreateStream("FREE", {"free"});
  Connect(server, {"out.a", "small", "free"});
  const auto fits = [&](std::string_view target, size_t bytes,
                        Transport via = Transport::kJetStream) {
    const absl::Status status = egress_->Fits(via, target, bytes);
    EXPECT_TRUE(status.ok() || absl::IsOutOfRange(status)) << status;
    return Message(status);
  };
  // Nobody looks them up, and they become known all the same.
  ASSERT_TRUE(WaitFor([&] { return !fits("out.a", 4'097).empty(); }));
  ASSERT_TRUE(WaitFor([&] { return !fits("small", 2'048).empty(); }));
  EXPECT_EQ(fits("out.a", 4'097),
            "the message has 4097 bytes, max_msg_size of the stream OUT is 4096");
  EXPECT_EQ(fits("out.a", 4'096), "");
  EXPECT_EQ(fits("out.other", 4'097), fits("out.a", 4'097));
  EXPECT_EQ(fits("small", 2'048),
            "the message has 2048 bytes, max_bytes of the stream SMALL is 2048");
  for (const Transport via : {Transport::kJetStream, Transport::kCore}) {
    EXPECT_EQ(fits("free", 8'193, via),
              "the message has 8193 bytes, max_payload of the NATS server is 8192");
    EXPECT_EQ(fits("free", 8'192, via), "");
  }
  EXPECT_EQ(fits("out.a", 4'097, Transport::kCore), "");
  EXPECT_EQ(fits("nobody.knows", 8'192), "");
  EXPECT_EQ(fits("free", 1 << 20, Transport::kStan), "") << "another server";
}

TEST_F(EgressServer, WhatAStreamThatNeverConfirmsCannotStoreIsNotSent) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("OUT", {"out"}, "\"no_ack\":true,\"max_msg_size\":1000");
  client.CreateStream("ANY", {"any"}, "\"no_ack\":true");
  Connect(server);
  ASSERT_EQ(LookedUp("out"), Egress::Target::kReady);
  ASSERT_EQ(LookedUp("any"), Egress::Target::kReady);
  const std::string large(1'001, 'x');
  const std::string huge(65'536, 'x');
  ASSERT_TRUE(egress_->Publish(1, Transport::kJetStream, "out", {}, large));
  ASSERT_TRUE(egress_->Publish(2, Transport::kJetStream, "any", {{"H", huge}}, "{}"));
  ASSERT_TRUE(Answered(1));
  EXPECT_EQ(answers_[1].kind, PubAnswer::Kind::kNever);
  EXPECT_EQ(answers_[1].text,
            "the message has 1001 bytes, max_msg_size of the stream OUT is 1000");
  ASSERT_TRUE(Answered(2));
  EXPECT_EQ(answers_[2].kind, PubAnswer::Kind::kNever);
}

TEST_F(EgressServer, AMessageThatNatsCTakesForInvalidStopsNoOther) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("OUT", {"out"});
  Connect(server);
  ASSERT_EQ(LookedUp("out"), Egress::Target::kReady);
  ASSERT_TRUE(egress_->Publish(1, Transport::kJetStream, "out", {{"", "x"}}, "{}"));
  ASSERT_TRUE(Answered(1));
  EXPECT_EQ(answers_[1].kind, PubAnswer::Kind::kNever);
  EXPECT_FALSE(answers_[1].text.empty());
  ASSERT_TRUE(Send(2, "out", "x"));
  egress_->Flush();
  ASSERT_TRUE(WaitFor([&] { return Answered(2); }));
  EXPECT_EQ(answers_[2].kind, PubAnswer::Kind::kAck);
}

TEST_F(EgressServer, ASubjectOverTheServersControlLineClosesOneConnectionAndNotAll) {
  NatsServer::Options options;
  options.config = "max_control_line: 600";
  NatsServer server(options);
  TestClient client(server.url());
  client.CreateStream("OUT", {"out.*"});
  Connect(server);
  const std::string target = "out." + std::string(700, 'x');
  ASSERT_EQ(LookedUp("out.a"), Egress::Target::kReady);
  ASSERT_TRUE(Send(1, "out.a", "x"));
  ASSERT_TRUE(Send(2, target, "y"));
  ASSERT_TRUE(Send(3, "out.b", "z"));
  egress_->Flush();
  ASSERT_TRUE(WaitFor([&] { return Answered(1) && Answered(2) && Answered(3); }));
  EXPECT_EQ(answers_[2].kind, PubAnswer::Kind::kNever);
  EXPECT_EQ(answers_[2].text,
            "its subject is too long for max_control_line of the NATS server");
  EXPECT_EQ(answers_[3].kind, PubAnswer::Kind::kLost);
}

TEST_F(EgressServer, AMaxPayloadThatShrankWhileConnectedIsKnownAfterOneLoss) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("OUT", {"out"});
  Connect(server);
  ASSERT_EQ(LookedUp("out"), Egress::Target::kReady);
  server.SetConfig("max_payload: 4096");
  server.Reload();
  const std::string large(5'000, 'x');
  uint64_t attempt = 0;
  // Until the reload is done they are stored.
  ASSERT_TRUE(WaitFor([&] {
    if (!Up()) return false;
    if (!egress_->Publish(++attempt, Transport::kJetStream, "out", {{"H", "v"}}, large))
      return false;
    egress_->Flush();
    return WaitFor([&] { return Answered(attempt); }) &&
           answers_[attempt].kind == PubAnswer::Kind::kNever;
  }));
  EXPECT_EQ(egress_->connects(), 2U);
}

TEST_F(EgressServer, AMaxPayloadThatGrewWhileConnectedIsKnownToTheNextThatIsTooLarge) {
  NatsServer server({.config = "max_payload: 4096"});
  TestClient client(server.url());
  client.CreateStream("OUT", {"out"});
  Connect(server);
  ASSERT_EQ(LookedUp("out"), Egress::Target::kReady);
  server.SetConfig("max_payload: 65536");
  server.Reload();
  ASSERT_TRUE(WaitFor([&] {
    return server.LogTail().find("Reloaded server config") != std::string::npos;
  }));
  const std::string large(5'000, 'x');
  ASSERT_TRUE(egress_->Publish(1, Transport::kJetStream, "out", {{"H", "v"}}, large));
  ASSERT_TRUE(WaitFor([&] { return Answered(1); }));
  EXPECT_NE(answers_[1].kind, PubAnswer::Kind::kNever) << answers_[1].text;
  ASSERT_TRUE(WaitFor([&] { return egress_->connects() == 2 && Up(); }));
  ASSERT_EQ(LookedUp("out"), Egress::Target::kReady);
  ASSERT_TRUE(egress_->Publish(2, Transport::kJetStream, "out", {{"H", "v"}}, large));
  egress_->Flush();
  ASSERT_TRUE(WaitFor([&] { return Answered(2); }));
  EXPECT_EQ(answers_[2].kind, PubAnswer::Kind::kAck) << answers_[2].text;
  EXPECT_TRUE(egress_->Fits(Transport::kJetStream, "out", 65'536).ok());
  EXPECT_FALSE(egress_->Fits(Transport::kJetStream, "out", 65'537).ok());
  EXPECT_EQ(egress_->connects(), 2U);
}

TEST_F(EgressServer, AMessageFitsAsSoonAsMaxPayloadGrew) {
  NatsServer server({.config = "max_payload: 4096"});
  Connect(server);
  server.SetConfig("max_payload: 65536");
  server.Reload();
  ASSERT_TRUE(WaitFor([&] {
    return server.LogTail().find("Reloaded server config") != std::string::npos;
  }));
  EXPECT_EQ(egress_->Fits(Transport::kCore, "out", 65'536), absl::OkStatus());
  EXPECT_FALSE(egress_->Fits(Transport::kCore, "out", 65'537).ok());
  // Sent over the former connection it would be refused.
  EXPECT_TRUE(WaitFor([&] { return egress_->connects() == 2 && Up(); }));
}

TEST_F(EgressServer, AStoppedReaderPushesBackAndNeverBlocks) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("OUT", {"out"});
  Connect(server);
  ASSERT_EQ(LookedUp("out"), Egress::Target::kReady);
  server.Pause();
  const std::string body(64 << 10, 'x');
  uint64_t sent = 0;
  // A Publish that waited for room would wait for Resume, which never came.
  while (sent < 5'000 &&
         egress_->Publish(sent + 1, Transport::kJetStream, "out",
                          {{"Nats-Msg-Id", std::to_string(sent)}}, body)) {
    ++sent;
    egress_->Flush();
  }
  EXPECT_LT(sent, 1'000U);  // 8 MB of ours, and the kernel's buffers
  server.Resume();
  ASSERT_TRUE(WaitFor([&] {
    Collect();
    return answers_.size() == sent;
  })) << answers_.size()
      << " of " << sent;
}

// As one does whose thread does not run.
TEST_F(EgressServer, AConnectionsPulseStopsWhileWhatWasAskedForWaitsForItsHandler) {
  NatsServer server;
  std::atomic<bool> held = false;
  std::atomic<int> handled = 0;
  ConnectionOptions options;
  options.servers = {server.url()};
  Connection connection(options, "test", {});
  connection.Subscribe("held.>", [&](const Delivery&) {
    while (held) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    ++handled;
  });
  EXPECT_EQ(connection.pulse().beat_mono_ms, 0);
  connection.EnablePulse();
  connection.Start();
  const SystemClock clock;
  const auto still_ms = [&] {
    return clock.MonotonicMs() - connection.pulse().beat_mono_ms;
  };
  ASSERT_TRUE(WaitFor([&] { return still_ms() <= Pulse::kBeatMs; }));
  held = true;
  for (int i = 0; i < 3; ++i)
    ASSERT_EQ(connection.Publish("held.x", "", "x"), Connection::Sent::kOk);
  EXPECT_TRUE(WaitFor([&] { return still_ms() > 10 * Pulse::kBeatMs; }));
  held = false;
  EXPECT_TRUE(WaitFor([&] { return handled == 3 && still_ms() <= Pulse::kBeatMs; }));
  connection.Stop(0);
  EXPECT_EQ(connection.pulse().beat_mono_ms, 0);
}

TEST_F(EgressServer, MeasuresPublishesAndTheirLatency) {
  NatsServer server;
  TestClient client(server.url());
  client.CreateStream("OUT", {"out"}, "\"storage\":\"memory\"");
  Connect(server);
  ASSERT_EQ(LookedUp("out"), Egress::Target::kReady);
  constexpr uint64_t kCount = 100'000;
  std::vector<std::string> ids;
  for (uint64_t i = 0; i < kCount; ++i)
    ids.push_back("r/" + std::to_string(i) + "/1900000000000");
  using Clock = std::chrono::steady_clock;
  const auto began = Clock::now();
  double publishing = 0;
  for (uint64_t i = 0; i < kCount;) {
    Collect();
    if (i >= answers_.size() + 10'000) {
      std::this_thread::yield();
      continue;
    }
    const double batch_began = CpuSeconds();
    for (int j = 0; j < 256 && i < kCount; ++j, ++i) {
      ASSERT_TRUE(Send(i + 1, "out", ids[i]));
    }
    egress_->Flush();
    publishing += CpuSeconds() - batch_began;
  }
  ASSERT_TRUE(WaitFor([&] {
    Collect();
    return answers_.size() == kCount;
  }));
  const auto seconds = [](Clock::duration d) {
    return std::chrono::duration<double>(d).count();
  };
  std::printf("publish: %.2f us of the core's time each; to PubAck: %.0f/s\n",
              publishing / kCount * 1e6, kCount / seconds(Clock::now() - began));
  std::vector<double> micros;
  double single = 0;
  client.Subscribe("out");
  for (uint64_t i = 0; i < 200; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    const auto one = Clock::now();
    const double one_cpu = CpuSeconds();
    ASSERT_TRUE(Send(kCount + i + 1, "out", "single" + std::to_string(i)));
    egress_->Flush();
    single += CpuSeconds() - one_cpu;
    micros.push_back(seconds(Clock::now() - one) * 1e6);
  }
  std::sort(micros.begin(), micros.end());
  std::printf("one publish to the socket: p50 %.1f us, p99 %.1f us, cpu %.1f us\n",
              micros[100], micros[197], single / 200 * 1e6);
}

}  // namespace
}  // namespace expirer
