// A value inside a JSON text that a reader has checked, and its conversion to text
// or an integer.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace expirer {

// A view of the text that it was read from. json/reader.h and json/view.h say how
// long it is valid.
struct JsonValue {
  enum class Kind : uint8_t { kMissing, kNull, kBool, kNumber, kString, kArray, kObject };
  Kind kind = Kind::kMissing;
  std::string_view raw;  // its unparsed JSON, strings with their quotes

  // True for a number written without fraction or exponent, but not for "-0".
  [[nodiscard]] bool IsInteger() const;
  // The characters between a string's quotes, not decoded.
  [[nodiscard]] std::string_view Quoted() const { return raw.substr(1, raw.size() - 2); }
};
[[nodiscard]] std::string_view Name(JsonValue::Kind kind);

// The text of a string, number or boolean: a view of `value.raw`, or of `scratch`
// if escapes had to be decoded. For other kinds, and for strings with a lone
// surrogate: kInvalidArgument, whose message names what the value is.
absl::StatusOr<std::string_view> JsonText(const JsonValue& value, std::string* scratch);
// Like JsonText, as a string; `otherwise` if the value has no text.
[[nodiscard]] std::string JsonTextOr(const JsonValue& value,
                                     std::string_view otherwise = "");

// The text of a string. For any other kind: kInvalidArgument, whose message names
// what the value is.
absl::StatusOr<std::string> JsonString(const JsonValue& value);

// No value unless `value` is an integer within the range of `Integer`.
template <typename Integer>
[[nodiscard]] std::optional<Integer> JsonInteger(const JsonValue& value) {
  Integer number = 0;
  const char* const end = value.raw.data() + value.raw.size();
  if (!value.IsInteger()) return std::nullopt;
  const auto [stop, error] = std::from_chars(value.raw.data(), end, number);
  if (error != std::errc() || stop != end) return std::nullopt;
  return number;
}

// Decodes the characters between the quotes of a JSON string and appends them to
// `out`. False if an escape is malformed or is half of a surrogate pair.
[[nodiscard]] bool DecodeJsonString(std::string_view quoted, std::string* out);
// True if every escape between the quotes is one of JSON's. Surrogates need not
// pair: such strings are legal JSON, only without a text.
[[nodiscard]] bool JsonEscapesAreLegal(std::string_view quoted);
[[nodiscard]] bool IsUtf8(std::string_view text);

}  // namespace expirer
