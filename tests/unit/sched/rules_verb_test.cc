// `rules`: the rules in effect, a page of them.

#include <gmock/gmock.h>

#include "json/places.h"
#include "unit/sched/api_world.h"

namespace expirer {
namespace {

std::string Ask(ApiWorld* w, const std::string& text, size_t bytes_max = 1 << 20) {
  ApiContext context;
  context.rules = &w->rules_;
  Caller caller;
  caller.bytes_max = bytes_max;
  EXPECT_TRUE(w->Send(MakeCommand("rules", text, std::move(caller), context)));
  w->Run();
  return w->LastBody();
}

TEST(Rules, TellsOfEachWhatItReadsAndWhereItPublishes) {
  Rule rule = TestRule("r");
  Entry& entry = rule.schedule.emplace_back();
  entry.subject = "order.created";
  entry.due = *Source::Parse("/expiresAt");
  rule.cancel.emplace_back().subject = "order.paid";
  rule.publish[0].target = *Template::Parse("expired.${key}", Template::Place::kSubject);
  ApiWorld w({rule});
  EXPECT_EQ(
      Ask(&w, ""),
      R"({"rules":[{"rule":"r","source":"jetstream",)"
      R"("schedule":[{"subject":"order.created","due":"/expiresAt"}],)"
      R"("cancel":[{"subject":"order.paid"}],"publish":[{"target":"expired.*"}]}]})");
}

TEST(Rules, ComeInPagesThatFit) {
  std::vector<Rule> rules;
  for (int i = 0; i < 100; ++i) rules.push_back(TestRule("rule-" + std::to_string(i)));
  ApiWorld w(rules);
  std::string all;
  std::string cursor;
  int pages = 0;
  do {
    const std::string body =
        Ask(&w, JsonObject("cursor", IfAny(cursor)).text, /*bytes_max=*/2'048);
    EXPECT_LE(body.size(), 2'048u);
    all += body;
    cursor.clear();
    ASSERT_TRUE(ReadPlaces(body, {{"/cursor", &cursor}}).ok());
  } while (!cursor.empty() && ++pages < 100);
  EXPECT_GT(pages, 2);
  for (const Rule& rule : rules)
    EXPECT_NE(all.find("\"" + rule.name + "\""), all.npos) << rule.name;
}

TEST(Rules, ACursorIsOneThatItGave) {
  const std::vector<Rule> rules{TestRule("r")};
  ApiContext context;
  context.rules = &rules;
  for (const Verb* const verb : Verbs()) {
    if (verb->name != "rules") continue;
    EXPECT_FALSE(ParseRequest(*verb, R"({"cursor":"s"})", context).ok());
    EXPECT_TRUE(ParseRequest(*verb, R"({"cursor":"r"})", context).ok());
  }
}

}  // namespace
}  // namespace expirer
