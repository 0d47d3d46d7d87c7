// Where a rule finds a value in a message.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "job/job.h"

namespace expirer {

struct Source {
  enum class Kind {
    kPointer,
    kSubjectToken,
    kHeader,
    // Only in templates (job/template.h).
    kKey,
    kTime,
    kDue,
  };
  Kind kind = Kind::kPointer;
  std::string name = {};  // JSON pointer (RFC 6901) or header name
  int token = 0;          // subject token, from 1

  // Parses the form in a config: "/a/b", "subject:2" or "header:Name". An error's
  // message says what was expected.
  static absl::StatusOr<Source> Parse(std::string_view text);
  [[nodiscard]] std::string Spelling() const;
  // The subject's token or the header's value; empty if the message lacks it, and for
  // other kinds. `headers` may be null. Valid as long as both.
  [[nodiscard]] std::optional<std::string_view> Find(std::string_view subject,
                                                     const Headers* headers) const;
};

// The value of the first header with exactly this name; if there is none, of the first
// whose name differs only in case; if there is none either, null.
[[nodiscard]] const std::string* FindHeader(const Headers* headers,
                                            std::string_view name);
[[nodiscard]] bool EqualsIgnoringCase(std::string_view a, std::string_view b);

}  // namespace expirer
