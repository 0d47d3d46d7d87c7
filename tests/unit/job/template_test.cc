#include "job/template.h"

#include <string>

#include <gtest/gtest.h>

namespace expirer {
namespace {

using Place = Template::Place;

constexpr std::string_view kEvent =
    R"({"id":"a b","n":12345678901234567890,"t":true,"z":null,"o":{"k": 1},"e":"q\"\u00e9\n","tok":"plain","dot":"a.b","empty":""})";

// What `text` renders to for kEvent, or "refused: why".
std::string Render(std::string_view text, Place place) {
  absl::StatusOr<Template> parsed = Template::Parse(text, place);
  if (!parsed.ok()) return "not a template: " + Message(parsed.status());
  JsonPointers pointers;
  parsed->Bind(&pointers);
  JsonReader reader;
  EXPECT_TRUE(reader.Read(kEvent, pointers).ok());
  const Headers headers = {
      {"Trace", "t\"1\xFF"}, {"Shop", "berlin %"}, {"shop", "hamburg"}};
  RenderContext context;
  context.subject = "orders.eu.created";
  context.headers = &headers;
  context.json = &reader;
  context.key = "k/1";
  context.time_ms = 1795369724123;
  context.due_ms = 1795369724999;
  std::string out;
  const absl::Status status = parsed->Render(context, &out);
  return status.ok() ? out : "refused: " + Message(status);
}

std::string Body(std::string_view text) { return Render(text, Place::kBody); }
std::string Header(std::string_view text) { return Render(text, Place::kHeader); }
std::string Subject(std::string_view text) { return Render(text, Place::kSubject); }

TEST(Template, OutsideAStringABodyHoldsTheValuesJson) {
  EXPECT_EQ(Body("{\"orderId\":${/id}}"), "{\"orderId\":\"a b\"}");
  EXPECT_EQ(Body("[${/n},${/t},${/z},${/o},${/e}]"),
            "[12345678901234567890,true,null,{\"k\": 1},\"q\\\"\\u00e9\\n\"]");
  EXPECT_EQ(Body("[${key},${subject:2},${header:Shop}]"),
            "[\"k/1\",\"eu\",\"berlin %\"]");
  EXPECT_EQ(Body("[${time},${due}]"),
            "[\"2026-11-22T17:48:44.123Z\",\"2026-11-22T17:48:44.999Z\"]");
}

TEST(Template, InsideAStringABodyHoldsEscapedText) {
  EXPECT_EQ(Body(R"({"x":"<${/id}>"})"), R"({"x":"<a b>"})");
  EXPECT_EQ(Body(R"("${/e}|${/n}|${/t}")"), R"("q\"\u00e9\n|12345678901234567890|true")");
  EXPECT_EQ(Body(R"("${key} ${time}")"), R"("k/1 2026-11-22T17:48:44.123Z")");
  EXPECT_EQ(Body(R"({"a\"${/tok}":${/tok},"b":"\\${/tok}"})"),
            R"({"a\"plain":"plain","b":"\\plain"})");
}

TEST(Template, ValuesWithoutATextAreRefusedWhereOneIsNeeded) {
  EXPECT_EQ(Body(R"("${/z}")"), "refused: ${/z}: it is null, expected a text");
  EXPECT_EQ(Body(R"("${/o}")"), "refused: ${/o}: it is an object, expected a text");
  EXPECT_EQ(Header("${/o}"), "refused: ${/o}: it is an object, expected a text");
}

TEST(Template, MissingValuesAreRefused) {
  EXPECT_EQ(Body("${/no}"), "refused: ${/no}: there is no such value");
  EXPECT_EQ(Header("${/id/x}"), "refused: ${/id/x}: there is no such value");
  EXPECT_EQ(Header("${header:None}"), "refused: ${header:None}: there is no such header");
  EXPECT_EQ(Subject("a.${subject:4}"),
            "refused: ${subject:4}: the subject has fewer tokens");
}

TEST(Template, BytesThatAreNoTextNeverReachABody) {
  EXPECT_EQ(Body("${header:Trace}"), "refused: ${header:Trace}: it is not valid UTF-8");
  EXPECT_EQ(Body("\"${header:Trace}\""),
            "refused: ${header:Trace}: it is not valid UTF-8");
}

TEST(Template, HeadersArePercentEncodedOnlyInTheirValues) {
  EXPECT_EQ(Header("id is ${/id} at 100%"), "id is a%20b at 100%");
  EXPECT_EQ(Header("${/e}"), "q\"%C3%A9%0A");
  EXPECT_EQ(Header("${header:Trace}"), "t\"1%FF");
  EXPECT_EQ(Header("${header:Shop}"), "berlin%20%25");
  EXPECT_EQ(Header("${header:SHOP}"), "berlin%20%25");
  EXPECT_EQ(Header("${header:shop}"), "hamburg");
  EXPECT_EQ(Header("${due}"), "2026-11-22T17:48:44.999Z");
  EXPECT_EQ(Header("${/empty}"), "");
}

TEST(Template, SubjectValuesAreOnePlainTokenEach) {
  EXPECT_EQ(Subject("expired.${subject:2}.${/tok}"), "expired.eu.plain");
  EXPECT_EQ(Subject("expired.x-${/n}"), "expired.x-12345678901234567890");
  EXPECT_EQ(Subject("a.${key}"), "a.k/1");
  EXPECT_EQ(Subject("a.${/dot}"),
            "refused: ${/dot}: \"a.b\" is not one plain subject token");
  EXPECT_EQ(Subject("a.${/id}"),
            "refused: ${/id}: \"a b\" is not one plain subject token");
  EXPECT_EQ(Subject("a.${/empty}"),
            "refused: ${/empty}: \"\" is not one plain subject token");
  for (const char* bad : {"*", ">", "a*", "a>b", "a\tb", "a\x7F"})
    EXPECT_FALSE(IsPlainToken(bad));
}

TEST(Template, ParseErrorsNameTheColumn) {
  EXPECT_EQ(Body("ab${/id"), "not a template: column 3: expected } after ${");
  EXPECT_EQ(Body("${id}"),
            "not a template: column 1: expected ${/pointer}, ${key}, ${subject:N}, "
            "${header:N}, "
            "${time} or ${due}");
  EXPECT_EQ(Body("x ${/a~2}"),
            "not a template: column 3: expected ~0 or ~1 after ~ in a JSON pointer");
  EXPECT_EQ(
      Subject("a.${due}"),
      "not a template: column 3: expected no ${due} in a subject: it is not one token");
  for (const char* bad : {"${}", "${subject:}", "${subject:0}", "${subject:01}",
                          "${subject:-1}", "${subject:1x}", "${subject:257}",
                          "${header:}", "${Key}", "${ key}", "${$}", "${", "${${key}}"}) {
    EXPECT_EQ(Body(bad).substr(0, 24), "not a template: column 1") << bad;
  }
}

TEST(Template, AnUnclosedStringAroundValuesIsAMistake) {
  EXPECT_EQ(Body("{\"a\":\"${/id}}"),
            "not a template: column 6: expected a closing \" for this one");
  EXPECT_EQ(Body("{\"a\":\"\\${/id}\"}"),
            "not a template: column 8: expected no \\ right before ${");
  EXPECT_EQ(Body("12\" wide"), "12\" wide");
}

TEST(Template, LiteralsOfHeadersAndSubjectsHoldNoControlBytes) {
  EXPECT_EQ(Header("a\nb"),
            "not a template: column 2: expected no white space or control byte here");
  EXPECT_EQ(Subject("a b"),
            "not a template: column 2: expected no white space or control byte here");
  EXPECT_EQ(Header("a b"), "a b");
  EXPECT_EQ(Body("a\nb"), "a\nb");
}

TEST(Template, ALiteralKnowsThatItIsOne) {
  const Template literal = *Template::Parse("expiration:complete $x {}", Place::kBody);
  EXPECT_TRUE(literal.is_literal());
  EXPECT_FALSE(literal.uses_json());
  EXPECT_EQ(literal.literal(), "expiration:complete $x {}");
  const Template key = *Template::Parse("${key}", Place::kBody);
  EXPECT_FALSE(key.is_literal());
  EXPECT_FALSE(key.uses_json());
  EXPECT_TRUE(Template::Parse("${/a}", Place::kBody)->uses_json());
  EXPECT_EQ(
      Template::Parse("${subject:2}.${subject:7}.x", Place::kSubject)->subject_tokens(),
      7);
  EXPECT_TRUE(Template().is_literal());
}

TEST(Template, ASubjectsFilterHasAStarForEachTokenWithAValue) {
  const auto filter = [](std::string_view text) {
    return Template::Parse(text, Place::kSubject)->Filter();
  };
  EXPECT_EQ(filter("a.b"), "a.b");
  EXPECT_EQ(filter("a.${key}.c"), "a.*.c");
  EXPECT_EQ(filter("${/x}.x-${/y}${/z}"), "*.*");
}

TEST(Template, QuotedInputIsShortAndPrintable) {
  EXPECT_EQ(Quote("a\"\\\n\xFF"), "\"a\\\"\\\\\\x0a\\xff\"");
  EXPECT_EQ(Quote(std::string(65, 'x')), "\"" + std::string(64, 'x') + "\"...");
}

}  // namespace
}  // namespace expirer
