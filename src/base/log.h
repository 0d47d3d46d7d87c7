// Logs for an operator: one line per event on stderr, as logfmt or JSON. Each line
// has a sentence and named values. Events that only need counting go to metrics.
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

// Sets level and format of the process. Call it before the first Log, or from the
// only thread.
void SetLog(Level least, LogFormat format);
// After this call no Log waits for stderr: lines go to a buffer of kLogLinesMax lines,
// and a thread writes them. If the buffer is full the oldest line is dropped and
// counted. Call it once, before another thread logs.
void LogInBackground();
// Thread-safe. A hostile value cannot forge a line: control characters, bidirectional
// marks, quotes and backslashes in message and values are escaped (base/visible.h),
// invalid UTF-8 is replaced, and values are cut at kLogValueBytesMax.
void Log(Level level, std::string_view message, std::initializer_list<Field> fields = {});
// For lines that may come by the thousand. The first line of a (message, rule, reason)
// is written at once. Later ones become one line per minute, with the values of the
// newest and `more`, the number since the last line. `rule` and `reason` may be "".
void LogGathered(Level level, std::string_view message, std::string_view rule,
                 std::string_view reason, std::initializer_list<Field> fields = {});
// Call about once a second: writes the lines that LogGathered holds back and are due,
// and a warning if lines were dropped.
void TickLog();
// Call before the process ends: writes the lines that LogGathered holds back and waits
// until the buffer is empty, for at most 2 s, or until no line left it for 0.3 s.
void FlushLog();

// Lines in LogInBackground's buffer now, and lines dropped so far.
struct LogCounts {
  uint64_t buffered = 0;
  uint64_t dropped = 0;
};
[[nodiscard]] LogCounts LogUse();
inline constexpr size_t kLogLinesMax = 2'048;
inline constexpr size_t kLogValueBytesMax = 2'048;

// "debug", "info", "warn", "error"; false for anything else.
[[nodiscard]] bool ParseLevel(std::string_view text, Level* level);

// For tests: the line that Log would write, without its newline.
[[nodiscard]] std::string FormatLogLine(LogFormat format, int64_t now_ms, Level level,
                                        std::string_view message,
                                        std::initializer_list<Field> fields);

}  // namespace expirer
