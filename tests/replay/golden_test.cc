// What happens to a job (contract, section 4), each behaviour as a pair of files
// whose name is the claim: golden/NAME.trace.jsonl fires NAME.fires.jsonl, byte
// for byte, by the rules of NAME.yaml or else by the built-in ones.
#include <algorithm>
#include <cctype>
#include <filesystem>

#include "replay/run.h"

namespace expirer {
namespace {

constexpr char kFolder[] = "tests/replay/golden/";
constexpr std::string_view kTrace = ".trace.jsonl";

std::vector<std::string> Names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) {
    const std::string name = entry.path().filename();
    if (name.ends_with(kTrace))
      names.push_back(name.substr(0, name.size() - kTrace.size()));
  }
  std::sort(names.begin(), names.end());
  return names;
}

// "a-job-fires" as "AJobFires".
std::string CamelCase(const std::string& name) {
  std::string out;
  bool begins = true;
  for (const char c : name) {
    if (c != '-') out += begins ? static_cast<char>(std::toupper(c)) : c;
    begins = c == '-';
  }
  return out;
}

class Golden : public testing::TestWithParam<std::string> {
 protected:
  [[nodiscard]] Config Rules() const {
    const std::string path = path_ + ".yaml";
    return ConfigOf(std::filesystem::exists(path) ? path : "");
  }
  const std::string path_ = kFolder + GetParam();
};

TEST_P(Golden, Fires) {
  const Ran ran = RunTrace(Rules(), ReadTrace(path_ + ".trace.jsonl"));
  EXPECT_EQ(ran.fires, ReadWhole(path_ + ".fires.jsonl"));
  EXPECT_EQ(ran.summary.pending, 0u);
}

INSTANTIATE_TEST_SUITE_P(Claims, Golden, testing::ValuesIn(Names()),
                         [](const auto& parameter) {
                           return CamelCase(parameter.param);
                         });

// Every rule file and every list of fires belongs to a trace.
TEST(GoldenFolder, HoldsNothingElse) {
  const std::vector<std::string> names = Names();
  EXPECT_GE(names.size(), 35u);
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) {
    const std::string file = entry.path().filename();
    EXPECT_TRUE(
        std::binary_search(names.begin(), names.end(), file.substr(0, file.find('.'))))
        << file;
  }
}

}  // namespace
}  // namespace expirer
