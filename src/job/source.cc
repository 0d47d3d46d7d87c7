#include "job/source.h"

#include <charconv>

#include <fmt/format.h>

#include "json/reader.h"

namespace expirer {

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
  }
  return "";
}

}  // namespace expirer
