#include "base/visible.h"

#include <cstddef>

#include <fmt/format.h>

namespace expirer {
namespace {

struct Point {
  uint32_t code = 0;
  size_t bytes = 0;  // 0 = not well-formed
};

// The code point at the front of `text`, which is not empty. Overlong forms,
// surrogates and what lies beyond U+10FFFF are not well-formed.
Point Front(std::string_view text) {
  const auto byte = [&](size_t i) -> uint32_t {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0;
  };
  const uint32_t first = byte(0);
  if (first < 0x80) return {first, 1};
  const size_t bytes = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  constexpr uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  if (first < 0xC2 || first > 0xF4) return {};
  uint32_t code = first & (0x7Fu >> bytes);
  for (size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {};
    code = code << 6 | (byte(i) & 0x3F);
  }
  const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
  if (code < kLeast[bytes] || code > 0x10FFFF || surrogate) return {};
  return {code, bytes};
}

bool IsUnsafe(uint32_t code) {
  return code < 0x20 || (code >= 0x7F && code < 0xA0) ||  // controls
         code == 0x2028 || code == 0x2029 ||              // line ends
         code == 0x061C || code == 0x200E || code == 0x200F ||
         (code >= 0x202A && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069);
}

}  // namespace

void AppendEscaped(uint32_t code, std::string* out) {
  switch (code) {
    case '"': *out += "\\\""; return;
    case '\\': *out += "\\\\"; return;
    case '\n': *out += "\\n"; return;
    case '\r': *out += "\\r"; return;
    case '\t': *out += "\\t"; return;
    default: *out += fmt::format("\\u{:04x}", code);
  }
}

void AppendVisible(std::string_view text, bool in_quotes, std::string* out) {
  while (!text.empty()) {
    const Point point = Front(text);
    const bool quote = in_quotes && (point.code == '"' || point.code == '\\');
    if (point.bytes == 0)
      *out += "\xEF\xBF\xBD";
    else if (quote || IsUnsafe(point.code))
      AppendEscaped(point.code, out);
    else
      out->append(text.substr(0, point.bytes));
    text.remove_prefix(point.bytes == 0 ? 1 : point.bytes);
  }
}

std::string Visible(std::string_view text) {
  std::string out;
  AppendVisible(text, false, &out);
  return out;
}

}  // namespace expirer
