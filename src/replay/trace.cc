#include "replay/trace.h"

#include <sys/stat.h>

#include <bitset>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "base/rfc3339.h"
#include "job/header_block.h"
#include "job/rules.h"
#include "json/view.h"

namespace expirer {
namespace {

template <typename Value>
absl::Status Move(absl::StatusOr<Value> from, Value* to) {
  if (!from.ok()) return from.status();
  *to = *std::move(from);
  return absl::OkStatus();
}

absl::StatusOr<std::string> Unbase64(const JsonValue& value) {
  ASSIGN_OR_RETURN(const std::string text, JsonString(value));
  std::string bytes;
  if (!absl::Base64Unescape(text, &bytes)) return Invalid("it is not base64");
  return bytes;
}

absl::Status ReadDo(const std::string& text, TraceLine::What* to) {
  using What = TraceLine::What;
  static constexpr std::pair<std::string_view, What> kNames[] = {
      {"crash", What::kCrash},
      {"redeliver", What::kRedeliver},
      {"nats-down", What::kNatsDown},
      {"nats-up", What::kNatsUp}};
  for (const auto& [name, what] : kNames) {
    if (text != name) continue;
    *to = what;
    return absl::OkStatus();
  }
  return Invalid("expected crash, redeliver, nats-down or nats-up");
}

absl::StatusOr<std::string> HeaderValue(const JsonValue& value) {
  if (value.kind != JsonValue::Kind::kObject) return JsonString(value);
  ASSIGN_OR_RETURN(const std::vector<JsonMember> members, JsonMembers(value.raw));
  if (members.size() != 1 || members.front().first != "base64")
    return Invalid("expected only `base64` in the object of a value");
  return Unbase64(members.front().second);
}

// `value` is one value or a list of them.
absl::Status ReadHeader(const std::string& name, const JsonValue& value,
                        Headers* headers) {
  if (name.empty()) return Invalid("a name is empty");
  const bool list = value.kind == JsonValue::Kind::kArray;
  const auto values = list ? JsonItems(value.raw) : std::vector<JsonValue>{value};
  RETURN_IF_ERROR(values.status());
  for (const JsonValue& one : *values)
    RETURN_IF_ERROR(Move(HeaderValue(one), &headers->emplace_back(name, "").second));
  return absl::OkStatus();
}

// `[["a","1"],["b","2"],["a","3"]]`
absl::Status ReadHeaderPairs(const JsonValue& value, Headers* headers) {
  ASSIGN_OR_RETURN(const std::vector<JsonValue> items, JsonItems(value.raw));
  for (const JsonValue& item : items) {
    const bool array = item.kind == JsonValue::Kind::kArray;
    ASSIGN_OR_RETURN(const std::vector<JsonValue> pair,
                     JsonItems(array ? item.raw : "[]"));
    if (pair.size() != 2) return Invalid("expected arrays of a name and a value");
    auto& [name, text] = headers->emplace_back();
    RETURN_IF_ERROR(Move(JsonString(pair[0]), &name));
    if (name.empty()) return Invalid("a name is empty");
    RETURN_IF_ERROR(Move(HeaderValue(pair[1]), &text));
  }
  return absl::OkStatus();
}

absl::Status ReadHeaders(const JsonValue& value, Headers* headers) {
  if (value.kind == JsonValue::Kind::kArray) return ReadHeaderPairs(value, headers);
  if (value.kind != JsonValue::Kind::kObject)
    return Invalid("expected an object, or an array of names and values");
  ASSIGN_OR_RETURN(const std::vector<JsonMember> members, JsonMembers(value.raw));
  if (members.size() == 1 && members[0].first.empty()) {
    ASSIGN_OR_RETURN(const std::string block, HeaderValue(members[0].second));
    (void)ReadHeaderBlock(block, headers);  // the rules say what is wrong
    return absl::OkStatus();
  }
  for (const auto& [name, one] : members) RETURN_IF_ERROR(ReadHeader(name, one, headers));
  return absl::OkStatus();
}

enum : size_t { kAt, kDo, kSubject, kHeaders, kJson, kPayload, kBase64, kStream, kSeq };
constexpr std::string_view kNames[] = {"at",   "do",      "subject",        "headers",
                                       "json", "payload", "payload_base64", "stream",
                                       "seq"};

absl::Status ReadMember(size_t member, const JsonValue& value, TraceLine* line) {
  switch (member) {
    case kHeaders: return ReadHeaders(value, &line->headers);
    case kJson: line->payload = value.raw; return absl::OkStatus();
    case kBase64: return Move(Unbase64(value), &line->payload);
    case kSeq:
      line->seq = JsonInteger<uint64_t>(value).value_or(0);
      if (line->seq > 0) return absl::OkStatus();
      return Invalid("expected an integer from 1 on");
    default: break;
  }
  ASSIGN_OR_RETURN(std::string text, JsonString(value));
  switch (member) {
    case kAt: return Move(ParseRfc3339Ns(text), &line->at_ns);
    case kDo: return ReadDo(text, &line->what);
    case kSubject:
      line->subject = std::move(text);
      return CheckMessageSubject(line->subject);
    case kPayload: line->payload = std::move(text); return absl::OkStatus();
    default: break;
  }
  line->stream = std::move(text);
  const bool named = !line->stream.empty() && line->stream != kFileStream;
  return named ? absl::OkStatus() : Invalid("expected the name of a stream");
}

using Seen = std::bitset<std::size(kNames)>;  // the members that a line has

absl::Status CheckTogether(const Seen& seen) {
  if (!seen[kAt]) return Invalid("it has no `at`");
  if (seen[kDo]) {
    if (seen.count() == 2) return absl::OkStatus();
    return Invalid("beside `do` there is only `at`");
  }
  if (!seen[kSubject]) return Invalid("it has neither `subject` nor `do`");
  const int payloads = seen[kJson] + seen[kPayload] + seen[kBase64];
  if (payloads != 1)
    return Invalid("expected one of `json`, `payload` and `payload_base64`");
  if (seen[kStream] != seen[kSeq]) return Invalid("`stream` and `seq` go together");
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckMessageSubject(std::string_view subject) {
  for (size_t begin = 0; begin <= subject.size();) {
    const size_t end = std::min(subject.find('.', begin), subject.size());
    const std::string_view token = subject.substr(begin, end - begin);
    if (token.empty()) return Invalid("expected tokens between dots that are not empty");
    if (token == "*" || token == ">")
      return Invalid("expected no * or > in the subject of a message");
    if (token.find_first_of(" \t\r\n") != token.npos)
      return Invalid("expected no white space in a subject");
    begin = end + 1;
  }
  return absl::OkStatus();
}

absl::Status ParseTraceLine(std::string_view text, TraceLine* line) {
  line->what = TraceLine::What::kEvent;
  line->subject.clear();
  line->headers.clear();
  line->payload.clear();
  line->stream = kFileStream;
  line->seq = 0;
  ASSIGN_OR_RETURN(const std::vector<JsonMember> members, JsonMembers(text));
  Seen seen;
  for (const auto& [name, value] : members) {
    size_t member = 0;
    while (member < std::size(kNames) && kNames[member] != name) ++member;
    if (member == std::size(kNames)) return Invalid("`" + name + "` is not known");
    if (seen[member]) return Invalid("`" + name + "` is there twice");
    seen.set(member);
    const absl::Status read = ReadMember(member, value, line);
    if (!read.ok()) return Annotate(read, "`" + name + "`");
  }
  return CheckTogether(seen);
}

absl::StatusOr<std::unique_ptr<TraceReader>> TraceReader::Open(const std::string& path) {
  std::FILE* const file = std::fopen(path.c_str(), "rbe");
  struct stat about = {};
  const bool readable =
      file != nullptr && fstat(fileno(file), &about) == 0 && !S_ISDIR(about.st_mode);
  if (!readable) {
    const std::string why = file == nullptr ? std::strerror(errno) : "it is no file";
    if (file != nullptr) std::fclose(file);
    return NotFound(path + ": cannot be read: " + why);
  }
  return std::unique_ptr<TraceReader>(
      new TraceReader(path, file, static_cast<uint64_t>(about.st_size)));
}

TraceReader::~TraceReader() {
  std::fclose(file_);
  std::free(buffer_);
}

absl::Status TraceReader::Wrong(const std::string& what) const {
  return Invalid(path_ + ":" + std::to_string(number_) + ": " + what);
}

absl::StatusOr<bool> TraceReader::Next(TraceLine* line) {
  ++number_;
  const ssize_t count = getline(&buffer_, &buffer_bytes_, file_);
  if (count < 0) {
    if (std::ferror(file_) != 0) return Wrong("reading failed");
    return false;
  }
  bytes_read_ += static_cast<uint64_t>(count);
  const std::string_view text(buffer_, static_cast<size_t>(count));
  const absl::Status parsed = ParseTraceLine(text, line);
  if (!parsed.ok()) return Wrong(Message(parsed));
  line->number = number_;
  if (line->what == TraceLine::What::kEvent && line->seq == 0) line->seq = ++seq_;
  if (line->at_ns < last_ns_)
    return Wrong("it is before the line above: " + FormatRfc3339Ns(line->at_ns) +
                 " after " + FormatRfc3339Ns(last_ns_));
  last_ns_ = line->at_ns;
  return true;
}

}  // namespace expirer
