#include "job/request.h"

#include <algorithm>
#include <cctype>
#include <initializer_list>
#include <vector>

#include <fmt/format.h>

#include "absl/strings/escaping.h"
#include "base/coding.h"
#include "base/rfc3339.h"
#include "json/view.h"
#include "json/writer.h"

namespace expirer {
namespace {

std::string ToHex(std::string_view bytes) {
  return absl::BytesToHexString({bytes.data(), bytes.size()});
}

// Nullopt for what ToHex does not write.
std::optional<std::string> FromHex(std::string_view text) {
  if (text.empty() || text.size() % 2 != 0) return std::nullopt;
  std::string out;
  out.reserve(text.size() / 2);
  for (size_t i = 0; i < text.size(); i += 2) {
    constexpr std::string_view digits = "0123456789abcdef";
    const size_t high = digits.find(text[i]);
    const size_t low = digits.find(text[i + 1]);
    if (high == digits.npos || low == digits.npos) return std::nullopt;
    out.push_back(static_cast<char>(high << 4 | low));
  }
  return out;
}

// One request's members, taken by name.
class Members {
 public:
  [[nodiscard]] static absl::StatusOr<Members> Read(
      std::string_view text, std::initializer_list<std::string_view> names) {
    if (text.size() > kRequestBytesMax)
      return Invalid(
          fmt::format("the request is longer than {} bytes", kRequestBytesMax));
    Members members;
    if (text.empty()) return members;
    auto read = JsonMembers(text);
    if (!read.ok())
      return Invalid("the request is no JSON object: " + Message(read.status()));
    members.members_ = *std::move(read);
    for (size_t i = 0; i < members.members_.size(); ++i) {
      const std::string& name = members.members_[i].first;
      if (std::find(names.begin(), names.end(), name) == names.end())
        return Invalid(JsonQuoted(name) + " is no member of this request" + Known(names));
      for (size_t j = 0; j < i; ++j)
        if (members.members_[j].first == name)
          return Invalid(JsonQuoted(name) + " stands twice in the request");
    }
    return members;
  }

  // Null is the same as absent.
  [[nodiscard]] const JsonValue* Find(std::string_view name) const {
    for (const auto& [known, value] : members_)
      if (known == name && value.kind != JsonValue::Kind::kNull) return &value;
    return nullptr;
  }
  // `out` keeps its value when the member is absent.
  [[nodiscard]] absl::Status Text(std::string_view name, std::string* out) const {
    const JsonValue* value = Find(name);
    if (value == nullptr) return absl::OkStatus();
    if (value->kind != JsonValue::Kind::kString) return Wrong(name, "a text");
    std::string scratch;
    const auto text = JsonText(*value, &scratch);
    if (!text.ok() || text->find('\0') != text->npos) return Wrong(name, "plain text");
    *out = *text;
    return absl::OkStatus();
  }
  [[nodiscard]] absl::Status Bool(std::string_view name, bool* out) const {
    const JsonValue* value = Find(name);
    if (value == nullptr) return absl::OkStatus();
    if (value->kind != JsonValue::Kind::kBool) return Wrong(name, "true or false");
    *out = value->raw == "true";
    return absl::OkStatus();
  }
  [[nodiscard]] absl::Status Limit(uint64_t* out) const {
    return Whole("limit", 1, kPageMax, out);
  }
  [[nodiscard]] absl::Status Whole(std::string_view name, uint64_t min, uint64_t max,
                                   uint64_t* out) const {
    const JsonValue* value = Find(name);
    if (value == nullptr) return absl::OkStatus();
    const std::optional<uint64_t> number = JsonInteger<uint64_t>(*value);
    if (!number || *number < min || *number > max)
      return Wrong(name, fmt::format("a whole number from {} to {}", min, max));
    *out = *number;
    return absl::OkStatus();
  }
  // RFC 3339 text.
  [[nodiscard]] absl::Status Time(std::string_view name, int64_t* out) const {
    std::string text;
    RETURN_IF_ERROR(Text(name, &text));
    if (text.empty() && Find(name) == nullptr) return absl::OkStatus();
    const auto ms = ParseRfc3339(text);
    if (!ms.ok()) return Wrong(name, "a time such as 2027-01-15T08:00:00Z");
    *out = *ms;
    return absl::OkStatus();
  }
  [[nodiscard]] absl::StatusOr<std::optional<JobRef>> Job() const {
    if (Find("job") == nullptr) return std::optional<JobRef>();
    std::string name;
    RETURN_IF_ERROR(Text("job", &name));
    ASSIGN_OR_RETURN(JobRef ref, ParseJobName(name));
    return std::optional<JobRef>(std::move(ref));
  }

 private:
  static absl::Status Wrong(std::string_view name, std::string_view expected) {
    return Invalid(fmt::format("{}: expected {}", name, expected));
  }
  static std::string Known(std::initializer_list<std::string_view> names) {
    return names.size() == 0 ? ": it takes none"
                             : fmt::format(": it takes {}", fmt::join(names, ", "));
  }
  std::vector<JsonMember> members_;
};

std::optional<std::string> Time(std::optional<int64_t> ms) {
  if (!ms) return std::nullopt;
  return FormatRfc3339Ms(*ms);
}

}  // namespace

absl::StatusOr<JobRef> ParseJobName(std::string_view name) {
  const size_t slash = name.find('/');
  if (slash == name.npos || slash == 0 || slash + 1 == name.size())
    return Invalid("job: expected <rule>/<key>");
  JobRef ref{std::string(name.substr(0, slash)), std::string(name.substr(slash + 1))};
  if (ref.key.size() > kKeyBytesMax)
    return Invalid(fmt::format("job: a key has at most {} bytes", kKeyBytesMax));
  if (name.find('\0') != name.npos) return Invalid("job: expected <rule>/<key>");
  return ref;
}

absl::StatusOr<JobRef> ParseJobRequest(std::string_view text) {
  ASSIGN_OR_RETURN(const Members members, Members::Read(text, {"job"}));
  ASSIGN_OR_RETURN(std::optional<JobRef> job, members.Job());
  if (!job) return Invalid("job: expected <rule>/<key>");
  return *std::move(job);
}

absl::StatusOr<ListQuery> ParseListQuery(std::string_view text) {
  ASSIGN_OR_RETURN(
      const Members members,
      Members::Read(text, {"rule", "prefix", "state", "due_before", "limit", "cursor"}));
  ListQuery query;
  RETURN_IF_ERROR(members.Text("rule", &query.rule));
  RETURN_IF_ERROR(members.Text("prefix", &query.prefix));
  RETURN_IF_ERROR(members.Text("state", &query.state));
  RETURN_IF_ERROR(members.Time("due_before", &query.due_before_ms));
  RETURN_IF_ERROR(members.Limit(&query.limit));
  constexpr std::string_view kStates[] = {"", "pending", "in_flight", "retrying", "held"};
  if (std::find(std::begin(kStates), std::end(kStates), query.state) == std::end(kStates))
    return Invalid(
        "state: expected pending, in_flight, retrying or held; dead.list lists the dead, "
        "and what is closed is told by get");
  std::string cursor;
  RETURN_IF_ERROR(members.Text("cursor", &cursor));
  if (cursor.empty()) return query;
  const std::optional<std::string> bytes = FromHex(cursor);
  if (!bytes || bytes->size() != 16 || ((*bytes)[0] & 0x80) != 0)
    return Invalid("cursor: expected one that list gave");
  query.after =
      ListPlace{static_cast<int64_t>(Big64(bytes->data())), Big64(bytes->data() + 8)};
  return query;
}

absl::StatusOr<DeadQuery> ParseDeadQuery(std::string_view text, DeadVerb verb) {
  const auto read = [&] {
    switch (verb) {
      case DeadVerb::kList:
        return Members::Read(text, {"rule", "prefix", "limit", "cursor"});
      case DeadVerb::kRequeue:
        return Members::Read(text,
                             {"rule", "prefix", "job", "id", "stale", "limit", "cursor"});
      case DeadVerb::kPurge: break;
    }
    return Members::Read(text,
                         {"rule", "prefix", "job", "id", "dry_run", "limit", "cursor"});
  };
  ASSIGN_OR_RETURN(const Members members, read());
  DeadQuery query;
  RETURN_IF_ERROR(members.Text("rule", &query.rule));
  RETURN_IF_ERROR(members.Text("prefix", &query.prefix));
  RETURN_IF_ERROR(members.Limit(&query.limit));
  RETURN_IF_ERROR(members.Bool("dry_run", &query.dry_run));
  RETURN_IF_ERROR(members.Bool("stale", &query.stale));
  ASSIGN_OR_RETURN(query.job, members.Job());
  for (const std::string_view name : {"id", "cursor"}) {
    if (members.Find(name) == nullptr) continue;
    std::string hex;
    RETURN_IF_ERROR(members.Text(name, &hex));
    std::optional<std::string> key = FromHex(hex);
    if (!key) return Invalid(fmt::format("{}: expected one that dead.list gave", name));
    if (name == "id")
      query.id = *std::move(key);
    else
      query.after = *std::move(key);
  }
  const bool one = query.job || query.id;
  if (one && (!query.rule.empty() || !query.prefix.empty() || !query.after.empty() ||
              (query.job && query.id)))
    return Invalid("job and id name one entry: no filter goes with them");
  return query;
}

absl::StatusOr<std::string> ParseStatsRequest(std::string_view text) {
  ASSIGN_OR_RETURN(const Members members, Members::Read(text, {"cursor"}));
  std::string after;
  RETURN_IF_ERROR(members.Text("cursor", &after));
  return after;
}

absl::StatusOr<RoundTrip> ParseRoundTrip(std::string_view text) {
  constexpr size_t kIdMax = 40;
  ASSIGN_OR_RETURN(const Members members, Members::Read(text, {"id", "in_ms"}));
  RoundTrip trip;
  RETURN_IF_ERROR(members.Text("id", &trip.id));
  RETURN_IF_ERROR(members.Whole("in_ms", 0, kRoundTripMaxMs, &trip.in_ms));
  const bool plain = std::all_of(trip.id.begin(), trip.id.end(), [](unsigned char c) {
    return c < 0x80 && std::isalnum(c) != 0;
  });
  if (trip.id.empty() || trip.id.size() > kIdMax || !plain)
    return Invalid(fmt::format("id: expected 1 to {} letters and digits", kIdMax));
  return trip;
}

std::string FormatListPlace(const ListPlace& place) {
  std::string bytes;
  PutBig64(&bytes, static_cast<uint64_t>(place.key_ms));
  PutBig64(&bytes, place.seq);
  return ToHex(bytes);
}

std::string FormatDeadId(std::string_view key) { return ToHex(key); }

namespace {

std::string JobInfoJson(const JobInfo& info, bool shortened) {
  std::optional<Json> source;
  if (info.source && !info.stream.empty())
    source = JsonObject("stream", info.stream, "seq", info.source->seq, "time",
                        FormatRfc3339Ms(info.source->time_ns / 1'000'000));
  std::optional<int64_t> lateness_ms;
  if (info.times && info.due_ms) lateness_ms = info.times->published_ms - *info.due_ms;
  const Times times = info.times.value_or(Times());
  return JsonObject("job", JobName(info.rule, info.key), "state", info.state, "due",
                    Time(info.due_ms), "next", Time(info.next_ms), "target", info.target,
                    "attempts", info.attempts, "last_error", IfAny(info.last_error),
                    "warning", IfAny(info.warning), "source", source, "lateness_ms",
                    lateness_ms, "received", Time(IfAny(times.received_ms)), "stored",
                    Time(IfAny(times.stored_ms)), "published",
                    Time(IfAny(times.published_ms)), "acked", Time(IfAny(times.acked_ms)),
                    "collision", IfAny(info.collision), "shortened", IfAny(shortened));
}

}  // namespace

std::string FormatJobInfo(const JobInfo& info, size_t bytes_max) {
  // A byte of a name may take six in JSON; the other members take up to 400.
  constexpr size_t kNameShort = 100;
  std::string out = JobInfoJson(info, false);
  JobInfo less = info;
  for (int cut = 0; out.size() > bytes_max && cut < 3; ++cut) {
    less.last_error = {};
    if (cut > 0) {
      less.target.reset();
      less.stream = {};
    }
    if (cut > 1) less.key = less.key.substr(0, kNameShort);
    out = JobInfoJson(less, true);
  }
  return out;
}

}  // namespace expirer
