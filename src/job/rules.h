// Rules turn messages into intents: "schedule this job", "cancel that key",
// "rejected, because". Pure: no time of its own, no state, no I/O.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/status.h"
#include "job/job.h"
#include "job/match.h"
#include "job/source.h"
#include "job/template.h"

namespace expirer {

enum class LateAction { kFire, kSkip, kDead };
// What to do with a job that is found more than `after_ms` late; kFire: fire it.
struct LatePolicy {
  int64_t after_ms = 0;
  LateAction action = LateAction::kFire;
};

// How an event arrives or a job is published.
enum class Transport {
  kJetStream,
  kCore,  // core NATS: only present subscribers receive a message
  kStan,  // NATS Streaming, JetStream's predecessor, which has channels
};

// What a rule publishes for an event.
struct Publish {
  std::string name;  // empty if it is the rule's only one
  Template target;
  std::optional<Template> body;  // absent: the event's own bytes
  std::vector<std::pair<std::string, Template>> headers;
  int64_t offset_ms = 0;  // added to the event's due time; may be negative
  // kCore: only the server confirms that it has the message.
  Transport via = Transport::kJetStream;
  LatePolicy late;
};

// A schedule or cancel entry of a rule.
//
// The key is a string or an integer of 64 bits (as its digits), 1 to kKeyBytesMax
// bytes of UTF-8 without zero bytes. If there is one source, the key is its value. The
// values of several are joined with '/', and '/' and '%' inside a value become %2F and
// %25, so that "a/b" + "c" differs from "a" + "b/c".
//
// A due time is RFC 3339 text or a number in plain digits. A delay counts from the
// message's JetStream time and is a duration or such a number. A header may hold
// either. Without both, the message's own time is the due time. Fractions of a
// millisecond are rounded up.
//
// An event belongs to the entry if its subject fits and all of `match` hold.
struct Entry {
  std::string subject;              // NATS filter; * and > allowed as whole tokens
  std::string stream;               // the only one to read; "" = any that has the subject
  std::vector<Match> match;         // empty: every event
  std::vector<Source> key;          // one or more
  std::optional<Source> due;        // absolute time: pointer or header
  std::optional<int64_t> delay_ms;  // or relative; at most one of the three
  std::optional<Source> delay;      // the same, read from the event
  int64_t unit_ms = 1;              // of numbers in `due` and `delay`: 1 or 1000
  std::optional<Source> version;    // an integer of 64 bits, signed
  std::optional<Publish> late;      // cancel entries: published if the job had fired
};

struct RetryPolicy {
  int64_t initial_ms = 1'000;
  int64_t max_ms = 300'000;
  uint64_t attempts = 0;  // 0 = no limit
};

// Where a new consumer begins to read a stream.
struct Deliver {
  enum class From { kAll, kNew, kTime };
  From from = From::kAll;
  int64_t time_ms = 0;  // for kTime
};

// What happens to a job. A rule may have it announced.
enum class JobEvent : uint8_t {
  kScheduled,  // a new job
  kMoved,      // a job that replaced a pending one of its key
  kCancelled,  // before it was sent
  kFired,      // confirmed
  kLate,       // `late` of its rule fires it or closes it
  kDead,       // given up, and kept in the dead store
  kSkipped,    // closed by `late: skip`
};
inline constexpr std::array<std::string_view, 7> kJobEvents = {
    "scheduled", "moved", "cancelled", "fired", "late", "dead", "skipped"};

// Adds the event of this name to a rule's `events`.
inline absl::Status AddEvent(std::string_view name, unsigned* events) {
  for (size_t i = 0; i < kJobEvents.size(); ++i)
    if (kJobEvents[i] == name) {
      *events |= 1U << i;
      return absl::OkStatus();
    }
  return Invalid("expected scheduled, moved, cancelled, fired, late, dead or skipped");
}

struct Rule {
  std::string name;
  std::string was;  // the name whose jobs and consumers it takes over; "" = none
  bool reopen = true;
  std::vector<Entry> schedule;
  std::vector<Entry> cancel;
  // Either one without a name, or several with names. Each named one has its own
  // jobs, <rule>.<name>/<key>. Never empty.
  std::vector<Publish> publish = std::vector<Publish>(1);
  RetryPolicy retry;
  int64_t rate = 0;     // attempts a second, over all entries; 0 = no limit
  unsigned events = 0;  // to announce; bit 1 << JobEvent
  Deliver deliver;
  bool loop = false;
  // kCore: events come through a queue group, each at most once, and the one that
  // arrives later is newer.
  Transport source = Transport::kJetStream;
  // For kStan: the queue group and durable; "" = <service>-<rule>.
  std::string durable;
};

// The known size limits of targets. Thread-safe.
class TargetLimits {
 public:
  virtual ~TargetLimits() = default;
  // kOutOfRange, naming the size and the limit, if a message of `bytes`, headers
  // included, can never reach `target`. OK if no limit is known.
  virtual absl::Status Fits(Transport via, std::string_view target, size_t bytes) = 0;
};

// Limits of a job; a message whose job breaks one is rejected.
struct JobLimits {
  // Bytes of body and headers on the wire, including the headers that expirer adds
  // when it fires.
  size_t payload_bytes = 1 << 20;
  int64_t horizon_ms = kDueMaxMs;  // due at most this far after now
  // The service's name: no job may be published to <name>.… ; empty = allowed.
  std::string service;
  // Checked too; null = no limits are known. Must outlive all users.
  TargetLimits* targets = nullptr;
};

// An incoming message. Views are valid during the call.
struct EventView {
  std::string_view subject;
  std::string_view payload;
  const Headers* headers = nullptr;  // may be null
  int64_t time_ns = 0;               // JetStream's time of the message
  std::string_view stream = {};      // where it is stored; "" = unknown
  bool only_named = false;           // only entries that name the stream may read it
};
// Whether an event may belong to the entry, by its subject and stream alone.
[[nodiscard]] bool MayConcern(const Entry& entry, const EventView& event);

// Each job has due, key, target, headers and body; source.version if there is one.
// `job` comes from the rule's first publish entry, `more` from the others.
struct ScheduleIntent {
  Job job;
  std::vector<Job> more = {};
};
// What a cancel publishes if it came after the fire: a job without its due time, or
// the reason why none can be made.
struct LateCancel {
  Job job;
  std::string trouble;
};
struct CancelIntent {
  std::string key;
  std::optional<int64_t> version = {};
  std::unique_ptr<LateCancel> late = {};
};
// The reason for a reject. An enum, because the labels of metrics must be bounded.
enum class RejectKind : uint8_t {
  kBody,     // it is not valid JSON
  kKey,      // it has no key, or an invalid one
  kDue,      // it has no due time or delay, or an invalid one
  kHorizon,  // due beyond limits.horizon
  kVersion,
  kContent,  // target, headers or body cannot be rendered
  kPayload,  // over limits.payload, or too large for its target
  kStale,    // due longer ago than store.history remembers
  kHeaders,  // they cannot be read (job/header_block.h)
};
inline constexpr size_t kRejectKinds = 9;

struct RejectIntent {
  std::string reason;  // one sentence, no secret, at most 300 bytes
  RejectKind kind = RejectKind::kContent;
};
// The message belongs to no entry of the rule: a common filter let it in, or no
// entry's `match` holds.
struct IgnoreIntent {
  bool marker = false;  // it has kMarkerHeader, and no entry asks for that
};
using Intent = std::variant<IgnoreIntent, ScheduleIntent, CancelIntent, RejectIntent>;

// Evaluates messages against one rule. Not thread-safe (it owns a JSON parser
// and scratch buffers): one per thread. The rule must outlive it.
//
// The first cancel entry that the event belongs to decides; if there is none, the
// first such schedule entry. A body is parsed as JSON only if an entry whose subject
// fits has a pointer, or, for a schedule entry, a template of the rule has one. The
// event's own headers pass through, except Nats-*, Expirer-* and those that the rule
// sets (in any case). If the headers cannot be read, the event is rejected if the
// entry uses them; a schedule entry always does.
class RuleEvaluator {
 public:
  RuleEvaluator(const Rule& rule, const JobLimits& limits);
  ~RuleEvaluator();
  RuleEvaluator(const RuleEvaluator&) = delete;
  RuleEvaluator& operator=(const RuleEvaluator&) = delete;

  // `now_ms` is only needed for the horizon.
  [[nodiscard]] Intent Evaluate(const EventView& event, int64_t now_ms);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The name of a publish entry's queue: <rule> or <rule>.<name>.
[[nodiscard]] std::string QueueName(const Rule& rule, const Publish& publish);
// True for Nats-... and Expirer-... in any case, which expirer sets or NATS reads.
[[nodiscard]] bool IsReservedHeader(std::string_view name);

// The header of a message that the server adds to a stream when others expire or are
// deleted (subject_delete_marker_ttl). The message belongs only to entries whose
// `match` asks for this header.
inline constexpr std::string_view kMarkerHeader = "Nats-Marker-Reason";

// The publish entry of late cancels: their jobs are <rule>.late/<key>.
inline constexpr std::string_view kLateQueue = "late";

// The longest target in bytes. NATS' own limit is its 4 KB control line.
inline constexpr size_t kTargetBytesMax = 1024;

// True if `filter` (with * and >) matches the literal `subject`.
[[nodiscard]] bool SubjectMatches(std::string_view filter, std::string_view subject);
// True if some subject matches both filters.
[[nodiscard]] bool SubjectsOverlap(std::string_view a, std::string_view b);
// True if `outer` matches every subject that `inner` matches.
[[nodiscard]] bool SubjectCovers(std::string_view outer, std::string_view inner);
// OK for a well-formed filter: non-empty tokens, no white space or control
// bytes, * and > whole tokens, > last.
absl::Status CheckSubjectFilter(std::string_view filter);
// OK for a subject a message can be published to: non-empty tokens, no
// wildcards, white space or control bytes, not $... or _INBOX..., at most
// kTargetBytesMax.
absl::Status CheckTarget(std::string_view subject);
// The narrowest single filter that matches everything that `filters` match; ">" if
// `filters` is empty.
[[nodiscard]] std::string CommonFilter(const std::vector<std::string>& filters);

}  // namespace expirer
