// The vocabulary of expirer and its bytes on disk.
//
// A job is one future message. Its row lives in the `due` family, keyed by
// JobKey. The `ids` family has a Register for its user key. Both values have a
// version; see "Changing the format" below.
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
//           versions 1 (no last_error) and 2: IdForm::kPlain. Up to store format
//           4 all rows were written in them. Such a row stays kPlain when it is
//           rewritten, so that its id does not change
//
//   ids:  id -> Register        id = | rule | 0x00 | key |
//   value | u8 version=1 or 2 | u8 state | varint expires_ms
//         | u8 has: bit 0 schedule, 1 cancel, 2 job, 3 times, 4 collision
//         | schedule: position, varint due_ms
//         | cancel:   position
//         | job:      varint lane, varint key_ms, varint seq
//         | times:    varint received_ms, stored_ms, published_ms, acked_ms
//         | from version 2: bytes target | varint sends | bytes last_error |
//           version 1 is written if there is no brief, or the key is not live
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

// The latest due time: 9999-12-31T23:59:59.999Z.
inline constexpr int64_t kDueMaxMs = 253402300799999;
// The longest user key in bytes.
inline constexpr size_t kKeyBytesMax = 512;
// How many bytes are stored of the reason why an attempt failed.
inline constexpr size_t kErrorBytesMax = 200;

// Number of a lane: the first attempts of one queue, or its retries (sched/queues.h).
// A number is given once and never used again (store/meta.h). In this file the `rule`
// in a key is the queue's name.
using Lane = uint16_t;

// The key of a job's row. It compares in memory as its bytes do in RocksDB (I4): by
// lane, then time, then arrival.
struct JobKey {
  Lane lane = 0;
  int64_t key_ms = 0;  // >= 0; max(due, time of writing), or the next attempt
  uint64_t seq = 0;    // unique over the store's life, in order of writing

  auto operator<=>(const JobKey&) const = default;
};

// The place of an event in its stream. It decides which of two events is newer.
struct Position {
  uint16_t stream = 0;             // number of the stream in this store; 0 = core or API
  uint64_t epoch = 0;              // raised each time the stream was rewound
  uint64_t seq = 0;                // stream sequence; for stream 0 a count by arrival
  int64_t time_ns = 0;             // JetStream's time of the message, ns since 1970
  std::optional<int64_t> version;  // the event's `version`, if the rule has one

  bool operator==(const Position&) const = default;
};

// If a stream is created again and its clock is behind that of the life before, a new
// era begins: the epoch is raised by this much. Times of two eras are not compared.
inline constexpr uint64_t kEra = uint64_t{1} << 32;

// Positive if `a` is newer than `b`, negative if it is older, 0 if they are the same
// message or neither is newer. The first of these that differs decides: `version` if
// both have one; the era, in one stream; the sequence, in one epoch of one stream;
// JetStream's time.
[[nodiscard]] int Compare(const Position& a, const Position& b);

// The end of a fired message's Nats-Msg-Id (job/fired.h).
enum class IdForm : uint8_t {
  kSource,  // the position of the job's schedule: stream, sequence, time
  kGiven,   // the position of an older schedule, which had the same content
  kPlain,   // no position: the row was written before ids had one
};

// A future message, rendered and checked when it was scheduled.
template <typename Text>
struct JobOf {
  int64_t due_ms = 0;             // the user's due time; JobKey::key_ms may be later
  uint64_t sends = 0;             // attempts begun and answered, or timed out
  uint64_t counted_attempts = 0;  // refused ones, which count for retry.attempts
  bool late_judged = false;       // arrived late and was let through
  bool unanswered = false;        // an attempt may have been stored, unconfirmed
  Position source;                // of the newest schedule
  int64_t received_ms = 0;
  int64_t stored_ms = 0;
  Text key;     // the user's own key, without the rule
  Text target;  // subject the job is published to
  std::vector<std::pair<Text, Text>> headers;
  Text body;
  Text last_error;  // why the last attempt failed, at most kErrorBytesMax
  IdForm id_form = IdForm::kSource;
  uint64_t id_source = 0;  // kGiven: SourceHash of that schedule

  bool operator==(const JobOf&) const = default;
};
using Job = JobOf<std::string>;
// A decoded job row. Views are valid as long as the decoded bytes.
using JobView = JobOf<std::string_view>;
using Headers = decltype(Job::headers);

// Whether both publish the same message to the same target.
[[nodiscard]] bool SameContent(const JobView& a, const Job& b);

enum class JobState : uint8_t {
  kPending = 1,    // waiting in its first lane
  kRetrying = 2,   // refused or unanswered, waiting in the retry lane
  kFired = 3,      // confirmed by the target's stream
  kCancelled = 4,  // also: a cancel that came before any schedule
  kSkipped = 5,    // too late by the rule's `late`
  kDead = 6,       // could not be delivered; still its key's job
};
// Pending or retrying: the key has a row in `due`.
[[nodiscard]] bool IsLive(JobState state);
// Fired, cancelled or skipped: the register stays until expires_ms as history.
[[nodiscard]] bool IsClosed(JobState state);
[[nodiscard]] std::string_view Name(JobState state);

// When a fired job passed each step, in ms since 1970; 0 = it did not.
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

// A copy of the members of a live job's row that `get` answers, so that `get` needs
// one cold read and not two.
struct JobBrief {
  std::string target;
  uint64_t sends = 0;
  std::string last_error;
  bool operator==(const JobBrief&) const = default;
};

// The state of one user key in one queue.
struct Register {
  using Schedule = RegisterSchedule;
  JobState state = JobState::kPending;
  std::optional<Schedule> schedule;  // the newest
  std::optional<Position> cancel;    // the newest, if newer than `schedule`
  // The key of its row. For live and dead jobs: the newest row. For cancelled ones:
  // only if an attempt may have been stored before the cancel, so that a later cancel
  // gets the same answer.
  std::optional<JobKey> job;
  std::optional<Times> times;     // only if fired
  std::optional<JobBrief> brief;  // live jobs, unless an older version wrote it
  int64_t expires_ms = 0;         // closed keys: when it is forgotten
  // Fired, but the target's stream already had another message with the job's id.
  bool collision = false;

  bool operator==(const Register&) const = default;
};

// An event that could not become a job, or a job that could not be delivered.
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

// The beginning of Dead::reason for a stale message, which was due longer ago than
// store.history. Only its job was kept. No rule rejects with this reason.
inline constexpr std::string_view kStaleReason = "stale: ";
[[nodiscard]] bool IsStale(const Dead& dead);

// `rule`, 0x00, `key`: a job's key in the `ids` family. A rule's name has no zero
// byte, so two ids never collide.
[[nodiscard]] std::string MakeId(std::string_view rule, std::string_view key);
// The rule in a queue's name (<rule>, <rule>.<entry>), or in an id made of one.
[[nodiscard]] std::string_view RuleOfName(std::string_view name_or_id);
// A job's name for users: rule/key.
[[nodiscard]] std::string JobName(std::string_view rule, std::string_view key);

[[nodiscard]] std::string DeadRejectKey(std::string_view rule, const Position& position);
[[nodiscard]] std::string DeadJobKey(std::string_view rule, std::string_view key);
// What such a key says. Views of it; nullopt for one that neither of them made.
struct DeadName {
  std::string_view rule;
  bool job = false;
  std::string_view key;  // of a job
};
[[nodiscard]] std::optional<DeadName> SplitDeadKey(std::string_view key);

inline constexpr size_t kJobKeyBytes = 18;
void EncodeJobKey(const JobKey& key, char (&out)[kJobKeyBytes]);
[[nodiscard]] std::string EncodeJobKey(const JobKey& key);
[[nodiscard]] std::string EncodeJob(const Job& job);
// Sets Job::unanswered in an encoded job.
void MarkUnanswered(std::string* job_row);
[[nodiscard]] std::string EncodeRegister(const Register& reg);
[[nodiscard]] std::string EncodeDead(const Dead& dead);
[[nodiscard]] JobBrief BriefOf(const Job& job);

// Each returns kDataLoss, naming the malformed part, for bytes that no version of
// expirer wrote. None crashes, whatever the input (fuzzed).
absl::StatusOr<JobKey> DecodeJobKey(std::string_view bytes);
absl::Status DecodeJob(std::string_view bytes, JobView* view);
absl::StatusOr<Job> DecodeJob(std::string_view bytes);
absl::StatusOr<Register> DecodeRegister(std::string_view bytes);
absl::StatusOr<Dead> DecodeDead(std::string_view bytes);

// Only Register::expires_ms, for the compaction filter. 0, so that the entry stays, if
// the key is live, or the value is malformed or of an unknown version.
[[nodiscard]] int64_t ExpiresMs(std::string_view register_bytes);

}  // namespace expirer
