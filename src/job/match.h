// `match`: which events an entry of a rule takes, by values in them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "job/source.h"
#include "json/value.h"

namespace expirer {

// A value as a config writes it: text is a string's, or a number's JSON, or
// "true" or "false".
struct MatchValue {
  enum class Kind { kNull, kBool, kNumber, kString };
  Kind kind = Kind::kNull;
  std::string text;
};

// One condition: the value at `source` is one of `any_of`. Never coerces: the
// string "1" is not the number 1. Numbers are equal by value, integers exactly
// whatever their size. kNull stands for null and for a value that is not there.
struct Match {
  Source source;  // pointer or header
  std::vector<MatchValue> any_of;

  // For a pointer. `scratch` is used for strings with escapes.
  [[nodiscard]] bool Holds(const JsonValue& value, std::string* scratch) const;
  // For a header, compared as text; null when there is none.
  [[nodiscard]] bool Holds(const std::string* header) const;
};

}  // namespace expirer
