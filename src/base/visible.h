// The one escaper of text that people read: in tables, errors and the log. Without
// it, a key, a target or a server's text could move a terminal's cursor, colour the
// text, turn the reading direction, or begin a line of its own.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace expirer {

// Appends the escape of one character below U+10000: \", \\, \n, \r, \t, or \uXXXX.
// json/writer.h uses it too, for fewer characters.
void AppendEscaped(uint32_t code, std::string* out);

// Appends `text`. Control characters (U+0000 to U+001F, U+007F to U+009F), line and
// paragraph separators and the marks of bidirectional text become \n, \r, \t or
// \uXXXX; bytes that are not UTF-8 become U+FFFD. `in_quotes`: quotes and backslashes
// are escaped too, as JSON wants it.
void AppendVisible(std::string_view text, bool in_quotes, std::string* out);

// `text`, escaped for a terminal. Not for JSON, which is printed unchanged.
[[nodiscard]] std::string Visible(std::string_view text);

}  // namespace expirer
