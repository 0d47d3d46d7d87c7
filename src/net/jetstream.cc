#include "net/jetstream.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <utility>

#include <fmt/format.h>

#include "absl/strings/cord.h"
#include "base/log.h"
#include "base/rfc3339.h"
#include "json/places.h"
#include "json/view.h"
#include "json/writer.h"

namespace expirer {
namespace {

constexpr char kCodePayload[] = "expirer/jetstream-err-code";

// Reads `places` of a reply. Fails for what is not JSON and for an `error` in the reply.
absl::Status ReadReply(std::string_view text, std::vector<JsonPlace> places) {
  Json error;
  int64_t http = 0;
  int64_t number = 0;
  std::string description;
  for (const JsonPlace& place : {JsonPlace{"/error", &error},
                                 {"/error/code", &http},
                                 {"/error/err_code", &number},
                                 {"/error/description", &description}})
    places.push_back(place);
  if (const absl::Status read = ReadPlaces(text, places); !read.ok())
    return Internal("JetStream's reply is not JSON: " + Message(read));
  if (error.text.empty()) return absl::OkStatus();
  absl::Status status =
      MakeStatus(http == 404   ? absl::StatusCode::kNotFound
                 : http == 503 ? absl::StatusCode::kUnavailable
                               : absl::StatusCode::kFailedPrecondition,
                 fmt::format("{} ({})", description, number != 0 ? number : http));
  status.SetPayload(kCodePayload, absl::Cord(std::to_string(number)));
  return status;
}

absl::Status ReadError(const absl::StatusOr<std::string>& reply) {
  if (!reply.ok()) return reply.status();
  return ReadReply(*reply, {});
}

std::vector<JsonValue> ItemsOf(const Json& array) {
  return JsonItems(array.text).value_or(std::vector<JsonValue>());
}

SubjectTransform ReadTransform(std::string_view object) {
  SubjectTransform transform;
  (void)ReadPlaces(object, {{"/src", &transform.from}, {"/dest", &transform.to}});
  if (transform.from.empty()) transform.from = ">";
  return transform;
}

// Adds what a mirror or one of the sources says, unless it names no stream.
void AddOrigin(std::string_view object, StreamInfo* info) {
  StreamOrigin origin;
  std::string api;
  Json transforms;
  (void)ReadPlaces(object, {{"/name", &origin.name},
                            {"/filter_subject", &origin.filter},
                            {"/external/api", &api},
                            {"/subject_transforms", &transforms}});
  origin.external = !api.empty();
  for (const JsonValue& item : ItemsOf(transforms))
    origin.transforms.push_back(ReadTransform(item.raw));
  if (!origin.name.empty()) info->origins.push_back(std::move(origin));
}

template <typename Info>
std::vector<absl::StatusOr<Info>> ReadAll(
    const std::vector<absl::StatusOr<std::string>>& replies,
    absl::StatusOr<Info> (*read)(std::string_view)) {
  std::vector<absl::StatusOr<Info>> infos;
  for (const auto& reply : replies)
    infos.push_back(reply.ok() ? read(*reply) : reply.status());
  return infos;
}

std::string ConsumerBody(const std::string& stream, const std::string& config) {
  return JsonObject("stream_name", stream, "config", Json{config});
}

}  // namespace

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
  int64_t level = 0;
  RETURN_IF_ERROR(ReadReply(text, {{"/api/level", &level}}));
  return static_cast<int>(level);
}

absl::StatusOr<std::vector<std::string>> JetStream::StreamNames(
    const std::string& filter) {
  ASSIGN_OR_RETURN(const std::string reply,
                   Call("STREAM.NAMES", JsonObject("subject", filter)));
  return ReadStreamNames(reply);
}

absl::StatusOr<std::vector<std::string>> JetStream::ReadStreamNames(
    std::string_view text) {
  std::vector<std::string> streams;
  RETURN_IF_ERROR(ReadReply(text, {{"/streams", &streams}}));
  return streams;
}

absl::StatusOr<StreamInfo> JetStream::Stream(const std::string& stream) {
  return std::move(Streams({stream}).front());
}

absl::StatusOr<StreamInfo> JetStream::ReadStream(std::string_view text) {
  StreamInfo info;
  std::string last_time;
  Json mirror;
  Json sources;
  Json transform;
  RETURN_IF_ERROR(ReadReply(text, {{"/config/name", &info.name},
                                   {"/config/subjects", &info.subjects},
                                   {"/created", &info.created},
                                   {"/state/first_seq", &info.first_seq},
                                   {"/state/last_seq", &info.last_seq},
                                   {"/state/last_ts", &last_time},
                                   {"/config/retention", &info.retention},
                                   {"/config/mirror", &mirror},
                                   {"/config/sources", &sources},
                                   {"/config/subject_transform", &transform},
                                   {"/config/no_ack", &info.no_ack},
                                   {"/config/max_msg_size", &info.max_msg_size},
                                   {"/config/max_bytes", &info.max_bytes}}));
  // That of an empty stream is in the year 1.
  info.last_time_ns = ParseRfc3339Ns(last_time).value_or(0);
  info.created_ns = ParseRfc3339Ns(info.created).value_or(0);
  info.sourced = !mirror.text.empty() || !sources.text.empty();
  AddOrigin(mirror.text, &info);
  for (const JsonValue& source : ItemsOf(sources)) AddOrigin(source.raw, &info);
  if (transform.text.starts_with('{')) info.transform = ReadTransform(transform.text);
  return info;
}

absl::StatusOr<uint64_t> JetStream::NextSequence(const std::string& stream,
                                                 const std::string& filter,
                                                 uint64_t from) {
  ASSIGN_OR_RETURN(
      const std::string text,
      Call("STREAM.MSG.GET." + stream, JsonObject("seq", from, "next_by_subj", filter)));
  uint64_t seq = 0;
  const absl::Status read = ReadReply(text, {{"/message/seq", &seq}});
  if (JetStreamCode(read) != kMessageNotFound) RETURN_IF_ERROR(read);
  return seq;
}

absl::Status JetStream::CreateStream(const StreamSpec& config) {
  // A duplicate window longer than max_age is refused by the server.
  const int64_t duplicates_ms = config.max_age_ms > 0
                                    ? std::min(config.duplicates_ms, config.max_age_ms)
                                    : config.duplicates_ms;
  return ReadError(Call(
      "STREAM.CREATE." + config.name,
      JsonObject("name", config.name, "subjects", config.subjects, "retention", "limits",
                 "storage", config.memory ? "memory" : "file", "num_replicas",
                 config.replicas, "max_age", config.max_age_ms * 1'000'000,
                 "duplicate_window", duplicates_ms * 1'000'000, "max_consumers", -1,
                 "max_msgs", -1, "max_bytes", -1, "discard", "old")));
}

absl::StatusOr<ConsumerInfo> JetStream::Consumer(const std::string& stream,
                                                 const std::string& consumer) {
  return std::move(Consumers({{stream, consumer}}).front());
}

std::vector<absl::StatusOr<ConsumerInfo>> JetStream::Consumers(
    const std::vector<ConsumerName>& names) {
  std::vector<std::string> subjects;
  for (const ConsumerName& name : names)
    subjects.push_back(
        fmt::format("{}CONSUMER.INFO.{}.{}", prefix_, name.stream, name.consumer));
  return ReadAll(requests_->CallAll(subjects, timeout_ms_), ReadConsumer);
}

std::vector<absl::StatusOr<StreamInfo>> JetStream::Streams(
    const std::vector<std::string>& names) {
  std::vector<std::string> subjects;
  for (const std::string& name : names)
    subjects.push_back(fmt::format("{}STREAM.INFO.{}", prefix_, name));
  return ReadAll(requests_->CallAll(subjects, timeout_ms_), ReadStream);
}

absl::StatusOr<ConsumerInfo> JetStream::ReadConsumer(std::string_view text) {
  ConsumerInfo info;
  Json config;
  std::string filter;
  int64_t pause_left = 0;
  RETURN_IF_ERROR(
      ReadReply(text, {{"/config", &config},
                       {"/created", &info.created},
                       {"/config/description", &info.description},
                       {"/config/filter_subject", &filter},
                       {"/config/filter_subjects", &info.filters},
                       {"/config/ack_policy", &info.ack_policy},
                       {"/config/deliver_subject", &info.deliver_subject},
                       {"/config/max_deliver", &info.max_deliver},
                       {"/config/ack_wait", &info.ack_wait_ns},
                       {"/delivered/stream_seq", &info.delivered_stream_seq},
                       {"/ack_floor/stream_seq", &info.ack_floor_stream_seq},
                       {"/ack_floor/consumer_seq", &info.ack_floor_consumer_seq},
                       {"/num_pending", &info.num_pending},
                       {"/num_ack_pending", &info.num_ack_pending},
                       {"/pause_remaining", &pause_left},
                       {"/config/pause_until", &info.pause_until}}));
  info.config = std::move(config).text;
  if (!filter.empty()) info.filters = {std::move(filter)};
  info.paused = pause_left > 0;
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
      "the server or the account allows fewer unacked messages than limits.ack_pending: "
      "using their limit",
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
  absl::Status deleted =
      ReadError(Call("CONSUMER.DELETE." + stream + "." + consumer, ""));
  return JetStreamCode(deleted) == kConsumerNotFound ? absl::OkStatus() : deleted;
}

}  // namespace expirer
