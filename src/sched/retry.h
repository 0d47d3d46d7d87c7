// Decides what to do with a job after an attempt. A pure function, so that a table of
// cases can test it; the caller acts on the decision.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "job/rules.h"
#include "sched/events.h"

namespace expirer {

struct Attempt {
  std::string_view id;  // seed of the jitter
  uint64_t sends = 0;   // before this one
  uint64_t counted_attempts = 0;
  uint64_t waiting = 0;  // jobs of its rule that wait for a further attempt
};

// How an attempt ended: the kinds of answers, and the core's own time-out.
enum class AttemptEnd {
  kAck,
  kNoStream,  // no stream takes the target
  kNoLeader,  // nobody answered: the stream has no leader, or cannot be asked for
  kRefused,
  kNever,
  kRetry,
  kTimedOut
};

struct Done {};
struct RetryAt {
  int64_t at_ms = 0;
  bool counted = false;  // counts for retry.attempts
};
struct MoveToDead {
  std::string reason;
};
using Decision = std::variant<Done, RetryAt, MoveToDead>;

// If a stream does not answer, its cluster mostly elects a leader within 10 s. So its
// jobs are tried again at most this long after the last attempt. If many jobs wait, the
// limit is kUnansweredEachMs per waiting job, so that at most 250 attempts a second are
// made in vain.
inline constexpr int64_t kUnansweredMaxMs = 4'000;
inline constexpr int64_t kUnansweredEachMs = 4;

// Only an explicit refusal counts as an attempt: no stream, time-outs and a broker
// that asks us to try again say nothing about the job. A job that can never be
// delivered is dead at once, whatever `retry.attempts` is.
[[nodiscard]] Decision Decide(const RetryPolicy& retry, const Attempt& attempt,
                              AttemptEnd end, std::string_view why, int64_t now_ms);

// The wait after `sends` attempts: initial x 2^(sends-1), at most max, less up to a
// quarter. A hash of id and sends draws that part, so that jobs that were refused
// together do not come back together, and a replay waits equally long.
[[nodiscard]] int64_t BackoffMs(const RetryPolicy& retry, std::string_view id,
                                uint64_t sends);

}  // namespace expirer
