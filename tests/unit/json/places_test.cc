#include "json/places.h"

#include <gtest/gtest.h>

namespace expirer {
namespace {

TEST(JsonPlaces, EachVariableTakesItsKindAndElseKeepsItsValue) {
  std::string text = "kept";
  std::string number;
  int64_t whole = 7;
  uint64_t positive = 8;
  bool flag = true;
  std::vector<std::string> list{"kept"};
  Json raw;
  const std::string reply =
      R"({"t":"a\n","n":1.50,"i":-3,"f":false,"l":["x",1,"y"],"o":{"p": [1]}})";
  ASSERT_TRUE(ReadPlaces(reply, {{"/t", &text},
                                 {"/n", &number},
                                 {"/i", &whole},
                                 {"/i", &positive},
                                 {"/f", &flag},
                                 {"/l", &list},
                                 {"/o", &raw}})
                  .ok());
  EXPECT_EQ(text, "a\n");
  EXPECT_EQ(number, "1.50");
  EXPECT_EQ(whole, -3);
  EXPECT_EQ(positive, 8u) << "-3 is out of its range";
  EXPECT_FALSE(flag);
  EXPECT_EQ(list, (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(raw.text, R"({"p": [1]})");
  ASSERT_TRUE(ReadPlaces("{}", {{"/t", &text}, {"/l", &list}, {"/f", &flag}}).ok());
  EXPECT_EQ(text, "a\n");
  EXPECT_EQ(list.size(), 2u);
}

TEST(JsonPlaces, ATextThatIsNotJsonChangesNothing) {
  std::string text = "kept";
  EXPECT_FALSE(ReadPlaces(R"({"t":"a"} x)", {{"/t", &text}}).ok());
  EXPECT_EQ(text, "kept");
}

}  // namespace
}  // namespace expirer
