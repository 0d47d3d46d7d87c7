#include "job/dump_line.h"

#include <optional>
#include <utility>

#include <fmt/format.h>

#include "absl/strings/escaping.h"
#include "base/coding.h"
#include "job/fired.h"
#include "job/job.h"
#include "json/fields.h"
#include "json/view.h"
#include "json/writer.h"

namespace expirer {
namespace {

using Kind = DumpLine::Kind;
using Need = JsonFields::Need;

constexpr char kRejected = 'r';
constexpr char kGivenUp = 'j';

// ---- Writing.

// One object, written as its members come.
class Object {
 public:
  explicit Object(std::string* out) : out_(out) { out_->push_back('{'); }
  ~Object() { out_->push_back('}'); }
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;

  // Begins a member; its value is appended to the result next.
  std::string* Name(std::string_view name, std::string_view end = "") {
    if (!first_) out_->push_back(',');
    first_ = false;
    return &out_->append("\"").append(name).append(end).append("\":");
  }
  template <typename Integer>
  void Number(std::string_view name, Integer value) {
    fmt::format_to(std::back_inserter(*Name(name)), "{}", value);
  }
  template <typename Integer>
  void NumberUnlessZero(std::string_view name, Integer value) {
    if (value != 0) Number(name, value);
  }
  void FlagIf(std::string_view name, bool value) {
    if (value) Name(name)->append("true");
  }
  void Text(std::string_view name, std::string_view text) {
    const bool plain = IsUtf8(text);
    std::string* out = Name(name, plain ? "" : "_base64");
    out->push_back('"');
    if (plain)
      AppendJsonEscaped(text, out);
    else
      out->append(absl::Base64Escape(absl::string_view(text.data(), text.size())));
    out->push_back('"');
  }
  void TextUnlessEmpty(std::string_view name, std::string_view text) {
    if (!text.empty()) Text(name, text);
  }

 private:
  std::string* const out_;
  bool first_ = true;
};

void WritePosition(const Position& position, std::string* out) {
  Object object(out);
  object.Number("stream", position.stream);
  object.Number("epoch", position.epoch);
  object.Number("seq", position.seq);
  object.Number("time_ns", position.time_ns);
  if (position.version) object.Number("version", *position.version);
}

void WriteJobKey(const JobKey& key, std::string* out) {
  Object object(out);
  object.Number("lane", key.lane);
  object.Number("key_ms", key.key_ms);
  object.Number("seq", key.seq);
}

void WriteHeaders(const Headers& headers, Object* object) {
  if (headers.empty()) return;
  std::string* out = object->Name("headers");
  out->push_back('[');
  for (size_t i = 0; i < headers.size(); ++i) {
    if (i > 0) out->push_back(',');
    Object header(out);
    header.Text("name", headers[i].first);
    header.Text("value", headers[i].second);
  }
  out->push_back(']');
}

void WriteJob(const Job& job, Object* object) {
  object->Text("key", job.key);
  object->Number("due_ms", job.due_ms);
  object->NumberUnlessZero("sends", job.sends);
  object->NumberUnlessZero("burned", job.burned);
  object->FlagIf("late_judged", job.late_judged);
  object->FlagIf("unanswered", job.unanswered);
  WritePosition(job.source, object->Name("source"));
  object->NumberUnlessZero("received_ms", job.received_ms);
  object->NumberUnlessZero("stored_ms", job.stored_ms);
  object->Text("target", job.target);
  WriteHeaders(job.headers, object);
  object->TextUnlessEmpty("body", job.body);
  object->TextUnlessEmpty("last_error", job.last_error);
  object->FlagIf("plain_id", job.id_form == IdForm::kPlain);
  if (job.id_form == IdForm::kGiven) object->Text("id_source", SourceText(job.id_source));
}

void WriteTimes(const Times& times, std::string* out) {
  Object object(out);
  object.NumberUnlessZero("received_ms", times.received_ms);
  object.NumberUnlessZero("stored_ms", times.stored_ms);
  object.NumberUnlessZero("published_ms", times.published_ms);
  object.NumberUnlessZero("acked_ms", times.acked_ms);
}

void WriteRegister(std::string_view rule, std::string_view key, const Register& reg,
                   std::string* out) {
  Object object(out);
  object.Text("register", rule);
  object.Text("key", key);
  object.Text("state", Name(reg.state));
  if (reg.schedule) {
    Object schedule(object.Name("schedule"));
    WritePosition(reg.schedule->position, schedule.Name("source"));
    schedule.Number("due_ms", reg.schedule->due_ms);
  }
  if (reg.cancel) WritePosition(*reg.cancel, object.Name("cancel"));
  if (reg.job) WriteJobKey(*reg.job, object.Name("job"));
  if (reg.times) WriteTimes(*reg.times, object.Name("times"));
  object.FlagIf("collision", reg.collision);
  if (reg.brief) {
    Object brief(object.Name("brief"));
    brief.Text("target", reg.brief->target);
    brief.NumberUnlessZero("sends", reg.brief->sends);
    brief.TextUnlessEmpty("last_error", reg.brief->last_error);
  }
  object.NumberUnlessZero("expires_ms", reg.expires_ms);
}

void WriteDeadJob(const std::string& row, Object* object) {
  if (row.empty()) return;
  const absl::StatusOr<Job> job = DecodeJob(row);
  if (!job.ok() || EncodeJob(*job) != row) return object->Text("job_row", row);
  Object written(object->Name("job"));
  WriteJob(*job, &written);
}

void WriteDead(const Dead& dead, Object* object) {
  object->Text("reason", dead.reason);
  object->Number("at_ms", dead.at_ms);
  object->FlagIf("reference_only", dead.reference_only);
  WritePosition(dead.source, object->Name("source"));
  object->TextUnlessEmpty("subject", dead.subject);
  WriteHeaders(dead.headers, object);
  object->TextUnlessEmpty("payload", dead.payload);
  WriteDeadJob(dead.job_row, object);
}

// `rule`, 0x00, the rest: how the keys of `ids` and `dead` begin.
absl::Status SplitId(std::string_view id, std::string_view* rule,
                     std::string_view* rest) {
  const size_t end = id.find('\0');
  if (end == std::string_view::npos) return Corrupt("its key names no rule");
  *rule = id.substr(0, end);
  *rest = id.substr(end + 1);
  return absl::OkStatus();
}

absl::Status AppendRegister(std::string_view id, std::string_view value,
                            std::string* out) {
  std::string_view rule;
  std::string_view key;
  RETURN_IF_ERROR(SplitId(id, &rule, &key));
  ASSIGN_OR_RETURN(const Register reg, DecodeRegister(value));
  WriteRegister(rule, key, reg, out);
  return absl::OkStatus();
}

absl::Status AppendJob(std::string_view key, std::string_view value, std::string* out) {
  ASSIGN_OR_RETURN(const JobKey row, DecodeJobKey(key));
  ASSIGN_OR_RETURN(const Job job, DecodeJob(value));
  Object object(out);
  WriteJobKey(row, object.Name("job"));
  WriteJob(job, &object);
  return absl::OkStatus();
}

absl::Status AppendDead(std::string_view id, std::string_view value, std::string* out) {
  constexpr size_t kRejectedBytes = 1 + 2 + 8 + 8;
  std::string_view rule;
  std::string_view rest;
  RETURN_IF_ERROR(SplitId(id, &rule, &rest));
  ASSIGN_OR_RETURN(const Dead dead, DecodeDead(value));
  const char kind = rest.empty() ? '\0' : rest[0];
  if (kind != kGivenUp && (kind != kRejected || rest.size() != kRejectedBytes))
    return Corrupt("its key is malformed");
  Object object(out);
  object.Text("dead", rule);
  if (kind == kGivenUp) {
    object.Text("key", rest.substr(1));
  } else {
    Reader in(rest.substr(1));
    Object place(object.Name("rejected"));
    place.Number("stream", in.ReadBig16());
    place.Number("epoch", in.ReadBig64());
    place.Number("seq", in.ReadBig64());
  }
  WriteDead(dead, &object);
  return absl::OkStatus();
}

// ---- Reading.

Position ReadPosition(std::string_view name, std::string_view text, JsonFields* of) {
  JsonFields in(text);
  Position position;
  position.stream =
      static_cast<uint16_t>(in.Unsigned("stream", Need::kRequired, UINT16_MAX));
  position.epoch = in.Unsigned("epoch", Need::kRequired);
  position.seq = in.Unsigned("seq", Need::kRequired);
  position.time_ns = in.Signed("time_ns", Need::kRequired);
  if (in.Has("version")) position.version = in.Signed("version", Need::kRequired);
  of->Fail(name, in.Done());
  return position;
}

Position ReadSource(JsonFields* in) {
  const std::string_view raw = in->Raw("source", Need::kRequired);
  return raw.empty() ? Position() : ReadPosition("source", raw, in);
}

JobKey ReadJobKey(std::string_view text, JsonFields* of) {
  JsonFields in(text);
  JobKey key;
  key.lane = static_cast<Lane>(in.Unsigned("lane", Need::kRequired, UINT16_MAX));
  key.key_ms =
      static_cast<int64_t>(in.Unsigned("key_ms", Need::kRequired, uint64_t{INT64_MAX}));
  key.seq = in.Unsigned("seq", Need::kRequired);
  of->Fail("job", in.Done());
  return key;
}

Headers ReadHeaders(JsonFields* of) {
  Headers headers;
  const std::string_view raw = of->Raw("headers", Need::kOptional);
  if (raw.empty()) return headers;
  const absl::StatusOr<std::vector<JsonValue>> items = JsonItems(raw);
  of->Fail("headers", items.status());
  for (const JsonValue& item : items.ok() ? *items : std::vector<JsonValue>()) {
    JsonFields in(item.raw);
    std::string name = in.Text("name", Need::kRequired);
    std::string value = in.Text("value", Need::kRequired);
    of->Fail("headers", in.Done());
    headers.emplace_back(std::move(name), std::move(value));
  }
  return headers;
}

void ReadIdSource(JsonFields* in, Job* job) {
  const bool plain = in->Flag("plain_id");
  const std::string text = in->Text("id_source", Need::kOptional);
  if (plain) job->id_form = IdForm::kPlain;
  if (text.empty()) return;
  job->id_form = IdForm::kGiven;
  const std::optional<uint64_t> source = ParseSourceText(text);
  if (plain) in->Fail("id_source", Invalid("`plain_id` is there too"));
  if (!source) in->Fail("id_source", Invalid("expected 16 lower-case hex digits"));
  job->id_source = source.value_or(0);
}

Job ReadJob(JsonFields* in) {
  Job job;
  job.key = in->Text("key", Need::kRequired);
  job.due_ms = in->Signed("due_ms", Need::kRequired);
  job.sends = in->Unsigned("sends", Need::kOptional);
  job.burned = in->Unsigned("burned", Need::kOptional);
  job.late_judged = in->Flag("late_judged");
  job.unanswered = in->Flag("unanswered");
  job.source = ReadSource(in);
  job.received_ms = in->Signed("received_ms", Need::kOptional);
  job.stored_ms = in->Signed("stored_ms", Need::kOptional);
  job.target = in->Text("target", Need::kRequired);
  job.headers = ReadHeaders(in);
  job.body = in->Text("body", Need::kOptional);
  job.last_error = in->Text("last_error", Need::kOptional);
  ReadIdSource(in, &job);
  return job;
}

JobState ReadState(JsonFields* in) {
  const std::string name = in->Text("state", Need::kRequired);
  for (const JobState state : {JobState::kPending, JobState::kRetrying, JobState::kFired,
                               JobState::kCancelled, JobState::kSkipped, JobState::kDead})
    if (name == Name(state)) return state;
  in->Fail("state", Invalid("\"" + name + "\" is no state"));
  return JobState::kDead;
}

std::optional<Times> ReadTimes(JsonFields* of) {
  const std::string_view raw = of->Raw("times", Need::kOptional);
  if (raw.empty()) return {};
  JsonFields in(raw);
  Times times;
  times.received_ms = in.Signed("received_ms", Need::kOptional);
  times.stored_ms = in.Signed("stored_ms", Need::kOptional);
  times.published_ms = in.Signed("published_ms", Need::kOptional);
  times.acked_ms = in.Signed("acked_ms", Need::kOptional);
  of->Fail("times", in.Done());
  return times;
}

std::optional<JobBrief> ReadBrief(JsonFields* of) {
  const std::string_view raw = of->Raw("brief", Need::kOptional);
  if (raw.empty()) return {};
  JsonFields in(raw);
  JobBrief brief;
  brief.target = in.Text("target", Need::kRequired);
  brief.sends = in.Unsigned("sends", Need::kOptional);
  brief.last_error = in.Text("last_error", Need::kOptional);
  of->Fail("brief", in.Done());
  return brief;
}

std::optional<RegisterSchedule> ReadSchedule(JsonFields* of) {
  const std::string_view raw = of->Raw("schedule", Need::kOptional);
  if (raw.empty()) return {};
  JsonFields in(raw);
  RegisterSchedule schedule;
  schedule.position = ReadSource(&in);
  schedule.due_ms = in.Signed("due_ms", Need::kRequired);
  of->Fail("schedule", in.Done());
  return schedule;
}

// The name of a rule, which ends at its zero byte in a key.
std::string ReadRule(std::string_view name, JsonFields* in) {
  std::string rule = in->Text(name, Need::kRequired);
  if (rule.find('\0') != std::string::npos)
    in->Fail(name, Invalid("it holds a zero byte"));
  return rule;
}

void ReadRegisterLine(JsonFields* in, DumpLine* line) {
  const std::string rule = ReadRule("register", in);
  line->key = MakeId(rule, in->Text("key", Need::kRequired));
  Register reg;
  reg.state = ReadState(in);
  reg.schedule = ReadSchedule(in);
  if (const auto raw = in->Raw("cancel", Need::kOptional); !raw.empty())
    reg.cancel = ReadPosition("cancel", raw, in);
  if (const auto raw = in->Raw("job", Need::kOptional); !raw.empty())
    reg.job = ReadJobKey(raw, in);
  reg.times = ReadTimes(in);
  reg.collision = in->Flag("collision");
  reg.brief = ReadBrief(in);
  if (reg.brief && !IsLive(reg.state))
    in->Fail("brief", Invalid("only a live key has one"));
  if (IsLive(reg.state) && (!reg.schedule || !reg.job))
    in->Fail("state", Invalid("a live key has `schedule` and `job`"));
  reg.expires_ms = in->Signed("expires_ms", Need::kOptional);
  line->value = EncodeRegister(reg);
}

void ReadJobLine(JsonFields* in, DumpLine* line) {
  line->key = EncodeJobKey(ReadJobKey(in->Raw("job", Need::kRequired), in));
  line->value = EncodeJob(ReadJob(in));
}

void ReadDeadJob(JsonFields* of, Dead* dead) {
  dead->job_row = of->Text("job_row", Need::kOptional);
  const std::string_view raw = of->Raw("job", Need::kOptional);
  if (raw.empty()) return;
  if (!dead->job_row.empty()) of->Fail("job", Invalid("`job_row` is there too"));
  JsonFields in(raw);
  dead->job_row = EncodeJob(ReadJob(&in));
  of->Fail("job", in.Done());
}

void ReadDeadLine(JsonFields* in, DumpLine* line) {
  const std::string rule = ReadRule("dead", in);
  if (const auto raw = in->Raw("rejected", Need::kOptional); !raw.empty()) {
    JsonFields place(raw);
    Position position;
    position.stream =
        static_cast<uint16_t>(place.Unsigned("stream", Need::kRequired, UINT16_MAX));
    position.epoch = place.Unsigned("epoch", Need::kRequired);
    position.seq = place.Unsigned("seq", Need::kRequired);
    in->Fail("rejected", place.Done());
    line->key = DeadRejectKey(rule, position);
  } else {
    line->key = DeadJobKey(rule, in->Text("key", Need::kRequired));
  }
  Dead dead;
  dead.reason = in->Text("reason", Need::kRequired);
  dead.at_ms = in->Signed("at_ms", Need::kRequired);
  dead.reference_only = in->Flag("reference_only");
  dead.source = ReadSource(in);
  dead.subject = in->Text("subject", Need::kOptional);
  dead.headers = ReadHeaders(in);
  dead.payload = in->Text("payload", Need::kOptional);
  ReadDeadJob(in, &dead);
  line->value = EncodeDead(dead);
}

absl::Status ReadHead(JsonFields* in, DumpLine* line) {
  line->version = in->Unsigned("expirer_dump", Need::kRequired);
  if (line->version > kDumpVersion) return absl::OkStatus();
  line->format = in->Unsigned("format", Need::kRequired);
  line->store_id = in->Text("store", Need::kRequired);
  const bool hex =
      line->store_id.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (line->store_id.size() != 32 || !hex)
    in->Fail("store", Invalid("expected 32 lower-case hex digits"));
  return in->Done();
}

void ReadEnd(JsonFields* of, DumpLine* line) {
  JsonFields in(of->Raw("end", Need::kRequired));
  line->counts.meta = in.Unsigned("meta", Need::kRequired);
  line->counts.registers = in.Unsigned("registers", Need::kRequired);
  line->counts.jobs = in.Unsigned("jobs", Need::kRequired);
  line->counts.dead = in.Unsigned("dead", Need::kRequired);
  of->Fail("end", in.Done());
}

// What a line is of: the member that only such lines have.
std::optional<Kind> KindOf(const JsonFields& in) {
  constexpr std::pair<std::string_view, Kind> kNames[] = {
      {"expirer_dump", Kind::kHead},
      {"meta", Kind::kMeta},
      {"meta_base64", Kind::kMeta},
      {"register", Kind::kRegister},
      {"register_base64", Kind::kRegister},
      {"dead", Kind::kDead},
      {"dead_base64", Kind::kDead},
      {"end", Kind::kEnd},
      {"job", Kind::kJob}};  // last: registers have one
  for (const auto& [name, kind] : kNames)
    if (in.Has(name)) return kind;
  return {};
}

}  // namespace

void AppendDumpHead(uint64_t format, std::string_view store_id, std::string* out) {
  Object object(out);
  object.Number("expirer_dump", kDumpVersion);
  object.Number("format", format);
  object.Text("store", store_id);
}

absl::Status AppendDumpEntry(Kind kind, std::string_view key, std::string_view value,
                             std::string* out) {
  if (kind == Kind::kRegister) return AppendRegister(key, value, out);
  if (kind == Kind::kJob) return AppendJob(key, value, out);
  if (kind == Kind::kDead) return AppendDead(key, value, out);
  Object object(out);
  object.Text("meta", key);
  object.Text("value", value);
  return absl::OkStatus();
}

void AppendDumpEnd(const DumpCounts& counts, std::string* out) {
  Object object(out);
  Object end(object.Name("end"));
  end.Number("meta", counts.meta);
  end.Number("registers", counts.registers);
  end.Number("jobs", counts.jobs);
  end.Number("dead", counts.dead);
}

absl::StatusOr<DumpLine> ParseDumpLine(std::string_view text) {
  JsonFields in(text);
  DumpLine line;
  const std::optional<Kind> kind = KindOf(in);
  if (!kind) {
    RETURN_IF_ERROR(in.Done());
    return Invalid("it is no line of a dump");
  }
  line.kind = *kind;
  switch (*kind) {
    case Kind::kHead: RETURN_IF_ERROR(ReadHead(&in, &line)); return line;
    case Kind::kMeta:
      line.key = in.Text("meta", Need::kRequired);
      line.value = in.Text("value", Need::kRequired);
      break;
    case Kind::kRegister: ReadRegisterLine(&in, &line); break;
    case Kind::kJob: ReadJobLine(&in, &line); break;
    case Kind::kDead: ReadDeadLine(&in, &line); break;
    case Kind::kEnd: ReadEnd(&in, &line); break;
  }
  RETURN_IF_ERROR(in.Done());
  return line;
}

}  // namespace expirer
