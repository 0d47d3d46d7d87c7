// The Subject* functions of job/rules.h: NATS subjects and filters.
#include <algorithm>

#include <fmt/format.h>

#include "job/rules.h"

namespace expirer {
namespace {

// Takes the first token off `rest`; `*more` is false once it was the last.
std::string_view NextToken(std::string_view* rest, bool* more) {
  const size_t dot = rest->find('.');
  const std::string_view token = rest->substr(0, dot);
  *more = dot != rest->npos;
  *rest = *more ? rest->substr(dot + 1) : std::string_view();
  return token;
}

std::vector<std::string_view> Tokens(std::string_view subject) {
  std::vector<std::string_view> tokens;
  for (bool more = true; more;) tokens.push_back(NextToken(&subject, &more));
  return tokens;
}

// Walks two filters token by token: `meet` says whether two tokens go
// together, kRest that one of them settles all the rest.
enum class Meet { kNo, kYes, kRest };
template <typename F>
bool WalkBoth(std::string_view a, std::string_view b, F meet) {
  bool more_a = true;
  bool more_b = true;
  while (more_a && more_b) {
    const std::string_view token_a = NextToken(&a, &more_a);
    const std::string_view token_b = NextToken(&b, &more_b);
    const Meet outcome = meet(token_a, token_b);
    if (outcome != Meet::kYes) return outcome == Meet::kRest;
  }
  return more_a == more_b;
}

bool IsSpaceOrControl(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte <= 0x20 || byte == 0x7F;
}

absl::Status CheckTokens(std::string_view subject) {
  if (subject.empty()) return Invalid("expected a subject, it is empty");
  if (std::any_of(subject.begin(), subject.end(), IsSpaceOrControl))
    return Invalid("expected no white space or control bytes in a subject");
  if (subject.starts_with('.') || subject.ends_with('.') ||
      subject.find("..") != subject.npos)
    return Invalid("expected no empty token (two dots together, or one at an end)");
  return absl::OkStatus();
}

}  // namespace

bool SubjectMatches(std::string_view filter, std::string_view subject) {
  return WalkBoth(filter, subject, [](std::string_view f, std::string_view s) {
    if (f == ">") return Meet::kRest;
    return f == "*" || f == s ? Meet::kYes : Meet::kNo;
  });
}

bool SubjectsOverlap(std::string_view a, std::string_view b) {
  return WalkBoth(a, b, [](std::string_view x, std::string_view y) {
    if (x == ">" || y == ">") return Meet::kRest;
    return x == "*" || y == "*" || x == y ? Meet::kYes : Meet::kNo;
  });
}

bool SubjectCovers(std::string_view outer, std::string_view inner) {
  return WalkBoth(outer, inner, [](std::string_view o, std::string_view i) {
    if (o == ">") return Meet::kRest;
    if (i == ">") return Meet::kNo;
    return o == "*" || o == i ? Meet::kYes : Meet::kNo;
  });
}

absl::Status CheckSubjectFilter(std::string_view filter) {
  RETURN_IF_ERROR(CheckTokens(filter));
  const std::vector<std::string_view> tokens = Tokens(filter);
  for (const std::string_view& token : tokens) {
    if (token.size() > 1 && token.find_first_of("*>") != token.npos)
      return Invalid("expected * and > only as whole tokens, such as orders.*");
    if (token == ">" && &token != &tokens.back())
      return Invalid("expected > only as the last token");
  }
  return absl::OkStatus();
}

absl::Status CheckTarget(std::string_view subject) {
  RETURN_IF_ERROR(CheckTokens(subject));
  if (subject.find_first_of("*>") != subject.npos)
    return Invalid("expected no * or > in a subject that is published to");
  if (subject.starts_with('$') || subject.starts_with("_INBOX"))
    return Invalid("expected a subject outside $... and _INBOX..., which belong to NATS");
  if (subject.size() > kTargetBytesMax)
    return Invalid(fmt::format("expected at most {} bytes, it has {}", kTargetBytesMax,
                               subject.size()));
  return absl::OkStatus();
}

std::string CommonFilter(const std::vector<std::string>& filters) {
  if (filters.empty()) return ">";
  std::vector<std::string_view> common = Tokens(filters[0]);
  bool open = common.back() == ">";
  if (open) common.pop_back();
  for (const std::string& filter : filters) {
    std::vector<std::string_view> tokens = Tokens(filter);
    const bool endless = tokens.back() == ">";
    if (endless) tokens.pop_back();
    // `>` stands for one token or more: a filter that ends without it gives its last.
    if (open || endless || tokens.size() != common.size()) {
      common.resize(
          std::min(common.size() - (open ? 0 : 1), tokens.size() - (endless ? 0 : 1)));
      open = true;
    }
    for (size_t i = 0; i < common.size(); ++i)
      if (common[i] != tokens[i]) common[i] = "*";
  }
  std::string result;
  for (const std::string_view& token : common) {
    if (!result.empty()) result += '.';
    result += token;
  }
  if (open) result += result.empty() ? ">" : ".>";
  return result;
}

}  // namespace expirer
