// The table of verbs, and what is written of them elsewhere.

#include "api/verb.h"

#include <gmock/gmock.h>

#include "base/read_file.h"

namespace expirer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Text(const std::string& path) {
  const auto text = ReadFile(path);
  EXPECT_TRUE(text.ok()) << path;
  return text.value_or("");
}

// In the order of the endpoints of the service, which clients see.
TEST(Verbs, EachIsThereOnce) {
  std::vector<std::string_view> names;
  for (const Verb* const verb : Verbs()) names.push_back(verb->name);
  EXPECT_THAT(names, ElementsAre("get", "list", "cancel", "stats", "round-trip",
                                 "dead.list", "dead.requeue", "dead.purge", "rules"));
}

TEST(Verbs, TheDocsHaveTheTableOfThem) {
  std::string table =
      "| verb | a request may have | what it does | changes jobs | command |\n"
      "|---|---|---|---|---|\n";
  for (const Verb* const verb : Verbs()) {
    std::string members;
    for (const std::string& member : Words(verb->members))
      members += (members.empty() ? "`" : ", `") + member + "`";
    const std::string command(verb->client.command);
    table += "| `" + std::string(verb->name) + "` | " + members + " | " +
             std::string(verb->about) + " | " + (verb->changes ? "yes" : "no") + " | " +
             (command.empty() ? "" : "`expirer " + command + "`") + " |\n";
  }
  const std::string docs = Text("docs/api.md");
  EXPECT_THAT(docs, HasSubstr(table)) << "this table belongs into docs/api.md";
  for (const Verb* const verb : Verbs())
    EXPECT_THAT(docs, HasSubstr("\n## " + std::string(verb->name) + "\n"));
}

TEST(Verbs, SecurityNamesWhatAUserNeedsWhoOnlyLooks) {
  std::string list = "publish: { allow: [\n";
  for (const Verb* const verb : Verbs())
    if (!verb->changes) list += "  \"expirer.v1." + std::string(verb->name) + "\"\n";
  list += "] }\n";
  EXPECT_THAT(Text("SECURITY.md"), HasSubstr(list)) << "this belongs into SECURITY.md";
}

}  // namespace
}  // namespace expirer
