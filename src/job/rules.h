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
#include "job/template.h"

namespace expirer {

// Where a rule finds a value in a message.
struct Source {
  enum class Kind { kPointer, kSubjectToken, kHeader };
  Kind kind = Kind::kPointer;
  std::string name;  // JSON pointer (RFC 6901) or header name
  int token = 0;     // subject token, from 1

  // As written in a config: "/a/b", "subject:2" or "header:Name". On error the
  // message says what was expected.
  [[nodiscard]] static absl::StatusOr<Source> Parse(std::string_view text);
  [[nodiscard]] std::string Spelling() const;
};

// A schedule or cancel entry of a rule.
//
// The key is a string or an integer of 64 bits (kept as its digits), 1 to
// kKeyBytesMax bytes of UTF-8 without zero bytes. Of a single source it is the
// value itself. Several are joined with '/'; to keep "a/b" + "c" and "a" +
// "b/c" apart, '/' and '%' inside a part are then written %2F and %25.
//
// A due time is RFC 3339 text or a number of milliseconds in plain digits
// (fractions round up); from a header, either. A delay counts from the
// message's JetStream time; with neither, that time itself is due.
struct Entry {
  std::string subject;              // NATS filter; * and > allowed as whole tokens
  std::vector<Source> key;          // one or more
  std::optional<Source> due;        // absolute time: pointer or header
  std::optional<int64_t> delay_ms;  // or relative; not both
  std::optional<Source> version;    // an integer of 64 bits, signed
};

struct RetryPolicy {
  int64_t initial_ms = 1'000;
  int64_t max_ms = 300'000;
  uint64_t attempts = 0;  // 0 = no limit
};

enum class LateAction { kFire, kSkip, kDead };
struct LatePolicy {
  int64_t after_ms = 0;
  LateAction action = LateAction::kFire;
};

struct Rule {
  std::string name;
  bool reopen = true;
  std::vector<Entry> schedule;
  std::vector<Entry> cancel;
  Template target;
  std::optional<Template> body;  // absent: the event's own bytes
  std::vector<std::pair<std::string, Template>> headers;
  RetryPolicy retry;
  LatePolicy late;
  bool loop = false;
};

// Bounds that a job must keep; a violation rejects the message.
struct JobLimits {
  // Body and headers as they go over the wire, with the headers that expirer
  // itself adds when it fires.
  size_t payload_bytes = 1 << 20;
  int64_t horizon_ms = kDueMaxMs;  // due at most this far after now
  // The service's name: no job is published to <name>.… ; empty = none.
  std::string service;
};

// A message as it came in; views live for the call.
struct EventView {
  std::string_view subject;
  std::string_view payload;
  const Headers* headers = nullptr;  // may be null
  int64_t time_ns = 0;               // JetStream's time of the message
};

struct ScheduleIntent {
  Job job;  // due, key, target, headers, body filled; source.version if any
};
struct CancelIntent {
  std::string key;
  std::optional<int64_t> version;
};
struct RejectIntent {
  std::string reason;  // one sentence, no secret, at most 300 bytes
};
// The message concerns no entry of the rule (a common filter let it in).
struct IgnoreIntent {};
using Intent = std::variant<IgnoreIntent, ScheduleIntent, CancelIntent, RejectIntent>;

// Evaluates messages against one rule. Not thread-safe (it owns a JSON parser
// and scratch buffers): one per thread. The rule must outlive it.
//
// The first cancel entry whose filter matches decides, else the first schedule
// entry. A body is read as JSON only when that entry, or for a schedule entry
// any of the rule's templates, holds a pointer. The event's own headers pass
// through, except Nats-* and Expirer-* and those the rule sets (in any case).
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
