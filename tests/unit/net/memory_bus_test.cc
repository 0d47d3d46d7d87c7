#include "support/memory_bus.h"

#include <gtest/gtest.h>

#include <variant>

namespace expirer {
namespace {

class MemoryBusTest : public testing::Test {
 protected:
  std::vector<PubAnswer> Answers() {
    std::vector<Completion> completions;
    std::vector<Request> requests;
    inbox_.Drain(100, &completions, &requests);
    std::vector<PubAnswer> answers;
    for (const Completion& one : completions) {
      if (const auto* answer = std::get_if<PubAnswer>(&one)) answers.push_back(*answer);
    }
    return answers;
  }
  bool Send(MemoryBus& bus, uint64_t attempt, std::string_view id) {
    return bus.Publish(attempt, Transport::kJetStream, "t", {{"Nats-Msg-Id", id}},
                       "body");
  }
  Inbox inbox_{10, [] {}};
};

TEST_F(MemoryBusTest, AutomaticAnswersComeWithTheFlush) {
  MemoryBus bus(&inbox_);
  ASSERT_TRUE(Send(bus, 7, "a"));
  EXPECT_TRUE(Answers().empty());
  bus.Flush();
  const auto answers = Answers();
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(answers[0].attempt, 7U);
  EXPECT_EQ(answers[0].kind, PubAnswer::Kind::kAck);
  EXPECT_EQ(answers[0].stream_seq, 1U);
}

TEST_F(MemoryBusTest, TheStreamKeepsOneCopyOfAnId) {
  MemoryBus bus(&inbox_, MemoryBus::Answers::kByHand);
  ASSERT_TRUE(Send(bus, 1, "a"));
  bus.StoreWithoutAnswer(1);
  bus.Answer(1, PubAnswer::Kind::kLost);
  ASSERT_TRUE(Send(bus, 2, "a"));
  bus.Confirm(2);
  EXPECT_EQ(bus.published().size(), 2U);
  EXPECT_EQ(bus.stored().size(), 1U);
  EXPECT_EQ(Answers().back().stream_seq, 1U);
}

TEST_F(MemoryBusTest, LosingTheConnectionLosesWhatIsInFlightFirst) {
  MemoryBus bus(&inbox_, MemoryBus::Answers::kByHand);
  ASSERT_TRUE(Send(bus, 1, "a"));
  bus.SetConnected(false);
  std::vector<Completion> completions;
  std::vector<Request> requests;
  inbox_.Drain(100, &completions, &requests);
  ASSERT_EQ(completions.size(), 2U);
  EXPECT_EQ(std::get<PubAnswer>(completions[0]).kind, PubAnswer::Kind::kLost);
  EXPECT_FALSE(std::get<EgressChanged>(completions[1]).up);
  EXPECT_FALSE(Send(bus, 2, "b"));
  EXPECT_TRUE(bus.in_flight().empty());
}

TEST_F(MemoryBusTest, ATargetBeingLookedForIsAnnouncedWhenKnown) {
  MemoryBus bus(&inbox_);
  std::string why;
  EXPECT_EQ(bus.Resolve(Transport::kJetStream, "t", &why), Egress::Target::kReady);
  bus.SetResolving("t");
  EXPECT_EQ(bus.Resolve(Transport::kJetStream, "t", &why), Egress::Target::kResolving);
  bus.SetStream("t", false, "nobody has it");
  EXPECT_EQ(bus.Resolve(Transport::kJetStream, "t", &why), Egress::Target::kRefused);
  EXPECT_EQ(why, "nobody has it");
  EXPECT_FALSE(inbox_.empty());
}

}  // namespace
}  // namespace expirer
