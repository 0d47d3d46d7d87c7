#include "net/routes.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/clock.h"
#include "base/log.h"
#include "job/rules.h"
#include "json/writer.h"

namespace expirer {
namespace {

bool Matches(const std::vector<std::string>& subjects, std::string_view target) {
  return std::any_of(subjects.begin(), subjects.end(),
                     [&](const std::string& s) { return SubjectMatches(s, target); });
}

absl::StatusOr<StreamInfo> ReadInfo(const absl::StatusOr<std::string>& reply) {
  if (!reply.ok()) return reply.status();
  return JetStream::ReadStream(*reply);
}

}  // namespace

Routes::Routes(Requests* requests, std::string api_prefix,
               std::vector<std::string> expected,
               std::function<void(const std::string& target)> known)
    : requests_(requests),
      prefix_(std::move(api_prefix)),
      expected_(std::move(expected)),
      known_(std::move(known)) {}

const std::string* Routes::Covering(std::string_view target) const {
  for (const auto& [name, stream] : streams_)
    if (Matches(stream.subjects, target)) return &name;
  return nullptr;
}

const std::pair<const std::string, Routes::Stream>* Routes::StreamOf(
    std::string_view target) const {
  const auto route = routes_.find(target);
  const std::string* name =
      route != routes_.end() ? &route->second.stream : Covering(target);
  if (name == nullptr) return nullptr;
  const auto found = streams_.find(*name);
  return found != streams_.end() ? &*found : nullptr;
}

bool Routes::NoAck(std::string_view target) {
  MutexLock lock(&mutex_);
  const auto* const stream = StreamOf(target);
  return stream != nullptr && stream->second.no_ack;
}

absl::Status Routes::Fits(std::string_view target, size_t bytes) {
  MutexLock lock(&mutex_);
  const auto* const found = StreamOf(target);
  if (found == nullptr) return absl::OkStatus();
  const auto over = [&](std::string_view limit, int64_t max) {
    return MakeStatus(absl::StatusCode::kOutOfRange,
                      fmt::format("the message has {} bytes, {} of the stream {} is {}",
                                  bytes, limit, found->first, max));
  };
  const auto& [name, stream] = *found;
  if (stream.max_msg_size >= 0 && bytes > static_cast<uint64_t>(stream.max_msg_size))
    return over("max_msg_size", stream.max_msg_size);
  // A stream that discards the old would confirm it and discard it at once.
  if (stream.max_bytes >= 0 && bytes >= static_cast<uint64_t>(stream.max_bytes))
    return over("max_bytes", stream.max_bytes);
  return absl::OkStatus();
}

std::string Routes::Warning(std::string_view target) {
  if (!NoAck(target)) return "";
  return "the target's stream has no_ack: the job counts as fired once the NATS server "
         "has its message, whether or not the stream stores it";
}

Egress::Target Routes::Resolve(std::string_view target, std::string* why) {
  uint64_t number = 0;
  {
    MutexLock lock(&mutex_);
    const auto found = routes_.find(target);
    if (found != routes_.end() && MonotonicMs() < found->second.until_ms) {
      *why = found->second.why;
      return found->second.state;
    }
    MakeRoom();
    Route& route = routes_[std::string(target)];
    if (const std::string* const stream = Covering(target)) {
      route = {Egress::Target::kReady, "", INT64_MAX, 0, *stream};
      return Egress::Target::kReady;
    }
    number = ++questions_;
    route = {Egress::Target::kResolving, "", INT64_MAX, number};
  }
  Ask(std::string(target), number);
  // The answer may have arrived already, for example if there is no connection.
  MutexLock lock(&mutex_);
  const auto found = routes_.find(target);
  if (found == routes_.end()) return Egress::Target::kResolving;
  *why = found->second.why;
  return found->second.state;
}

// A dropped target is asked for again, which costs one question.
void Routes::MakeRoom() {
  if (routes_.size() < kTargetsMax) return;
  std::erase_if(routes_, [](const auto& route) {
    return route.second.state != Egress::Target::kResolving;
  });
  if (routes_.size() >= kTargetsMax) routes_.clear();
}

void Routes::Ask(const std::string& target, uint64_t number) {
  requests_->Ask(prefix_ + "STREAM.NAMES", JsonObject("subject", target), kAskMs,
                 [this, target, number](const absl::StatusOr<std::string>& reply) {
                   const auto names =
                       reply.ok()
                           ? JetStream::ReadStreamNames(*reply)
                           : absl::StatusOr<std::vector<std::string>>(reply.status());
                   if (!names.ok())
                     return Refused(target, number, Egress::Target::kUnknown,
                                    "cannot find out which stream takes it: " +
                                        Message(names.status()));
                   if (names->empty())
                     return Refused(target, number, Egress::Target::kRefused,
                                    "no stream takes " + target);
                   // If the stream cannot be read, at least this target is known.
                   requests_->Ask(prefix_ + "STREAM.INFO." + names->front(), "", kAskMs,
                                  [this, target, number, stream = names->front()](
                                      const absl::StatusOr<std::string>& info) {
                                    Ready(target, number, stream, ReadInfo(info));
                                  });
                 });
}

// The target was forgotten meanwhile, and perhaps asked for again: the answer is old.
Routes::Route* Routes::Asked(const std::string& target, uint64_t number) {
  const auto found = routes_.find(target);
  return found != routes_.end() && found->second.asked == number ? &found->second
                                                                 : nullptr;
}

void Routes::Refused(const std::string& target, uint64_t number, Egress::Target state,
                     std::string why) {
  {
    MutexLock lock(&mutex_);
    if (Route* const route = Asked(target, number))
      *route = {state, std::move(why), MonotonicMs() + kRefusedMs, 0};
  }
  known_(target);
}

void Routes::Ready(const std::string& target, uint64_t number, const std::string& stream,
                   const absl::StatusOr<StreamInfo>& info) {
  {
    MutexLock lock(&mutex_);
    if (Asked(target, number) != nullptr) {
      if (info.ok())
        Learn(stream, *info);
      else
        TellUnknown(target, stream, info.status());
      routes_[target] = {Egress::Target::kReady, "", INT64_MAX, 0, stream};
    }
  }
  known_(target);
}

void Routes::TellUnknown(const std::string& target, const std::string& stream,
                         const absl::Status& why) {
  if (told_unknown_.size() >= kTargetsMax || !told_unknown_.insert(stream).second) return;
  Log(Level::kWarn,
      "the stream of a target cannot be read, so its limits, and whether it confirms "
      "messages, are unknown",
      {{"stream", stream}, {"target", target}, {"why", Message(why)}});
}

void Routes::Learn(const std::string& name, const StreamInfo& info) {
  Stream learnt{info.subjects,
                info.no_ack,
                info.max_msg_size,
                info.max_bytes,
                MonotonicMs() + kRefreshMs,
                0};
  if (learnt.subjects.size() > kTargetsMax) learnt.subjects.resize(kTargetsMax);
  const std::vector<std::string> before = std::exchange(streams_[name].subjects, {});
  subjects_ -= before.size();
  if (streams_.size() > kTargetsMax || subjects_ + learnt.subjects.size() > kTargetsMax) {
    routes_.clear();
    streams_.clear();
    subjects_ = 0;
  }
  subjects_ += learnt.subjects.size();
  Stream& stream = streams_[name] = std::move(learnt);
  // It may have another stream by now, or none.
  if (!before.empty() && before != stream.subjects)
    std::erase_if(routes_, [&](const auto& route) {
      return route.second.stream == name && !Matches(stream.subjects, route.first);
    });
  if (!stream.no_ack) {
    if (told_no_ack_.erase(name) > 0)
      Log(Level::kInfo, "a target's stream confirms messages again", {{"stream", name}});
  } else if (told_no_ack_.size() < kTargetsMax && told_no_ack_.insert(name).second) {
    Log(Level::kWarn,
        "a target's stream has no_ack: its messages count as stored once the NATS server "
        "has them",
        {{"stream", name}});
  }
}

void Routes::DropStream(const std::string& name) {
  const auto found = streams_.find(name);
  if (found == streams_.end()) return;
  subjects_ -= found->second.subjects.size();
  streams_.erase(found);
  std::erase_if(routes_, [&](const auto& route) { return route.second.stream == name; });
}

void Routes::Refresh() {
  std::vector<std::string> targets;
  std::vector<std::pair<std::string, uint64_t>> streams;
  {
    MutexLock lock(&mutex_);
    const int64_t now_ms = MonotonicMs();
    if (now_ms >= expect_ms_) {
      expect_ms_ = now_ms + kRefreshMs;
      next_expected_ = 0;
    }
    while (next_expected_ < expected_.size() && targets.size() < kQuestionsMax)
      targets.push_back(expected_[next_expected_++]);
    for (auto& [name, stream] : streams_) {
      if (streams.size() >= kQuestionsMax) break;
      if (now_ms < stream.refresh_ms) continue;
      stream.asked = ++questions_;
      stream.refresh_ms = now_ms + kRefreshMs;
      streams.emplace_back(name, stream.asked);
    }
  }
  std::string why;
  for (const std::string& target : targets) (void)Resolve(target, &why);
  for (const auto& [name, number] : streams) AskStream(name, number);
}

void Routes::AskStream(const std::string& stream, uint64_t number) {
  requests_->Ask(prefix_ + "STREAM.INFO." + stream, "", kAskMs,
                 [this, stream, number](const absl::StatusOr<std::string>& reply) {
                   AnswerStream(stream, number, ReadInfo(reply));
                 });
}

void Routes::AnswerStream(const std::string& stream, uint64_t number,
                          const absl::StatusOr<StreamInfo>& info) {
  MutexLock lock(&mutex_);
  const auto found = streams_.find(stream);
  if (found == streams_.end() || found->second.asked != number) return;
  found->second.asked = 0;
  if (info.ok())
    Learn(stream, *info);
  else if (JetStreamCode(info.status()) == kStreamNotFound)
    DropStream(stream);
}

void Routes::Forget(std::string_view target) {
  MutexLock lock(&mutex_);
  if (const auto found = routes_.find(target); found != routes_.end())
    routes_.erase(found);
  for (auto& [name, stream] : streams_) {
    if (!Matches(stream.subjects, target)) continue;
    subjects_ -= stream.subjects.size();
    stream.subjects.clear();
    stream.asked = 0;
  }
}

void Routes::ForgetAll() {
  MutexLock lock(&mutex_);
  routes_.clear();
  streams_.clear();
  subjects_ = 0;
  expect_ms_ = 0;
}

void Routes::Deny(std::string_view target, const std::string& why, int64_t for_ms) {
  MutexLock lock(&mutex_);
  MakeRoom();
  routes_[std::string(target)] = {Egress::Target::kRefused, why, MonotonicMs() + for_ms,
                                  0};
}

}  // namespace expirer
