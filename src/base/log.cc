#include "base/log.h"

#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <iterator>
#include <memory>
#include <mutex>
#include <span>
#include <system_error>
#include <thread>

#include <spdlog/async_logger.h>
#include <spdlog/details/thread_pool.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include "base/clock.h"
#include "base/log_gatherer.h"
#include "base/rfc3339.h"
#include "base/thread.h"
#include "base/visible.h"

namespace expirer {
namespace {

constexpr std::string_view kLevelNames[] = {"debug", "info", "warn", "error"};

std::string_view LevelName(Level level) {
  return kLevelNames[static_cast<size_t>(level)];
}

// Puts the text in double quotes, with JSON's escapes, which logfmt readers accept
// too. It is cut at kLogValueBytesMax before that.
void AppendQuoted(std::string_view text, std::string* out) {
  const bool cut = text.size() > kLogValueBytesMax;
  if (cut) {
    size_t end = kLogValueBytesMax;  // not within a character
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
    text = text.substr(0, end);
  }
  out->push_back('"');
  AppendVisible(text, /*in_quotes=*/true, out);
  *out += cut ? "...\"" : "\"";
}

// Printable ASCII without what would make a logfmt value ambiguous.
bool PlainValue(std::string_view text) {
  if (text.empty() || text.size() > kLogValueBytesMax) return false;
  for (const char c : text) {
    if (c <= 0x20 || c >= 0x7F || c == '"' || c == '=' || c == '\\') return false;
  }
  return true;
}

std::string Line(LogFormat format, int64_t now_ms, Level level, std::string_view message,
                 std::span<const Field> fields) {
  const bool json = format == LogFormat::kJson;
  std::string line = json ? "{" : "";
  const auto add = [&](std::string_view name, std::string_view text, bool quoted) {
    if (name != "time") line += json ? ',' : ' ';
    if (json)
      AppendQuoted(name, &line);
    else
      line += name;
    line += json ? ':' : '=';
    if (quoted)
      AppendQuoted(text, &line);
    else
      line += text;
  };
  add("time", FormatRfc3339Ms(now_ms), json);
  add("level", LevelName(level), json);
  add("msg", message, true);
  for (const Field& field : fields)
    add(field.name, field.text, !field.bare && (json || !PlainValue(field.text)));
  if (json) line += '}';
  return line;
}

// Does not use stdio, since exit() may wait for its lock.
class StderrSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  [[nodiscard]] uint64_t written() const { return written_; }

 private:
  // A line that could not be written counts as handled, too.
  void sink_it_(const spdlog::details::log_msg& line) override {
    std::string_view left(line.payload.data(), line.payload.size());
    while (!left.empty()) {
      const ssize_t wrote = write(STDERR_FILENO, left.data(), left.size());
      pollfd full{STDERR_FILENO, POLLOUT, 0};  // who started us made it non-blocking
      if (wrote < 0 && errno == EAGAIN) (void)poll(&full, 1, -1);
      if (wrote < 0 && errno != EAGAIN && errno != EINTR) break;
      if (wrote > 0) left.remove_prefix(static_cast<size_t>(wrote));
    }
    ++written_;
  }
  void flush_() override {}

  std::atomic<uint64_t> written_{0};
};

// The thread that writes takes none of the process's signals.
std::shared_ptr<spdlog::details::thread_pool> MakePool() {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::shared_ptr<spdlog::details::thread_pool> pool;
  try {
    pool = std::make_shared<spdlog::details::thread_pool>(kLogLinesMax, 1,
                                                          [] { NameThread("log"); });
  } catch (const std::system_error&) {
    // If that fails StartThread logs it, and this thread writes the line.
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return pool;
}

struct Logger {
  std::shared_ptr<StderrSink> sink = std::make_shared<StderrSink>();
  std::shared_ptr<spdlog::logger> spd = std::make_shared<spdlog::logger>("expirer", sink);
  std::shared_ptr<spdlog::details::thread_pool> pool;  // null: the caller writes
  Level least = Level::kInfo;
  LogFormat format = LogFormat::kText;
  std::atomic<uint64_t> lines{0};  // handed to spdlog
  std::atomic<uint64_t> told_lost{0};
};

Logger& TheLogger() {
  // Never destroyed: threads of libraries may log while the process exits, and the
  // one that writes may be blocked for ever.
  static Logger* const logger = new Logger;
  return *logger;
}

void LogFields(Level level, std::string_view message, std::span<const Field> fields) {
  Logger& logger = TheLogger();
  if (level < logger.least) return;
  std::string line = Line(logger.format, SystemClock().NowMs(), level, message, fields);
  line += '\n';
  ++logger.lines;
  logger.spd->log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
}

LogGatherer& TheGatherer() {
  static LogGatherer* const gatherer = new LogGatherer(LogFields);
  return *gatherer;
}

}  // namespace

void SetLog(Level least, LogFormat format) {
  TheLogger().least = least;
  TheLogger().format = format;
}

void LogInBackground() {
  Logger& logger = TheLogger();
  logger.pool = MakePool();
  if (logger.pool == nullptr) return;
  logger.spd = std::make_shared<spdlog::async_logger>(
      "expirer", logger.sink, logger.pool, spdlog::async_overflow_policy::overrun_oldest);
}

void Log(Level level, std::string_view message, std::initializer_list<Field> fields) {
  LogFields(level, message, {fields.begin(), fields.size()});
}

void LogGathered(Level level, std::string_view message, std::string_view rule,
                 std::string_view reason, std::initializer_list<Field> fields) {
  if (level < TheLogger().least) return;
  TheGatherer().Add(MonotonicMs(), level, message, rule, reason,
                    {fields.begin(), fields.size()});
}

void TickLog() {
  const uint64_t lost = LogUse().dropped;
  if (TheLogger().told_lost.exchange(lost) != lost)
    LogGathered(Level::kWarn, "log lines were dropped: the reader of stderr is too slow",
                "", "", {{"lost", lost}});
  TheGatherer().Tick(MonotonicMs());
}

void FlushLog() {
  TheGatherer().Flush();
  constexpr int64_t kStandstillMs = 300;
  constexpr int64_t kMostMs = 2'000;
  const SystemClock clock;
  const int64_t began_ms = clock.MonotonicMs();
  int64_t moved_ms = began_ms;
  uint64_t buffered = LogUse().buffered;
  while (buffered > 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    const int64_t now_ms = clock.MonotonicMs();
    const uint64_t left = LogUse().buffered;
    if (left < buffered) moved_ms = now_ms;
    buffered = left;
    if (now_ms - moved_ms > kStandstillMs || now_ms - began_ms > kMostMs) return;
  }
}

LogCounts LogUse() {
  Logger& logger = TheLogger();
  const uint64_t written = logger.sink->written();
  const uint64_t dropped = logger.pool ? logger.pool->overrun_counter() : 0;
  const uint64_t done = written + dropped;
  const uint64_t lines = logger.lines;
  return {lines > done ? lines - done : 0, dropped};
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
  return Line(format, now_ms, level, message, {fields.begin(), fields.size()});
}

}  // namespace expirer
