#include "job/match.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace expirer {
namespace {

// Empty if the number is beyond the range of doubles.
std::optional<double> ToDouble(std::string_view text) {
  double value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() ? std::optional(value) : std::nullopt;
}

// Two numbers of the JSON grammar. A double holds no integer above 2^53
// exactly, but two different integers differ in their digits.
bool SameNumber(std::string_view a, std::string_view b) {
  if (a == b) return true;
  const auto integer = [](std::string_view text) {
    return JsonValue{JsonValue::Kind::kNumber, text}.IsInteger();
  };
  if (integer(a) && integer(b)) return false;
  const std::optional<double> left = ToDouble(a);
  return left && left == ToDouble(b);
}

bool Equal(const MatchValue& wanted, const JsonValue& found, std::string* scratch) {
  switch (wanted.kind) {
    case MatchValue::Kind::kNull:
      return found.kind == JsonValue::Kind::kNull ||
             found.kind == JsonValue::Kind::kMissing;
    case MatchValue::Kind::kBool:
      return found.kind == JsonValue::Kind::kBool && found.raw == wanted.text;
    case MatchValue::Kind::kNumber:
      return found.kind == JsonValue::Kind::kNumber && SameNumber(found.raw, wanted.text);
    case MatchValue::Kind::kString: {
      if (found.kind != JsonValue::Kind::kString) return false;
      const absl::StatusOr<std::string_view> text = JsonText(found, scratch);
      return text.ok() && *text == wanted.text;
    }
  }
  return false;
}

}  // namespace

bool Match::Holds(const JsonValue& value, std::string* scratch) const {
  return std::any_of(any_of.begin(), any_of.end(), [&](const MatchValue& wanted) {
    return Equal(wanted, value, scratch);
  });
}

bool Match::Holds(const std::string* header) const {
  return std::any_of(any_of.begin(), any_of.end(), [header](const MatchValue& wanted) {
    const bool absent = wanted.kind == MatchValue::Kind::kNull;
    return header == nullptr ? absent : !absent && *header == wanted.text;
  });
}

}  // namespace expirer
