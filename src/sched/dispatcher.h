// What to do with a job after an attempt: a pure decision, told apart from
// doing it so that every case can be tested as a table.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "job/rules.h"
#include "sched/events.h"

namespace expirer {

struct Attempt {
  std::string_view id;  // what the jitter is drawn from
  uint64_t sends = 0;   // before this one
  uint64_t counted_attempts = 0;
  uint64_t waiting = 0;  // jobs of its rule that wait for a further attempt
};

// How an attempt ended; beside the answers' kinds, the core's own time-out.
enum class AttemptEnd {
  kAck,
  kNoStream,  // no stream takes the target
  kNoLeader,  // nobody was there to take it, or to say whether a stream does
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

// A stream that does not answer is back when its cluster has chosen a leader, mostly
// within 10 s: its jobs are tried again at most so long after the last attempt, or
// kUnansweredEachMs for each of those that wait where that is more: at most 250 attempts
// a second are made in vain.
inline constexpr int64_t kUnansweredMaxMs = 4'000;
inline constexpr int64_t kUnansweredEachMs = 4;

// Only an explicit refusal counts as an attempt: no stream, time-outs and a broker
// that asks to come again say nothing about the job. What can never be delivered
// is dead at once, whatever `retry.attempts` is.
[[nodiscard]] Decision Decide(const RetryPolicy& retry, const Attempt& attempt,
                              AttemptEnd end, std::string_view why, int64_t now_ms);

// Wait before the attempt after `sends` of them: initial x 2^(sends-1), at
// most max, less up to a quarter drawn from a hash of id and sends, so that
// jobs refused together do not come back together, and replay gives the same.
[[nodiscard]] int64_t BackoffMs(const RetryPolicy& retry, std::string_view id,
                                uint64_t sends);

}  // namespace expirer
