// docs/rules.md has every key of a rule as the one table of keys has it; what
// docs/ticketing.md names exists.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
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
  if (!Default(key).empty()) fallback = "`" + Default(key) + "`";
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

std::string Keys(const std::string& parent, const std::string& indent);

const std::string kMap = R"("type": "object", )";

// What JSON Schema says of the values of a key, as members of an object. Numbers may
// be written as texts too. What texts hold, what must be there and what goes together is
// judged by `expirer config check`.
std::string SchemaOf(const Key& key, const std::string& indent) {
  const std::string path(key.path);
  const std::string range =
      fmt::format(R"(, "minimum": {}, "maximum": {})", key.min, key.max);
  switch (key.type) {
    case KeyType::kMap: return kMap + Keys(path, indent);
    case KeyType::kList:
      return R"("type": "array", "items": {)" + kMap + Keys(path + "[]", indent) + "}";
    case KeyType::kEntries: {
      const std::string keys = Keys(path + "[]", indent);
      return R"("type": ["object", "array"], )" + keys + ", \"items\": {" + kMap + keys +
             "}";
    }
    case KeyType::kTexts:
      return R"("type": ["string", "array"], "items": {"type": "string"})";
    case KeyType::kTextMap:
    case KeyType::kMatch: return R"("type": "object")";
    case KeyType::kText: return R"("type": ["string", "number", "boolean"])";
    case KeyType::kBool: return R"("type": "boolean")";
    case KeyType::kInteger:
    case KeyType::kBytes: return R"("type": ["integer", "string"])" + range;
    case KeyType::kDuration: return R"("type": "string")";
    case KeyType::kChoice: {
      std::string words = "\"" + std::string(key.choices) + "\"";
      for (size_t at = 0; (at = words.find('|', at)) != words.npos; at += 4)
        words.replace(at, 1, "\", \"");
      return "\"enum\": [" + words + "]";
    }
    case KeyType::kLater: return R"("description": "it is not in this release")";
  }
  return "";
}

// The same of the map at `parent`, with a line for each key.
std::string Keys(const std::string& parent, const std::string& indent) {
  std::string properties;
  const size_t skip = parent.empty() ? 0 : parent.size() + 1;
  for (const Key& key : ConfigKeys()) {
    const std::string_view name = key.path.substr(std::min(skip, key.path.size()));
    if (name.empty() || name.find_first_of(".[") != name.npos ||
        key.path.substr(0, skip) != parent + (parent.empty() ? "" : "."))
      continue;
    properties += fmt::format("{}\n{}  \"{}\": {{{}}}", properties.empty() ? "" : ",",
                              indent, name, SchemaOf(key, indent + "  "));
  }
  return R"("additionalProperties": false, "properties": {)" + properties + "}";
}

// On failure the message holds the lines to paste.
TEST(ConfigDocs, TheChartsSchemaHasEveryKey) {
  const std::string schema = "    \"config\": {" + kMap + Keys("", "    ") + "},\n";
  EXPECT_NE(Slurp("helm/expirer/values.schema.json").find(schema), std::string::npos)
      << "expected in helm/expirer/values.schema.json:\n"
      << schema;
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

// The row of a flaw in docs/ticketing.md; "" = it has none.
std::string FlawRow(const std::string& guide, int flaw) {
  const size_t begin = guide.find("\n| F" + std::to_string(flaw) + " |");
  if (begin == guide.npos) return "";
  return guide.substr(begin + 1, guide.find('\n', begin + 1) - begin - 1);
}

std::vector<std::string> Matches(const std::string& text, const char* pattern) {
  const std::regex regex(pattern);
  std::vector<std::string> all;
  for (std::sregex_iterator it(text.begin(), text.end(), regex), end; it != end; ++it)
    all.push_back((*it)[1].str());
  return all;
}

TEST(ConfigDocs, TheTicketingGuideShowsEveryFlawByTestsThatExist) {
  const std::string guide = Slurp("docs/ticketing.md");
  const std::set<std::string> tests = Tests();
  for (int flaw = 1; flaw <= 25; ++flaw) {
    SCOPED_TRACE("F" + std::to_string(flaw));
    const std::string row = FlawRow(guide, flaw);
    ASSERT_NE(row, "");
    const auto named = Matches(row, R"(`([A-Z]\w+\.[A-Z]\w+)`)");
    for (const std::string& test : named) EXPECT_TRUE(tests.contains(test)) << test;
    const auto golden = Matches(row, "golden `([a-z0-9-]+)`");
    for (const std::string& one : golden)
      EXPECT_TRUE(std::filesystem::exists("tests/replay/golden/" + one + ".trace.jsonl"))
          << one;
    const bool outside = row.find("| Outside expirer: ") != row.npos;
    EXPECT_EQ(named.empty() && golden.empty(), outside) << row;
  }
}

// The traces that bear a flaw's number stand in its row.
TEST(ConfigDocs, TheTicketingGuideNamesEveryTraceOfAFlaw) {
  const std::string guide = Slurp("docs/ticketing.md");
  size_t traces = 0;
  for (const auto& entry : std::filesystem::directory_iterator("tests/replay/golden")) {
    const std::string name = entry.path().filename();
    for (const std::string& flaw : Matches(name, R"(^f(\d\d)-.*\.trace\.jsonl$)")) {
      ++traces;
      const std::string golden = "golden `" + name.substr(0, name.find('.')) + "`";
      EXPECT_NE(FlawRow(guide, std::stoi(flaw)).find(golden), std::string::npos)
          << golden;
    }
  }
  EXPECT_GE(traces, 15u);
}

TEST(ConfigDocs, TheTicketingExampleIsTheBuiltInStreamingRule) {
  EXPECT_EQ(Slurp("examples/ticketing/expirer.yaml"), StanConfigText());
}

}  // namespace
}  // namespace expirer
