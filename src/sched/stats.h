// The core's counts, which are copied out for the status file and for tests.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/buckets.h"
#include "base/histogram.h"
#include "job/rules.h"
#include "json/writer.h"
#include "sched/counts.h"
#include "sched/overdue.h"

namespace expirer {

// Why a job went to the dead store.
enum class DeadKind : uint8_t {
  kRefused,        // it was refused retry.attempts times
  kTooLate,        // by the rule's `late`
  kMayHaveFired,   // it was due before a rebuild began
  kMalformed,      // no version of expirer wrote its row so
  kUndeliverable,  // it is over a limit of the server, the stream or nats.c
};
inline constexpr size_t kDeadKinds = 5;

// Why an attempt ended without a confirmation.
enum class FailureKind : uint8_t {
  kNoStream,  // no stream takes the target
  kRefused,   // by the stream or a permission
  kTryAgain,  // the broker asked to try again, or its answer was not understood
  kTimedOut,
  kLost,  // its connection dropped
};
inline constexpr size_t kFailureKinds = 5;

// Their names in metrics and the log.
inline constexpr std::array<const char*, kDeadKinds> kDeadReasons = {
    "refused", "too_late", "may_have_fired", "malformed", "undeliverable"};
inline constexpr std::array<const char*, kRejectKinds> kRejectReasons = {
    "not_json",    "bad_key",   "bad_due", "too_far",    "bad_version",
    "bad_content", "too_large", "stale",   "bad_headers"};
inline constexpr std::array<const char*, kFailureKinds> kFailureReasons = {
    "no_stream", "refused", "try_again", "timeout", "connection_lost"};

// Upper bounds of the buckets below. Lateness may be as long as the backlog after a
// restart; an attempt is given up after 5 s.
inline constexpr std::array<int64_t, 18> kLatenessBoundsMs = {
    1,     2,     5,     10,     20,     50,     100,     200,       500,
    1'000, 2'000, 5'000, 10'000, 30'000, 60'000, 300'000, 1'800'000, 3'600'000};
inline constexpr std::array<int64_t, 13> kAnswerBoundsMs = {
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1'000, 2'000, 5'000, 10'000};
inline constexpr std::array<int64_t, 12> kBatchBounds = {1,  2,   4,   8,   16,    32,
                                                         64, 128, 256, 512, 1'024, 4'096};

// The counts of one queue, or of all.
struct Outcomes {
  uint64_t scheduled = 0;  // new jobs, replaced ones included
  uint64_t moved = 0;      // of these, the ones that replaced a pending job
  uint64_t cancelled = 0;  // jobs taken away before they fired
  uint64_t fired = 0;      // confirmed
  uint64_t skipped = 0;    // too late by the rule's `late`
  uint64_t dead = 0;       // could not be delivered
  uint64_t rejected = 0;   // a rule's rejected events, counted at its first queue
  uint64_t retries = 0;    // moves to the retry lane
  std::array<uint64_t, kDeadKinds> dead_by{};        // sums to dead
  std::array<uint64_t, kRejectKinds> rejected_by{};  // sums to rejected
  std::array<uint64_t, kFailureKinds> failed_by{};
  Buckets lateness_ms{kLatenessBoundsMs};  // due -> handed to the socket, first attempts
};

// Counts since the process started, unless said otherwise. The inherited ones are those
// of all queues; `cancelled` counts jobs of rules that are not configured, too.
struct Stats : Outcomes {
  // Input.
  uint64_t too_late = 0;       // cancels that found the job in flight or fired
  uint64_t unchanged = 0;      // events that changed nothing
  uint64_t ignored = 0;        // messages that concern no entry of their rule
  uint64_t markers = 0;        // messages with kMarkerHeader that no entry asks for
  uint64_t dropped = 0;        // rejects, because the dead store held 2 x limits.dead
  uint64_t stale_dropped = 0;  // stale messages beyond limits.dead / 10
  uint64_t rewinds = 0;        // streams rewound or created again, counted per rule
  // Output.
  uint64_t published = 0;       // attempts begun
  uint64_t may_have_fired = 0;  // of the dead ones, due before a rebuild began
  uint64_t timeouts = 0;
  uint64_t lost = 0;             // attempts whose connection dropped
  uint64_t strange_answers = 0;  // answers to attempts that are unknown or given up
  uint64_t collisions = 0;       // first attempts whose id the stream already had
  uint64_t settle_timeouts = 0;
  uint64_t standstills = 0;            // times the process did not run
  uint64_t gaps = 0;                   // shorter ones
  uint64_t forgotten = 0;              // closed keys forgotten early (limits.history)
  uint64_t no_space = 0;               // times a write found no space
  uint64_t miscounts = 0;              // counts found to disagree with the store
  Histogram sent_late_ms;              // due -> handed to the socket
  Histogram acked_late_ms;             // due -> PubAck
  Buckets answer_ms{kAnswerBoundsMs};  // handed to the socket -> PubAck
  Buckets commit_ms{kAnswerBoundsMs};  // message received -> durable, ack leaves
  Buckets batch{kBatchBounds};         // messages applied in a turn that had any
  std::vector<Outcomes> outcomes;      // as Queues
  // Now.
  std::map<std::string, RuleCounts, std::less<>> rules;  // of the whole store
  uint64_t closed = 0;                                   // keys in history
  uint64_t dead_bytes = 0;                               // of the dead store
  uint64_t in_flight = 0;
  uint64_t window = 0;        // entries held in memory
  int64_t oldest_due_ms = 0;  // earliest due time of overdue jobs; 0 = there are none
  int64_t next_due_ms = 0;    // earliest due time of unconfirmed jobs; 0 = none known
  Overdue overdue;
  bool egress_up = false;
  bool intake_open = true;
  bool stalled = false;      // no space: nothing is written
  bool loaded = false;       // every lane has its first block
  uint64_t catching_up = 0;  // rules whose consumers are behind
  bool rebuilding = false;   // nothing fires until the streams are read again
};

// The parts of Stats as JSON.
[[nodiscard]] Json RulesJson(const Stats& stats);
// The rules after `after`, in at most `bytes_max` bytes, but at least one rule. If more
// follow, `*cursor` is set to the name of the last one.
[[nodiscard]] Json RulesJson(const Stats& stats, std::string_view after, size_t bytes_max,
                             std::string* cursor);
[[nodiscard]] Json CountersJson(const Stats& stats);
// The totals that `stats` answers: "pending", "retrying", ... "overdue", "lateness_ms".
// A fragment for JsonWriter::Members.
[[nodiscard]] std::string TotalsJson(const Stats& stats, int64_t now_ms);

}  // namespace expirer
