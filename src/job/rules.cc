#include "job/rules.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "base/rfc3339.h"
#include "job/json.h"

namespace expirer {
namespace {

constexpr size_t kReasonBytesMax = 300;
// Numbers below this (1973 in ms, the year 5138 in s) are seconds, not ms.
constexpr int64_t kSecondsBelow = 100'000'000'000;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Rounded up, as every due time is: never early. Negative times round to 0.
int64_t MsOf(int64_t time_ns) {
  return time_ns <= 0 ? 0 : time_ns / 1'000'000 + (time_ns % 1'000'000 != 0 ? 1 : 0);
}

bool IsReservedHeader(std::string_view name) {
  return EqualsIgnoringCase(name.substr(0, 5), "nats-") ||
         EqualsIgnoringCase(name.substr(0, 8), "expirer-");
}

// True when all of `text` is an integer of type T in plain digits.
template <typename T>
bool ParseInteger(std::string_view text, T* value) {
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), *value);
  return error == std::errc() && end == text.data() + text.size();
}

// A number of ms in plain digits, fractions rounded up.
absl::StatusOr<int64_t> ParseMillis(std::string_view text) {
  if (text.find_first_of("eE") != text.npos)
    return Invalid(Quote(text) + " is not in plain digits");
  const std::string_view whole = text.substr(0, text.find('.'));
  const std::string_view decimals =
      whole.size() == text.size() ? std::string_view() : text.substr(whole.size() + 1);
  if (!std::all_of(decimals.begin(), decimals.end(), IsDigit) ||
      (decimals.empty() && whole.size() != text.size())) {
    return Invalid(Quote(text) + " is not a number");
  }
  int64_t ms = 0;
  if (whole.starts_with('-') || !ParseInteger(whole, &ms))
    return Invalid(Quote(text) + " is outside 1970 to 9999");
  if (ms < kSecondsBelow)
    return Invalid(fmt::format("{} looks like seconds, expected ms", text));
  const bool up = decimals.find_first_not_of('0') != decimals.npos;
  return up && ms < INT64_MAX ? ms + 1 : ms;
}

absl::StatusOr<int64_t> ParseTime(std::string_view text) {
  absl::StatusOr<int64_t> ms = ParseRfc3339(text);
  if (ms.ok()) return ms;
  return Invalid(
      fmt::format("{} is not an RFC 3339 time: {}", Quote(text), Message(ms.status())));
}

}  // namespace

absl::StatusOr<Source> Source::Parse(std::string_view text) {
  if (text.starts_with('/')) {
    RETURN_IF_ERROR(CheckJsonPointer(text));
    return Source{Kind::kPointer, std::string(text), 0};
  }
  int token = 0;
  if (text.starts_with("subject:") && text.size() > 8 && text[8] != '0' &&
      ParseInteger(text.substr(8), &token) && token >= 1 && token <= 256) {
    return Source{Kind::kSubjectToken, "", token};
  }
  if (text.starts_with("header:") && text.size() > 7)
    return Source{Kind::kHeader, std::string(text.substr(7)), 0};
  return Invalid("expected a JSON pointer such as /id, subject:N or header:Name");
}

std::string Source::Spelling() const {
  switch (kind) {
    case Kind::kPointer: return name;
    case Kind::kSubjectToken: return fmt::format("subject:{}", token);
    case Kind::kHeader: return "header:" + name;
  }
  return "";
}

struct RuleEvaluator::State {
  // An entry, and where a read of the body puts what its sources point at.
  struct Plan {
    const Entry* entry;
    bool literal;  // the filter has no wildcard
    JsonPointers pointers;
    std::vector<size_t> key;
    size_t due = 0;
    size_t version = 0;

    [[nodiscard]] bool Matches(std::string_view subject) const {
      return literal ? subject == entry->subject
                     : SubjectMatches(entry->subject, subject);
    }
  };

  State(const Rule& rule_in, const JobLimits& limits_in);
  Plan MakePlan(const Entry& entry, const JsonPointers& shared) const;
  static size_t Slot(const Source& source, JsonPointers* pointers);

  absl::Status Schedule(const Plan& plan, const EventView& event, int64_t now_ms,
                        Job* job);
  absl::Status Cancel(const Plan& plan, const EventView& event, CancelIntent* intent);

  absl::Status ReadBody(const Plan& plan, const EventView& event);
  absl::Status ReadKey(const Plan& plan, const EventView& event, std::string* key);
  absl::StatusOr<std::string_view> KeyPart(const Source& source, size_t slot,
                                           const EventView& event);
  absl::StatusOr<std::string_view> Outside(const Source& source,
                                           const EventView& event) const;
  absl::StatusOr<int64_t> ReadDue(const Plan& plan, const EventView& event);
  absl::Status CheckDue(const Entry& entry, int64_t due_ms, int64_t now_ms) const;
  absl::Status ReadVersion(const Plan& plan, const EventView& event,
                           std::optional<int64_t>* version) const;
  absl::Status Render(const EventView& event, Job* job);
  absl::Status RenderHeaders(const RenderContext& context, const EventView& event,
                             Headers* out);
  absl::Status CheckSize(const Job& job) const;

  const Rule& rule;
  const JobLimits limits;
  const std::string reserved;  // "<service>.", or empty
  // The rule's templates, bound to the slots that all schedule plans share.
  Template target;
  std::optional<Template> body;
  std::vector<std::pair<std::string, Template>> headers;
  std::vector<Plan> schedule;
  std::vector<Plan> cancel;
  JsonReader json;
  std::string scratch;
};

RuleEvaluator::State::State(const Rule& rule_in, const JobLimits& limits_in)
    : rule(rule_in),
      limits(limits_in),
      reserved(limits_in.service.empty() ? "" : limits_in.service + "."),
      target(rule_in.target),
      body(rule_in.body),
      headers(rule_in.headers) {
  JsonPointers shared;
  target.Bind(&shared);
  if (body) body->Bind(&shared);
  for (auto& [name, value] : headers) value.Bind(&shared);
  for (const Entry& entry : rule.schedule) schedule.push_back(MakePlan(entry, shared));
  for (const Entry& entry : rule.cancel)
    cancel.push_back(MakePlan(entry, JsonPointers()));
}

RuleEvaluator::State::Plan RuleEvaluator::State::MakePlan(
    const Entry& entry, const JsonPointers& shared) const {
  CHECK(!entry.key.empty());
  Plan plan{&entry, entry.subject.find_first_of("*>") == std::string::npos, shared, {}};
  for (const Source& source : entry.key) plan.key.push_back(Slot(source, &plan.pointers));
  if (entry.due) plan.due = Slot(*entry.due, &plan.pointers);
  if (entry.version) plan.version = Slot(*entry.version, &plan.pointers);
  return plan;
}

size_t RuleEvaluator::State::Slot(const Source& source, JsonPointers* pointers) {
  return source.kind == Source::Kind::kPointer ? pointers->Add(source.name) : 0;
}

absl::Status RuleEvaluator::State::Cancel(const Plan& plan, const EventView& event,
                                          CancelIntent* intent) {
  RETURN_IF_ERROR(ReadBody(plan, event));
  RETURN_IF_ERROR(ReadKey(plan, event, &intent->key));
  return ReadVersion(plan, event, &intent->version);
}

absl::Status RuleEvaluator::State::Schedule(const Plan& plan, const EventView& event,
                                            int64_t now_ms, Job* job) {
  RETURN_IF_ERROR(ReadBody(plan, event));
  RETURN_IF_ERROR(ReadKey(plan, event, &job->key));
  ASSIGN_OR_RETURN(job->due_ms, ReadDue(plan, event));
  RETURN_IF_ERROR(CheckDue(*plan.entry, job->due_ms, now_ms));
  RETURN_IF_ERROR(ReadVersion(plan, event, &job->source.version));
  RETURN_IF_ERROR(Render(event, job));
  return CheckSize(*job);
}

absl::Status RuleEvaluator::State::ReadBody(const Plan& plan, const EventView& event) {
  if (plan.pointers.empty()) return absl::OkStatus();
  absl::Status status = json.Read(event.payload, plan.pointers);
  return status.ok() ? status
                     : Invalid("the body is not usable JSON: " + Message(status));
}

absl::Status RuleEvaluator::State::ReadKey(const Plan& plan, const EventView& event,
                                           std::string* key) {
  const std::vector<Source>& sources = plan.entry->key;
  for (size_t i = 0; i < sources.size(); ++i) {
    const absl::StatusOr<std::string_view> part = KeyPart(sources[i], plan.key[i], event);
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

absl::StatusOr<std::string_view> RuleEvaluator::State::KeyPart(const Source& source,
                                                               size_t slot,
                                                               const EventView& event) {
  std::string_view text;
  if (source.kind == Source::Kind::kPointer) {
    const JsonValue& value = json.value(slot);
    if (value.kind == JsonValue::Kind::kNumber) {
      int64_t as_signed = 0;
      uint64_t as_unsigned = 0;
      const bool fits =
          ParseInteger(value.raw, &as_signed) || ParseInteger(value.raw, &as_unsigned);
      if (value.IsInteger() && fits) return value.raw;
      return Invalid(fmt::format("{} is not an integer of 64 bits", Quote(value.raw)));
    }
    if (value.kind != JsonValue::Kind::kString) {
      return Invalid(
          fmt::format("it is {}, expected a string or an integer", Name(value.kind)));
    }
    ASSIGN_OR_RETURN(text, JsonText(value, &scratch));
  } else {
    ASSIGN_OR_RETURN(text, Outside(source, event));
    if (!IsUtf8(text)) return Invalid(Quote(text) + " is not valid UTF-8");
  }
  if (text.empty()) return Invalid("it is empty");
  if (text.find('\0') != text.npos) return Invalid(Quote(text) + " holds a zero byte");
  return text;
}

// The text of a source outside the body.
absl::StatusOr<std::string_view> RuleEvaluator::State::Outside(
    const Source& source, const EventView& event) const {
  CHECK(source.kind != Source::Kind::kPointer);
  if (source.kind == Source::Kind::kSubjectToken) {
    const std::string_view token = SubjectToken(event.subject, source.token);
    if (token.empty())
      return Invalid(
          fmt::format("the subject {} has fewer tokens", Quote(event.subject)));
    return token;
  }
  const std::string* header = FindHeader(event.headers, source.name);
  if (header == nullptr) return Invalid("there is no such header");
  return std::string_view(*header);
}

absl::StatusOr<int64_t> RuleEvaluator::State::ReadDue(const Plan& plan,
                                                      const EventView& event) {
  const Entry& entry = *plan.entry;
  if (!entry.due) {
    int64_t due_ms = MsOf(event.time_ns);
    if (__builtin_add_overflow(due_ms, entry.delay_ms.value_or(0), &due_ms))
      return Invalid("delay: it ends outside 1970 to 9999");
    return due_ms;
  }
  const auto read = [&]() -> absl::StatusOr<int64_t> {
    if (entry.due->kind != Source::Kind::kPointer) {
      ASSIGN_OR_RETURN(const std::string_view text, Outside(*entry.due, event));
      const bool number = text.find_first_not_of("0123456789.-") == text.npos;
      return number && !text.empty() ? ParseMillis(text) : ParseTime(text);
    }
    const JsonValue& value = json.value(plan.due);
    if (value.kind == JsonValue::Kind::kNumber) return ParseMillis(value.raw);
    if (value.kind != JsonValue::Kind::kString) {
      return Invalid(fmt::format("it is {}, expected an RFC 3339 time or a number of ms",
                                 Name(value.kind)));
    }
    ASSIGN_OR_RETURN(const std::string_view text, JsonText(value, &scratch));
    return ParseTime(text);
  };
  absl::StatusOr<int64_t> due_ms = read();
  if (due_ms.ok()) return due_ms;
  return Annotate(due_ms.status(), "due " + entry.due->Spelling());
}

absl::Status RuleEvaluator::State::CheckDue(const Entry& entry, int64_t due_ms,
                                            int64_t now_ms) const {
  const auto refuse = [&](std::string_view what) {
    const std::string where =
        entry.due ? "due " + entry.due->Spelling() : std::string("delay");
    return Invalid(fmt::format("{}: {}", where, what));
  };
  if (due_ms < 0 || due_ms > kDueMaxMs) {
    return refuse(fmt::format("{} is outside 1970 to 9999", FormatRfc3339Ms(due_ms)));
  }
  if (due_ms > now_ms && due_ms - now_ms > limits.horizon_ms) {
    return refuse(fmt::format("{} is beyond limits.horizon", FormatRfc3339Ms(due_ms)));
  }
  return absl::OkStatus();
}

absl::Status RuleEvaluator::State::ReadVersion(const Plan& plan, const EventView& event,
                                               std::optional<int64_t>* version) const {
  if (!plan.entry->version) return absl::OkStatus();
  const Source& source = *plan.entry->version;
  std::string_view text;
  if (source.kind == Source::Kind::kPointer) {
    const JsonValue& value = json.value(plan.version);
    if (value.kind != JsonValue::Kind::kNumber) {
      return Invalid(fmt::format("version {}: it is {}, expected an integer",
                                 source.Spelling(), Name(value.kind)));
    }
    text = value.raw;
  } else {
    const absl::StatusOr<std::string_view> found = Outside(source, event);
    if (!found.ok()) return Annotate(found.status(), "version " + source.Spelling());
    text = *found;
  }
  if (!ParseInteger(text, &version->emplace())) {
    return Invalid(fmt::format("version {}: {} is not an integer of 64 bits",
                               source.Spelling(), Quote(text)));
  }
  return absl::OkStatus();
}

absl::Status RuleEvaluator::State::Render(const EventView& event, Job* job) {
  RenderContext context;
  context.subject = event.subject;
  context.headers = event.headers;
  context.json = &json;
  context.key = job->key;
  context.time_ms = MsOf(event.time_ns);
  context.due_ms = job->due_ms;
  absl::Status status = target.Render(context, &job->target);
  if (!status.ok()) return Annotate(status, "publish.subject");
  if (!target.is_literal()) {
    status = CheckTarget(job->target);
    if (status.ok() && !reserved.empty() && job->target.starts_with(reserved))
      status = Invalid(fmt::format("expected a subject outside {}...", reserved));
    if (!status.ok()) {
      return Annotate(status, fmt::format("publish.subject {}", Quote(job->target)));
    }
  }
  if (body) {
    status = body->Render(context, &job->body);
    if (!status.ok()) return Annotate(status, "publish.body");
  } else {
    job->body = event.payload;
  }
  return RenderHeaders(context, event, &job->headers);
}

absl::Status RuleEvaluator::State::RenderHeaders(const RenderContext& context,
                                                 const EventView& event, Headers* out) {
  const auto overridden = [this](std::string_view name) {
    return std::any_of(headers.begin(), headers.end(), [name](const auto& header) {
      return EqualsIgnoringCase(header.first, name);
    });
  };
  if (event.headers != nullptr) {
    for (const auto& header : *event.headers)
      if (!IsReservedHeader(header.first) && !overridden(header.first))
        out->push_back(header);
  }
  for (const auto& [name, value] : headers) {
    std::string text;
    if (absl::Status status = value.Render(context, &text); !status.ok())
      return Annotate(status, "publish.headers." + name);
    out->emplace_back(name, std::move(text));
  }
  return absl::OkStatus();
}

// Counts what the server will count: "NATS/1.0", each "Name: value" with its
// line end, the empty line, and the four headers that firing adds, whose only
// part of any length is the job's percent-encoded name, twice.
absl::Status RuleEvaluator::State::CheckSize(const Job& job) const {
  constexpr size_t kLine = 4;  // ": " and "\r\n"
  constexpr size_t kOwn = 12 + 4 * kLine +
                          sizeof("Nats-Msg-IdExpirer-JobExpirer-DueExpirer-Attempt") +
                          sizeof("/9999-12-31T23:59:59.999Z") + 15 + 20;
  // A fired name is at most three times as long as the key: only count it
  // exactly where that could matter.
  size_t bytes = job.body.size() + kOwn + 2 * (rule.name.size() + 1);
  for (const auto& [name, value] : job.headers)
    bytes += name.size() + value.size() + kLine;
  if (bytes + 6 * job.key.size() <= limits.payload_bytes) return absl::OkStatus();
  std::string encoded;
  AppendPercentEncoded(job.key, &encoded);
  bytes += 2 * encoded.size();
  if (bytes <= limits.payload_bytes) return absl::OkStatus();
  return Invalid(
      fmt::format("the job's body and headers have {} bytes, limits.payload is {}", bytes,
                  limits.payload_bytes));
}

RuleEvaluator::RuleEvaluator(const Rule& rule, const JobLimits& limits)
    : state_(std::make_unique<State>(rule, limits)) {}
RuleEvaluator::~RuleEvaluator() = default;

namespace {

RejectIntent Reject(const absl::Status& status) {
  std::string reason = Message(status);
  if (reason.size() > kReasonBytesMax) {
    // Cut between characters: the reason travels in JSON.
    size_t end = kReasonBytesMax - 3;
    while (end > 0 && (static_cast<unsigned char>(reason[end]) & 0xC0) == 0x80) --end;
    reason.resize(end);
    reason += "...";
  }
  return RejectIntent{std::move(reason)};
}

}  // namespace

// Jobs are filled in place: moving one costs as much as parsing its due time.
Intent RuleEvaluator::Evaluate(const EventView& event, int64_t now_ms) {
  Intent intent;
  for (const State::Plan& plan : state_->cancel) {
    if (!plan.Matches(event.subject)) continue;
    const absl::Status status =
        state_->Cancel(plan, event, &intent.emplace<CancelIntent>());
    if (!status.ok()) intent = Reject(status);
    return intent;
  }
  for (const State::Plan& plan : state_->schedule) {
    if (!plan.Matches(event.subject)) continue;
    Job* job = &intent.emplace<ScheduleIntent>().job;
    const absl::Status status = state_->Schedule(plan, event, now_ms, job);
    if (!status.ok()) intent = Reject(status);
    return intent;
  }
  return intent;
}

}  // namespace expirer
