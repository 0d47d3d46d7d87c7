// The vocabulary of expirer and its bytes on disk.
//
// A job is one future message. Its row lives in the `due` family, keyed by
// JobKey; what is known of its user key lives in the `ids` family as a
// Register. Both are versioned values; see "Changing the format" below.
//
//   due:  JobKey -> Job
//   key   | be16 lane | be64 key_ms | be64 seq |                     18 bytes
//   value | u8 version=3 | u8 flags | varint due_ms | varint sends
//         | varint counted_attempts | position | varint received_ms
//         | varint stored_ms | bytes key | bytes target
//         | varint n | n x (bytes name, bytes value) | bytes body
//         | bytes last_error | be64 id_source, if bit 2 |
//           flags: bit 0 = late already judged
//                  bit 1 = an attempt ended without an answer, so the target's
//                          stream may hold the message already
//                  bit 2 = IdForm::kGiven
//           versions 1 (no last_error) and 2: IdForm::kPlain. Up to store
//           format 4 all rows were written so, and such rows still are, so that
//           their id stays what it was
//
//   ids:  id -> Register        id = | rule | 0x00 | key |
//   value | u8 version=1 or 2 | u8 state | varint expires_ms
//         | u8 has: bit 0 schedule, 1 cancel, 2 job, 3 times, 4 collision
//         | schedule: position, varint due_ms
//         | cancel:   position
//         | job:      varint lane, varint key_ms, varint seq
//         | times:    varint received_ms, stored_ms, published_ms, acked_ms
//         | from version 2: bytes target | varint sends | bytes last_error |
//           written as version 1 where there is no brief, and once not live
//
//   dead: DeadKey -> Dead
//   key   | rule | 0x00 | u8 kind | kind 'r' (rejected):
//               be16 stream, be64 epoch, be64 seq; kind 'j' (job): job key |
//   value | u8 version=1 | u8 flags | bytes reason | varint at_ms | position
//         | bytes subject | varint n | n x (bytes name, bytes value)
//         | bytes payload | bytes job row (empty for a rejected message) |
//           flags: bit 0 = reference only (the message's bytes were not kept)
//
//   position: | varint stream | varint epoch | varint seq | varint time_ns
//             | u8 has_version | signed version, if has_version |
//
// `varint` is LEB128, `signed` its zigzag form, `bytes` a varint length and
// that many bytes (base/coding.h).
//
// Changing the format: never change the meaning of bytes already written.
// (1) Raise the value's version byte, (2) keep decoding every older version,
// (3) raise kFormatVersion in store/meta.h when an older binary must refuse
// the store, (4) add golden bytes of the new version beside the old ones in
// tests/unit/job/job_test.cc, (5) say so in CHANGELOG.md.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"

namespace expirer {

// The latest instant a due time may name: 9999-12-31T23:59:59.999Z.
inline constexpr int64_t kDueMaxMs = 253402300799999;
// The longest user key in bytes.
inline constexpr size_t kKeyBytesMax = 512;
// What is kept of the reason why an attempt failed.
inline constexpr size_t kErrorBytesMax = 200;

// One queue's first attempts, or its retries (sched/queues.h; in this file a
// `rule` in a key is a queue's name); numbers are given once per queue
// and never used again (store/meta.h).
using Lane = uint16_t;

// Where a job's row stands. Ordered in memory as its bytes are in RocksDB
// (I4): by lane, then time, then arrival.
struct JobKey {
  Lane lane = 0;
  int64_t key_ms = 0;  // >= 0; max(due, time of writing), or the next attempt
  uint64_t seq = 0;    // unique over the store's life, in order of writing

  auto operator<=>(const JobKey&) const = default;
};

// Where in which stream an event stood: what decides which of two is newer.
struct Position {
  uint16_t stream = 0;             // number of the stream in this store; 0 = core or API
  uint64_t epoch = 0;              // raised when the stream is found rewound
  uint64_t seq = 0;                // stream sequence; for stream 0 a count by arrival
  int64_t time_ns = 0;             // JetStream's time of the message, ns since 1970
  std::optional<int64_t> version;  // the rule's `version`, where it has one

  bool operator==(const Position&) const = default;
};

// A new life of a stream whose clock is behind the life before begins a new era: its
// epoch is raised by this much. Between two eras the clock says nothing.
inline constexpr uint64_t kEra = uint64_t{1} << 32;

// Positive when `a` is newer than `b`, negative when older, 0 when they are
// the same message or cannot be told apart (contract section 4, Order):
// version where both have one and they differ, else the era of one stream, else
// sequence within one epoch of one stream, else JetStream time.
[[nodiscard]] int Compare(const Position& a, const Position& b);

// What the end of a fired message's Nats-Msg-Id is made of (job/fired.h).
enum class IdForm : uint8_t {
  kSource,  // where the job's schedule stood: stream, sequence, time
  kGiven,   // the same of an older schedule, whose content the job carries
  kPlain,   // nothing: rows that were written before ids had a source
};

using Headers = std::vector<std::pair<std::string, std::string>>;

// A future message, rendered and checked when it was scheduled.
struct Job {
  int64_t due_ms = 0;             // the true due time, whatever JobKey::key_ms says
  uint64_t sends = 0;             // attempts begun and answered, or timed out
  uint64_t counted_attempts = 0;  // refused ones, which count for retry.attempts
  bool late_judged = false;       // arrived late and was let through
  bool unanswered = false;        // an attempt may have been stored, unconfirmed
  Position source;                // of the newest schedule
  int64_t received_ms = 0;
  int64_t stored_ms = 0;
  std::string key;     // the user's own key, without the rule
  std::string target;  // subject the job is published to
  Headers headers;
  std::string body;
  std::string last_error;  // why the last attempt failed, at most kErrorBytesMax
  IdForm id_form = IdForm::kSource;
  uint64_t id_source = 0;  // kGiven: SourceHash of that schedule

  bool operator==(const Job&) const = default;
};

// A job row decoded in place; views live as long as the bytes decoded.
struct JobView {
  int64_t due_ms = 0;
  uint64_t sends = 0;
  uint64_t counted_attempts = 0;
  bool late_judged = false;
  bool unanswered = false;
  Position source;
  int64_t received_ms = 0;
  int64_t stored_ms = 0;
  std::string_view key;
  std::string_view target;
  std::vector<std::pair<std::string_view, std::string_view>> headers;
  std::string_view body;
  std::string_view last_error;
  IdForm id_form = IdForm::kSource;
  uint64_t id_source = 0;
};

// Whether both are the same message to the same target.
[[nodiscard]] bool SameContent(const JobView& a, const Job& b);

enum class JobState : uint8_t {
  kPending = 1,    // waiting in its first lane
  kRetrying = 2,   // refused or unanswered, waiting in the retry lane
  kFired = 3,      // confirmed by the target's stream
  kCancelled = 4,  // also: a cancel that came before any schedule
  kSkipped = 5,    // too late by the rule's `late`
  kDead = 6,       // could not be delivered; still its key's job
};
// Pending, retrying: has a row in `due`.
[[nodiscard]] bool IsLive(JobState state);
// Fired, cancelled, skipped: kept until expires_ms as history.
[[nodiscard]] bool IsClosed(JobState state);
[[nodiscard]] std::string_view Name(JobState state);

// Of a job that left: all ms since 1970; 0 = did not happen.
struct Times {
  int64_t received_ms = 0;
  int64_t stored_ms = 0;
  int64_t published_ms = 0;
  int64_t acked_ms = 0;
  bool operator==(const Times&) const = default;
};

// The newest schedule of a key. (Not nested: clang 14 wants it complete.)
struct RegisterSchedule {
  Position position;
  int64_t due_ms = 0;
  bool operator==(const RegisterSchedule&) const = default;
};

// What is told of a live job by its name alone: a copy of its row's, so that
// one read answers, where the row would be a second cold one.
struct JobBrief {
  std::string target;
  uint64_t sends = 0;
  std::string last_error;
  bool operator==(const JobBrief&) const = default;
};

// What is known of one user key of one rule.
struct Register {
  using Schedule = RegisterSchedule;
  JobState state = JobState::kPending;
  std::optional<Schedule> schedule;  // the newest
  std::optional<Position> cancel;    // the newest, when newer than `schedule`
  // Its row: live jobs; dead: the last one; cancelled: only when an attempt may
  // have been stored by then, so that no later cancel is told otherwise.
  std::optional<JobKey> job;
  std::optional<Times> times;     // once fired
  std::optional<JobBrief> brief;  // live jobs; absent where an older version wrote
  int64_t expires_ms = 0;         // closed keys: forgotten from then on
  // Fired: the target's stream held another message under the job's id already.
  bool collision = false;

  bool operator==(const Register&) const = default;
};

// What could not become a job, or a job that could not be delivered.
struct Dead {
  bool reference_only = false;
  std::string reason;
  int64_t at_ms = 0;
  Position source;
  std::string subject;
  Headers headers;
  std::string payload;
  std::string job_row;  // the encoded Job, for an undeliverable one

  bool operator==(const Dead&) const = default;
};

// What the reason of a stale message begins with: its due time was longer ago than
// store.history remembers. Only its job was kept, and no rule rejects so.
inline constexpr std::string_view kStaleReason = "stale: ";
[[nodiscard]] bool IsStale(const Dead& dead);

// `rule`, 0x00, `key`: how a job is named in the `ids` family. The rule's name
// holds no zero byte, so ids never collide.
[[nodiscard]] std::string MakeId(std::string_view rule, std::string_view key);
// The rule of a queue's name (<rule>, <rule>.<entry>) or of an id made of one.
[[nodiscard]] std::string_view RuleOfName(std::string_view name_or_id);
// The name users see: rule/key.
[[nodiscard]] std::string JobName(std::string_view rule, std::string_view key);

[[nodiscard]] std::string DeadRejectKey(std::string_view rule, const Position& position);
[[nodiscard]] std::string DeadJobKey(std::string_view rule, std::string_view key);

inline constexpr size_t kJobKeyBytes = 18;
void EncodeJobKey(const JobKey& key, char (&out)[kJobKeyBytes]);
[[nodiscard]] std::string EncodeJobKey(const JobKey& key);
[[nodiscard]] std::string EncodeJob(const Job& job);
// Sets Job::unanswered in an encoded job.
void MarkUnanswered(std::string* job_row);
[[nodiscard]] std::string EncodeRegister(const Register& reg);
[[nodiscard]] std::string EncodeDead(const Dead& dead);
[[nodiscard]] JobBrief BriefOf(const Job& job);

// Each returns kDataLoss, naming what was malformed, for bytes that no version
// of expirer wrote; never crashes on any input (fuzzed).
[[nodiscard]] absl::StatusOr<JobKey> DecodeJobKey(std::string_view bytes);
[[nodiscard]] absl::Status DecodeJob(std::string_view bytes, JobView* view);
[[nodiscard]] absl::StatusOr<Job> DecodeJob(std::string_view bytes);
[[nodiscard]] absl::StatusOr<Register> DecodeRegister(std::string_view bytes);
[[nodiscard]] absl::StatusOr<Dead> DecodeDead(std::string_view bytes);

// Only Register::expires_ms, for the compaction filter: 0 when the value is
// live, malformed or of an unknown version (then it is kept).
[[nodiscard]] int64_t ExpiresMs(std::string_view register_bytes);

}  // namespace expirer
