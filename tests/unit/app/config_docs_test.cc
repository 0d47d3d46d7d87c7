// docs/rules.md has every key of a rule as the one table of keys has it.
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

}  // namespace
}  // namespace expirer
