#include "job/fired.h"

#include <gtest/gtest.h>

namespace expirer {
namespace {

constexpr FiredNames kNames{"shop", "order", "order-now"};

JobView Of(const Job& job) {
  JobView view;
  view.due_ms = job.due_ms;
  view.key = job.key;
  view.source = job.source;
  view.id_form = job.id_form;
  view.id_source = job.id_source;
  return view;
}

Job Scheduled() {
  Job job;
  job.key = "a 1";
  job.due_ms = 1'800'000'000'000;
  job.source = Position{1, 1, 7, 1'700'000'000'000'000'000, {}};
  return job;
}

TEST(MsgId, IsServiceRuleKeyDueAndSource) {
  const Job job = Scheduled();
  EXPECT_EQ(MsgId(kNames, "S", Of(job)),
            "shop/order/a%201/1800000000000/" + SourceText(SourceHash("S", job.source)));
}

// So that another version, machine or compiler makes the same ids.
TEST(MsgId, SourceIsGolden) {
  EXPECT_EQ(SourceText(SourceHash("S", Scheduled().source)), "f06c99b0a1d0b444");
  EXPECT_EQ(SourceText(SourceHash("", Position())), "21b21f554febf883");
}

TEST(MsgId, SourceTellsStreamSequenceAndTimeButNotTheirNumbersInThisStore) {
  const Position at = Scheduled().source;
  const uint64_t hash = SourceHash("S", at);
  EXPECT_NE(hash, SourceHash("T", at));
  Position other = at;
  other.seq = 8;
  EXPECT_NE(hash, SourceHash("S", other));
  other = at;
  other.time_ns += 1;
  EXPECT_NE(hash, SourceHash("S", other));
  other = at;
  other.stream = 3;
  other.epoch = 2;
  other.version = 5;
  EXPECT_EQ(hash, SourceHash("S", other));
}

TEST(MsgId, ARowOfAnOlderFormatHasNeitherServiceNorSource) {
  Job job = Scheduled();
  job.id_form = IdForm::kPlain;
  EXPECT_EQ(MsgId(kNames, "S", Of(job)), "order/a%201/1800000000000");
}

TEST(MsgId, TheSourceOfAnotherScheduleIsTakenAsGiven) {
  Job job = Scheduled();
  job.id_form = IdForm::kGiven;
  job.id_source = 0xab;
  EXPECT_EQ(MsgId(kNames, "S", Of(job)),
            "shop/order/a%201/1800000000000/00000000000000ab");
}

TEST(MsgId, SourceTextIsReadBackAndNothingElseIs) {
  EXPECT_EQ(ParseSourceText("00000000000000ab"), 0xab);
  for (const char* bad : {"", "ab", "00000000000000AB", "00000000000000abc",
                          "000000000000-0ab", "g0000000000000ab"})
    EXPECT_EQ(ParseSourceText(bad), std::nullopt) << bad;
}

TEST(FiredHeaders, JobIsNamedAsItsRuleIsToday) {
  FiredHeaders headers;
  const Job job = Scheduled();
  const auto& built = headers.Build(kNames, "S", Of(job), 2);
  ASSERT_EQ(built.size(), 4u);
  EXPECT_EQ(built[0].second, MsgId(kNames, "S", Of(job)));
  EXPECT_EQ(built[1].second, "order-now/a%201");
  EXPECT_EQ(built[3].second, "2");
}

}  // namespace
}  // namespace expirer
