#include "json/reader.h"

#include <string>

#include <gtest/gtest.h>
#include <simdjson.h>

#include "json/writer.h"

namespace expirer {
namespace {

using Kind = JsonValue::Kind;

// What one pointer finds in a text, or why the text is refused.
struct Found {
  Kind kind = Kind::kMissing;
  std::string raw;
  std::string why;
};

Found Find(std::string_view text, std::string_view pointer) {
  JsonPointers pointers;
  const size_t slot = pointers.Add(pointer);
  JsonReader reader;
  const absl::Status status = reader.Read(text, pointers);
  const JsonValue& value = reader.value(slot);
  return {value.kind, std::string(value.raw), Message(status)};
}

std::string Raw(std::string_view text, std::string_view pointer) {
  const Found found = Find(text, pointer);
  EXPECT_EQ(found.why, "") << text;
  return found.raw;
}

std::string Why(std::string_view text) { return Find(text, "/a").why; }

std::string Nested(size_t depth, const std::string& open, const std::string& close) {
  std::string text;
  for (size_t i = 0; i < depth; ++i) text += open;
  text += "1";
  for (size_t i = 0; i < depth; ++i) text += close;
  return text;
}

TEST(Json, FindsValuesOfEveryKind) {
  const std::string text =
      R"({"s":"x","n":-12.50e3,"t":true,"f":false,"z":null,"o":{"k":[1]},"l":[1, 2]})";
  EXPECT_EQ(Find(text, "/s").kind, Kind::kString);
  EXPECT_EQ(Find(text, "/n").kind, Kind::kNumber);
  EXPECT_EQ(Find(text, "/t").kind, Kind::kBool);
  EXPECT_EQ(Find(text, "/f").kind, Kind::kBool);
  EXPECT_EQ(Find(text, "/z").kind, Kind::kNull);
  EXPECT_EQ(Find(text, "/o").kind, Kind::kObject);
  EXPECT_EQ(Find(text, "/l").kind, Kind::kArray);
  EXPECT_EQ(Find(text, "/missing").kind, Kind::kMissing);
}

TEST(Json, KeepsTheBytesOfAValueAsTheyStood) {
  const std::string text =
      "{ \"s\" : \"x\\u00e9\" , \"n\" : 12345678901234567890 ,\n \"o\" : { \"k\" : [ 1 , "
      "{} ] } , "
      "\"e\":{}, \"l\":[ ]\t}";
  EXPECT_EQ(Raw(text, "/s"), "\"x\\u00e9\"");
  EXPECT_EQ(Raw(text, "/n"), "12345678901234567890");
  EXPECT_EQ(Raw(text, "/o"), "{ \"k\" : [ 1 , {} ] }");
  EXPECT_EQ(Raw(text, "/o/k"), "[ 1 , {} ]");
  EXPECT_EQ(Raw(text, "/o/k/1"), "{}");
  EXPECT_EQ(Raw(text, "/e"), "{}");
  EXPECT_EQ(Raw(text, "/l"), "[ ]");
  EXPECT_EQ(Raw("[{\"a\":[1]}]", "/0"), "{\"a\":[1]}");
}

TEST(Json, PointersFollowRfc6901) {
  const std::string text =
      R"({"":0,"a/b":1,"m~n":2,"a":{"b":{"c":3}},"list":[10,[20,21]],"0":4,"01":5,"\u00e9\"":6})";
  EXPECT_EQ(Raw(text, "/"), "0");
  EXPECT_EQ(Raw(text, "/a~1b"), "1");
  EXPECT_EQ(Raw(text, "/m~0n"), "2");
  EXPECT_EQ(Raw(text, "/a/b/c"), "3");
  EXPECT_EQ(Raw(text, "/list/0"), "10");
  EXPECT_EQ(Raw(text, "/list/1/1"), "21");
  EXPECT_EQ(Raw(text, "/0"), "4");
  EXPECT_EQ(Raw(text, "/01"), "5");
  EXPECT_EQ(Raw(text, "/\xC3\xA9\""), "6");
  EXPECT_EQ(Find(text, "/list/2").kind, Kind::kMissing);
  EXPECT_EQ(Find(text, "/list/01").kind, Kind::kMissing);
  EXPECT_EQ(Find(text, "/list/-").kind, Kind::kMissing);
  EXPECT_EQ(Find(text, "/list/0/x").kind, Kind::kMissing);
  EXPECT_TRUE(CheckJsonPointer("/a~0~1").ok());
  for (const char* bad : {"", "a", "#/a", "/a~", "/a~2"})
    EXPECT_FALSE(CheckJsonPointer(bad).ok());
}

TEST(Json, OnePassAnswersManyPointers) {
  JsonPointers pointers;
  const size_t a = pointers.Add("/o/a");
  const size_t o = pointers.Add("/o");
  const size_t b = pointers.Add("/o/b/0");
  EXPECT_EQ(pointers.Add("/o/a"), a);
  EXPECT_EQ(pointers.size(), 3u);
  JsonReader reader;
  ASSERT_TRUE(reader.Read(R"({"o":{"b":[7],"a":"x"}})", pointers).ok());
  EXPECT_EQ(reader.value(a).raw, "\"x\"");
  EXPECT_EQ(reader.value(b).raw, "7");
  EXPECT_EQ(reader.value(o).raw, R"({"b":[7],"a":"x"})");
}

TEST(Json, ValuesOfAnEarlierTextAreForgotten) {
  JsonPointers pointers;
  const size_t a = pointers.Add("/a");
  JsonReader reader;
  ASSERT_TRUE(reader.Read(R"({"a":1})", pointers).ok());
  ASSERT_FALSE(reader.Read(R"({"a":2,)", pointers).ok());
  EXPECT_EQ(reader.value(a).kind, Kind::kMissing);
  ASSERT_TRUE(reader.Read(R"({"b":1})", pointers).ok());
  EXPECT_EQ(reader.value(a).kind, Kind::kMissing);
}

TEST(Json, EveryCutOffTailIsRefused) {
  const std::string text = R"({"a":"x\n","b":[1,{"c":null}],"d":-1.5e3,"e":true})";
  EXPECT_EQ(Raw(text, "/a"), "\"x\\n\"");
  for (size_t size = 0; size < text.size(); ++size)
    EXPECT_NE(Why(text.substr(0, size)), "") << size;
}

TEST(Json, BytesAfterTheEndAreRefused) {
  EXPECT_EQ(Raw("{\"a\":1} \r\n\t", "/a"), "1");
  for (const char* text : {"{\"a\":1}x", "{\"a\":1}{}", "{\"a\":1},", "{\"a\":1}]",
                           "{\"a\":1}}", "{\"a\":1} 1", "[1]]", "{}{\"a\":1}", "[]{}"}) {
    EXPECT_NE(Why(text), "") << text;
  }
  EXPECT_NE(Why(std::string_view("{\"a\":1}\0", 8)), "");
}

TEST(Json, OnlyObjectsAndArraysAreEvents) {
  for (const char* text : {"1", "\"x\"", "true", "null", "-"})
    EXPECT_NE(Why(text), "") << text;
  EXPECT_EQ(Why("{}"), "");
  EXPECT_EQ(Why("[]"), "");
  EXPECT_EQ(Why(""), "it is empty");
  EXPECT_NE(Why(" \n"), "");
  EXPECT_EQ(Why("42"), "it is neither an object nor an array");
}

TEST(Json, MalformedValuesAreRefusedEverywhere) {
  for (const char* value :
       {"tru",       "truex",       "True",       "nul",   "nulll", "falsey",
        "undefined", "NaN",         "Infinity",   "01",    "-",     "+1",
        "1.",        ".5",          "1e",         "1e+",   "--1",   "1-",
        "0x1",       "1 2",         "'x'",        "\"x",   "x\"",   "\"\\x\"",
        "\"\\u12\"", "\"\\u12g4\"", "\"\t\"",     "[1,]",  "[,1]",  "[1 2]",
        "{\"k\"}",   "{\"k\":}",    "{\"k\" 1}",  "{k:1}", "{1:1}", "{\"k\":1,}",
        "{,}",       "[}",          "{]",         "[1}",   "",      ",",
        ":",         "//x\n1",      "\"a\"\"b\"", "\"a\"b"}) {
    EXPECT_NE(Why(std::string("{\"x\":") + value + "}"), "") << value;
    EXPECT_NE(Why(std::string("[") + value + ",1]"), "") << value;
    EXPECT_NE(Why(std::string("{\"a\":") + value + "}"), "") << value;
  }
  EXPECT_EQ(Why("{\"x\":tru,\"b\":1}"), "it is malformed or ends too early");
  EXPECT_EQ(Why("{\"x\":\"\\x\"}"), "a string holds a malformed escape");
  EXPECT_EQ(Why("{\"\\x\":1}"), "a string holds a malformed escape");
}

TEST(Json, InvalidUtf8AndByteOrderMarksAreRefused) {
  EXPECT_EQ(Why("{\"x\":\"\xFF\"}"), "it is not valid UTF-8");
  EXPECT_EQ(Why("{\"x\":\"\xC0\x80\"}"), "it is not valid UTF-8");
  EXPECT_EQ(Why("{\"x\":\"\xED\xA0\x80\"}"), "it is not valid UTF-8");
  EXPECT_EQ(Why("{\"\xFF\":1}"), "it is not valid UTF-8");
  EXPECT_EQ(Why("\xEF\xBB\xBF{}"), "it begins with a byte order mark");
}

TEST(Json, ARepeatedMemberIsRefusedOnlyWhereAPointerGoes) {
  EXPECT_EQ(Why(R"({"a":1,"a":1})"), "the member \"a\" is there twice");
  EXPECT_EQ(Why(R"({"a":1,"\u0061":2})"), "the member \"a\" is there twice");
  EXPECT_EQ(Find(R"({"o":{"a":1},"o":{"b":1}})", "/o/a").why,
            "the member \"o\" is there twice");
  EXPECT_EQ(Raw(R"({"a":1,"b":2,"b":3})", "/a"), "1");
  EXPECT_EQ(Raw(R"({"a":1,"b":{"a":2,"a":3}})", "/a"), "1");
  EXPECT_EQ(Raw(R"([{"a":1},{"a":2}])", "/1/a"), "2");
}

TEST(Json, DepthBombsAreRefused) {
  EXPECT_EQ(Why("{\"x\":" + Nested(127, "[", "]") + "}"), "");
  EXPECT_EQ(Why("{\"x\":" + Nested(128, "[", "]") + "}"), "it nests deeper than 128");
  EXPECT_EQ(Why("{\"x\":" + Nested(128, "{\"k\":", "}") + "}"),
            "it nests deeper than 128");
  EXPECT_NE(Why(Nested(100'000, "[", "]")), "");
  EXPECT_NE(Why(std::string(1'000'000, '[')), "");
  EXPECT_NE(Why(std::string(100'000, '{') + std::string(100'000, '}')), "");
}

TEST(Json, NumbersOfAnySizeAreCarriedAsText) {
  const std::string long_number(400, '7');
  EXPECT_EQ(Raw("{\"a\":" + long_number + "}", "/a"), long_number);
  EXPECT_EQ(Raw("{\"a\":1e400}", "/a"), "1e400");
  EXPECT_EQ(Raw("{\"a\":1,\"b\":-1E-999}", "/b"), "-1E-999");
}

TEST(Json, OnlyPlainDigitsAreIntegers) {
  for (const char* text : {"0", "-1", "12345678901234567890"})
    EXPECT_TRUE((JsonValue{Kind::kNumber, text}.IsInteger())) << text;
  for (const char* text : {"1.0", "1e3", "1E3", "-0"})
    EXPECT_FALSE((JsonValue{Kind::kNumber, text}.IsInteger())) << text;
  EXPECT_FALSE((JsonValue{Kind::kString, "\"1\""}.IsInteger()));
}

TEST(Json, TextIsDecodedWithSurrogatePairs) {
  std::string scratch;
  const auto text = [&scratch](std::string_view raw) {
    const auto result = JsonText({Kind::kString, raw}, &scratch);
    return result.ok() ? std::string(*result) : "refused: " + Message(result.status());
  };
  EXPECT_EQ(text("\"plain\""), "plain");
  EXPECT_EQ(text("\"\""), "");
  EXPECT_EQ(text(R"("\"\\\/\b\f\n\r\t")"), "\"\\/\b\f\n\r\t");
  EXPECT_EQ(text(R"("\u00e9\u20AC\ud83d\ude00!")"),
            "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80!");
  EXPECT_EQ(text(R"("\u0000")"), std::string(1, '\0'));
  for (const char* lone :
       {R"("\ud83d")", R"("\ude00")", R"("\ud83dx")", R"("\ud83d\u0041")"})
    EXPECT_EQ(text(lone), "refused: it holds half of a surrogate pair, which is no text")
        << lone;
  EXPECT_EQ(*JsonText({Kind::kNumber, "1.0"}, &scratch), "1.0");
  EXPECT_EQ(*JsonText({Kind::kBool, "true"}, &scratch), "true");
  EXPECT_EQ(Message(JsonText({Kind::kNull, "null"}, &scratch).status()), "it is null");
  EXPECT_EQ(Message(JsonText({Kind::kObject, "{}"}, &scratch).status()),
            "it is an object");
}

TEST(Json, LoneSurrogatesElsewhereDoNoHarm) {
  EXPECT_EQ(Raw(R"({"x":"\ud83d","\ude00":1,"a":2})", "/a"), "2");
}

TEST(Json, EscapedTextReadsBack) {
  std::string all;
  for (int c = 1; c < 128; ++c) all += static_cast<char>(c);
  all += "\xC3\xA9";
  std::string quoted, back;
  AppendJsonEscaped(all, &quoted);
  ASSERT_TRUE(DecodeJsonString(quoted, &back));
  EXPECT_EQ(back, all);
  EXPECT_EQ(Raw("{\"a\":\"" + quoted + "\"}", "/a"), "\"" + quoted + "\"");
}

TEST(Json, LargeTextsAfterSmallOnesGrowTheBuffer) {
  JsonPointers pointers;
  const size_t slot = pointers.Add("/a");
  JsonReader reader;
  for (size_t size : {0u, 1u, 63u, 64u, 65u, 1000u, 1'000'000u, 10u}) {
    const std::string value(size, 'x');
    ASSERT_TRUE(reader.Read("{\"a\":\"" + value + "\"}", pointers).ok());
    ASSERT_EQ(reader.value(slot).Quoted(), value);
  }
}

// simdjson's DOM parser validates everything: what we take, it takes, except
// numbers too large for it, and what it takes of objects and arrays, we take.
TEST(Json, AgreesWithTheDomParserOnMutatedTexts) {
  const std::string seed = R"({"a":"x\u00e9","b":[1,-2.5e3,{"c":null}],"d":true,"":{}})";
  simdjson::dom::parser dom;
  for (size_t at = 0; at < seed.size(); ++at) {
    for (const char byte : std::string_view("\0 \"\\/{}[]:,0e-.tx\x80", 18)) {
      std::string text = seed;
      text[at] = byte;
      const bool ours = Why(text).empty();
      EXPECT_EQ(ours, dom.parse(text).error() == simdjson::SUCCESS) << text;
    }
  }
}

}  // namespace
}  // namespace expirer
