// Each rule file of examples/rules, run over its trace in virtual time by the
// real evaluator, scheduler and store: it fires what NAME.fires.jsonl says, and
// when, byte for byte.
#include <algorithm>
#include <filesystem>

#include "replay/run.h"

namespace expirer {
namespace {

constexpr char kFolder[] = "examples/rules/";

std::vector<std::string> Names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder))
    if (entry.path().extension() == ".yaml") names.push_back(entry.path().stem());
  std::sort(names.begin(), names.end());
  return names;
}

class Examples : public testing::TestWithParam<std::string> {
 protected:
  const std::string path_ = kFolder + GetParam();
  const Config config_ = ConfigOf(path_ + ".yaml");
  const std::vector<TraceLine> trace_ = ReadTrace(path_ + ".trace.jsonl");
};

TEST_P(Examples, FireExactlyWhatTheirFilesSay) {
  const Ran ran = RunTrace(config_, trace_);
  EXPECT_EQ(ran.fires, ReadWhole(path_ + ".fires.jsonl"));
  EXPECT_EQ(ran.summary.rejected, 0u);
  EXPECT_EQ(ran.summary.pending, 0u);
}

// A redelivery of everything, again and again, changes nothing.
TEST_P(Examples, FireTheSameWhenEveryEventIsDeliveredTwice) {
  std::vector<TraceLine> trace;
  for (const TraceLine& line : trace_) {
    trace.push_back(line);
    trace.emplace_back().what = TraceLine::What::kRedeliver;
    trace.back().at_ns = line.at_ns;
  }
  EXPECT_EQ(RunTrace(config_, trace).fires, ReadWhole(path_ + ".fires.jsonl"));
}

// A crash in the millisecond of each event loses what was not acked, which is
// delivered again.
TEST_P(Examples, FireTheSameWhenEveryEventIsLostInACrash) {
  std::vector<TraceLine> trace;
  for (const TraceLine& line : trace_) {
    trace.push_back(line);
    trace.emplace_back().what = TraceLine::What::kCrash;
    trace.back().at_ns = line.at_ns;
  }
  const Ran ran = RunTrace(config_, trace);
  EXPECT_EQ(ran.fires, ReadWhole(path_ + ".fires.jsonl"));
  EXPECT_EQ(ran.summary.crashes, trace_.size());
}

INSTANTIATE_TEST_SUITE_P(Rules, Examples, testing::ValuesIn(Names()),
                         [](const auto& parameter) {
                           std::string name = parameter.param;
                           name.erase(std::remove(name.begin(), name.end(), '-'),
                                      name.end());
                           return name;
                         });

TEST(ExamplesFolder, HoldsTheEightFlows) { EXPECT_EQ(Names().size(), 8u); }

}  // namespace
}  // namespace expirer
