#include "api/request.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/rfc3339.h"
#include "json/view.h"
#include "json/writer.h"
#include "sched/streams.h"

namespace expirer {
namespace {

std::optional<std::string> Time(std::optional<int64_t> ms) {
  if (!ms) return std::nullopt;
  return FormatRfc3339Ms(*ms);
}

absl::Status ReadMember(std::string_view name, const JsonValue& value, Query* query) {
  const auto wrong = [name](std::string_view expected) {
    return Invalid(fmt::format("{}: expected {}", name, expected));
  };
  const auto whole = [&](uint64_t min, uint64_t max, uint64_t* out) {
    const std::optional<uint64_t> number = JsonInteger<uint64_t>(value);
    if (!number || *number < min || *number > max)
      return wrong(fmt::format("a whole number from {} to {}", min, max));
    *out = *number;
    return absl::OkStatus();
  };
  if (name == "limit") return whole(1, kPageMax, &query->limit);
  if (name == "in_ms") return whole(0, kRoundTripMaxMs, &query->in_ms);
  if (name == "dry_run" || name == "stale") {
    if (value.kind != JsonValue::Kind::kBool) return wrong("true or false");
    (name == "stale" ? query->stale : query->dry_run) = value.raw == "true";
    return absl::OkStatus();
  }
  if (value.kind != JsonValue::Kind::kString) return wrong("a text");
  std::string scratch;
  const auto text = JsonText(value, &scratch);
  if (!text.ok() || text->find('\0') != text->npos) return wrong("plain text");
  if (name == "job") {
    ASSIGN_OR_RETURN(query->job, ParseJobName(*text));
  } else if (name == "due_before") {
    const auto ms = ParseRfc3339(*text);
    if (!ms.ok()) return wrong("a time such as 2027-01-15T08:00:00Z");
    query->due_before_ms = *ms;
  } else if (name == "id") {
    query->id = *text;
  } else if (name == "cursor") {
    query->cursor = *text;
  } else {
    (name == "rule"     ? query->rule
     : name == "prefix" ? query->prefix
                        : query->state) = *text;
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<std::string> Words(std::string_view text) {
  return absl::StrSplit(absl::string_view(text.data(), text.size()), ' ',
                        absl::SkipEmpty());
}

absl::StatusOr<Query> ParseQuery(std::string_view text, std::string_view members) {
  if (text.size() > kRequestBytesMax)
    return Invalid(fmt::format("the request is longer than {} bytes", kRequestBytesMax));
  Query query;
  if (text.empty()) return query;
  const auto read = JsonMembers(text);
  if (!read.ok())
    return Invalid("the request is no JSON object: " + Message(read.status()));
  const std::vector<std::string> names = Words(members);
  for (auto member = read->begin(); member != read->end(); ++member) {
    const std::string& name = member->first;
    if (std::find(names.begin(), names.end(), name) == names.end())
      return Invalid(fmt::format("{} is no member of this request: it takes {}",
                                 JsonQuoted(name),
                                 names.empty() ? "none" : absl::StrJoin(names, ", ")));
    if (std::any_of(read->begin(), member,
                    [&name](const JsonMember& one) { return one.first == name; }))
      return Invalid(JsonQuoted(name) + " stands twice in the request");
  }
  for (const std::string& name : names)  // the first that is wrong is told
    for (const auto& [said, value] : *read)
      if (said == name && value.kind != JsonValue::Kind::kNull)
        RETURN_IF_ERROR(ReadMember(name, value, &query));
  return query;
}

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

std::string ToHex(std::string_view bytes) {
  return absl::BytesToHexString({bytes.data(), bytes.size()});
}

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

absl::StatusOr<StreamNames> NamesOfStreams(const Store& store) {
  ASSIGN_OR_RETURN(auto names, Streams::Names(store));
  return [names = std::move(names)](uint16_t number) {
    for (const auto& [known, name] : names)
      if (known == number) return name;
    return std::string();
  };
}

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
