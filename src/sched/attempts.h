// How attempts end: confirmed, refused, lost with the connection, not answered in time.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "base/status.h"
#include "job/job.h"
#include "sched/events.h"
#include "sched/in_flight.h"
#include "sched/queues.h"
#include "sched/retry.h"
#include "sched/stats.h"

namespace expirer {

struct Core;

// Core thread only. Errors are the disk's, or kDataLoss if an entry is malformed.
class Attempts {
 public:
  explicit Attempts(Core* core) : core_(*core) {}

  // The answer to one attempt. It closes only the schedule that the attempt sent, never
  // a newer one (I9).
  absl::Status Apply(const PubAnswer& answer);
  // Gives up the attempts that got no answer in time.
  absl::Status TimeOut();
  // An attempt, which is no longer in flight, ended without a confirmation. Its job is
  // to be tried again, or given up.
  absl::Status Retry(const InFlight& attempt, AttemptEnd end, std::string_view why);

 private:
  // Null for one that is unknown or given up.
  [[nodiscard]] std::unique_ptr<InFlight> Take(uint64_t number);
  void NoteCollision(const PubAnswer& answer, InFlight* attempt);
  absl::Status CloseCancelledAsFired(const InFlight& attempt);
  absl::Status DecideLateCancel(const InFlight& attempt, bool fired);
  void MoveToRetry(const InFlight& attempt, Job job, const RetryAt& when);
  void CountFailure(QueueIndex queue, FailureKind kind);

  Core& core_;
};

}  // namespace expirer
