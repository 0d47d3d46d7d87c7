// The bus of NATS Streaming before another pair of seams, without a server: what
// a real one does with it is seen in tests/nats/service_stan_test.cc.
#include <gtest/gtest.h>

#include <memory>
#include <variant>

#include "base/clock.h"
#include "net/stan.h"
#include "support/memory_bus.h"
#include "support/nats_server.h"

namespace expirer {
namespace {

class StanBusTest : public testing::Test {
 protected:
  StanBusTest() : base_(&inbox_) {
    rules_[0].name = "streaming";
    rules_[0].source = Transport::kStan;
    rules_[0].schedule.resize(1);
    rules_[0].schedule[0].subject = "in";
    rules_[0].schedule[0].key.push_back(*Source::Parse("/id"));
    rules_[1].name = "other";
  }
  void SetUp() override {
    if (!StanCompiledIn()) GTEST_SKIP() << "built without NATS Streaming";
    StanOptions options;
    options.connection.servers = {"nats://127.0.0.1:1"};  // nobody is there
    options.cluster = "c";
    options.client = "me";
    auto bus = MakeStan(options, &rules_, &inbox_, &clock_, &base_, &base_);
    ASSERT_TRUE(bus.ok());
    bus_ = *std::move(bus);
  }
  std::vector<Completion> Completions() {
    std::vector<Completion> completions;
    std::vector<Request> requests;
    inbox_.Drain(100, &completions, &requests);
    return completions;
  }

  std::vector<Rule> rules_ = std::vector<Rule>(2);
  SystemClock clock_;
  Inbox inbox_{100, [] {}};
  MemoryBus base_;
  std::unique_ptr<StanBus> bus_;
  std::string why_;
};

TEST_F(StanBusTest, PassesOnWhatIsNotItsOwn) {
  EXPECT_EQ(bus_->Resolve(Transport::kJetStream, "t", &why_), Egress::Target::kReady);
  EXPECT_TRUE(bus_->Publish(1, Transport::kJetStream, "t", {{"A", "b"}}, "body"));
  EXPECT_TRUE(bus_->Publish(2, Transport::kCore, "t", {}, "body"));
  static_cast<Egress&>(*bus_).Flush();
  ASSERT_EQ(base_.published().size(), 2u);
  EXPECT_EQ(base_.published()[0].Header("A"), "b");
  EXPECT_EQ(base_.published()[1].via, Transport::kCore);
  bus_->Forget(1, "t", true);
  EXPECT_EQ(base_.forgotten(), std::vector<uint64_t>{1});
  bus_->Ack("$JS.ACK.x");
  bus_->Term("$JS.ACK.y", "why");
  bus_->Announce("s", "p");
  bus_->LookAgain(Inbound::LookHow::kAnew);
  bus_->SetIntake(false);
  bus_->RebuildBegun();
  EXPECT_EQ(base_.acked(), std::vector<std::string>{"$JS.ACK.x"});
  EXPECT_EQ(base_.termed().size(), 1u);
  EXPECT_EQ(base_.announced().size(), 1u);
  EXPECT_EQ(base_.looks_again(), 1u);
  EXPECT_EQ(base_.rebuilds(), 1u);
  EXPECT_FALSE(base_.intake());
}

TEST_F(StanBusTest, TargetsWaitForTheConnectionAndNothingIsSent) {
  EXPECT_EQ(bus_->Resolve(Transport::kStan, "out", &why_), Egress::Target::kDown);
  EXPECT_FALSE(bus_->Publish(1, Transport::kStan, "out", {}, "body"));
  EXPECT_TRUE(base_.published().empty());
}

TEST_F(StanBusTest, WhatIsNoChannelIsRefused) {
  EXPECT_EQ(bus_->Resolve(Transport::kStan, "a/b", &why_), Egress::Target::kRefused);
  EXPECT_EQ(why_, "a/b is no name of a channel");
}

TEST_F(StanBusTest, LookingAgainLetsItsOwnRulesOnlyFallBehind) {
  (void)Completions();
  bus_->LookAgain(Inbound::LookHow::kAnew);
  const std::vector<Completion> all = Completions();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(std::get<RuleRead>(all[0]).rule, 0);
  EXPECT_EQ(std::get<RuleRead>(all[0]).state, RuleRead::State::kAway);
}

TEST_F(StanBusTest, AnAckOfAnEarlierLifeGoesNowhere) {
  bus_->Ack("stan 7 0 42");
  static_cast<Egress&>(*bus_).Flush();
  EXPECT_TRUE(base_.acked().empty());
}

TEST_F(StanBusTest, TellsWhyThereIsNoConnectionAndStops) {
  EXPECT_EQ(bus_->Trouble(), "not connected to NATS Streaming yet");
  bus_->Start();
  EXPECT_TRUE(test::WaitFor([&] {
    return bus_->Trouble().find("streaming cluster c as client me") != std::string::npos;
  })) << bus_->Trouble();
  bus_->StopReading();
  bus_->Stop(1'000);
}

}  // namespace
}  // namespace expirer
