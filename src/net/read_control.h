// Keeps each rule supplied, on a thread of its own: after admission it finds the streams
// that carry the rule's subjects, sets up a reader in each, and posts up to which moment
// the rule has been read. Whatever breaks (NATS away or wiped, a stream or consumer
// deleted) ends in the same place: the reader is closed and the rule set up again, with
// back-off, for ever.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "base/mutex.h"
#include "net/admission.h"
#include "net/requests.h"
#include "net/rule_reader.h"

namespace expirer {

// The control thread, if not said otherwise.
class ReadControl {
 public:
  // Everything given outlives it. `core` is the connection of the rules over core NATS,
  // null if there are none.
  ReadControl(Reading* reading, Requests* requests, const Connection* core);

  // What came of admission. Each is called at most once, on the control thread;
  // `refused` may come later, too, if a consumer then belongs to another store. Nothing
  // is read after it, and the owner must end the process.
  struct Outcome {
    std::function<void()> admitted;
    std::function<void(const std::string& why)> refused;
  };
  // Any one thread: OnAdmission before Start, Join after the link and the requests are
  // stopped.
  void OnAdmission(Outcome outcome) { outcome_ = std::move(outcome); }
  void Start();
  void Join();
  // As Inbound::RebuildBegun. Any thread.
  void RebuildBegun();
  // Why the rule is not read though there is a connection, "" = it is. Any thread.
  [[nodiscard]] std::string Trouble(RuleIndex rule) const;

 private:
  struct RuleState {
    std::vector<std::unique_ptr<RuleReader>> readers;
    bool blocked = true;  // not every stream of it could be set up
    RuleRead said;        // last, of this rule
    int64_t next_setup_ms = 0;
    int64_t back_off_ms = 0;
  };
  void Run();
  void BeginEpoch();
  void LookAgain();
  void Post(const RuleRead& read);

  // One step of admission; true when it is over.
  [[nodiscard]] bool ContinueAdmission();
  absl::Status Admit();
  void EndAdmission();
  void Refuse(const std::string& why);
  absl::StatusOr<std::vector<WishedSource>> WishedSources();

  // Each returns the monotonic time at which it wants to be called again.
  int64_t MaintainRule(RuleIndex index);
  int64_t MaintainCoreRule(RuleIndex index);
  int64_t ServeReaders();
  absl::Status SetUpRule(RuleIndex index, std::string* missing);
  // The streams that carry what the rule reads. If `missing` is given, makes those that
  // are configured and not there; `missing` gets a sentence about what cannot be had.
  absl::StatusOr<std::vector<std::string>> FindStreams(const Rule& rule,
                                                       std::string* missing);
  [[nodiscard]] RuleReader* ReaderOf(RuleIndex index, const std::string& stream);
  void Open(const std::vector<RuleReader*>& ready);
  // For each stream whose readers want one, at once for all of them.
  void SetGoals(const std::vector<RuleReader*>& readers);
  // Posts what is new about how far the rule has been read, and logs what hinders it.
  void SayRead(RuleIndex index);
  void SayHindrance(RuleIndex index);
  void Complain(RuleIndex index, const std::string& why);

  Reading* const reading_;
  const Connection* const core_;
  Outcome outcome_;

  Admission admission_;
  enum class Phase { kJudging, kAwaitingRebuild, kReplacing, kAdmitted, kRefused };
  Phase phase_ = Phase::kJudging;
  int64_t admission_since_ms_ = 0;  // of the first attempt; 0 = none yet
  std::vector<RuleState> states_;   // by rule
  uint64_t epoch_ = 0;              // of the link, as this thread last saw it

  std::atomic<bool> rebuild_begun_;
  mutable Mutex mutex_;
  std::vector<std::string> troubles_ ABSL_GUARDED_BY(mutex_);    // of setting up
  std::vector<std::string> hindrances_ ABSL_GUARDED_BY(mutex_);  // of reading
  std::thread control_;
};

}  // namespace expirer
