// Applies an event to the register of its key. Pure functions. Every register is a fold
// over the set of events seen, so redelivery, reading a stream again and reordering
// change nothing.
//
// A cancel that is older than the newest schedule adds nothing, except under `reopen:
// false`, where any cancel closes the key for good. So a live register never has a
// cancel.
#pragma once

#include <cstdint>
#include <optional>

#include "job/job.h"
#include "job/rules.h"

namespace expirer {

struct RegisterPolicy {
  bool reopen = true;
  int64_t history_ms = 0;
};

enum class ScheduleEffect {
  kNone,    // already known, or older than what is known: nothing to write
  kRecord,  // store `reg`; there is no job
  kOpen,    // store the job, which replaces the key's present one
  kStale,   // the key is unknown, and due before the beginning of history
};
struct ScheduleResult {
  ScheduleEffect effect = ScheduleEffect::kNone;
  Register reg;  // for kRecord and kOpen; for kOpen without `job`
};
[[nodiscard]] ScheduleResult ApplySchedule(const std::optional<Register>& known,
                                           const Position& position, int64_t due_ms,
                                           const RegisterPolicy& policy, int64_t now_ms);

enum class CancelEffect {
  kNone,    // already known, or older than the schedule: nothing to write
  kRecord,  // store `reg`; there is no job to remove
  kClose,   // store `reg` and remove the key's live or dead job
};
struct CancelResult {
  CancelEffect effect = CancelEffect::kNone;
  Register reg;
};
[[nodiscard]] CancelResult ApplyCancel(const std::optional<Register>& known,
                                       const Position& position,
                                       const RegisterPolicy& policy, int64_t now_ms);

// Closed keys stay in history from the later of closing and due.
[[nodiscard]] int64_t ExpiryMs(int64_t closed_ms, int64_t due_ms,
                               const RegisterPolicy& policy);

}  // namespace expirer
