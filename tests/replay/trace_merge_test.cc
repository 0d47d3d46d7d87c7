// Streams merged by time: which line comes next.
#include "replay/trace_merge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace expirer {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// A source of events at these times, numbered from 1.
TraceMerge::Source Stream(const std::string& name, std::vector<int64_t> times) {
  return
      [name, times, seq = uint64_t{0}](TraceLine* line) mutable -> absl::StatusOr<bool> {
        if (seq == times.size()) return false;
        line->at_ns = times[seq];
        line->stream = name;
        line->seq = ++seq;
        return true;
      };
}

std::vector<std::string> Merged(TraceMerge* merge) {
  std::vector<std::string> lines;
  TraceLine line;
  while (true) {
    const auto more = merge->Next(&line);
    EXPECT_TRUE(more.ok());
    if (!more.ok() || !*more) return lines;
    lines.push_back(line.stream + std::to_string(line.seq) + "@" +
                    std::to_string(line.at_ns));
  }
}

TEST(TraceMerge, ComesInTheOrderOfTime) {
  TraceMerge merge({Stream("A", {1, 5, 9}), Stream("B", {}), Stream("C", {2, 3, 12})});
  EXPECT_THAT(Merged(&merge),
              ElementsAre("A1@1", "C1@2", "C2@3", "A2@5", "A3@9", "C3@12"));
  EXPECT_EQ(merge.raised(), 0u);
  TraceMerge none({});
  EXPECT_THAT(Merged(&none), IsEmpty());
}

TEST(TraceMerge, OneNanosecondComesInTheOrderOfTheStreams) {
  TraceMerge merge({Stream("B", {7, 7}), Stream("A", {6, 7, 8})});
  EXPECT_THAT(Merged(&merge), ElementsAre("A1@6", "B1@7", "B2@7", "A2@7", "A3@8"));
}

TEST(TraceMerge, AStreamKeepsItsOrderWhereTheClockSteppedBack) {
  TraceMerge merge({Stream("A", {10, 4, 5, 12}), Stream("B", {6})});
  EXPECT_THAT(Merged(&merge), ElementsAre("B1@6", "A1@10", "A2@10", "A3@10", "A4@12"));
  EXPECT_EQ(merge.raised(), 2u);
}

TEST(TraceMerge, AnErrorLosesNothing) {
  bool away = false;
  TraceMerge merge({Stream("A", {1, 4}),
                    [&away, inner = Stream("B", {2, 3})](
                        TraceLine* line) mutable -> absl::StatusOr<bool> {
                      if (away) return Unavailable("away");
                      return inner(line);
                    }});
  TraceLine line;
  ASSERT_TRUE(*merge.Next(&line));
  ASSERT_TRUE(*merge.Next(&line));
  away = true;
  EXPECT_EQ(merge.Next(&line).status().code(), absl::StatusCode::kUnavailable);
  away = false;
  EXPECT_THAT(Merged(&merge), ElementsAre("B2@3", "A2@4"));
}

}  // namespace
}  // namespace expirer
