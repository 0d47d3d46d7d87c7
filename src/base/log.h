// Logs for an operator: one event a line on stderr, logfmt or JSON, each with
// a sentence and named values. What is only counted belongs to metrics.
//
//   Log(Level::kWarn, "target refused", {{"rule", name}, {"why", why}});
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
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
// From now on no Log waits for stderr: lines go through a buffer of kLogLinesMax to a
// thread that writes them. Where it is full the oldest one is dropped, and counted.
// Before the first Log of another thread. Once.
void LogInBackground();
// Thread-safe. Control characters, bidirectional marks, quotes and backslashes in the
// text and the values are escaped (base/visible.h), invalid UTF-8 is replaced, values
// are cut at kLogValueBytesMax: a hostile value cannot forge a line.
void Log(Level level, std::string_view message, std::initializer_list<Field> fields = {});
// For what may come by the thousand: the first line of its (message, rule, reason)
// goes out at once, what follows is one line a minute, with the values of the newest
// and `more`, how many came since the last one. `rule` and `reason` may be "".
void LogGathered(Level level, std::string_view message, std::string_view rule,
                 std::string_view reason, std::initializer_list<Field> fields = {});
// Writes what LogGathered owes, and whether lines were dropped; about once a second.
void TickLog();
// Before the process ends: writes what LogGathered owes and waits for the buffer, up to
// 2 s, or 0.3 s in which no line left.
void FlushLog();

// Of LogInBackground's buffer.
struct LogCounts {
  uint64_t buffered = 0;
  uint64_t dropped = 0;
};
[[nodiscard]] LogCounts LogUse();
inline constexpr size_t kLogLinesMax = 2'048;
inline constexpr size_t kLogValueBytesMax = 2'048;

// "debug", "info", "warn", "error"; false for anything else.
[[nodiscard]] bool ParseLevel(std::string_view text, Level* level);

// The line Log would write, without its newline: for tests.
[[nodiscard]] std::string FormatLogLine(LogFormat format, int64_t now_ms, Level level,
                                        std::string_view message,
                                        std::initializer_list<Field> fields);

}  // namespace expirer
