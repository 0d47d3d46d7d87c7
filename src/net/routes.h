// Which targets a stream takes, and what is known of that stream: asked of
// JetStream once and remembered, so that no message ever goes to a subject where
// nobody would store it. What is known of streams is looked at again while they
// are in use, since who owns a stream may change it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "base/mutex.h"
#include "net/jetstream.h"
#include "net/requests.h"
#include "sched/egress.h"

namespace expirer {

// Thread-safe.
class Routes {
 public:
  // `known` is called, on any thread, after each Resolve that said kResolving: when its
  // question is answered, or was in vain. `api_prefix` as JetStream::prefix. `expected`:
  // targets that Refresh looks for before anybody asks.
  Routes(Requests* requests, std::string api_prefix, std::vector<std::string> expected,
         std::function<void(const std::string& target)> known);

  // As Egress::Resolve.
  [[nodiscard]] Egress::Target Resolve(std::string_view target, std::string* why);
  // Whether the stream that takes `target` is known never to confirm a message.
  [[nodiscard]] bool NoAck(std::string_view target);
  // As TargetLimits::Fits, by the limits of the stream that takes `target`.
  [[nodiscard]] absl::Status Fits(std::string_view target, size_t bytes);
  // NoAck in a sentence; "" = it confirms, or nothing is known.
  [[nodiscard]] std::string Warning(std::string_view target);
  // Asks what is to be known by now, a few questions a call. Often, while connected.
  void Refresh();
  // The next Look at `target` asks again.
  void Forget(std::string_view target);
  void ForgetAll();
  // Refuses `target` for `for_ms` whatever the streams say.
  void Deny(std::string_view target, const std::string& why, int64_t for_ms);

  // Of which something is known, or asked: some 3 MB of targets as they mostly are.
  // When there are more, those are dropped that are not being asked for.
  static constexpr size_t kTargetsMax = 10'000;
  static constexpr int64_t kRefusedMs = 1'000;
  static constexpr int64_t kAskMs = 2'000;
  // What is known of a stream is at most this old, where so few are known that
  // kQuestionsMax a call of Refresh suffice.
  static constexpr int64_t kRefreshMs = 10'000;
  static constexpr size_t kQuestionsMax = 16;

 private:
  struct Route {
    Egress::Target state = Egress::Target::kResolving;
    std::string why;
    int64_t until_ms = INT64_MAX;
    uint64_t asked = 0;       // number of the question that may answer it
    std::string stream = {};  // kReady: who takes it; "" = not known by name
  };
  struct Stream {
    // Other targets below them are ready, too. None once a target of it was
    // forgotten, until it is looked at again.
    std::vector<std::string> subjects;
    bool no_ack = false;
    int64_t max_msg_size = -1;  // -1 = no limit; likewise max_bytes
    int64_t max_bytes = -1;
    int64_t refresh_ms = 0;  // when to look at it again
    uint64_t asked = 0;      // as Route's; 0 = no question is out
  };
  // Found by views, so that a look copies nothing (Abseil's maps take only
  // its own views on Debian 12).
  struct TextHash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>()(text);
    }
  };
  void MakeRoom() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Ask(const std::string& target, uint64_t number);
  [[nodiscard]] Route* Asked(const std::string& target, uint64_t number)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Refused(const std::string& target, uint64_t number, Egress::Target state,
               std::string why);
  void Ready(const std::string& target, uint64_t number, const std::string& stream,
             const absl::StatusOr<StreamInfo>& info);
  void TellUnknown(const std::string& target, const std::string& stream,
                   const absl::Status& why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AskStream(const std::string& stream, uint64_t number);
  void AnswerStream(const std::string& stream, uint64_t number,
                    const absl::StatusOr<StreamInfo>& info);
  void Learn(const std::string& stream, const StreamInfo& info)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DropStream(const std::string& stream) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The name of a stream one of whose subjects matches; null when none is known.
  [[nodiscard]] const std::string* Covering(std::string_view target) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The stream that takes `target`; null when it is not known.
  [[nodiscard]] const std::pair<const std::string, Stream>* StreamOf(
      std::string_view target) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Requests* const requests_;
  const std::string prefix_;
  const std::vector<std::string> expected_;
  const std::function<void(const std::string& target)> known_;

  Mutex mutex_;
  uint64_t questions_ ABSL_GUARDED_BY(mutex_) = 0;
  std::unordered_map<std::string, Route, TextHash, std::equal_to<>> routes_
      ABSL_GUARDED_BY(mutex_);
  // Streams that took a target, by name; at most kTargetsMax subjects in all.
  std::map<std::string, Stream> streams_ ABSL_GUARDED_BY(mutex_);
  size_t subjects_ ABSL_GUARDED_BY(mutex_) = 0;
  // What was logged of streams, not to be said again: at most kTargetsMax.
  std::set<std::string> told_no_ack_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> told_unknown_ ABSL_GUARDED_BY(mutex_);
  int64_t expect_ms_ ABSL_GUARDED_BY(mutex_) = 0;  // when to begin with expected_
  size_t next_expected_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace expirer
