#include "job/source.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "json/reader.h"

namespace expirer {
namespace {

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

// Token `number` (from 1) of a subject; empty if it has fewer tokens.
std::string_view SubjectToken(std::string_view subject, int number) {
  for (; number > 1; --number) {
    const size_t dot = subject.find('.');
    if (dot == subject.npos) return {};
    subject.remove_prefix(dot + 1);
  }
  return subject.substr(0, subject.find('.'));
}

}  // namespace

absl::StatusOr<Source> Source::Parse(std::string_view text) {
  if (text.starts_with('/')) {
    RETURN_IF_ERROR(CheckJsonPointer(text));
    return Source{Kind::kPointer, std::string(text), 0};
  }
  if (text.starts_with("subject:") && text.size() > 8 && text[8] != '0') {
    int token = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + 8, end, token);
    if (error == std::errc() && stop == end && token >= 1 && token <= 256)
      return Source{Kind::kSubjectToken, "", token};
  }
  if (text.starts_with("header:") && text.size() > 7)
    return Source{Kind::kHeader, std::string(text.substr(7)), 0};
  return Invalid("expected a JSON pointer such as /id, subject:N or header:Name");
}

std::string Source::Spelling() const {
  switch (kind) {
    case Kind::kPointer: return name;
    case Kind::kSubjectToken: return fmt::format("subject:{}", token);
    case Kind::kHeader: return "header:" + name;
    case Kind::kKey: return "key";
    case Kind::kTime: return "time";
    case Kind::kDue: return "due";
  }
  return "";
}

std::optional<std::string_view> Source::Find(std::string_view subject,
                                             const Headers* headers) const {
  std::optional<std::string_view> found;
  if (kind == Kind::kSubjectToken) found = SubjectToken(subject, token);
  if (kind == Kind::kSubjectToken && found->empty()) return std::nullopt;
  if (kind == Kind::kHeader)
    if (const std::string* value = FindHeader(headers, name)) found = *value;
  return found;
}

const std::string* FindHeader(const Headers* headers, std::string_view name) {
  if (headers == nullptr) return nullptr;
  const std::string* similar = nullptr;
  for (const auto& [header, value] : *headers) {
    if (header == name) return &value;
    if (similar == nullptr && EqualsIgnoringCase(header, name)) similar = &value;
  }
  return similar;
}

bool EqualsIgnoringCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return Lower(x) == Lower(y); });
}

}  // namespace expirer
