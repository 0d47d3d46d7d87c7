// What an event does to what is known of a key: contract section 4, Order, as
// pure functions. Every register is a fold over the set of events seen, so
// redelivery, reading a stream again and reordering change nothing.
//
// An older cancel than the newest schedule tells nothing that the schedule
// does not, except under `reopen: false`, where any cancel closes for good:
// so a live register never holds a cancel.
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
  kRecord,  // `reg` is to be stored; no job comes of it
  kOpen,    // the job is to be stored and replaces what the key had
  kStale,   // unknown, and due longer ago than history reaches
};
struct ScheduleResult {
  ScheduleEffect effect = ScheduleEffect::kNone;
  Register reg;  // for kRecord whole; for kOpen all but `job`
};
[[nodiscard]] ScheduleResult ApplySchedule(const std::optional<Register>& known,
                                           const Position& position, int64_t due_ms,
                                           const RegisterPolicy& policy, int64_t now_ms);

enum class CancelEffect {
  kNone,    // already known, or older than the schedule: nothing to write
  kRecord,  // `reg` is to be stored; there is no job to take away
  kClose,   // `reg` is to be stored and the key's live or dead job taken away
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
