// The style as a test: each TEST names a rule of the house and lists every
// line that breaks it; each rule is shown to see a breach, too.
#include <algorithm>
#include <array>
#include <fstream>
#include <functional>
#include <map>
#include <regex>
#include <sstream>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tidy/source.h"

namespace expirer::tidy {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

using Findings = std::vector<std::string>;

constexpr size_t kColumnsMax = 90;
// What is larger stands in ratchets.txt, and may only shrink.
constexpr size_t kFunctionLinesMax = 70;
constexpr size_t kFileLinesMax = 420;
constexpr size_t kIncludesMax = 40;
constexpr size_t kMethodsMax = 25;

// Low to high: a layer includes itself and those before it.
constexpr std::array<std::string_view, 9> kLayers = {
    "base", "json", "job", "store", "sched", "net", "api", "replay", "app"};

int LayerOf(std::string_view folder) {
  const auto* at = std::find(kLayers.begin(), kLayers.end(), folder);
  return at == kLayers.end() ? -1 : static_cast<int>(at - kLayers.begin());
}

std::string At(const Source& source, size_t line, std::string_view what) {
  return source.path + ":" + std::to_string(line) + ": " + std::string(what);
}

// `check(line, report)` for each line of `text`, a form of source.text.
template <typename Check>
Findings EachLine(const Source& source, std::string_view text, Check check) {
  Findings findings;
  size_t number = 0;
  for (const std::string& line : Lines(text)) {
    ++number;
    const std::string what = check(line);
    if (!what.empty()) findings.push_back(At(source, number, what));
  }
  return findings;
}

// The path of an #include, without its quotes or angles; empty for other lines.
std::string_view Included(std::string_view line) {
  if (!StartsWith(line, "#include ")) return {};
  const size_t open = line.find_first_of("\"<");
  const size_t close = line.find_last_of("\">");
  if (open == std::string_view::npos || close <= open) return {};
  return line.substr(open + 1, close - open - 1);
}

// ---- The rules: each returns what breaks it in one file.

Findings UpwardIncludes(const Source& source) {
  std::string_view folder(source.path);
  folder.remove_prefix(std::string_view("src/").size());
  const bool is_main = folder == "main.cc";
  folder = folder.substr(0, folder.find('/'));
  const int own = is_main ? LayerOf("app") : LayerOf(folder);
  if (own < 0) return {source.path + ": not in a layer"};
  return EachLine(source, source.text, [&](std::string_view line) -> std::string {
    const std::string_view path = Included(line);
    if (path.find("..") != std::string_view::npos)
      return "include by its layer: " + std::string(path);
    const std::string_view layer = path.substr(0, path.find('/'));
    if (LayerOf(layer) <= own) return "";
    return std::string(folder) + " includes " + std::string(path) +
           ", from a layer above it";
  });
}

// A library that only one folder may include, so that it can be replaced or
// faked there.
struct Owned {
  std::string_view include;  // how its headers begin
  std::vector<std::string_view> owners;
};

Findings ForeignIncludes(const Source& source) {
  static const std::vector<Owned> kOwned = {
      {"rocksdb/", {"src/store/"}},
      {"nats.h", {"src/net/"}},
      {"nats/", {"src/net/"}},
      {"simdjson", {"src/json/"}},
      {"yaml-cpp/", {"src/app/"}},
      {"CLI/", {"src/app/", "src/main.cc"}},
      {"prometheus/", {"src/app/metrics.cc"}},
      {"gtest/", {}},
  };
  return EachLine(source, source.text, [&](std::string_view line) -> std::string {
    const std::string_view path = Included(line);
    for (const Owned& owned : kOwned) {
      if (!StartsWith(path, owned.include)) continue;
      if (std::none_of(owned.owners.begin(), owned.owners.end(),
                       [&](auto owner) { return StartsWith(source.path, owner); }))
        return std::string(path) + " may not be included here";
    }
    return "";
  });
}

Findings Banned(const Source& source, const std::vector<std::string_view>& words,
                std::string_view reason) {
  return EachLine(source, Blank(source.text), [&](std::string_view line) -> std::string {
    for (const std::string_view word : words)
      if (line.find(word) != std::string_view::npos)
        return std::string(word) + ": " + std::string(reason);
    return "";
  });
}

Findings SystemClocks(const Source& source) {
  if (source.path == "src/base/clock.cc" || StartsWith(source.path, "src/base/alarm."))
    return {};
  return Banned(source,
                {"clock_gettime", "gettimeofday", "system_clock", "time(nullptr)",
                 "time(NULL)", "absl::Now"},
                "time comes from base/clock.h or as an argument");
}

Findings AbslMutexes(const Source& source) {
  return Banned(source, {"absl::Mutex", "absl::CondVar"},
                "ThreadSanitizer does not see Debian's; use the std ones");
}

// JSON in a literal: {" or ": between its quotes. All that is printed goes through
// json/writer.h, which alone knows JSON's brackets, commas and escapes.
Findings HandWrittenJson(const Source& source) {
  static const std::regex* const kEscaped = new std::regex(R"rx(\{\\"|\\":)rx");
  static const std::regex* const kRaw = new std::regex(R"rx(R"[^(]*\(.*(\{"|":))rx");
  if (StartsWith(source.path, "src/json/")) return {};
  return EachLine(
      source, BlankComments(source.text), [](const std::string& line) -> std::string {
        const bool json =
            std::regex_search(line, *kEscaped) || std::regex_search(line, *kRaw);
        return json ? "JSON in a literal: write it by json/writer.h" : "";
      });
}

Findings HeaderShape(const Source& source) {
  if (!EndsWith(source.path, ".h")) return {};
  Findings findings;
  const std::vector<std::string> lines = Lines(source.text);
  if (std::find(lines.begin(), lines.end(), "#pragma once") == lines.end())
    findings.push_back(source.path + ": has no #pragma once");
  if (lines.empty() || !StartsWith(lines[0], "// "))
    findings.push_back(source.path + ":1: does not begin with its purpose");
  return findings;
}

Findings Tabs(const Source& source) {
  return EachLine(source, source.text, [](std::string_view line) {
    return line.find('\t') == std::string_view::npos ? "" : "a tab";
  });
}

Findings LeftForLater(const Source& source) {
  // Written apart, so that this file does not break its own rule; whole words,
  // so that mkdtemp's template may end in six of the last one's letter.
  static const std::regex* const kMark = new std::regex(
      "\\b(TO"
      "DO|FIX"
      "ME|XX"
      "X)\\b");
  return EachLine(source, source.text, [](const std::string& line) {
    return std::regex_search(line, *kMark) ? "do it now, or file it" : "";
  });
}

// A literal at the end of its line does not count: the lines of a raw one
// cannot be broken.
Findings WideLines(const Source& source) {
  return EachLine(source, BlankLiterals(source.text), [](std::string_view line) {
    line = line.substr(0, line.find_last_not_of(' ') + 1);
    // UTF-8's continuation bytes take no column.
    const auto columns = std::count_if(line.begin(), line.end(), [](char c) {
      return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    });
    return static_cast<size_t>(columns) <= kColumnsMax
               ? std::string()
               : std::to_string(columns) + " columns";
  });
}

// What is known to be larger than it should be: "KIND WHERE" -> how large.
using Ratchets = std::map<std::string, size_t>;

Ratchets ReadRatchets(std::istream& in) {
  Ratchets ratchets;
  std::string line;
  while (std::getline(in, line)) {
    const size_t space = line.rfind(' ');
    if (StartsWith(line, "#") || space == std::string::npos) continue;
    ratchets[line.substr(0, space)] = std::stoul(line.substr(space + 1));
  }
  return ratchets;
}

// Why `what` may not be so large; "" when it may. Takes what it used out of `ratchets`.
std::string Held(const std::string& what, size_t is, size_t most, Ratchets* ratchets) {
  const auto known = ratchets->find(what);
  const std::string said = what + " is " + std::to_string(is);
  if (is <= most) return "";  // what stands in `ratchets` stays: stale
  if (known == ratchets->end()) return said + ", over " + std::to_string(most);
  const size_t was = known->second;
  ratchets->erase(known);
  if (is > was) return said + ", grew from " + std::to_string(was);
  return is < was ? said + ": lower its number to that" : "";
}

Findings OfRatchet(const Source& source, size_t line, const std::string& held) {
  return held.empty() ? Findings() : Findings{At(source, line, held)};
}

Findings LongFunctions(const Source& source, Ratchets* ratchets) {
  Findings findings;
  for (const Function& function : Functions(source.text)) {
    const Findings held = OfRatchet(source, function.line,
                                    Held("function " + source.path + ":" + function.name,
                                         function.lines, kFunctionLinesMax, ratchets));
    findings.insert(findings.end(), held.begin(), held.end());
  }
  return findings;
}

Findings LongFiles(const Source& source, Ratchets* ratchets) {
  return OfRatchet(
      source, 1,
      Held("file " + source.path, Lines(source.text).size(), kFileLinesMax, ratchets));
}

Findings ManyIncludes(const Source& source, Ratchets* ratchets) {
  size_t includes = 0;
  for (const std::string& line : Lines(source.text))
    includes += Included(line).empty() ? 0 : 1;
  return OfRatchet(source, 1,
                   Held("includes " + source.path, includes, kIncludesMax, ratchets));
}

Findings LargeClasses(const Source& source, Ratchets* ratchets) {
  Findings findings;
  for (const Class& one : Classes(source.text)) {
    const Findings held = OfRatchet(source, one.line,
                                    Held("class " + source.path + ":" + one.name,
                                         one.methods, kMethodsMax, ratchets));
    findings.insert(findings.end(), held.begin(), held.end());
  }
  return findings;
}

Findings FieldsByPlace(const Source& source, Ratchets* ratchets) {
  return OfRatchet(source, 1,
                   Held("positional " + source.path, PositionalInitialisers(source.text),
                        0, ratchets));
}

// ---- The tree.

const std::vector<Source>& Src() {
  static const auto* const kSources =
      new std::vector<Source>(ReadTree({"src"}, {".h", ".cc"}));
  return *kSources;
}

const std::vector<Source>& Cpp() {
  static const auto* const kSources = new std::vector<Source>(
      ReadTree({"src", "tests", "bench", "examples"}, {".h", ".cc"}));
  return *kSources;
}

Findings InAll(const std::vector<Source>& sources,
               const std::function<Findings(const Source&)>& rule) {
  Findings all;
  for (const Source& source : sources) {
    const Findings findings = rule(source);
    all.insert(all.end(), findings.begin(), findings.end());
  }
  return all;
}

TEST(Tidy, SourcesAreFoundAtAll) {
  EXPECT_GE(Src().size(), 6u) << "run from the root of the tree";
  EXPECT_GT(Cpp().size(), Src().size());
}

TEST(Tidy, LayersIncludeOnlyDownwards) {
  EXPECT_THAT(InAll(Src(), UpwardIncludes), IsEmpty());
}

TEST(Tidy, LibrariesStayInTheirLayer) {
  EXPECT_THAT(InAll(Src(), ForeignIncludes), IsEmpty());
}

TEST(Tidy, SystemClockIsReadInOnePlace) {
  EXPECT_THAT(InAll(Src(), SystemClocks), IsEmpty());
}

TEST(Tidy, MutexesAreOnesThreadSanitizerSees) {
  EXPECT_THAT(InAll(Src(), AbslMutexes), IsEmpty());
}

TEST(Tidy, JsonHasOneWriter) { EXPECT_THAT(InAll(Src(), HandWrittenJson), IsEmpty()); }

TEST(Tidy, HeadersTellTheirPurposeAndAreIncludedOnce) {
  EXPECT_THAT(InAll(Cpp(), HeaderShape), IsEmpty());
}

TEST(Tidy, NoTabs) { EXPECT_THAT(InAll(Cpp(), Tabs), IsEmpty()); }

TEST(Tidy, NothingIsLeftForLater) {
  EXPECT_THAT(InAll(Cpp(), LeftForLater), IsEmpty());
  EXPECT_THAT(InAll(ReadTree({"scripts", ".ci", "cmake"}, {}), LeftForLater), IsEmpty());
}

// Tests and benches may hold literals that cannot be broken.
TEST(Tidy, LinesKeepToTheColumnLimit) {
  EXPECT_THAT(InAll(ReadTree({"src", "examples"}, {".h", ".cc"}), WideLines), IsEmpty());
}

// A name of the list, and the reason why it is there, may go but not come.
TEST(Tidy, WhatIsTooLargeOnlyShrinks) {
  std::ifstream file("tests/tidy/ratchets.txt");
  ASSERT_TRUE(file.is_open());
  Ratchets ratchets = ReadRatchets(file);
  for (const auto rule :
       {LongFunctions, LongFiles, ManyIncludes, LargeClasses, FieldsByPlace})
    EXPECT_THAT(InAll(Src(), [&](const Source& one) { return rule(one, &ratchets); }),
                IsEmpty());
  for (const auto& [what, is] : ratchets)
    ADD_FAILURE() << "ratchets.txt: " << what << " is large no more: delete its line";
}

// ---- That the rules can fail.

TEST(TidyRules, SeeAnUpwardInclude) {
  EXPECT_THAT(
      UpwardIncludes({"src/job/job.cc",
                      "#include \"base/clock.h\"\n"
                      "#include \"store/store.h\"\n"}),
      ElementsAre("src/job/job.cc:2: job includes store/store.h, from a layer above it"));
  EXPECT_THAT(UpwardIncludes({"src/net/bus.h", "#include \"../app/server.h\"\n"}),
              SizeIs(1));
  EXPECT_THAT(UpwardIncludes({"src/util/x.h", ""}), SizeIs(1));
  EXPECT_THAT(
      UpwardIncludes({"src/main.cc", "#include \"app/server.h\"\n#include <map>\n"}),
      IsEmpty());
}

TEST(TidyRules, SeeALibraryOutsideItsLayer) {
  const std::string text = "#include \"rocksdb/db.h\"\n#include <nats/nats.h>\n";
  EXPECT_THAT(ForeignIncludes({"src/sched/scheduler.cc", text}), SizeIs(2));
  EXPECT_THAT(ForeignIncludes({"src/store/store.cc", text}), SizeIs(1));
  EXPECT_THAT(ForeignIncludes({"src/net/bus.cc", "#include \"net/nats.h\"\n"}),
              IsEmpty());
}

TEST(TidyRules, SeeAClockInCodeButNotInComments) {
  const std::string text =
      "// std::chrono::system_clock\n"
      "auto now = std::chrono::system_clock::now();\n"
      "Log(\"absl::Now\");\n";
  EXPECT_THAT(SystemClocks({"src/sched/x.cc", text}), SizeIs(1));
  EXPECT_THAT(SystemClocks({"src/base/clock.cc", text}), IsEmpty());
}

TEST(TidyRules, SeeAnAbslMutex) {
  EXPECT_THAT(AbslMutexes({"src/sched/x.h", "absl::Mutex mutex_;\n"}), SizeIs(1));
}

TEST(TidyRules, SeeJsonInALiteral) {
  const auto findings = [](const std::string& line) {
    return HandWrittenJson({"src/app/x.cc", line + "\n"});
  };
  EXPECT_THAT(findings(R"(out += "{\"a\":" + x;)"), SizeIs(1));
  EXPECT_THAT(findings(R"(out += ",\"a\":" + x;)"), SizeIs(1));
  EXPECT_THAT(findings("fmt::format(R\"({{\"a\":{}}})\", x);"), SizeIs(1));
  EXPECT_THAT(findings("return R\"(,\"a\":1)\";"), SizeIs(1));
  EXPECT_THAT(findings("Log(\"up\", {{\"a\", 1}});  // {\"a\":1} or \"{\\\"a\\\":\""),
              IsEmpty());
  EXPECT_THAT(findings("return R\"(<svg viewBox=\"0 0 {} {}\">)\";"), IsEmpty());
  EXPECT_THAT(HandWrittenJson({"src/json/x.cc", R"(out += "{\"";)"}), IsEmpty());
}

TEST(TidyRules, SeeAHeaderWithoutPurposeOrGuard) {
  EXPECT_THAT(HeaderShape({"src/base/x.h", "#include <map>\n"}), SizeIs(2));
  EXPECT_THAT(HeaderShape({"src/base/x.h", "// Why.\n#pragma once\n"}), IsEmpty());
}

TEST(TidyRules, SeeTabsMarksAndWideLines) {
  EXPECT_THAT(Tabs({"a.cc", "x\n\ty\n"}), ElementsAre("a.cc:2: a tab"));
  EXPECT_THAT(LeftForLater({"a.cc", std::string("// TO") + "DO: x\n"}), SizeIs(1));
  EXPECT_THAT(LeftForLater({"a.cc", "mkdtemp(\"/tmp/XXXXXX\");\n"}), IsEmpty());
  EXPECT_THAT(WideLines({"a.cc", std::string(91, 'x')}),
              ElementsAre("a.cc:1: 91 columns"));
  EXPECT_THAT(WideLines({"a.cc", std::string(88, 'x') + "µµ"}), IsEmpty());
  EXPECT_THAT(WideLines({"a.cc", "// \"" + std::string(91, 'x') + "\"\n"}), SizeIs(1));
  EXPECT_THAT(WideLines({"a.cc", "R\"(" + std::string(91, 'x') + "\n)\""}), IsEmpty());
}

TEST(TidyRules, BlankLeavesNothingButCode) {
  EXPECT_EQ(Blank("a /* { */ b // }\nc"), "a         b     \nc");
  EXPECT_EQ(Blank("f(\"{\\\"\", '{', 1'000);"), "f(     ,    , 1'000);");
  EXPECT_EQ(Blank("R\"x({)\" })x\"; }"), "R           ; }");
  EXPECT_EQ(Blank("#define A {\\\n{\nb"), "            \n \nb");
  EXPECT_EQ(BlankLiterals("\"//\" // \"x"), "     // \"x");
}

constexpr char kSample[] = R"(// A sample.
namespace a {

struct Limits {
  int inbox = 1;
  std::vector<int> sizes{1, 2};
  int Sum() const { return 3; }
};

constexpr int kTable[] = {
    1,
    2,
};

template <typename T>
absl::StatusOr<T> Box<T>::Open(
    const Options& options = {},
    int n = 1) const {
  if (n) {
    Log("}");
  }
  return T{};
}

Box::Box(int n)
    : n_(n),
      m_{n} {
}

bool operator==(const Box& a, const Box& b) {
  auto f = [](int x) {
    return x;
  };
  return true;
}

class Window final : public Base {
 public:
  ~Window() override {
    Close();
  }
};

}  // namespace a
)";

TEST(TidyRules, FunctionScannerMeasuresTheSample) {
  std::vector<std::string> found;
  for (const Function& function : Functions(kSample))
    found.push_back(function.name + " " + std::to_string(function.line) + "+" +
                    std::to_string(function.lines));
  EXPECT_THAT(found, ElementsAre("Sum 7+1", "Box<T>::Open 15+9", "Box::Box 25+4",
                                 "operator== 30+6", "~Window 39+3"));
}

TEST(TidyRules, ClassScannerCountsMethodsAndNothingElse) {
  const std::string text = R"(
enum class Kind { kA, kB };
template <typename T>
class Box final : public Base {
 public:
  Box() : a_(1) { Init(); }
  explicit Box(int n);
  ~Box() override;
  Box& operator=(const Box&) = delete;
  friend bool Equal(const Box& a, const Box& b);
  using Done = std::function<void(int)>;
  struct Inner {
    int n = Of(1);
    int Twice() const { return 2 * n; }
  };
  [[nodiscard]] std::map<int, std::function<void()>> One(Inner inner = {}) const;
  template <typename U>
  void Two(U u) { for (int i = 0; i < 2; ++i) u(i); }

 private:
  static size_t Three() ABSL_LOCKS_EXCLUDED(mutex_);
  int a_ ABSL_GUARDED_BY(mutex_) = 0;
  const std::function<void(int)> done_;
  std::string b_ = Name(3);
  Inner c_{1};
};
)";
  std::vector<std::string> found;
  for (const Class& one : Classes(text))
    found.push_back(one.name + " " + std::to_string(one.line) + ": " +
                    std::to_string(one.methods));
  EXPECT_THAT(found, ElementsAre("Box 4: 3", "Inner 12: 1"));
}

TEST(TidyRules, FieldsByPlaceAreCountedFromTheFourthOn) {
  EXPECT_EQ(PositionalInitialisers("auto a = Job{1, 2, F(3, 4), {5, 6}};"), 1u);
  EXPECT_EQ(PositionalInitialisers("Add({1, 2, 3, 4,});"), 1u);
  EXPECT_EQ(PositionalInitialisers("Job F() {\n  return {1, 2, 3, 4};\n}"), 1u);
  EXPECT_EQ(PositionalInitialisers("Job{.a = 1, .b = 2, .c = 3, .d = 4};"), 0u);
  EXPECT_EQ(PositionalInitialisers("Job{1, 2, 3}; int a[] = {1, 2, 3, 4};"), 0u);
  EXPECT_EQ(PositionalInitialisers("class Job {\n  int a, b, c, d;\n};"), 0u);
}

TEST(TidyRules, RatchetHoldsAtBothEnds) {
  Ratchets none;
  EXPECT_EQ(Held("file a.cc", 420, 420, &none), "");
  EXPECT_EQ(Held("file a.cc", 421, 420, &none), "file a.cc is 421, over 420");
  Ratchets exact{{"file a.cc", 500}};
  EXPECT_EQ(Held("file a.cc", 500, 420, &exact), "");
  EXPECT_THAT(exact, IsEmpty());
  Ratchets grown{{"file a.cc", 500}};
  EXPECT_EQ(Held("file a.cc", 501, 420, &grown), "file a.cc is 501, grew from 500");
  Ratchets shrunk{{"file a.cc", 500}};
  EXPECT_EQ(Held("file a.cc", 499, 420, &shrunk),
            "file a.cc is 499: lower its number to that");
  Ratchets stale{{"file a.cc", 500}};
  EXPECT_EQ(Held("file a.cc", 420, 420, &stale), "");
  EXPECT_THAT(stale, SizeIs(1));
}

TEST(TidyRules, RatchetsAreReadFromTheList) {
  std::istringstream list("# comment\nfunction src/app/config.cc:Schema 120\n");
  EXPECT_THAT(ReadRatchets(list),
              ElementsAre(std::pair(std::string("function src/app/config.cc:Schema"),
                                    size_t{120})));
}

}  // namespace
}  // namespace expirer::tidy
