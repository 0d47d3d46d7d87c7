// Turns repeated log lines into one per minute, for LogGathered.
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
  // If there are more kinds than this, further lines are grouped by message alone.
  static constexpr size_t kKindsMax = 1'024;

  // `write` must not call the gatherer: it is called under the lock.
  explicit LogGatherer(Write write) : write_(std::move(write)) {}

  // Adds a line. It is written at once if it is the first of its kind (message, rule,
  // reason) for a minute; otherwise it is counted.
  void Add(int64_t now_ms, Level level, std::string_view message, std::string_view rule,
           std::string_view reason, std::span<const Field> fields);
  // Handles each kind that was last written a minute ago or more: writes its counted
  // lines as one, or forgets the kind if there were none.
  void Tick(int64_t now_ms);
  // Writes all counted lines, one line per kind.
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
