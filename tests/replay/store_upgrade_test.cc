// `expirer store …` over a store that a binary of commit 73155ef left at a kill,
// and over what that binary's `store dump` said of it (tests/upgrade).
#include <sys/wait.h>

#include <filesystem>
#include <sstream>

#include "json/view.h"
#include "replay/files.h"
#include "replay/run.h"
#include "support/temp_dir.h"
#include "support/upgrade_store.h"

namespace expirer {
namespace {

using testing::HasSubstr;

int RunStore(const std::string& arguments) {
  const char* binary = std::getenv("EXPIRER_BIN");
  const std::string command =
      std::string(binary != nullptr ? binary : "build/dev/expirer") + " store " +
      arguments + " 2>/dev/null";
  const int status = std::system(command.c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// The lines of entries; those of the head and of the end speak of the format.
std::vector<std::string> Entries(const std::string& dump) {
  std::istringstream text(dump);
  std::vector<std::string> lines;
  for (std::string line; std::getline(text, line);)
    if (!line.starts_with("{\"expirer_dump\"") && !line.starts_with("{\"end\""))
      lines.push_back(line);
  return lines;
}

// Whether `now` says all that `old` says; it may say more.
bool SaysAll(const std::string& old, const std::string& now) {
  const auto said = JsonMembers(old);
  const auto says = JsonMembers(now);
  if (!said.ok() || !says.ok()) return false;
  for (const auto& [name, value] : *said) {
    const auto found = std::find_if(says->begin(), says->end(),
                                    [&name](const auto& m) { return m.first == name; });
    if (found == says->end()) return false;
    if (found->second.raw == value.raw) continue;
    if (value.kind != JsonValue::Kind::kObject ||
        !SaysAll(std::string(value.raw), std::string(found->second.raw)))
      return false;
  }
  return true;
}

void ExpectSame(const std::string& old_dump, const std::string& dump) {
  const std::vector<std::string> old_lines = Entries(old_dump);
  const std::vector<std::string> lines = Entries(dump);
  ASSERT_FALSE(old_lines.empty());
  size_t at = 0;
  for (const std::string& old : old_lines) {
    // A newer version may keep more in `meta`, but no more jobs.
    while (at < lines.size() && lines[at].starts_with("{\"meta") && lines[at] != old)
      ++at;
    ASSERT_LT(at, lines.size()) << old;
    EXPECT_TRUE(SaysAll(old, lines[at])) << old << "\nis now\n" << lines[at];
    ++at;
  }
  EXPECT_EQ(at, lines.size());
}

TEST(StoreUpgrade, ReadsWhatTheOlderBinaryWrote) {
  const TempDir dir;
  test::UnpackOldStore(dir.path());
  const std::string store = dir.path() + "/store";
  EXPECT_EQ(RunStore("verify --store " + store + " >/dev/null"), 0);
  ASSERT_EQ(RunStore("dump --store " + store + " --out " + dir.path() + "/dump"), 0);
  ExpectSame(test::OldDump(), ReadWhole(dir.path() + "/dump"));
}

TEST(StoreUpgrade, LoadsWhatTheOlderBinaryDumped) {
  const TempDir dir;
  const std::string store = dir.path() + "/store";
  ASSERT_EQ(RunStore("load tests/upgrade/dump.jsonl --store " + store + " >/dev/null"),
            0);
  EXPECT_EQ(RunStore("verify --store " + store + " >/dev/null"), 0);
  ASSERT_EQ(RunStore("dump --store " + store + " --out " + dir.path() + "/dump"), 0);
  ExpectSame(test::OldDump(), ReadWhole(dir.path() + "/dump"));
}

}  // namespace
}  // namespace expirer
