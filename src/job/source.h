// Where a rule finds a value in a message.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace expirer {

struct Source {
  enum class Kind { kPointer, kSubjectToken, kHeader };
  Kind kind = Kind::kPointer;
  std::string name;  // JSON pointer (RFC 6901) or header name
  int token = 0;     // subject token, from 1

  // Parses the form in a config: "/a/b", "subject:2" or "header:Name". An error's
  // message says what was expected.
  [[nodiscard]] static absl::StatusOr<Source> Parse(std::string_view text);
  [[nodiscard]] std::string Spelling() const;
};

}  // namespace expirer
