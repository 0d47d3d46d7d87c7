// Which targets a stream takes: asked of JetStream once and remembered, so
// that no message ever goes to a subject where nobody would store it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "base/mutex.h"
#include "net/requests.h"
#include "sched/egress.h"

namespace expirer {

// Thread-safe.
class Routes {
 public:
  // `known` is called, on any thread, when a target that was being looked for
  // is known. `api_prefix` as JetStream::prefix.
  Routes(Requests* requests, std::string api_prefix, std::function<void()> known);

  // As Egress::Look.
  [[nodiscard]] Egress::Target Look(std::string_view target, std::string* why);
  // The next Look at `target` asks again.
  void Forget(std::string_view target);
  void ForgetAll();
  // Refuses `target` for `for_ms` whatever the streams say.
  void Deny(std::string_view target, const std::string& why, int64_t for_ms);

  static constexpr size_t kTargetsMax = 10'000;
  static constexpr int64_t kRefusedMs = 1'000;
  static constexpr int64_t kAskMs = 2'000;

 private:
  struct Route {
    Egress::Target state = Egress::Target::kLooking;
    std::string why;
    int64_t until_ms = INT64_MAX;
    uint64_t asked = 0;  // number of the question that may answer it
  };
  // Found by views, so that a look copies nothing (Abseil's maps take only
  // its own views on Debian 12).
  struct TextHash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>()(text);
    }
  };
  void Ask(const std::string& target, uint64_t number);
  void Answer(const std::string& target, uint64_t number, Egress::Target state,
              std::string why, std::vector<std::string> subjects);
  [[nodiscard]] bool Covered(std::string_view target) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Requests* const requests_;
  const std::string prefix_;
  const std::function<void()> known_;

  Mutex mutex_;
  uint64_t questions_ ABSL_GUARDED_BY(mutex_) = 0;
  std::unordered_map<std::string, Route, TextHash, std::equal_to<>> routes_
      ABSL_GUARDED_BY(mutex_);
  // Subjects of streams that took a target: others below them are known too.
  std::vector<std::string> subjects_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace expirer
