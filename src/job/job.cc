#include "job/job.h"

#include <algorithm>

#include "base/coding.h"

namespace expirer {
namespace {

constexpr uint8_t kVersion = 1;
constexpr uint8_t kErrorVersion = 2;   // of a job with a last_error
constexpr uint8_t kSourceVersion = 3;  // of a job whose id has a source
constexpr uint8_t kBriefVersion = 2;   // of a register

constexpr uint8_t kLateJudged = 1;
constexpr uint8_t kUnanswered = 2;
constexpr uint8_t kIdGiven = 4;

constexpr uint8_t kHasSchedule = 1;
constexpr uint8_t kHasCancel = 2;
constexpr uint8_t kHasJob = 4;
constexpr uint8_t kHasTimes = 8;
constexpr uint8_t kCollision = 16;

void PutPosition(std::string* out, const Position& position) {
  PutVarints(out, position.stream, position.epoch, position.seq, position.time_ns);
  out->push_back(position.version.has_value() ? 1 : 0);
  if (position.version) PutSigned(out, *position.version);
}

Position ReadPosition(Reader* in) {
  Position position;
  in->Varints(&position.stream, &position.epoch, &position.seq, &position.time_ns);
  if (in->Byte() != 0) position.version = in->Signed();
  return position;
}

void PutHeaders(std::string* out, const Headers& headers) {
  PutVarint(out, headers.size());
  for (const auto& [name, value] : headers) {
    PutBytes(out, name);
    PutBytes(out, value);
  }
}

template <typename Text>
void ReadHeaders(Reader* in, std::vector<std::pair<Text, Text>>* headers) {
  const uint64_t count = in->Varint();
  headers->clear();
  // Each takes two bytes at least: a malformed count must not make us allocate for it.
  headers->reserve(std::min<uint64_t>(count, in->rest().size() / 2));
  for (uint64_t i = 0; i < count && in->ok(); ++i) {
    const std::string_view name = in->Bytes();
    headers->emplace_back(name, in->Bytes());
  }
}

absl::Status Malformed(std::string_view what, std::string_view bytes) {
  const int version = bytes.empty() ? -1 : static_cast<uint8_t>(bytes[0]);
  return Corrupt(std::string(what) + " malformed: " + std::to_string(bytes.size()) +
                 " bytes, version " + std::to_string(version) +
                 ", expected a known version");
}

bool ValidState(JobState state) {
  return state >= JobState::kPending && state <= JobState::kDead;
}

std::string Joined(std::string_view rule, char between, std::string_view key) {
  std::string joined;
  joined.reserve(rule.size() + 1 + key.size());
  joined.append(rule).push_back(between);
  return joined.append(key);
}

}  // namespace

int Compare(const Position& a, const Position& b) {
  if (a.version && b.version && *a.version != *b.version)
    return *a.version < *b.version ? -1 : 1;
  const bool told = a.stream == b.stream && a.epoch != 0 && b.epoch != 0;
  if (told && a.epoch / kEra != b.epoch / kEra)
    return a.epoch / kEra < b.epoch / kEra ? -1 : 1;
  if (a.stream == b.stream && a.epoch == b.epoch)
    return a.seq == b.seq ? 0 : a.seq < b.seq ? -1 : 1;
  if (a.time_ns == b.time_ns) return 0;
  return a.time_ns < b.time_ns ? -1 : 1;
}

bool IsLive(JobState state) {
  return state == JobState::kPending || state == JobState::kRetrying;
}

bool IsClosed(JobState state) {
  return state == JobState::kFired || state == JobState::kCancelled ||
         state == JobState::kSkipped;
}

std::string_view Name(JobState state) {
  switch (state) {
    case JobState::kPending: return "pending";
    case JobState::kRetrying: return "retrying";
    case JobState::kFired: return "fired";
    case JobState::kCancelled: return "cancelled";
    case JobState::kSkipped: return "skipped";
    case JobState::kDead: return "dead";
  }
  return "invalid";
}

std::string MakeId(std::string_view rule, std::string_view key) {
  return Joined(rule, '\0', key);
}

std::string_view RuleOfName(std::string_view name_or_id) {
  return name_or_id.substr(0, name_or_id.find_first_of(std::string_view(".\0", 2)));
}

std::string JobName(std::string_view rule, std::string_view key) {
  return Joined(rule, '/', key);
}

std::string DeadRejectKey(std::string_view rule, const Position& position) {
  std::string key = MakeId(rule, "r");
  PutBig16(&key, position.stream);
  PutBig64(&key, position.epoch);
  PutBig64(&key, position.seq);
  return key;
}

std::string DeadJobKey(std::string_view rule, std::string_view job_key) {
  return MakeId(rule, "j").append(job_key);
}

std::optional<DeadName> SplitDeadKey(std::string_view key) {
  const size_t zero = key.find('\0');
  if (zero == key.npos || zero + 1 >= key.size()) return std::nullopt;
  const char kind = key[zero + 1];
  if (kind != 'r' && kind != 'j') return std::nullopt;
  return DeadName{key.substr(0, zero), kind == 'j', key.substr(zero + 2)};
}

void EncodeJobKey(const JobKey& key, char (&out)[kJobKeyBytes]) {
  out[0] = static_cast<char>(key.lane >> 8);
  out[1] = static_cast<char>(key.lane);
  const auto ms = static_cast<uint64_t>(key.key_ms);
  for (int i = 0; i < 8; ++i) {
    out[2 + i] = static_cast<char>(ms >> (56 - 8 * i));
    out[10 + i] = static_cast<char>(key.seq >> (56 - 8 * i));
  }
}

std::string EncodeJobKey(const JobKey& key) {
  char bytes[kJobKeyBytes];
  EncodeJobKey(key, bytes);
  return {bytes, kJobKeyBytes};
}

absl::StatusOr<JobKey> DecodeJobKey(std::string_view bytes) {
  if (bytes.size() != kJobKeyBytes || (bytes[2] & 0x80) != 0)
    return Corrupt("job key malformed: " + std::to_string(bytes.size()) +
                   " bytes, expected 18 with a time before year 292277025");
  return JobKey{Big16(bytes.data()), static_cast<int64_t>(Big64(bytes.data() + 2)),
                Big64(bytes.data() + 10)};
}

std::string EncodeJob(const Job& job) {
  std::string out;
  size_t size =
      80 + job.key.size() + job.target.size() + job.body.size() + job.last_error.size();
  for (const auto& [name, value] : job.headers) size += 8 + name.size() + value.size();
  out.reserve(size);
  const uint8_t version = job.id_form != IdForm::kPlain ? kSourceVersion
                          : job.last_error.empty()      ? kVersion
                                                        : kErrorVersion;
  const bool given = job.id_form == IdForm::kGiven;
  out.push_back(static_cast<char>(version));
  out.push_back(static_cast<char>((job.late_judged ? kLateJudged : 0) |
                                  (job.unanswered ? kUnanswered : 0) |
                                  (given ? kIdGiven : 0)));
  PutVarints(&out, job.due_ms, job.sends, job.counted_attempts);
  PutPosition(&out, job.source);
  PutVarints(&out, job.received_ms, job.stored_ms);
  PutBytes(&out, job.key);
  PutBytes(&out, job.target);
  PutHeaders(&out, job.headers);
  PutBytes(&out, job.body);
  if (version >= kErrorVersion) PutBytes(&out, job.last_error);
  if (given) PutBig64(&out, job.id_source);
  return out;
}

void MarkUnanswered(std::string* job_row) {
  if (job_row->size() > 1) (*job_row)[1] = static_cast<char>((*job_row)[1] | kUnanswered);
}

namespace {

template <typename Text>
absl::Status ReadJob(std::string_view bytes, JobOf<Text>* job) {
  Reader in(bytes);
  const uint8_t version = in.Byte();
  const uint8_t flags = in.Byte();
  job->late_judged = (flags & kLateJudged) != 0;
  job->unanswered = (flags & kUnanswered) != 0;
  in.Varints(&job->due_ms, &job->sends, &job->counted_attempts);
  job->source = ReadPosition(&in);
  in.Varints(&job->received_ms, &job->stored_ms);
  job->key = in.Bytes();
  job->target = in.Bytes();
  ReadHeaders(&in, &job->headers);
  job->body = in.Bytes();
  job->last_error = version >= kErrorVersion ? in.Bytes() : std::string_view();
  const bool given = version >= kSourceVersion && (flags & kIdGiven) != 0;
  job->id_form = version < kSourceVersion ? IdForm::kPlain
                 : given                  ? IdForm::kGiven
                                          : IdForm::kSource;
  job->id_source = given ? in.ReadBig64() : 0;
  if (version < kVersion || version > kSourceVersion || !in.AtEnd())
    return Malformed("job", bytes);
  return absl::OkStatus();
}

}  // namespace

absl::Status DecodeJob(std::string_view bytes, JobView* view) {
  return ReadJob(bytes, view);
}

absl::StatusOr<Job> DecodeJob(std::string_view bytes) {
  Job job;
  RETURN_IF_ERROR(ReadJob(bytes, &job));
  return job;
}

bool SameContent(const JobView& a, const Job& b) {
  return a.target == b.target && a.body == b.body &&
         std::equal(a.headers.begin(), a.headers.end(), b.headers.begin(),
                    b.headers.end(), [](const auto& one, const auto& other) {
                      return one.first == other.first && one.second == other.second;
                    });
}

JobBrief BriefOf(const Job& job) { return {job.target, job.sends, job.last_error}; }

std::string EncodeRegister(const Register& reg) {
  const bool brief = reg.brief && IsLive(reg.state);
  std::string out;
  out.reserve(128);
  out.push_back(static_cast<char>(brief ? kBriefVersion : kVersion));
  out.push_back(static_cast<char>(reg.state));
  PutVarints(&out, reg.expires_ms);
  out.push_back(static_cast<char>((reg.schedule ? kHasSchedule : 0) |
                                  (reg.cancel ? kHasCancel : 0) |
                                  (reg.job ? kHasJob : 0) | (reg.times ? kHasTimes : 0) |
                                  (reg.collision ? kCollision : 0)));
  if (reg.schedule) {
    PutPosition(&out, reg.schedule->position);
    PutVarints(&out, reg.schedule->due_ms);
  }
  if (reg.cancel) PutPosition(&out, *reg.cancel);
  if (reg.job) PutVarints(&out, reg.job->lane, reg.job->key_ms, reg.job->seq);
  if (const auto& times = reg.times)
    PutVarints(&out, times->received_ms, times->stored_ms, times->published_ms,
               times->acked_ms);
  if (brief) {
    PutBytes(&out, reg.brief->target);
    PutVarint(&out, reg.brief->sends);
    PutBytes(&out, reg.brief->last_error);
  }
  return out;
}

absl::StatusOr<Register> DecodeRegister(std::string_view bytes) {
  Reader in(bytes);
  Register reg;
  const uint8_t version = in.Byte();
  reg.state = static_cast<JobState>(in.Byte());
  in.Varints(&reg.expires_ms);
  const uint8_t has = in.Byte();
  reg.collision = (has & kCollision) != 0;
  if (has & kHasSchedule) {
    auto& schedule = reg.schedule.emplace();
    schedule.position = ReadPosition(&in);
    in.Varints(&schedule.due_ms);
  }
  if (has & kHasCancel) reg.cancel = ReadPosition(&in);
  if (has & kHasJob) {
    JobKey& row = reg.job.emplace();
    in.Varints(&row.lane, &row.key_ms, &row.seq);
  }
  if (has & kHasTimes) {
    Times& times = reg.times.emplace();
    in.Varints(&times.received_ms, &times.stored_ms, &times.published_ms,
               &times.acked_ms);
  }
  if (version == kBriefVersion) {
    reg.brief.emplace();
    reg.brief->target = in.Bytes();
    reg.brief->sends = in.Varint();
    reg.brief->last_error = in.Bytes();
  }
  if ((version != kVersion && version != kBriefVersion) || !ValidState(reg.state) ||
      !in.AtEnd())
    return Malformed("register", bytes);
  if (IsLive(reg.state) && (!reg.job || !reg.schedule))
    return Corrupt("register of a live job names no row");
  // Readers of registers rely on these (sched/registers.cc).
  if (reg.state == JobState::kCancelled ? !reg.cancel : !reg.schedule)
    return Corrupt("register of a key that is " + std::string(Name(reg.state)) +
                   " does not say by which event");
  return reg;
}

bool IsStale(const Dead& dead) { return dead.reason.starts_with(kStaleReason); }

std::string EncodeDead(const Dead& dead) {
  std::string out;
  out.reserve(64 + dead.reason.size() + dead.subject.size() + dead.payload.size() +
              dead.job_row.size());
  out.push_back(static_cast<char>(kVersion));
  out.push_back(dead.reference_only ? 1 : 0);
  PutBytes(&out, dead.reason);
  PutVarints(&out, dead.at_ms);
  PutPosition(&out, dead.source);
  PutBytes(&out, dead.subject);
  PutHeaders(&out, dead.headers);
  PutBytes(&out, dead.payload);
  PutBytes(&out, dead.job_row);
  return out;
}

absl::StatusOr<Dead> DecodeDead(std::string_view bytes) {
  Reader in(bytes);
  Dead dead;
  const uint8_t version = in.Byte();
  dead.reference_only = (in.Byte() & 1) != 0;
  dead.reason = in.Bytes();
  in.Varints(&dead.at_ms);
  dead.source = ReadPosition(&in);
  dead.subject = in.Bytes();
  ReadHeaders(&in, &dead.headers);
  dead.payload = in.Bytes();
  dead.job_row = in.Bytes();
  if (version != kVersion || !in.AtEnd()) return Malformed("dead entry", bytes);
  return dead;
}

int64_t ExpiresMs(std::string_view register_bytes) {
  Reader in(register_bytes);
  if (in.Byte() != kVersion) return 0;
  if (!IsClosed(static_cast<JobState>(in.Byte()))) return 0;
  const auto expires_ms = static_cast<int64_t>(in.Varint());
  return in.ok() && expires_ms > 0 ? expires_ms : 0;
}

}  // namespace expirer
