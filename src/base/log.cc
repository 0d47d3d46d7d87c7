#include "base/log.h"

#include <ctime>
#include <iterator>
#include <memory>

#include <fmt/format.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "base/clock.h"

namespace expirer {
namespace {

constexpr std::string_view kLevelNames[] = {"debug", "info", "warn", "error"};

std::string_view LevelName(Level level) {
  return kLevelNames[static_cast<size_t>(level)];
}

// The length of the well-formed UTF-8 sequence at the front of `text`, or 0
// (overlong forms, surrogates and code points past U+10FFFF are malformed).
size_t Utf8Length(std::string_view text) {
  const auto byte = [&](size_t i) -> unsigned {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0;
  };
  const auto tail = [&](size_t i) { return (byte(i) & 0xC0) == 0x80; };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return tail(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    if (first == 0xE0 && byte(1) < 0xA0) return 0;
    if (first == 0xED && byte(1) > 0x9F) return 0;
    return tail(1) && tail(2) ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    if (first == 0xF0 && byte(1) < 0x90) return 0;
    if (first == 0xF4 && byte(1) > 0x8F) return 0;
    return tail(1) && tail(2) && tail(3) ? 4 : 0;
  }
  return 0;
}

void AppendEscapedByte(unsigned char c, std::string* out) {
  switch (c) {
    case '"': *out += "\\\""; return;
    case '\\': *out += "\\\\"; return;
    case '\n': *out += "\\n"; return;
    case '\r': *out += "\\r"; return;
    case '\t': *out += "\\t"; return;
    default: *out += fmt::format("\\u{:04x}", c);
  }
}

bool NeedsEscape(unsigned char c) {
  return c < 0x20 || c == 0x7F || c == '"' || c == '\\';
}

// In double quotes, escaped as JSON wants it, which logfmt readers take too.
void AppendQuoted(std::string_view text, std::string* out) {
  out->push_back('"');
  while (!text.empty()) {
    const size_t length = Utf8Length(text);
    const auto first = static_cast<unsigned char>(text[0]);
    if (length == 0) {
      *out += "\xEF\xBF\xBD";  // U+FFFD
    } else if (length == 2 && first == 0xC2 &&
               static_cast<unsigned char>(text[1]) < 0xA0) {
      AppendEscapedByte(static_cast<unsigned char>(text[1]), out);  // C1 controls
    } else if (length == 1 && NeedsEscape(first)) {
      AppendEscapedByte(first, out);
    } else {
      out->append(text.substr(0, length));
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  out->push_back('"');
}

// Printable ASCII without what would make a logfmt value ambiguous.
bool PlainValue(std::string_view text) {
  if (text.empty()) return false;
  for (const char c : text) {
    if (c <= 0x20 || c >= 0x7F || c == '"' || c == '=' || c == '\\') return false;
  }
  return true;
}

std::string Rfc3339(int64_t now_ms) {
  int64_t ms = now_ms % 1000;
  time_t seconds = now_ms / 1000;
  if (ms < 0) {
    ms += 1000;
    --seconds;
  }
  std::tm at{};
  gmtime_r(&seconds, &at);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", at.tm_year + 1900,
                     at.tm_mon + 1, at.tm_mday, at.tm_hour, at.tm_min, at.tm_sec, ms);
}

std::string TextLine(int64_t now_ms, Level level, std::string_view message,
                     std::initializer_list<Field> fields) {
  std::string line =
      fmt::format("time={} level={} msg=", Rfc3339(now_ms), LevelName(level));
  AppendQuoted(message, &line);
  for (const Field& field : fields) {
    line += ' ';
    line += field.name;
    line += '=';
    if (field.bare || PlainValue(field.text)) {
      line += field.text;
    } else {
      AppendQuoted(field.text, &line);
    }
  }
  return line;
}

std::string JsonLine(int64_t now_ms, Level level, std::string_view message,
                     std::initializer_list<Field> fields) {
  std::string line = fmt::format(
      "{{\"time\":\"{}\",\"level\":\"{}\",\"msg\":", Rfc3339(now_ms), LevelName(level));
  AppendQuoted(message, &line);
  for (const Field& field : fields) {
    line += ',';
    AppendQuoted(field.name, &line);
    line += ':';
    if (field.bare) {
      line += field.text;
    } else {
      AppendQuoted(field.text, &line);
    }
  }
  line += '}';
  return line;
}

struct Logger {
  Logger() : spd("expirer", std::make_shared<spdlog::sinks::stderr_sink_mt>()) {
    spd.set_pattern("%v");
    spd.set_level(spdlog::level::trace);
    spd.flush_on(spdlog::level::trace);
  }
  spdlog::logger spd;
  Level least = Level::kInfo;
  LogFormat format = LogFormat::kText;
};

Logger& TheLogger() {
  // Never destroyed: threads of libraries may log while the process exits.
  static Logger* const logger = new Logger;
  return *logger;
}

}  // namespace

void SetLog(Level least, LogFormat format) {
  TheLogger().least = least;
  TheLogger().format = format;
}

void Log(Level level, std::string_view message, std::initializer_list<Field> fields) {
  Logger& logger = TheLogger();
  if (level < logger.least) return;
  const std::string line =
      FormatLogLine(logger.format, SystemClock().NowMs(), level, message, fields);
  logger.spd.log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
}

bool ParseLevel(std::string_view text, Level* level) {
  for (size_t i = 0; i < std::size(kLevelNames); ++i) {
    if (kLevelNames[i] != text) continue;
    *level = static_cast<Level>(i);
    return true;
  }
  return false;
}

std::string FormatLogLine(LogFormat format, int64_t now_ms, Level level,
                          std::string_view message, std::initializer_list<Field> fields) {
  return format == LogFormat::kJson ? JsonLine(now_ms, level, message, fields)
                                    : TextLine(now_ms, level, message, fields);
}

}  // namespace expirer
