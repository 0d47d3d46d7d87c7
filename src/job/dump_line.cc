#include "job/dump_line.h"

#include <optional>
#include <utility>

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

void AddPosition(std::string_view name, const Position& position, JsonWriter* out) {
  out->Object(name)
      .Add("stream", position.stream, "epoch", position.epoch, "seq", position.seq,
           "time_ns", position.time_ns, "version", position.version)
      .End();
}

void AddJobKey(const JobKey& key, JsonWriter* out) {
  out->Object("job").Add("lane", key.lane, "key_ms", key.key_ms, "seq", key.seq).End();
}

void AddHeaders(const Headers& headers, JsonWriter* out) {
  if (headers.empty()) return;
  out->Array("headers");
  for (const auto& [name, value] : headers)
    out->Item(JsonObject("name", JsonBytes{name}, "value", JsonBytes{value}));
  out->End();
}

void AddJob(const Job& job, JsonWriter* out) {
  out->Add("key", JsonBytes{job.key}, "due_ms", job.due_ms, "sends", IfAny(job.sends),
           "counted_attempts", IfAny(job.counted_attempts), "late_judged",
           IfAny(job.late_judged), "unanswered", IfAny(job.unanswered));
  AddPosition("source", job.source, out);
  out->Add("received_ms", IfAny(job.received_ms), "stored_ms", IfAny(job.stored_ms),
           "target", JsonBytes{job.target});
  AddHeaders(job.headers, out);
  out->Add("body", IfAny(JsonBytes{job.body}), "last_error",
           IfAny(JsonBytes{job.last_error}), "plain_id",
           IfAny(job.id_form == IdForm::kPlain));
  if (job.id_form == IdForm::kGiven) out->Add("id_source", SourceText(job.id_source));
}

void AddDeadJob(const std::string& row, JsonWriter* out) {
  if (row.empty()) return;
  const absl::StatusOr<Job> job = DecodeJob(row);
  if (!job.ok() || EncodeJob(*job) != row) {
    out->Add("job_row", JsonBytes{row});
    return;
  }
  out->Object("job");
  AddJob(*job, out);
  out->End();
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
  JsonWriter line(out);
  line.Object();
  line.Add("register", JsonBytes{rule}, "key", JsonBytes{key}, "state", Name(reg.state));
  if (reg.schedule) {
    line.Object("schedule");
    AddPosition("source", reg.schedule->position, &line);
    line.Add("due_ms", reg.schedule->due_ms).End();
  }
  if (reg.cancel) AddPosition("cancel", *reg.cancel, &line);
  if (reg.job) AddJobKey(*reg.job, &line);
  if (const auto& times = reg.times)
    line.Add("times",
             JsonObject("received_ms", IfAny(times->received_ms), "stored_ms",
                        IfAny(times->stored_ms), "published_ms",
                        IfAny(times->published_ms), "acked_ms", IfAny(times->acked_ms)));
  line.Add("collision", IfAny(reg.collision));
  if (reg.brief)
    line.Add("brief", JsonObject("target", JsonBytes{reg.brief->target}, "sends",
                                 IfAny(reg.brief->sends), "last_error",
                                 IfAny(JsonBytes{reg.brief->last_error})));
  line.Add("expires_ms", IfAny(reg.expires_ms)).End();
  return absl::OkStatus();
}

absl::Status AppendJob(std::string_view key, std::string_view value, std::string* out) {
  ASSIGN_OR_RETURN(const JobKey row, DecodeJobKey(key));
  ASSIGN_OR_RETURN(const Job job, DecodeJob(value));
  JsonWriter line(out);
  line.Object();
  AddJobKey(row, &line);
  AddJob(job, &line);
  line.End();
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
  JsonWriter line(out);
  line.Object().Add("dead", JsonBytes{rule});
  if (kind == kGivenUp) {
    line.Add("key", JsonBytes{rest.substr(1)});
  } else {
    Reader in(rest.substr(1));
    line.Object("rejected").Add("stream", in.ReadBig16());
    line.Add("epoch", in.ReadBig64());
    line.Add("seq", in.ReadBig64()).End();
  }
  line.Add("reason", JsonBytes{dead.reason}, "at_ms", dead.at_ms, "reference_only",
           IfAny(dead.reference_only));
  AddPosition("source", dead.source, &line);
  line.Add("subject", IfAny(JsonBytes{dead.subject}));
  AddHeaders(dead.headers, &line);
  line.Add("payload", IfAny(JsonBytes{dead.payload}));
  AddDeadJob(dead.job_row, &line);
  line.End();
  return absl::OkStatus();
}

// ---- Reading.

Position ReadPosition(std::string_view name, JsonFields* of) {
  Position position;
  of->Object(name, Need::kRequired, [&position](JsonFields* in) {
    in->Must("stream", &position.stream, "epoch", &position.epoch, "seq", &position.seq,
             "time_ns", &position.time_ns);
    if (in->Has("version")) in->Must("version", &position.version.emplace());
  });
  return position;
}

JobKey ReadJobKey(JsonFields* of) {
  JobKey key;
  of->Object("job", Need::kRequired, [&key](JsonFields* in) {
    in->Must("lane", &key.lane, "key_ms", &key.key_ms);
    if (key.key_ms < 0) in->Fail("key_ms", Invalid("it is out of range"));
    in->Must("seq", &key.seq);
  });
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
    auto& [name, value] = headers.emplace_back();
    in.Must("name", &name, "value", &value);
    of->Fail("headers", in.Done());
  }
  return headers;
}

void ReadIdSource(JsonFields* in, Job* job) {
  bool plain = false;
  std::string text;
  in->May("plain_id", &plain, "id_source", &text);
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
  in->Must("key", &job.key, "due_ms", &job.due_ms);
  in->May("sends", &job.sends, "counted_attempts", &job.counted_attempts, "late_judged",
          &job.late_judged, "unanswered", &job.unanswered);
  job.source = ReadPosition("source", in);
  in->May("received_ms", &job.received_ms, "stored_ms", &job.stored_ms);
  in->Must("target", &job.target);
  job.headers = ReadHeaders(in);
  in->May("body", &job.body, "last_error", &job.last_error);
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

// The name of a rule, which ends at its zero byte in a key.
std::string ReadRule(std::string_view name, JsonFields* in) {
  std::string rule = in->Text(name, Need::kRequired);
  if (rule.find('\0') != std::string::npos)
    in->Fail(name, Invalid("it holds a zero byte"));
  return rule;
}

void ReadRegisterLine(JsonFields* of, DumpLine* line) {
  const std::string rule = ReadRule("register", of);
  line->key = MakeId(rule, of->Text("key", Need::kRequired));
  Register reg;
  reg.state = ReadState(of);
  of->Object("schedule", Need::kOptional, [&reg](JsonFields* in) {
    RegisterSchedule& schedule = reg.schedule.emplace();
    schedule.position = ReadPosition("source", in);
    in->Must("due_ms", &schedule.due_ms);
  });
  if (of->Has("cancel")) reg.cancel = ReadPosition("cancel", of);
  if (of->Has("job")) reg.job = ReadJobKey(of);
  of->Object("times", Need::kOptional, [&reg](JsonFields* in) {
    Times& times = reg.times.emplace();
    in->May("received_ms", &times.received_ms, "stored_ms", &times.stored_ms,
            "published_ms", &times.published_ms, "acked_ms", &times.acked_ms);
  });
  of->May("collision", &reg.collision);
  of->Object("brief", Need::kOptional, [&reg](JsonFields* in) {
    JobBrief& brief = reg.brief.emplace();
    in->Must("target", &brief.target);
    in->May("sends", &brief.sends, "last_error", &brief.last_error);
  });
  if (reg.brief && !IsLive(reg.state))
    of->Fail("brief", Invalid("only a live key has one"));
  if (IsLive(reg.state) && (!reg.schedule || !reg.job))
    of->Fail("state", Invalid("a live key has `schedule` and `job`"));
  of->May("expires_ms", &reg.expires_ms);
  line->value = EncodeRegister(reg);
}

void ReadJobLine(JsonFields* in, DumpLine* line) {
  line->key = EncodeJobKey(ReadJobKey(in));
  line->value = EncodeJob(ReadJob(in));
}

void ReadDeadLine(JsonFields* of, DumpLine* line) {
  const std::string rule = ReadRule("dead", of);
  Position place;
  const bool rejected = of->Object("rejected", Need::kOptional, [&place](JsonFields* in) {
    in->Must("stream", &place.stream, "epoch", &place.epoch, "seq", &place.seq);
  });
  line->key = rejected ? DeadRejectKey(rule, place)
                       : DeadJobKey(rule, of->Text("key", Need::kRequired));
  Dead dead;
  of->Must("reason", &dead.reason, "at_ms", &dead.at_ms);
  of->May("reference_only", &dead.reference_only);
  dead.source = ReadPosition("source", of);
  of->May("subject", &dead.subject);
  dead.headers = ReadHeaders(of);
  of->May("payload", &dead.payload, "job_row", &dead.job_row);
  if (!dead.job_row.empty() && of->Has("job"))
    of->Fail("job", Invalid("`job_row` is there too"));
  of->Object("job", Need::kOptional,
             [&dead](JsonFields* in) { dead.job_row = EncodeJob(ReadJob(in)); });
  line->value = EncodeDead(dead);
}

absl::Status ReadHead(JsonFields* in, DumpLine* line) {
  in->Must("expirer_dump", &line->version);
  if (line->version > kDumpVersion) return absl::OkStatus();
  in->Must("format", &line->format, "store", &line->store_id);
  const bool hex =
      line->store_id.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (line->store_id.size() != 32 || !hex)
    in->Fail("store", Invalid("expected 32 lower-case hex digits"));
  return in->Done();
}

void ReadEnd(JsonFields* of, DumpCounts* counts) {
  of->Object("end", Need::kRequired, [counts](JsonFields* in) {
    in->Must("meta", &counts->meta, "registers", &counts->registers, "jobs",
             &counts->jobs, "dead", &counts->dead);
  });
}

// The kind of a line, by a member that only lines of this kind have.
std::optional<Kind> KindOf(const JsonFields& in) {
  constexpr std::pair<std::string_view, Kind> kNames[] = {
      {"expirer_dump", Kind::kHead}, {"meta", Kind::kMeta},
      {"register", Kind::kRegister}, {"dead", Kind::kDead},
      {"end", Kind::kEnd},           {"job", Kind::kJob}};  // last: registers have one
  for (const auto& [name, kind] : kNames)
    if (in.Has(name) || in.Has(std::string(name) + "_base64")) return kind;
  return {};
}

}  // namespace

void AppendDumpHead(uint64_t format, std::string_view store_id, std::string* out) {
  JsonWriter line(out);
  line.Object();
  line.Add("expirer_dump", kDumpVersion, "format", format, "store", JsonBytes{store_id});
  line.End();
}

absl::Status AppendDumpEntry(Kind kind, std::string_view key, std::string_view value,
                             std::string* out) {
  if (kind == Kind::kRegister) return AppendRegister(key, value, out);
  if (kind == Kind::kJob) return AppendJob(key, value, out);
  if (kind == Kind::kDead) return AppendDead(key, value, out);
  JsonWriter line(out);
  line.Object().Add("meta", JsonBytes{key}, "value", JsonBytes{value}).End();
  return absl::OkStatus();
}

void AppendDumpEnd(const DumpCounts& counts, std::string* out) {
  JsonWriter line(out);
  line.Object().Object("end");
  line.Add("meta", counts.meta, "registers", counts.registers, "jobs", counts.jobs);
  line.Add("dead", counts.dead).End().End();
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
    case Kind::kMeta: in.Must("meta", &line.key, "value", &line.value); break;
    case Kind::kRegister: ReadRegisterLine(&in, &line); break;
    case Kind::kJob: ReadJobLine(&in, &line); break;
    case Kind::kDead: ReadDeadLine(&in, &line); break;
    case Kind::kEnd: ReadEnd(&in, &line.counts); break;
  }
  RETURN_IF_ERROR(in.Done());
  return line;
}

}  // namespace expirer
