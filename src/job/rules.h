// Rules turn messages into intents: "schedule this job", "cancel that key",
// "rejected, because". Pure: no time of its own, no state, no I/O.
#pragma once

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
// What becomes of a job found more than `after_ms` late; kFire = as any other.
struct LatePolicy {
  int64_t after_ms = 0;
  LateAction action = LateAction::kFire;
};

// How events come and jobs go.
enum class Transport {
  kJetStream,
  kCore,  // core NATS: to whoever listens at that moment
  kStan,  // NATS Streaming, JetStream's predecessor: channels of their own
};

// What a rule publishes for an event.
struct Publish {
  std::string name;  // empty where it is the rule's only one
  Template target;
  std::optional<Template> body;  // absent: the event's own bytes
  std::vector<std::pair<std::string, Template>> headers;
  int64_t offset_ms = 0;  // added to the event's due time; may be negative
  // Over core NATS confirmed by the server alone.
  Transport via = Transport::kJetStream;
  LatePolicy late;
};

// A schedule or cancel entry of a rule.
//
// The key is a string or an integer of 64 bits (kept as its digits), 1 to
// kKeyBytesMax bytes of UTF-8 without zero bytes. Of a single source it is the
// value itself. Several are joined with '/'; to keep "a/b" + "c" and "a" +
// "b/c" apart, '/' and '%' inside a part are then written %2F and %25.
//
// A due time is RFC 3339 text or a number in plain digits; a delay, which
// counts from the message's JetStream time, is a duration or such a number. A
// header holds either. With neither, the message's own time is due. Fractions
// of a millisecond round up.
//
// An event belongs to the entry when the subject fits and all of `match` hold.
struct Entry {
  std::string subject;              // NATS filter; * and > allowed as whole tokens
  std::string stream;               // the one read, subjects as stored; "" = whichever
  std::vector<Match> match;         // empty: every event
  std::vector<Source> key;          // one or more
  std::optional<Source> due;        // absolute time: pointer or header
  std::optional<int64_t> delay_ms;  // or relative; at most one of the three
  std::optional<Source> delay;      // the same, read from the event
  int64_t unit_ms = 1;              // of numbers in `due` and `delay`: 1 or 1000
  std::optional<Source> version;    // an integer of 64 bits, signed
  std::optional<Publish> late;      // of a cancel: published when it came too late
};

struct RetryPolicy {
  int64_t initial_ms = 1'000;
  int64_t max_ms = 300'000;
  uint64_t attempts = 0;  // 0 = no limit
};

// Where a consumer that is new begins to read a stream.
struct Deliver {
  enum class From { kAll, kNew, kTime };
  From from = From::kAll;
  int64_t time_ms = 0;  // of kTime
};

struct Rule {
  std::string name;
  std::string was;  // the name whose jobs and consumers it takes over; "" = none
  bool reopen = true;
  std::vector<Entry> schedule;
  std::vector<Entry> cancel;
  // One without a name, or several with names: then each has jobs of its own,
  // <rule>.<name>/<key>. Never empty.
  std::vector<Publish> publish = std::vector<Publish>(1);
  RetryPolicy retry;
  int64_t rate = 0;  // attempts a second, over all entries; 0 = no limit
  Deliver deliver;
  bool loop = false;
  // Over core NATS, in a queue group, events come at most once, and what is
  // newer is told by their order of arrival.
  Transport source = Transport::kJetStream;
  // Of kStan: the queue group and durable; "" = <service>-<rule>.
  std::string durable;
};

// What is known of the limits of those who take what is published. Thread-safe.
class TargetLimits {
 public:
  virtual ~TargetLimits() = default;
  // kOutOfRange, with the size, the limit and its name, when a message of `bytes`,
  // its headers included, can never reach `target`. What is not known is no limit.
  [[nodiscard]] virtual absl::Status Fits(Transport via, std::string_view target,
                                          size_t bytes) = 0;
};

// Bounds that a job must keep; a violation rejects the message.
struct JobLimits {
  // Body and headers as they go over the wire, with the headers that expirer
  // itself adds when it fires.
  size_t payload_bytes = 1 << 20;
  int64_t horizon_ms = kDueMaxMs;  // due at most this far after now
  // The service's name: no job is published to <name>.… ; empty = none.
  std::string service;
  // Looked at beside these; null = nothing is known. Outlives whoever has it.
  TargetLimits* targets = nullptr;
};

// A message as it came in; views live for the call.
struct EventView {
  std::string_view subject;
  std::string_view payload;
  const Headers* headers = nullptr;  // may be null
  int64_t time_ns = 0;               // JetStream's time of the message
  std::string_view stream = {};      // where it is stored; "" = nobody knows
  bool only_named = false;  // the stream carries what only entries that name it read
};
// Whether an event that is there may belong to the entry, by its subject and stream.
[[nodiscard]] bool MayConcern(const Entry& entry, const EventView& event);

// Of each job due, key, target, headers, body are filled; source.version if
// any. `job` is of the rule's first publish entry, `more` of the others.
struct ScheduleIntent {
  Job job;
  std::vector<Job> more = {};
};
// What a cancel publishes if it turns out to have come after the fire: a job
// but for its due time, or why there can be none.
struct LateCancel {
  Job job;
  std::string trouble;
};
struct CancelIntent {
  std::string key;
  std::optional<int64_t> version = {};
  std::unique_ptr<LateCancel> late = {};
};
// What of a message kept it from becoming a job or a cancel; a label of metrics,
// where the sentence would have no bound.
enum class RejectKind : uint8_t {
  kBody,     // not usable as JSON
  kKey,      // none, or not usable
  kDue,      // likewise, delays included
  kHorizon,  // due beyond limits.horizon
  kVersion,
  kContent,  // target, headers or body cannot be made of it
  kPayload,  // over limits.payload, or too large for its target
  kStale,    // due longer ago than store.history remembers
  kHeaders,  // cannot be read (job/header_block.h)
};
inline constexpr size_t kRejectKinds = 9;

struct RejectIntent {
  std::string reason;  // one sentence, no secret, at most 300 bytes
  RejectKind kind = RejectKind::kContent;
};
// The message concerns no entry of the rule: a common filter let it in, or
// none of the entries' `match` holds.
struct IgnoreIntent {
  bool marker = false;  // the server made it (kMarkerHeader), and no entry asks for such
};
using Intent = std::variant<IgnoreIntent, ScheduleIntent, CancelIntent, RejectIntent>;

// Evaluates messages against one rule. Not thread-safe (it owns a JSON parser
// and scratch buffers): one per thread. The rule must outlive it.
//
// The first cancel entry that the event belongs to decides, else the first
// such schedule entry. A body is read as JSON only when an entry whose subject
// fits, or for a schedule entry any of the rule's templates, holds a pointer.
// The event's own headers pass through, except Nats-* and Expirer-* and those
// the rule sets (in any case). Headers that cannot be read reject the event
// where an entry looks at them; a schedule entry always does.
class RuleEvaluator {
 public:
  RuleEvaluator(const Rule& rule, const JobLimits& limits);
  ~RuleEvaluator();
  RuleEvaluator(const RuleEvaluator&) = delete;
  RuleEvaluator& operator=(const RuleEvaluator&) = delete;

  // `now_ms` is only compared with the horizon.
  [[nodiscard]] Intent Evaluate(const EventView& event, int64_t now_ms);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// What the names of a publish entry's jobs begin with: <rule> or <rule>.<name>.
[[nodiscard]] std::string QueueName(const Rule& rule, const Publish& publish);
// Nats-... and Expirer-..., in any case: set by expirer, or read by NATS.
[[nodiscard]] bool IsReservedHeader(std::string_view name);

// Of a message that the server put into a stream where others expired or were
// deleted (subject_delete_marker_ttl). It belongs only to entries whose `match`
// asks for this header.
inline constexpr std::string_view kMarkerHeader = "Nats-Marker-Reason";

// The publish entry of late cancels: their jobs are <rule>.late/<key>.
inline constexpr std::string_view kLateQueue = "late";

// The longest target in bytes; NATS' own limit is its 4 KB control line.
inline constexpr size_t kTargetBytesMax = 1024;

// True when `filter` (with * and >) matches the literal `subject`.
[[nodiscard]] bool SubjectMatches(std::string_view filter, std::string_view subject);
// True when some subject matches both filters.
[[nodiscard]] bool SubjectsOverlap(std::string_view a, std::string_view b);
// True when every subject that `inner` matches is matched by `outer`.
[[nodiscard]] bool SubjectCovers(std::string_view outer, std::string_view inner);
// OK for a well-formed filter: non-empty tokens, no white space or control
// bytes, * and > whole tokens, > last.
[[nodiscard]] absl::Status CheckSubjectFilter(std::string_view filter);
// OK for a subject a message can be published to: non-empty tokens, no
// wildcards, white space or control bytes, not $... or _INBOX..., at most
// kTargetBytesMax.
[[nodiscard]] absl::Status CheckTarget(std::string_view subject);
// The narrowest single filter that matches everything the given ones do; ">"
// for none.
[[nodiscard]] std::string CommonFilter(const std::vector<std::string>& filters);

}  // namespace expirer
