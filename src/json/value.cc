#include "json/value.h"

#include <algorithm>
#include <charconv>

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
  const auto put = [out](int32_t byte) { out->push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | code >> 6);
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3F));
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  }
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
  size_t at = 0;
  while (at < quoted.size()) {
    const size_t escape = std::min(quoted.find('\\', at), quoted.size());
    out->append(quoted.substr(at, escape - at));
    at = escape;
    if (at == quoted.size()) return true;
    if (at + 1 == quoted.size()) return false;
    if (quoted[at + 1] != 'u') {
      const char byte = EscapedByte(quoted[at + 1]);
      if (byte == 0) return false;
      out->push_back(byte);
      at += 2;
      continue;
    }
    int32_t code = HexFour(quoted.substr(at + 2));
    at += 6;
    if (code < 0 || (code >= 0xDC00 && code < 0xE000)) return false;
    if (code >= 0xD800 && code < 0xDC00) {
      const std::string_view rest = quoted.substr(at);
      const int32_t low = rest.starts_with("\\u") ? HexFour(rest.substr(2)) : -1;
      if (low < 0xDC00 || low >= 0xE000) return false;
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
      at += 6;
    }
    AppendUtf8(code, out);
  }
  return true;
}

bool IsUtf8(std::string_view text) {
  return simdjson::validate_utf8(text.data(), text.size());
}

bool JsonEscapesAreLegal(std::string_view quoted) {
  for (size_t at = quoted.find('\\'); at != std::string_view::npos;
       at = quoted.find('\\', at)) {
    if (at + 1 >= quoted.size()) return false;
    const bool unicode = quoted[at + 1] == 'u';
    if (unicode && HexFour(quoted.substr(at + 2)) < 0) return false;
    if (!unicode && EscapedByte(quoted[at + 1]) == 0) return false;
    at += unicode ? 6 : 2;
  }
  return true;
}

}  // namespace expirer
