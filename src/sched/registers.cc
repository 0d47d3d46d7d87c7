#include "sched/registers.h"

#include <algorithm>
#include <limits>

namespace expirer {
namespace {

// `known` with the newer position noted and the expiry never earlier.
ScheduleResult Record(const Register& known, const Position& position, int64_t due_ms,
                      int64_t expires_ms) {
  ScheduleResult result{ScheduleEffect::kRecord, known};
  result.reg.schedule = Register::Schedule{position, due_ms};
  result.reg.expires_ms = std::max(known.expires_ms, expires_ms);
  return result;
}

}  // namespace

int64_t ExpiryMs(int64_t closed_ms, int64_t due_ms, const RegisterPolicy& policy) {
  const int64_t from = std::max(closed_ms, due_ms);
  // Never 0, which would mean "keep for ever".
  if (policy.history_ms > std::numeric_limits<int64_t>::max() - from)
    return std::numeric_limits<int64_t>::max();
  return std::max<int64_t>(from + policy.history_ms, 1);
}

ScheduleResult ApplySchedule(const std::optional<Register>& known,
                             const Position& position, int64_t due_ms,
                             const RegisterPolicy& policy, int64_t now_ms) {
  ScheduleResult open{ScheduleEffect::kOpen, {}};
  open.reg.state = JobState::kPending;
  open.reg.schedule = Register::Schedule{position, due_ms};
  if (!known) {
    if (due_ms < now_ms - policy.history_ms) return {ScheduleEffect::kStale, {}};
    return open;
  }
  if (known->schedule && Compare(position, known->schedule->position) <= 0)
    return {ScheduleEffect::kNone, {}};
  if (!IsClosed(known->state)) return open;

  const int64_t expires_ms = ExpiryMs(0, due_ms, policy);
  if (known->state == JobState::kCancelled) {
    if (!policy.reopen || Compare(position, *known->cancel) <= 0)
      return Record(*known, position, due_ms, expires_ms);
    return open;
  }
  // Fired or skipped. A cancel that came after it still outranks what is
  // older than the cancel.
  if (known->cancel && Compare(position, *known->cancel) <= 0)
    return Record(*known, position, known->schedule->due_ms, 0);
  if (!policy.reopen || due_ms == known->schedule->due_ms)
    return Record(*known, position, known->schedule->due_ms, 0);
  return open;
}

CancelResult ApplyCancel(const std::optional<Register>& known, const Position& position,
                         const RegisterPolicy& policy, int64_t now_ms) {
  CancelResult result;
  if (!known) {
    result.effect = CancelEffect::kRecord;
    result.reg.state = JobState::kCancelled;
    result.reg.cancel = position;
    result.reg.expires_ms = ExpiryMs(now_ms, 0, policy);
    return result;
  }
  if (known->cancel && Compare(position, *known->cancel) <= 0) return result;
  const bool newer = !known->schedule || Compare(position, known->schedule->position) > 0;
  if (!newer && (policy.reopen || IsClosed(known->state))) return result;

  result.reg = *known;
  result.reg.cancel = position;
  if (IsClosed(known->state)) {
    result.effect = CancelEffect::kRecord;
    // This cancel, too, is remembered for the whole of the history.
    result.reg.expires_ms = std::max(known->expires_ms, ExpiryMs(now_ms, 0, policy));
    return result;
  }
  result.effect = CancelEffect::kClose;
  result.reg.state = JobState::kCancelled;
  result.reg.expires_ms = ExpiryMs(now_ms, known->schedule->due_ms, policy);
  return result;
}

}  // namespace expirer
