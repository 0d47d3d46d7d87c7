// Remembers which stream takes a target, and that stream's limits. It asks JetStream
// before the first message to a target, so that no message goes to a subject that no
// stream stores. It asks again while a stream is in use, since its owner may change it.
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
  // `known` is called, on any thread, after each Resolve that returned kResolving, when
  // its question is answered or has failed. `api_prefix` as JetStream::prefix.
  // `expected`: targets that Refresh resolves before anybody asks.
  Routes(Requests* requests, std::string api_prefix, std::vector<std::string> expected,
         std::function<void(const std::string& target)> known);

  // Like Egress::Resolve.
  [[nodiscard]] Egress::Target Resolve(std::string_view target, std::string* why);
  // Whether the stream that takes `target` is known never to confirm a message.
  [[nodiscard]] bool NoAck(std::string_view target);
  // Like TargetLimits::Fits, by the limits of the stream that takes `target`.
  absl::Status Fits(std::string_view target, size_t bytes);
  // A warning if NoAck(target); "" = it confirms, or nothing is known.
  [[nodiscard]] std::string Warning(std::string_view target);
  // Asks the questions that are due, a few per call. Call it often while connected.
  void Refresh();
  // Makes the next Resolve of `target` ask again.
  void Forget(std::string_view target);
  void ForgetAll();
  // Refuses `target` for `for_ms`, even if a stream takes it.
  void Deny(std::string_view target, const std::string& why, int64_t for_ms);

  // Targets that are known or being resolved: some 3 MB if they have the usual length. If
  // there are more, those that are not being resolved are dropped.
  static constexpr size_t kTargetsMax = 10'000;
  static constexpr int64_t kRefusedMs = 1'000;
  static constexpr int64_t kAskMs = 2'000;
  // The answers about a stream are at most this old, if so few are known that
  // kQuestionsMax per call of Refresh suffice.
  static constexpr int64_t kRefreshMs = 10'000;
  static constexpr size_t kQuestionsMax = 16;

 private:
  struct Route {
    Egress::Target state = Egress::Target::kResolving;
    std::string why;
    int64_t until_ms = INT64_MAX;
    uint64_t asked = 0;       // number of the question that may answer it
    std::string stream = {};  // kReady: the stream's name; "" = unknown
  };
  struct Stream {
    // Its subjects. Other targets below them are ready, too. Empty after a target of it
    // was forgotten, until the stream is asked for again.
    std::vector<std::string> subjects;
    bool no_ack = false;
    int64_t max_msg_size = -1;  // -1 = no limit; the same for max_bytes
    int64_t max_bytes = -1;
    int64_t refresh_ms = 0;  // when to ask again
    uint64_t asked = 0;      // like Route's; 0 = no question is open
  };
  // Lets a std::unordered_map be searched by a view without a copy (on Debian 12 Abseil's
  // maps accept only Abseil's own views).
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
  // The name of a stream with a matching subject; null if none is known.
  [[nodiscard]] const std::string* Covering(std::string_view target) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The stream that takes `target`; null if it is not known.
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
  // Streams that were logged, so as not to log them again: at most kTargetsMax.
  std::set<std::string> told_no_ack_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> told_unknown_ ABSL_GUARDED_BY(mutex_);
  int64_t expect_ms_ ABSL_GUARDED_BY(mutex_) = 0;  // when to begin with expected_
  size_t next_expected_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace expirer
