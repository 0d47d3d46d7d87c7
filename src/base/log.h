// Logs for an operator: one event a line on stderr, logfmt or JSON, each with
// a sentence and named values. What is only counted belongs to metrics.
//
//   Log(Level::kWarn, "target refused", {{"rule", name}, {"why", why}});
#pragma once

#include <concepts>
#include <initializer_list>
#include <string>
#include <string_view>

namespace expirer {

enum class Level { kDebug, kInfo, kWarn, kError };
enum class LogFormat { kText, kJson };

// A value's name and text. Numbers stay bare in JSON.
struct Field {
  Field(std::string_view n, std::string_view v) : name(n), text(v) {}
  Field(std::string_view n, const char* v) : name(n), text(v) {}
  Field(std::string_view n, const std::string& v) : name(n), text(v) {}
  Field(std::string_view n, bool v) : name(n), text(v ? "true" : "false"), bare(true) {}
  template <std::integral T>
  Field(std::string_view n, T v) : name(n), text(std::to_string(v)), bare(true) {}

  std::string name;
  std::string text;
  bool bare = false;
};

// Process-wide; before the first Log, or from one thread.
void SetLog(Level least, LogFormat format);
// Thread-safe. Control bytes, quotes and backslashes in the text and the
// values are escaped, invalid UTF-8 is replaced: a hostile value cannot forge
// a line.
void Log(Level level, std::string_view message, std::initializer_list<Field> fields = {});
// "debug", "info", "warn", "error"; false for anything else.
[[nodiscard]] bool ParseLevel(std::string_view text, Level* level);

// The line Log would write, without its newline: for tests.
[[nodiscard]] std::string FormatLogLine(LogFormat format, int64_t now_ms, Level level,
                                        std::string_view message,
                                        std::initializer_list<Field> fields);

}  // namespace expirer
