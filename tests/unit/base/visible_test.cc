#include "base/visible.h"

#include <gtest/gtest.h>

namespace expirer {
namespace {

TEST(Visible, NothingReachesATerminalThatMovesItsCursorOrBreaksALine) {
  EXPECT_EQ(Visible("a\x1b[2Jb\n\r\t\x7f"), "a\\u001b[2Jb\\n\\r\\t\\u007f");
  EXPECT_EQ(Visible("\xC2\x80\xC2\x9B\xC2\x9F"), "\\u0080\\u009b\\u009f");
  EXPECT_EQ(Visible("\xE2\x80\xA8\xE2\x80\xA9"), "\\u2028\\u2029");
}

TEST(Visible, MarksOfBidirectionalTextAreEscaped) {
  EXPECT_EQ(Visible("\xE2\x80\xAE\xE2\x81\xA6\xE2\x80\x8F\xD8\x9C"),
            "\\u202e\\u2066\\u200f\\u061c");
}

TEST(Visible, OtherTextStaysAndBytesThatAreNoTextAreReplaced) {
  EXPECT_EQ(Visible("a \"b\" \\ \xC3\xBC \xE2\x82\xAC \xF0\x9F\x98\x80"),
            "a \"b\" \\ \xC3\xBC \xE2\x82\xAC \xF0\x9F\x98\x80");
  EXPECT_EQ(Visible("\xFF\xED\xA0\x80\xC0\xAF"),
            "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"
            "\xEF\xBF\xBD");
  std::string quoted;
  AppendVisible("\"\\", true, &quoted);
  EXPECT_EQ(quoted, "\\\"\\\\");
}

}  // namespace
}  // namespace expirer
