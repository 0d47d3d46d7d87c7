#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "job/rules.h"

namespace expirer {
namespace {

TEST(Subjects, FiltersMatchByWholeTokens) {
  EXPECT_TRUE(SubjectMatches("order:created", "order:created"));
  EXPECT_TRUE(SubjectMatches("a.*.c", "a.b.c"));
  EXPECT_TRUE(SubjectMatches("a.>", "a.b.c"));
  EXPECT_TRUE(SubjectMatches(">", "a"));
  EXPECT_FALSE(SubjectMatches("a.>", "a"));
  EXPECT_FALSE(SubjectMatches("a.*", "a"));
  EXPECT_FALSE(SubjectMatches("a.*", "a.b.c"));
  EXPECT_FALSE(SubjectMatches("a", "a.b"));
  EXPECT_FALSE(SubjectMatches("a.b", "a"));
  EXPECT_FALSE(SubjectMatches("a.b", "a.c"));
}

// All filters over tokens {a, b, *} and a last >, up to three tokens.
std::vector<std::string> Filters() {
  std::vector<std::string> all, longest = {""};
  for (int length = 1; length <= 3; ++length) {
    std::vector<std::string> next;
    for (const std::string& prefix : longest) {
      const std::string dot = prefix.empty() ? "" : ".";
      all.push_back(prefix + dot + ">");
      for (const char* token : {"a", "b", "*"}) next.push_back(prefix + dot + token);
    }
    all.insert(all.end(), next.begin(), next.end());
    longest = next;
  }
  return all;
}

std::vector<std::string> Literals() {
  std::vector<std::string> all, longest = {""};
  for (int length = 1; length <= 4; ++length) {
    std::vector<std::string> next;
    for (const std::string& prefix : longest)
      for (const char* token : {"a", "b", "c"})
        next.push_back(prefix + (prefix.empty() ? "" : ".") + token);
    all.insert(all.end(), next.begin(), next.end());
    longest = next;
  }
  return all;
}

TEST(Subjects, OverlapAndCoverMeanWhatTheySayOfEverySubject) {
  const std::vector<std::string> subjects = Literals();
  for (const std::string& a : Filters()) {
    for (const std::string& b : Filters()) {
      bool overlap = false;
      bool cover = true;
      for (const std::string& subject : subjects) {
        const bool in_a = SubjectMatches(a, subject);
        const bool in_b = SubjectMatches(b, subject);
        overlap = overlap || (in_a && in_b);
        cover = cover && (in_a || !in_b);
      }
      EXPECT_EQ(SubjectsOverlap(a, b), overlap) << a << " " << b;
      EXPECT_EQ(SubjectCovers(a, b), cover) << a << " " << b;
    }
  }
}

TEST(Subjects, TheCommonFilterIsTheNarrowestThatCoversAll) {
  EXPECT_EQ(CommonFilter({"order:created"}), "order:created");
  EXPECT_EQ(CommonFilter({"a.b", "a.c"}), "a.*");
  EXPECT_EQ(CommonFilter({"a.b", "a.b.c"}), "a.>");
  EXPECT_EQ(CommonFilter({"order:created", "order:cancelled"}), "*");
  EXPECT_EQ(CommonFilter({"a", "a.b"}), ">");
  EXPECT_EQ(CommonFilter({"a.>", "b.>"}), "*.>");
  EXPECT_EQ(CommonFilter({"a.*", "a.b"}), "a.*");
  EXPECT_EQ(CommonFilter({}), ">");
  const std::vector<std::string> filters = Filters();
  for (const std::string& a : filters) {
    for (const std::string& b : filters) {
      const std::string common = CommonFilter({a, b});
      EXPECT_TRUE(SubjectCovers(common, a) && SubjectCovers(common, b)) << a << " " << b;
      for (const std::string& other : filters) {
        if (SubjectCovers(other, a) && SubjectCovers(other, b)) {
          EXPECT_TRUE(SubjectCovers(other, common)) << a << " " << b << " " << other;
        }
      }
    }
  }
}

TEST(Subjects, FiltersAreChecked) {
  for (const char* good :
       {"a", "order:created", "a.*", "*.b", "a.>", ">", "$JS.x", "caf\xC3\xA9"})
    EXPECT_TRUE(CheckSubjectFilter(good).ok()) << good;
  for (const char* bad : {"", ".", "a.", ".a", "a..b", "a b", "a\tb", "a\x7F", "a*",
                          "a.b*.c", "a.>b", ">.a", "a.>.b", "**"}) {
    EXPECT_FALSE(CheckSubjectFilter(bad).ok()) << bad;
  }
}

TEST(Subjects, TargetsAreChecked) {
  EXPECT_TRUE(CheckTarget("expiration:complete").ok());
  EXPECT_TRUE(CheckTarget(std::string(kTargetBytesMax, 'x')).ok());
  for (const char* bad : {"", "a.*", "a.>", "a*", "a b", "a..b", "$JS.API", "$x",
                          "_INBOX.x", "_INBOX", "a\r\nb"}) {
    EXPECT_FALSE(CheckTarget(bad).ok()) << bad;
  }
  EXPECT_FALSE(CheckTarget(std::string(kTargetBytesMax + 1, 'x')).ok());
}

}  // namespace
}  // namespace expirer
