#include "job/rules.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "base/duration.h"
#include "base/rfc3339.h"
#include "job/header_block.h"
#include "job/render.h"
#include "job/time_value.h"
#include "json/reader.h"

namespace expirer {
namespace {

constexpr size_t kReasonBytesMax = 300;

// True when all of `text` is an integer in plain digits.
bool ParseInteger(std::string_view text, int64_t* value) {
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), *value);
  return error == std::errc() && end == text.data() + text.size();
}

// The beginning of errors about an entry's due time.
std::string DuePlace(const Entry& entry) {
  if (entry.due) return "due " + entry.due->Spelling();
  return entry.delay ? "delay " + entry.delay->Spelling() : "delay";
}

// The sentence of an error, cut to kReasonBytesMax.
std::string Reason(const absl::Status& status) {
  std::string reason = Message(status);
  if (reason.size() > kReasonBytesMax) {
    // Cut between characters: the reason travels in JSON.
    size_t end = kReasonBytesMax - 3;
    while (end > 0 && (static_cast<unsigned char>(reason[end]) & 0xC0) == 0x80) --end;
    reason.resize(end);
    reason += "...";
  }
  return reason;
}

}  // namespace

bool IsReservedHeader(std::string_view name) {
  return EqualsIgnoringCase(name.substr(0, 5), "nats-") ||
         EqualsIgnoringCase(name.substr(0, 8), "expirer-");
}

std::string QueueName(const Rule& rule, const Publish& publish) {
  return publish.name.empty() ? rule.name : rule.name + "." + publish.name;
}

bool MayConcern(const Entry& entry, const EventView& event) {
  if (entry.stream.empty() ? event.only_named
                           : !event.stream.empty() && entry.stream != event.stream)
    return false;
  return SubjectMatches(entry.subject, event.subject);
}

struct RuleEvaluator::State {
  // An entry, and where a read of the body puts what its sources point at.
  struct Plan {
    const Entry* entry = nullptr;
    bool literal = false;  // the filter has no wildcard
    bool reads_body = false;
    bool reads_headers = false;
    bool takes_markers = false;  // its `match` asks for kMarkerHeader
    size_t set = 0;              // of the pointers with which the body is read
    std::vector<size_t> match;
    std::vector<size_t> key;
    size_t due = 0;  // or delay
    size_t version = 0;
    std::optional<JobRenderer> late;

    [[nodiscard]] bool Matches(const EventView& event) const {
      return (!literal || event.subject == entry->subject) && MayConcern(*entry, event);
    }
  };

  State(const Rule& rule_in, const JobLimits& limits_in)
      : rule(rule_in), limits(limits_in) {
    CHECK(!rule.publish.empty());
    JsonPointers shared;  // of what every schedule plan renders
    for (const Publish& publish : rule.publish) {
      const std::string place =
          publish.name.empty() ? "publish" : "publish." + publish.name;
      queues.emplace_back(publish, QueueName(rule, publish), limits, place);
      queues.back().Bind(&shared);
    }
    const auto matching = [](const Entry& entry) { return !entry.match.empty(); };
    const bool one_set =
        std::any_of(rule.schedule.begin(), rule.schedule.end(), matching) ||
        std::any_of(rule.cancel.begin(), rule.cancel.end(), matching);
    if (one_set) sets.push_back(shared);
    const auto next_set = [&](const JsonPointers& base) {
      if (!one_set) sets.push_back(base);
      return sets.size() - 1;
    };
    for (const Entry& entry : rule.schedule) {
      schedule.push_back(MakePlan(entry, next_set(shared)));
      schedule.back().reads_body = schedule.back().reads_body || !shared.empty();
    }
    for (const Entry& entry : rule.cancel)
      cancel.push_back(MakePlan(entry, next_set(JsonPointers())));
  }

  Plan MakePlan(const Entry& entry, size_t set) {
    CHECK(!entry.key.empty());
    Plan plan;
    plan.entry = &entry;
    plan.literal = entry.subject.find_first_of("*>") == std::string::npos;
    plan.set = set;
    const auto slot = [&](const Source& source) -> size_t {
      plan.reads_headers = plan.reads_headers || source.kind == Source::Kind::kHeader;
      if (source.kind != Source::Kind::kPointer) return 0;
      plan.reads_body = true;
      return sets[set].Add(source.name);
    };
    for (const Match& match : entry.match) {
      plan.match.push_back(slot(match.source));
      plan.takes_markers =
          plan.takes_markers || (match.source.kind == Source::Kind::kHeader &&
                                 EqualsIgnoringCase(match.source.name, kMarkerHeader));
    }
    for (const Source& source : entry.key) plan.key.push_back(slot(source));
    if (entry.due) plan.due = slot(*entry.due);
    if (entry.delay) plan.due = slot(*entry.delay);
    if (entry.version) plan.version = slot(*entry.version);
    if (entry.late) {
      plan.late.emplace(*entry.late, QueueName(rule, *entry.late), limits, "late");
      plan.late->Bind(&sets[set]);
      plan.reads_body = plan.reads_body || plan.late->uses_json();
    }
    return plan;
  }

  bool MatchHolds(const Plan& plan, const EventView& event, absl::Status* status) {
    const std::vector<Match>& matches = plan.entry->match;
    if (plan.reads_headers) *status = ReadHeaders(event);
    if (!status->ok()) return false;
    // Headers first: they may settle it for a body that is no JSON.
    for (const Match& match : matches) {
      if (match.source.kind == Source::Kind::kHeader &&
          !match.Holds(FindHeader(event.headers, match.source.name)))
        return false;
    }
    for (size_t i = 0; i < matches.size(); ++i) {
      if (matches[i].source.kind != Source::Kind::kPointer) continue;
      *status = ReadBody(plan, event);
      if (!status->ok()) return false;
      if (!matches[i].Holds(json.value(plan.match[i]), &scratch)) return false;
    }
    return true;
  }

  absl::Status Cancel(const Plan& plan, const EventView& event, CancelIntent* intent) {
    RETURN_IF_ERROR(ReadBody(plan, event));
    RETURN_IF_ERROR(ReadKey(plan, event, &intent->key));
    RETURN_IF_ERROR(ReadVersion(plan, event, &intent->version));
    if (plan.late) RenderLate(plan, event, intent);
    return absl::OkStatus();
  }

  // A cancel counts whether or not its late message can be rendered.
  void RenderLate(const Plan& plan, const EventView& event, CancelIntent* intent) {
    intent->late = std::make_unique<LateCancel>();
    Job& job = intent->late->job;
    job.key = intent->key;
    absl::Status status = CheckHeadersRead(event.headers);
    if (status.ok()) status = plan.late->Render(event, json, &job);
    if (!status.ok()) intent->late->trouble = Reason(status);
  }

  absl::Status Schedule(const Plan& plan, const EventView& event, int64_t now_ms,
                        ScheduleIntent* intent) {
    Job* job = &intent->job;
    RETURN_IF_ERROR(ReadHeaders(event));
    RETURN_IF_ERROR(ReadBody(plan, event));
    RETURN_IF_ERROR(ReadKey(plan, event, &job->key));
    ASSIGN_OR_RETURN(job->due_ms, ReadDue(plan, event));
    RETURN_IF_ERROR(ReadVersion(plan, event, &job->source.version));
    for (size_t i = 1; i < queues.size(); ++i) {
      Job& other = intent->more.emplace_back();
      other.key = job->key;
      other.due_ms = job->due_ms;
      other.source.version = job->source.version;
      RETURN_IF_ERROR(Finish(i, plan, event, now_ms, &other));
    }
    return Finish(0, plan, event, now_ms, job);
  }

  // Completes a job that has the event's due time: adds the entry's offset, and renders
  // target, headers and body.
  absl::Status Finish(size_t queue, const Plan& plan, const EventView& event,
                      int64_t now_ms, Job* job) {
    stage = RejectKind::kDue;
    if (__builtin_add_overflow(job->due_ms, rule.publish[queue].offset_ms, &job->due_ms))
      return Invalid("due: with the offset it is outside 1970 to 9999");
    RETURN_IF_ERROR(CheckDue(*plan.entry, job->due_ms, now_ms));
    absl::Status rendered = queues[queue].Render(event, json, job);
    stage = absl::IsOutOfRange(rendered) ? RejectKind::kPayload : RejectKind::kContent;
    return rendered;
  }

  absl::Status ReadHeaders(const EventView& event) {
    stage = RejectKind::kHeaders;
    return CheckHeadersRead(event.headers);
  }

  absl::Status ReadBody(const Plan& plan, const EventView& event) {
    stage = RejectKind::kBody;
    if (!plan.reads_body || read_set == plan.set) return absl::OkStatus();
    absl::Status status = json.Read(event.payload, sets[plan.set]);
    if (!status.ok()) return Invalid("the body is not usable JSON: " + Message(status));
    read_set = plan.set;
    return status;
  }

  absl::Status ReadKey(const Plan& plan, const EventView& event, std::string* key) {
    stage = RejectKind::kKey;
    const std::vector<Source>& sources = plan.entry->key;
    for (size_t i = 0; i < sources.size(); ++i) {
      const absl::StatusOr<std::string_view> part =
          KeyPart(sources[i], plan.key[i], event);
      if (!part.ok()) return Annotate(part.status(), "key " + sources[i].Spelling());
      if (sources.size() == 1) {
        *key = *part;
        break;
      }
      if (i > 0) *key += '/';
      for (char c : *part) {
        if (c == '/')
          *key += "%2F";
        else if (c == '%')
          *key += "%25";
        else
          *key += c;
      }
    }
    if (key->size() > kKeyBytesMax) {
      return Invalid(fmt::format("key {}: it has {} bytes, expected at most {}",
                                 sources[0].Spelling(), key->size(), kKeyBytesMax));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::string_view> KeyPart(const Source& source, size_t slot,
                                           const EventView& event) {
    ASSIGN_OR_RETURN(const std::string_view text,
                     Text(source, slot, event, "a string or an integer"));
    if (source.kind != Source::Kind::kPointer) {
      if (!IsUtf8(text)) return Invalid(Quote(text) + " is not valid UTF-8");
    } else if (const JsonValue& value = json.value(slot);
               value.kind == JsonValue::Kind::kNumber) {
      if (JsonInteger<int64_t>(value) || JsonInteger<uint64_t>(value)) return text;
      return Invalid(Quote(text) + " is not an integer of 64 bits");
    }
    if (text.empty()) return Invalid("it is empty");
    if (text.find('\0') != text.npos) return Invalid(Quote(text) + " holds a zero byte");
    return text;
  }

  // The text of a source: in the body a string's or a number's. `expected` names in
  // errors what it should be.
  absl::StatusOr<std::string_view> Text(const Source& source, size_t slot,
                                        const EventView& event,
                                        std::string_view expected) {
    if (source.kind == Source::Kind::kPointer) {
      const JsonValue& value = json.value(slot);
      if (value.kind == JsonValue::Kind::kNumber) return value.raw;
      if (value.kind == JsonValue::Kind::kString) return JsonText(value, &scratch);
      return Invalid(fmt::format("it is {}, expected {}", Name(value.kind), expected));
    }
    if (const auto text = source.Find(event.subject, event.headers)) return *text;
    if (source.kind == Source::Kind::kHeader) return Invalid("there is no such header");
    return Invalid(fmt::format("the subject {} has fewer tokens", Quote(event.subject)));
  }

  absl::StatusOr<int64_t> ReadDue(const Plan& plan, const EventView& event) {
    stage = RejectKind::kDue;
    const Entry& entry = *plan.entry;
    int64_t ms = entry.delay_ms.value_or(0);
    if (const auto& source = entry.due ? entry.due : entry.delay) {
      const auto parse = entry.due ? DueMs : DelayMs;
      const auto text = Text(*source, plan.due, event,
                             (entry.due ? DueForm : DelayForm)(entry.unit_ms));
      const absl::StatusOr<int64_t> read =
          text.ok() ? parse(*text, entry.unit_ms) : text.status();
      if (!read.ok()) return Annotate(read.status(), DuePlace(entry));
      ms = *read;
    }
    if (entry.due) return ms;
    int64_t due_ms = EventMs(event);
    if (__builtin_add_overflow(due_ms, ms, &due_ms))
      return Invalid(fmt::format("{}: {} from the message's time is outside 1970 to 9999",
                                 DuePlace(entry), FormatDuration(ms)));
    return due_ms;
  }

  absl::Status CheckDue(const Entry& entry, int64_t due_ms, int64_t now_ms) {
    if (due_ms < 0 || due_ms > kDueMaxMs)
      return Invalid(fmt::format("{}: {} is outside 1970 to 9999", DuePlace(entry),
                                 FormatRfc3339Ms(due_ms)));
    if (due_ms <= now_ms || due_ms - now_ms <= limits.horizon_ms) return absl::OkStatus();
    stage = RejectKind::kHorizon;
    return Invalid(fmt::format("{}: {} is beyond limits.horizon, {} from now",
                               DuePlace(entry), FormatRfc3339Ms(due_ms),
                               FormatDuration(limits.horizon_ms)));
  }

  absl::Status ReadVersion(const Plan& plan, const EventView& event,
                           std::optional<int64_t>* version) {
    stage = RejectKind::kVersion;
    if (!plan.entry->version) return absl::OkStatus();
    const Source& source = *plan.entry->version;
    const auto read = [&]() -> absl::Status {
      if (source.kind == Source::Kind::kPointer &&
          json.value(plan.version).kind == JsonValue::Kind::kString)
        return Invalid("it is a string, expected an integer");
      ASSIGN_OR_RETURN(const std::string_view text,
                       Text(source, plan.version, event, "an integer"));
      if (ParseInteger(text, &version->emplace())) return absl::OkStatus();
      return Invalid(Quote(text) + " is not an integer of 64 bits");
    };
    absl::Status status = read();
    return status.ok() ? status : Annotate(status, "version " + source.Spelling());
  }

  const Rule& rule;
  const JobLimits limits;
  std::vector<JobRenderer> queues;  // as rule.publish
  std::vector<Plan> schedule;
  std::vector<Plan> cancel;
  // One set for each plan; but where entries tell events apart by `match`, one
  // for all, so that a body is read once however many entries look at it.
  std::vector<JsonPointers> sets;
  static constexpr size_t kNone = static_cast<size_t>(-1);
  size_t read_set = kNone;               // of this event's body, so far
  RejectKind stage = RejectKind::kBody;  // what is being read: at fault on an error
  JsonReader json;
  std::string scratch;
};

RuleEvaluator::RuleEvaluator(const Rule& rule, const JobLimits& limits)
    : state_(std::make_unique<State>(rule, limits)) {}
RuleEvaluator::~RuleEvaluator() = default;

// Jobs are filled in place, and every path returns the same object: moving a
// job costs as much as parsing its due time.
Intent RuleEvaluator::Evaluate(const EventView& event, int64_t now_ms) {
  State& state = *state_;
  state.read_set = State::kNone;
  Intent intent;
  absl::Status status;
  const bool marker = FindHeader(event.headers, kMarkerHeader) != nullptr;
  const auto concerns = [&](const State::Plan& plan) {
    if (!plan.Matches(event)) return false;
    if (marker && !plan.takes_markers) intent = IgnoreIntent{true};
    return !marker || plan.takes_markers;
  };
  // True if the plan decides about the event; then `intent` is the decision.
  const auto decides = [&](const State::Plan& plan, const auto& apply) {
    if (!concerns(plan)) return false;
    if (state.MatchHolds(plan, event, &status))
      status = apply(plan);
    else if (status.ok())
      return false;
    if (!status.ok()) intent = RejectIntent{Reason(status), state.stage};
    return true;
  };
  for (const State::Plan& plan : state.cancel)
    if (decides(plan, [&](const State::Plan& of) {
          return state.Cancel(of, event, &intent.emplace<CancelIntent>());
        }))
      return intent;
  for (const State::Plan& plan : state.schedule)
    if (decides(plan, [&](const State::Plan& of) {
          return state.Schedule(of, event, now_ms, &intent.emplace<ScheduleIntent>());
        }))
      return intent;
  return intent;
}

}  // namespace expirer
