// docs/rules.md has every key of a rule as the one table of keys has it.
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <string>
#include <string_view>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "app/config.h"
#include "app/config_table.h"

namespace expirer {
namespace {

constexpr std::string_view kPrefix = "rules[].";

std::string Row(const Key& key) {
  const std::string name(key.path.substr(kPrefix.size()));
  std::string fallback = key.required ? "required" : "";
  if (!key.fallback.empty()) fallback = "`" + std::string(key.fallback) + "`";
  std::string meaning;
  if (key.type == KeyType::kChoice)
    meaning = Expected(key).substr(std::string_view("expected ").size()) + ". ";
  for (const char c : key.doc) meaning += c == '<' ? "\\<" : std::string(1, c);
  return "| `" + name + "` | " + fallback + " | " + meaning + " |\n";
}

// On failure the message holds the table to paste.
TEST(ConfigDocs, TheRulesGuideHasEveryKeyOfARule) {
  std::string table = "| key | default | meaning |\n|---|---|---|\n";
  for (const Key& key : ConfigKeys())
    if (key.path.starts_with(kPrefix)) table += Row(key);
  std::ifstream file("docs/rules.md", std::ios::binary);
  const std::string guide(std::istreambuf_iterator<char>(file), {});
  EXPECT_NE(guide.find("\n\n" + table), guide.npos) << "expected in docs/rules.md:\n"
                                                    << table;
}

std::string Slurp(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// "Suite.Name" of every TEST and TEST_F below tests/.
std::set<std::string> Tests() {
  static const std::regex kTest(R"(\bTEST(?:_F)?\((\w+),\s*(\w+)\))");
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::recursive_directory_iterator("tests")) {
    if (entry.path().extension() != ".cc") continue;
    const std::string text = Slurp(entry.path());
    for (std::sregex_iterator it(text.begin(), text.end(), kTest), end; it != end; ++it)
      names.insert((*it)[1].str() + "." + (*it)[2].str());
  }
  return names;
}

TEST(ConfigDocs, TheTicketingGuideNamesEveryFlawAndTestsThatExist) {
  const std::string guide = Slurp("docs/ticketing.md");
  for (int flaw = 1; flaw <= 25; ++flaw)
    EXPECT_NE(guide.find("\n| F" + std::to_string(flaw) + " |"), guide.npos) << flaw;
  const std::set<std::string> tests = Tests();
  static const std::regex kNamed(R"(`([A-Z]\w+\.[A-Z]\w+)`)");
  size_t named = 0;
  for (std::sregex_iterator it(guide.begin(), guide.end(), kNamed), end; it != end;
       ++it) {
    ++named;
    EXPECT_TRUE(tests.contains((*it)[1].str())) << (*it)[1].str();
  }
  static const std::regex kGolden("golden `([a-z0-9-]+)`");
  for (std::sregex_iterator it(guide.begin(), guide.end(), kGolden), end; it != end;
       ++it) {
    ++named;
    EXPECT_TRUE(
        std::filesystem::exists("tests/replay/golden/" + (*it)[1].str() + ".trace.jsonl"))
        << (*it)[1].str();
  }
  EXPECT_GT(named, 25u);
}

TEST(ConfigDocs, TheTicketingExampleIsTheBuiltInStreamingRule) {
  EXPECT_EQ(Slurp("examples/ticketing/expirer.yaml"), StanConfigText());
}

}  // namespace
}  // namespace expirer
