#include "app/table.h"

#include "gtest/gtest.h"

namespace expirer {
namespace {

Table Sample() {
  Table table({"job", "state"});
  table.Add({"orders/0123456789", "pending"});
  table.Add({"o/1\x1b[2J", "fired"});
  return table;
}

TEST(Table, NothingIsCutWhereThereIsNoTerminal) {
  EXPECT_EQ(Sample().Format(0),
            "job                state\n"
            "orders/0123456789  pending\n"
            "o/1\\u001b[2J       fired\n");
}

TEST(Table, WidestColumnIsCutToFitTheTerminal) {
  EXPECT_EQ(Sample().Format(20),
            "job          state\n"
            "orders/012\u2026  pending\n"
            "o/1\\u001b[\u2026  fired\n");
}

}  // namespace
}  // namespace expirer
