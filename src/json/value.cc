#include "json/value.h"

#include <algorithm>

#include <fmt/format.h>
#include <simdjson.h>

namespace expirer {
namespace {

// The four hex digits at the front of `text`, or -1.
int32_t HexFour(std::string_view text) {
  if (text.size() < 4) return -1;
  uint32_t code = 0;
  const char* const end = text.data() + 4;
  const bool hex = std::from_chars(text.data(), end, code, 16).ptr == end;
  return hex ? static_cast<int32_t>(code) : -1;
}

void AppendUtf8(int32_t code, std::string* out) {
  constexpr int32_t kFirst[] = {0, 0, 0xC0, 0xE0, 0xF0};  // by the number of bytes
  const int bytes = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  out->push_back(static_cast<char>(kFirst[bytes] | code >> 6 * (bytes - 1)));
  for (int rest = bytes - 2; rest >= 0; --rest)
    out->push_back(static_cast<char>(0x80 | (code >> 6 * rest & 0x3F)));
}

// The byte that a one-letter escape stands for, or 0.
char EscapedByte(char letter) {
  switch (letter) {
    case '"':
    case '\\':
    case '/': return letter;
    case 'b': return '\b';
    case 'f': return '\f';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    default: return 0;
  }
}

// Takes the escape at `*at`. Returns the code that it stands for, which may be half of
// a surrogate pair, or -1 if it is malformed; then `*at` may be past the end.
int32_t TakeEscape(std::string_view quoted, size_t* at) {
  const std::string_view rest = quoted.substr(*at + 1);
  const bool unicode = rest.starts_with('u');
  *at += unicode ? 6 : 2;
  if (unicode) return HexFour(rest.substr(1));
  const char byte = rest.empty() ? '\0' : EscapedByte(rest[0]);
  return byte == 0 ? -1 : byte;
}

}  // namespace

bool JsonValue::IsInteger() const {
  return kind == Kind::kNumber && raw != "-0" &&
         raw.find_first_of(".eE") == std::string_view::npos;
}

std::string_view Name(JsonValue::Kind kind) {
  switch (kind) {
    case JsonValue::Kind::kMissing: return "missing";
    case JsonValue::Kind::kNull: return "null";
    case JsonValue::Kind::kBool: return "a boolean";
    case JsonValue::Kind::kNumber: return "a number";
    case JsonValue::Kind::kString: return "a string";
    case JsonValue::Kind::kArray: return "an array";
    case JsonValue::Kind::kObject: return "an object";
  }
  return "unknown";
}

absl::StatusOr<std::string_view> JsonText(const JsonValue& value, std::string* scratch) {
  switch (value.kind) {
    case JsonValue::Kind::kBool:
    case JsonValue::Kind::kNumber: return value.raw;
    case JsonValue::Kind::kString: {
      const std::string_view quoted = value.Quoted();
      if (quoted.find('\\') == std::string_view::npos) return quoted;
      scratch->clear();
      if (!DecodeJsonString(quoted, scratch))
        return Invalid("it holds half of a surrogate pair, which is no text");
      return std::string_view(*scratch);
    }
    default: return Invalid(fmt::format("it is {}", Name(value.kind)));
  }
}

absl::StatusOr<std::string> JsonString(const JsonValue& value) {
  if (value.kind != JsonValue::Kind::kString)
    return Invalid(fmt::format("expected a string, it is {}", Name(value.kind)));
  std::string scratch;
  ASSIGN_OR_RETURN(const std::string_view text, JsonText(value, &scratch));
  return std::string(text);
}

std::string JsonTextOr(const JsonValue& value, std::string_view otherwise) {
  std::string scratch;
  const absl::StatusOr<std::string_view> text = JsonText(value, &scratch);
  return std::string(text.ok() ? *text : otherwise);
}

bool DecodeJsonString(std::string_view quoted, std::string* out) {
  for (size_t at = 0;;) {
    const size_t escape = std::min(quoted.find('\\', at), quoted.size());
    out->append(quoted.substr(at, escape - at));
    at = escape;
    if (at == quoted.size()) return true;
    int32_t code = TakeEscape(quoted, &at);
    if (code < 0 || (code >= 0xDC00 && code < 0xE000)) return false;
    if (code >= 0xD800 && code < 0xDC00) {
      const bool pair = quoted.substr(at).starts_with("\\u");
      const int32_t low = pair ? TakeEscape(quoted, &at) : -1;
      if (low < 0xDC00 || low >= 0xE000) return false;
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    AppendUtf8(code, out);
  }
}

bool IsUtf8(std::string_view text) {
  return simdjson::validate_utf8(text.data(), text.size());
}

bool JsonEscapesAreLegal(std::string_view quoted) {
  for (size_t at = quoted.find('\\'); at != quoted.npos; at = quoted.find('\\', at))
    if (TakeEscape(quoted, &at) < 0) return false;
  return true;
}

}  // namespace expirer
