#include "json/writer.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "json/fields.h"

namespace expirer {
namespace {

std::string Text(Json json) { return json; }

TEST(JsonWriter, WritesEveryKindOfValueWithoutWhiteSpace) {
  EXPECT_EQ(Text(JsonObject("s", "a", "n", -7, "u", uint64_t{18446744073709551615U}, "b",
                            true, "j", Json{"[1]"}, "l",
                            std::vector<std::string>{"x", "y"}, "e", std::vector<int>{})),
            R"({"s":"a","n":-7,"u":18446744073709551615,"b":true,"j":[1],)"
            R"("l":["x","y"],"e":[]})");
  EXPECT_EQ(Text(JsonObject()), "{}");
}

TEST(JsonWriter, MembersWithoutAValueAreLeftOut) {
  EXPECT_EQ(Text(JsonObject("a", std::optional<int>(), "b", std::optional<int>(0))),
            R"({"b":0})");
  EXPECT_EQ(Text(JsonObject("n", IfAny(0), "f", IfAny(false), "t", IfAny(std::string()),
                            "p", IfAny(JsonBytes{""}))),
            "{}");
  EXPECT_EQ(Text(JsonObject("n", IfAny(2), "f", IfAny(true), "t", IfAny("x"), "p",
                            IfAny(JsonBytes{"y"}))),
            R"({"n":2,"f":true,"t":"x","p":"y"})");
}

TEST(JsonWriter, NestsAndSeparates) {
  std::string text = "before";
  JsonWriter out(&text);
  out.Object().Add("a", 1).Object("o").Add("b", 2).Object("none").End().End();
  out.Array("l").Item(3).Array().Item("x").End().Object().Add("c", 4).End().End();
  out.Members("").Members(R"("d":5,"e":6)").Add("f", 7).End();
  EXPECT_EQ(text, R"(before{"a":1,"o":{"b":2,"none":{}},"l":[3,["x"],{"c":4}],)"
                  R"("d":5,"e":6,"f":7})");
}

TEST(JsonWriter, AFragmentHasNoBrackets) {
  std::string text;
  JsonWriter(&text).Add("a", 1, "b", "x");
  EXPECT_EQ(text, R"("a":1,"b":"x")");
}

TEST(JsonWriter, LinesBreakAfterTheComma) {
  std::string text;
  JsonWriter(&text).Object().Line().Add("a", 1).Line().Add("b", 2).Line().End();
  EXPECT_EQ(text, "{\n\"a\":1,\n\"b\":2\n}");
}

TEST(JsonWriter, NamesAndTextsAreEscaped) {
  EXPECT_EQ(Text(JsonObject("a\"b", "\\\n\r\t\x01/\x7Fµ")), R"({"a\"b":"\\\n\r\t\u0001/)"
                                                            "\x7Fµ\"}");
}

TEST(JsonWriter, WhatIsNotUtf8IsPercentEncodedOrOfAnotherName) {
  EXPECT_EQ(JsonQuoted("a\xFF %"), R"("a%FF%20%25")");
  const std::string text = JsonObject("a", JsonBytes{"a\xFF"}, "b", JsonBytes{"b"});
  EXPECT_EQ(text, R"({"a_base64":"Yf8=","b":"b"})");
  JsonFields fields(text);
  EXPECT_EQ(fields.Text("a", JsonFields::Need::kRequired), "a\xFF");
}

}  // namespace
}  // namespace expirer
