// `match`: an entry of a rule takes only events with given values.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "job/source.h"
#include "json/value.h"

namespace expirer {

// A value from the config. `text` is the string, the number's JSON, "true" or
// "false".
struct MatchValue {
  enum class Kind { kNull, kBool, kNumber, kString };
  Kind kind = Kind::kNull;
  std::string text;
};

// One condition: the value at `source` is one of `any_of`. Types must agree: the
// string "1" is not the number 1. Numbers are compared by value, integers of any size
// exactly. kNull matches null and a missing value.
struct Match {
  Source source;  // pointer or header
  std::vector<MatchValue> any_of;

  // For a pointer. `scratch` is used for strings with escapes.
  [[nodiscard]] bool Holds(const JsonValue& value, std::string* scratch) const;
  // For a header, which is compared as text; null = the message has none.
  [[nodiscard]] bool Holds(const std::string* header) const;
};

}  // namespace expirer
