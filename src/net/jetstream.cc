#include "net/jetstream.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <utility>

#include <fmt/format.h>

#include "absl/strings/cord.h"
#include "base/log.h"
#include "base/rfc3339.h"
#include "job/json_view.h"

namespace expirer {
namespace {

constexpr char kCodePayload[] = "expirer/jetstream-err-code";

// One pass over a reply for the values this file asks for, by pointer.
class Reply {
 public:
  // Adds nothing after Read.
  size_t Want(std::string_view pointer) { return pointers_.Add(pointer); }
  // Fails for what is not JSON and for an `error` in the reply.
  absl::Status Read(std::string_view text) {
    const size_t error = Want("/error");
    const size_t code = Want("/error/code");
    const size_t err_code = Want("/error/err_code");
    const size_t description = Want("/error/description");
    if (const absl::Status read = reader_.Read(text, pointers_); !read.ok()) {
      return Internal("JetStream's reply is no JSON: " + Message(read));
    }
    if (reader_.value(error).kind == JsonValue::Kind::kMissing) return absl::OkStatus();
    const int64_t http = Integer(code);
    const int64_t number = Integer(err_code);
    absl::Status status = MakeStatus(
        http == 404   ? absl::StatusCode::kNotFound
        : http == 503 ? absl::StatusCode::kUnavailable
                      : absl::StatusCode::kFailedPrecondition,
        fmt::format("{} ({})", Text(description), number != 0 ? number : http));
    status.SetPayload(kCodePayload, absl::Cord(std::to_string(number)));
    return status;
  }
  std::string Text(size_t slot) {
    std::string scratch;
    const auto text = JsonText(reader_.value(slot), &scratch);
    return text.ok() ? std::string(*text) : "";
  }
  template <typename T = int64_t>
  T Integer(size_t slot, T otherwise = 0) {
    const JsonValue& value = reader_.value(slot);
    if (value.kind != JsonValue::Kind::kNumber) return otherwise;
    T number = otherwise;
    (void)std::from_chars(value.raw.data(), value.raw.data() + value.raw.size(), number);
    return number;
  }
  std::string Raw(size_t slot) { return std::string(reader_.value(slot).raw); }
  // The strings of an array; other elements are skipped.
  std::vector<std::string> Texts(size_t slot) {
    std::vector<std::string> texts;
    if (reader_.value(slot).kind != JsonValue::Kind::kArray) return texts;
    // Well-formed JSON: a quote begins a string unless inside one.
    const std::string_view raw = reader_.value(slot).raw;
    for (size_t i = 0; i < raw.size(); ++i) {
      if (raw[i] != '"') continue;
      const size_t first = ++i;
      while (raw[i] != '"') i += raw[i] == '\\' ? 2 : 1;
      std::string text;
      if (DecodeJsonString(raw.substr(first, i - first), &text)) {
        texts.push_back(std::move(text));
      }
    }
    return texts;
  }

 private:
  JsonPointers pointers_;
  JsonReader reader_;
};

absl::Status ReadError(const absl::StatusOr<std::string>& reply) {
  if (!reply.ok()) return reply.status();
  return Reply().Read(*reply);
}

// What a stream's config says at `pointer`; nothing where nothing stands there.
absl::StatusOr<std::optional<SubjectTransform>> ReadTransform(
    std::string_view text, const std::string& pointer) {
  Reply reply;
  const size_t all = reply.Want(pointer);
  const size_t from = reply.Want(pointer + "/src");
  const size_t to = reply.Want(pointer + "/dest");
  RETURN_IF_ERROR(reply.Read(text));
  if (reply.Raw(all).empty() || reply.Raw(all) == "null") return std::nullopt;
  SubjectTransform transform{reply.Text(from), reply.Text(to)};
  if (transform.from.empty()) transform.from = ">";
  return transform;
}

absl::StatusOr<std::optional<StreamOrigin>> ReadOrigin(std::string_view text,
                                                       const std::string& pointer) {
  Reply reply;
  const size_t name = reply.Want(pointer + "/name");
  const size_t filter = reply.Want(pointer + "/filter_subject");
  const size_t external = reply.Want(pointer + "/external/api");
  RETURN_IF_ERROR(reply.Read(text));
  if (reply.Text(name).empty()) return std::nullopt;
  StreamOrigin origin{
      reply.Text(name), reply.Text(filter), {}, !reply.Text(external).empty()};
  for (int i = 0;; ++i) {
    ASSIGN_OR_RETURN(
        auto transform,
        ReadTransform(text, fmt::format("{}/subject_transforms/{}", pointer, i)));
    if (!transform) return origin;
    origin.transforms.push_back(*std::move(transform));
  }
}

absl::Status ReadOrigins(std::string_view text, StreamInfo* info) {
  ASSIGN_OR_RETURN(auto mirror, ReadOrigin(text, "/config/mirror"));
  if (mirror) info->origins.push_back(*std::move(mirror));
  for (int i = 0;; ++i) {
    ASSIGN_OR_RETURN(auto origin, ReadOrigin(text, fmt::format("/config/sources/{}", i)));
    if (!origin) return absl::OkStatus();
    info->origins.push_back(*std::move(origin));
  }
}

std::string ConsumerBody(const std::string& stream, const std::string& config) {
  return "{\"stream_name\":" + JsonQuoted(stream) + ",\"config\":" + config + "}";
}

// The index just past the JSON value at `at`.
size_t SkipValue(std::string_view json, size_t at) {
  int depth = 0;
  for (; at < json.size(); ++at) {
    const char c = json[at];
    if (c == '"') {
      for (++at; json[at] != '"'; ++at) at += json[at] == '\\' ? 1 : 0;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if (c == '}' || c == ']') {
      if (depth == 0) return at;
      if (--depth == 0) return at + 1;
    } else if (c == ',' && depth == 0) {
      return at;
    }
  }
  return at;
}

}  // namespace

std::string JsonList(const std::vector<std::string>& texts) {
  std::string out = "[";
  for (const std::string& text : texts) {
    if (out.size() > 1) out += ',';
    out += JsonQuoted(text);
  }
  return out + "]";
}

std::string WithMember(std::string_view object, std::string_view name,
                       std::string_view value) {
  std::string out = "{";
  const auto add = [&out](std::string_view member) {
    if (out.size() > 1) out += ',';
    out += member;
  };
  const std::string quoted = JsonQuoted(name);
  size_t at = object.find('{') + 1;
  while (at < object.size()) {
    at = object.find_first_not_of(" \t\r\n,", at);
    if (at == std::string_view::npos || object[at] != '"') break;
    size_t end = at + 1;
    while (object[end] != '"') end += object[end] == '\\' ? 2 : 1;
    const std::string_view member_name = object.substr(at, end + 1 - at);
    size_t stop = SkipValue(object, object.find(':', end) + 1);
    if (member_name != quoted) add(object.substr(at, stop - at));
    at = stop;
  }
  if (!value.empty()) add(quoted + ":" + std::string(value));
  return out + "}";
}

int JetStreamCode(const absl::Status& status) {
  const auto payload = status.GetPayload(kCodePayload);
  if (!payload.has_value()) return 0;
  return std::atoi(std::string(*payload).c_str());
}

JetStream::JetStream(Requests* requests, const std::string& domain, int64_t timeout_ms)
    : requests_(requests),
      prefix_(domain.empty() ? "$JS.API." : "$JS." + domain + ".API."),
      timeout_ms_(timeout_ms) {}

absl::StatusOr<std::string> JetStream::Call(const std::string& verb,
                                            const std::string& body) {
  return requests_->Call(prefix_ + verb, body, timeout_ms_);
}

absl::StatusOr<int> JetStream::Level() {
  ASSIGN_OR_RETURN(const std::string text, Call("INFO", ""));
  Reply reply;
  const size_t level = reply.Want("/api/level");
  RETURN_IF_ERROR(reply.Read(text));
  return reply.Integer<int>(level);
}

absl::StatusOr<std::vector<std::string>> JetStream::StreamNames(
    const std::string& filter) {
  ASSIGN_OR_RETURN(const std::string reply,
                   Call("STREAM.NAMES", "{\"subject\":" + JsonQuoted(filter) + "}"));
  return ReadStreamNames(reply);
}

absl::StatusOr<std::vector<std::string>> JetStream::ReadStreamNames(
    std::string_view text) {
  Reply reply;
  const size_t streams = reply.Want("/streams");
  RETURN_IF_ERROR(reply.Read(text));
  return reply.Texts(streams);
}

absl::StatusOr<StreamInfo> JetStream::Stream(const std::string& stream) {
  ASSIGN_OR_RETURN(const std::string reply, Call("STREAM.INFO." + stream, ""));
  return ReadStream(reply);
}

absl::StatusOr<StreamInfo> JetStream::ReadStream(std::string_view text) {
  Reply reply;
  const size_t name = reply.Want("/config/name");
  const size_t subjects = reply.Want("/config/subjects");
  const size_t created = reply.Want("/created");
  const size_t first = reply.Want("/state/first_seq");
  const size_t last = reply.Want("/state/last_seq");
  const size_t last_time = reply.Want("/state/last_ts");
  const size_t retention = reply.Want("/config/retention");
  const size_t mirror = reply.Want("/config/mirror");
  const size_t sources = reply.Want("/config/sources");
  const size_t no_ack = reply.Want("/config/no_ack");
  const size_t max_msg_size = reply.Want("/config/max_msg_size");
  const size_t max_bytes = reply.Want("/config/max_bytes");
  RETURN_IF_ERROR(reply.Read(text));
  StreamInfo info{reply.Text(name), reply.Texts(subjects), reply.Text(created),
                  reply.Integer<uint64_t>(first), reply.Integer<uint64_t>(last)};
  // That of an empty stream is in the year 1.
  info.last_time_ns = ParseRfc3339Ns(reply.Text(last_time)).value_or(0);
  info.created_ns = ParseRfc3339Ns(info.created).value_or(0);
  info.retention = reply.Text(retention);
  info.sourced = !reply.Raw(mirror).empty() || !reply.Raw(sources).empty();
  if (info.sourced) RETURN_IF_ERROR(ReadOrigins(text, &info));
  ASSIGN_OR_RETURN(info.transform, ReadTransform(text, "/config/subject_transform"));
  info.no_ack = reply.Raw(no_ack) == "true";
  info.max_msg_size = reply.Integer(max_msg_size, int64_t{-1});
  info.max_bytes = reply.Integer(max_bytes, int64_t{-1});
  return info;
}

absl::StatusOr<uint64_t> JetStream::NextSequence(const std::string& stream,
                                                 const std::string& filter,
                                                 uint64_t from) {
  ASSIGN_OR_RETURN(
      const std::string text,
      Call("STREAM.MSG.GET." + stream,
           fmt::format(R"({{"seq":{},"next_by_subj":{}}})", from, JsonQuoted(filter))));
  Reply reply;
  const size_t seq = reply.Want("/message/seq");
  const absl::Status read = reply.Read(text);
  if (JetStreamCode(read) == kMessageNotFound) return uint64_t{0};
  RETURN_IF_ERROR(read);
  return reply.Integer<uint64_t>(seq);
}

absl::Status JetStream::CreateStream(const StreamSpec& config) {
  // A duplicate window longer than max_age is refused by the server.
  const int64_t duplicates_ms = config.max_age_ms > 0
                                    ? std::min(config.duplicates_ms, config.max_age_ms)
                                    : config.duplicates_ms;
  return ReadError(Call(
      "STREAM.CREATE." + config.name,
      fmt::format(
          "{{\"name\":{},\"subjects\":{},\"retention\":\"limits\",\"storage\":\"{}\","
          "\"num_replicas\":{},\"max_age\":{},\"duplicate_window\":{},"
          "\"max_consumers\":-1,\"max_msgs\":-1,\"max_bytes\":-1,\"discard\":\"old\"}}",
          JsonQuoted(config.name), JsonList(config.subjects),
          config.memory ? "memory" : "file", config.replicas,
          config.max_age_ms * 1'000'000, duplicates_ms * 1'000'000)));
}

absl::Status JetStream::DeleteStream(const std::string& stream) {
  return ReadError(Call("STREAM.DELETE." + stream, ""));
}

absl::StatusOr<ConsumerInfo> JetStream::Consumer(const std::string& stream,
                                                 const std::string& consumer) {
  ASSIGN_OR_RETURN(const std::string reply,
                   Call("CONSUMER.INFO." + stream + "." + consumer, ""));
  return ReadConsumer(reply);
}

std::vector<absl::StatusOr<ConsumerInfo>> JetStream::Consumers(
    const std::vector<ConsumerName>& names) {
  std::vector<std::string> subjects;
  for (const ConsumerName& name : names)
    subjects.push_back(
        fmt::format("{}CONSUMER.INFO.{}.{}", prefix_, name.stream, name.consumer));
  std::vector<absl::StatusOr<ConsumerInfo>> infos;
  for (const auto& reply : requests_->CallAll(subjects, timeout_ms_))
    infos.push_back(reply.ok() ? ReadConsumer(*reply) : reply.status());
  return infos;
}

std::vector<absl::StatusOr<StreamInfo>> JetStream::Streams(
    const std::vector<std::string>& names) {
  std::vector<std::string> subjects;
  for (const std::string& name : names)
    subjects.push_back(fmt::format("{}STREAM.INFO.{}", prefix_, name));
  std::vector<absl::StatusOr<StreamInfo>> infos;
  for (const auto& reply : requests_->CallAll(subjects, timeout_ms_))
    infos.push_back(reply.ok() ? ReadStream(*reply) : reply.status());
  return infos;
}

absl::StatusOr<ConsumerInfo> JetStream::ReadConsumer(std::string_view text) {
  Reply reply;
  const size_t config = reply.Want("/config");
  const size_t created = reply.Want("/created");
  const size_t description = reply.Want("/config/description");
  const size_t filter = reply.Want("/config/filter_subject");
  const size_t filters = reply.Want("/config/filter_subjects");
  const size_t ack_policy = reply.Want("/config/ack_policy");
  const size_t deliver_subject = reply.Want("/config/deliver_subject");
  const size_t max_deliver = reply.Want("/config/max_deliver");
  const size_t ack_wait = reply.Want("/config/ack_wait");
  const size_t delivered = reply.Want("/delivered/stream_seq");
  const size_t floor = reply.Want("/ack_floor/stream_seq");
  const size_t acked = reply.Want("/ack_floor/consumer_seq");
  const size_t pending = reply.Want("/num_pending");
  const size_t ack_pending = reply.Want("/num_ack_pending");
  const size_t pause_left = reply.Want("/pause_remaining");
  const size_t pause_until = reply.Want("/config/pause_until");
  RETURN_IF_ERROR(reply.Read(text));
  ConsumerInfo info;
  info.config = reply.Raw(config);
  info.created = reply.Text(created);
  info.description = reply.Text(description);
  info.filters = reply.Texts(filters);
  if (std::string one = reply.Text(filter); !one.empty()) info.filters = {std::move(one)};
  info.ack_policy = reply.Text(ack_policy);
  info.deliver_subject = reply.Text(deliver_subject);
  info.max_deliver = reply.Integer(max_deliver, int64_t{-1});
  info.ack_wait_ns = reply.Integer(ack_wait);
  info.delivered_stream_seq = reply.Integer<uint64_t>(delivered);
  info.ack_floor_stream_seq = reply.Integer<uint64_t>(floor);
  info.ack_floor_consumer_seq = reply.Integer<uint64_t>(acked);
  info.num_pending = reply.Integer<uint64_t>(pending);
  info.num_ack_pending = reply.Integer<uint64_t>(ack_pending);
  info.paused = reply.Integer(pause_left) > 0;
  info.pause_until = reply.Text(pause_until);
  return info;
}

// The number in "consumer max ack pending exceeds system limit of 100 (10121)"; 0 when
// `status` is another one.
int64_t AckPendingLimit(const absl::Status& status) {
  constexpr std::string_view kBefore = "limit of ";
  if (JetStreamCode(status) != kAckPendingExceeded) return 0;
  const std::string text = Message(status);
  const size_t at = text.find(kBefore);
  int64_t limit = 0;
  if (at != text.npos)
    (void)std::from_chars(text.data() + at + kBefore.size(), text.data() + text.size(),
                          limit);
  return limit;
}

absl::StatusOr<ConsumerInfo> JetStream::PutConsumer(const std::string& stream,
                                                    const std::string& consumer,
                                                    const std::string& config) {
  auto put = PutOnce(stream, consumer, config);
  const int64_t limit = AckPendingLimit(put.status());
  if (limit <= 0) return put;
  Log(Level::kWarn,
      "fewer messages without an ack are allowed than limits.ack_pending has: the limit "
      "is kept to",
      {{"stream", stream}, {"consumer", consumer}, {"limit", limit}});
  return PutOnce(stream, consumer,
                 WithMember(config, "max_ack_pending", std::to_string(limit)));
}

absl::StatusOr<ConsumerInfo> JetStream::PutOnce(const std::string& stream,
                                                const std::string& consumer,
                                                const std::string& config) {
  const std::string body = ConsumerBody(stream, config);
  absl::StatusOr<std::string> reply =
      Call("CONSUMER.CREATE." + stream + "." + consumer, body);
  // Permissions made for older clients allow only the older subject.
  if (!reply.ok())
    reply = Call("CONSUMER.DURABLE.CREATE." + stream + "." + consumer, body);
  if (!reply.ok()) return reply.status();
  return ReadConsumer(*reply);
}

absl::StatusOr<ConsumerInfo> JetStream::AddConsumer(const std::string& stream,
                                                    const std::string& consumer,
                                                    const std::string& config) {
  ASSIGN_OR_RETURN(
      const std::string reply,
      Call("CONSUMER.CREATE." + stream + "." + consumer, ConsumerBody(stream, config)));
  return ReadConsumer(reply);
}

absl::Status JetStream::DeleteConsumer(const std::string& stream,
                                       const std::string& consumer) {
  return ReadError(Call("CONSUMER.DELETE." + stream + "." + consumer, ""));
}

}  // namespace expirer
