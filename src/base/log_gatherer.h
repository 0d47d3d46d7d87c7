// Repeated lines of the log, made few: LogGathered's memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "base/log.h"
#include "base/mutex.h"

namespace expirer {

// Thread-safe. Times are monotonic.
class LogGatherer {
 public:
  using Write = std::function<void(Level level, std::string_view message,
                                   std::span<const Field> fields)>;
  static constexpr int64_t kEveryMs = 60'000;
  // Kinds of lines told apart; those beyond are told by their message alone.
  static constexpr size_t kKindsMax = 1'024;

  // `write` may not call back.
  explicit LogGatherer(Write write) : write_(std::move(write)) {}

  // One line: written at once when it is the first of its kind (message, rule,
  // reason) for a minute, else counted.
  void Add(int64_t now_ms, Level level, std::string_view message, std::string_view rule,
           std::string_view reason, std::span<const Field> fields);
  // Writes of each kind that a minute has passed for what was counted; forgets those
  // that nothing came of.
  void Tick(int64_t now_ms);
  // Writes all that was counted.
  void Flush();

 private:
  struct Kind {
    Level level = Level::kWarn;
    int64_t told_ms = 0;
    uint64_t more = 0;          // since then
    std::vector<Field> newest;  // rule and reason included
  };
  // Message, rule, reason.
  using Kinds = std::map<std::tuple<std::string, std::string, std::string>, Kind>;

  void Tell(std::string_view message, Kind* kind, int64_t now_ms)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Write write_;
  Mutex mutex_;
  Kinds kinds_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace expirer
