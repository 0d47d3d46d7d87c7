// Sends what is due and durable if its rule has caught up, least head of the open lanes
// first, by one forward scan of each lane.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/status.h"
#include "job/fired.h"
#include "job/job.h"
#include "sched/aside.h"
#include "sched/lanes.h"
#include "sched/timer_heap.h"
#include "store/store.h"

namespace expirer {

struct Core;

// Core thread only. Errors are the disk's, or kDataLoss if an entry is malformed.
class Dispatch {
 public:
  explicit Dispatch(Core* core) : core_(*core) {}

  // Begins at most limits.batch attempts.
  absl::Status Run();
  // Whether the last Run ended because the socket's buffer was full.
  [[nodiscard]] bool pushed_back() const { return pushed_back_; }
  // The wall time when the next row may be sent, now at the earliest; INT64_MAX if only
  // an event can release one.
  [[nodiscard]] int64_t NextMs() const;
  // There is an answer about this target ("": about all): rows that waited for it are
  // looked at again, each in its turn.
  void EndResolving(std::string_view target);

 private:
  absl::Status RunLane(LaneState* lane, TimerEntry until, DueScan* scan, size_t* budget);
  absl::Status Send(LaneState* lane, const JobKey& key, std::string_view row);
  [[nodiscard]] bool MayFire() const;
  [[nodiscard]] int64_t OpenTo(const LaneState& lane) const;
  [[nodiscard]] int64_t FireMs(const LaneState& lane) const;
  [[nodiscard]] bool JudgeLate(LaneState* lane, const JobKey& key, std::string_view row);
  [[nodiscard]] bool PutAside(LaneState* lane, const JobKey& key);
  void CountSent(QueueIndex queue);

  Core& core_;
  Aside aside_;
  FiredHeaders headers_;
  JobView view_;  // of the row that is looked at
  bool pushed_back_ = false;
};

}  // namespace expirer
