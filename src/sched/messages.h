// What messages ask for: schedules, cancels, and messages that are rejected.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "job/rules.h"
#include "sched/events.h"
#include "sched/in_flight.h"
#include "sched/queues.h"

namespace expirer {

struct Core;

// Core thread only. Errors are the disk's, or kDataLoss if an entry is malformed.
class Messages {
 public:
  explicit Messages(Core* core) : core_(*core) {}

  // Applies a message that has just come, at the next position.
  absl::Status Apply(MessageRequest* message);
  // Applies it at this position.
  absl::Status Apply(MessageRequest* message, Position position);
  // One of the jobs that a message asks for. Returns why it is kept as rejected, or "".
  absl::StatusOr<std::string> ScheduleJob(MessageRequest* message, QueueIndex queue,
                                          Job job, const Position& position);
  // Logs the stale messages that were dropped: of each stream the first time at once,
  // then all of `every_ms` together.
  void LogStale(int64_t every_ms);

 private:
  // What a cancel found in the queues of its rule.
  struct CancelFindings {
    bool in_time = false;             // it removed a waiting job
    std::optional<int64_t> fired_ms;  // due time of the latest job that had fired
    InFlight* attempt = nullptr;      // of a job that may have fired: not known yet
  };
  // Stale messages that were dropped since the last log line about them.
  struct StaleDropped {
    uint64_t count = 0;
    uint64_t first_seq = 0;
    uint64_t last_seq = 0;
    int64_t logged_mono_ms = std::numeric_limits<int64_t>::min() / 2;
  };

  [[nodiscard]] Position PositionOf(MessageRequest* message);
  void Answer(MessageRequest* message, std::string why);
  absl::Status ApplyScheduleIntent(MessageRequest* message, ScheduleIntent intent,
                                   const Position& position);
  absl::StatusOr<bool> IsOldToAnEntry(QueueIndex queue, const std::string& key,
                                      const Position& position) const;
  absl::Status TakeFromRemoved(RuleIndex rule, const std::string& key,
                               const Position& position);
  absl::Status ApplyCancelIntent(MessageRequest* message, CancelIntent* intent,
                                 const Position& position);
  absl::Status CancelJob(const std::string& name, RuleIndex rule, const std::string& key,
                         const Position& position, CancelFindings* found);
  absl::Status OpenLateCancel(MessageRequest* message, LateCancel* late,
                              const Position& position, const CancelFindings& found);
  absl::Status KeepReject(MessageRequest* message, std::string_view name,
                          const Position& position, const RejectIntent& reject,
                          std::string job_row);
  void DropStale(const std::string& stream, uint64_t seq);

  Core& core_;
  std::map<std::string, StaleDropped> stale_dropped_;  // by stream
};

}  // namespace expirer
