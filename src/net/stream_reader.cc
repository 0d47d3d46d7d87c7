#include "net/stream_reader.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/clock.h"
#include "base/duration.h"
#include "base/rfc3339.h"
#include "json/writer.h"
#include "net/random_id.h"

namespace expirer {
namespace {

constexpr int64_t kLookEveryMs = 100;
constexpr int64_t kPauseMs = 100;
constexpr size_t kBytesMax = 4 << 20;  // of one pull; more than one message
constexpr int64_t kInactiveNs = 300'000'000'000;

}  // namespace

StreamReader::StreamReader(Options options, Connection* connection, PullReplies* replies,
                           JetStream* js)
    : options_(std::move(options)),
      connection_(connection),
      replies_(replies),
      js_(js),
      replies_to_(replies->Add(
          {[this](const Delivery& d, const AckSubject& ack) { OnMessage(d, ack); },
           [this](const Delivery&, const Delivery::Status& status, uint64_t pull) {
             OnStatus(status, pull);
           }})),
      all_read_(options_.last_seq == 0) {}

absl::StatusOr<bool> StreamReader::Next(StreamMessage* message) {
  const int64_t give_up_ms = MonotonicMs() + options_.patience_ms;
  while (!Take(message)) {
    if (AllRead()) return false;
    if (options_.stopped && options_.stopped())
      return MakeStatus(absl::StatusCode::kCancelled, "stopped");
    const absl::Status standing = Mend();
    if (!standing.ok() && !absl::IsUnavailable(standing))
      return Annotate(standing, "stream " + options_.stream);
    if (MonotonicMs() >= give_up_ms) return GivenUp(standing);
    Wait();
  }
  return true;
}

bool StreamReader::Take(StreamMessage* message) {
  MutexLock lock(&mutex_);
  if (received_.empty()) return false;
  *message = std::move(received_.front());
  received_.pop_front();
  Pump();
  return true;
}

bool StreamReader::AllRead() {
  MutexLock lock(&mutex_);
  return all_read_ && received_.empty();
}

void StreamReader::Wait() {
  MutexLock lock(&mutex_);
  mutex_.AwaitFor(kLookEveryMs, [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !received_.empty() || all_read_;
  });
}

// OK while messages may come, through another consumer where it has to be.
absl::Status StreamReader::Mend() {
  bool first = false;
  {
    MutexLock lock(&mutex_);
    first = consumer_.empty();
    LookForTrouble();
    if (!first && trouble_.empty()) {
      Pump();
      return absl::OkStatus();
    }
  }
  const absl::Status begun = Begin();
  // Only what went on once is worth waiting for.
  return first && absl::IsUnavailable(begun) ? Refused(Message(begun)) : begun;
}

void StreamReader::LookForTrouble() {
  if (consumer_.empty() || !trouble_.empty()) return;
  if (!connection_->up() || connection_->generation() != generation_)
    trouble_ = "the connection was lost";
  else if (asked_ > 0 && MonotonicMs() - heard_ms_ > 2 * options_.timeout_ms)
    trouble_ = "no answer to a pull";
}

absl::Status StreamReader::Begin() {
  const uint64_t generation = connection_->generation();
  ASSIGN_OR_RETURN(const StreamInfo stream, js_->Stream(options_.stream));
  if (stream.last_seq < options_.last_seq)
    return Refused("it was created again, or has lost messages, while it was read");
  const std::string name = "expirer-record-" + RandomId();
  replies_->Route(replies_to_, options_.stream, name);
  ASSIGN_OR_RETURN(const ConsumerInfo made,
                   js_->AddConsumer(options_.stream, name, Config(name)));
  std::string old;
  {
    MutexLock lock(&mutex_);
    old = std::exchange(consumer_, name);
    generation_ = generation;
    consumer_seq_ = 0;
    asked_ = 0;
    trouble_.clear();
    all_read_ = made.num_pending == 0;
    Pump();
  }
  if (!old.empty()) (void)js_->DeleteConsumer(options_.stream, old);
  return absl::OkStatus();
}

std::string StreamReader::Config(const std::string& name) {
  MutexLock lock(&mutex_);
  JsonWriter out;
  out.Object().Add("name", name, "description", "expirer record");
  if (next_seq_ > 0)
    out.Add("deliver_policy", "by_start_sequence", "opt_start_seq", next_seq_);
  else if (options_.since_ns > 0)
    out.Add("deliver_policy", "by_start_time", "opt_start_time",
            FormatRfc3339Ns(options_.since_ns));
  else
    out.Add("deliver_policy", "all");
  out.Add("filter_subject", IfAny(options_.filter), "ack_policy", "none", "replay_policy",
          "instant", "inactive_threshold", kInactiveNs, "mem_storage", true,
          "num_replicas", 1);
  return out.Take();
}

absl::Status StreamReader::GivenUp(const absl::Status& last) {
  MutexLock lock(&mutex_);
  const std::string why = trouble_.empty() ? "nothing came" : trouble_;
  return Unavailable(fmt::format(
      "stream {}: {}, and reading did not go on within {}{}", options_.stream, why,
      FormatDuration(options_.patience_ms), last.ok() ? "" : ": " + Message(last)));
}

void StreamReader::Close() {
  std::string consumer;
  {
    MutexLock lock(&mutex_);
    consumer = std::exchange(consumer_, "");
  }
  if (!consumer.empty()) (void)js_->DeleteConsumer(options_.stream, consumer);
}

void StreamReader::Pump() {
  const bool idle = consumer_.empty() || !trouble_.empty() || all_read_;
  if (idle || asked_ > 0 || received_.size() > kBatch / 2) return;
  const int64_t now_ms = MonotonicMs();
  if (now_ms < pause_until_ms_) return;
  asked_ = batch_ = std::min(kBatch, limits_.batch);
  const size_t bytes =
      std::min(std::max(kBytesMax, 2 * static_cast<size_t>(connection_->max_payload())),
               limits_.bytes);
  const int64_t expires_ms = std::min(options_.timeout_ms, limits_.expires_ms);
  heard_ms_ = now_ms;
  const std::string body =
      JsonObject("batch", batch_, "max_bytes", bytes, "expires", expires_ms * 1'000'000);
  // Not sent: it goes unanswered, or the connection does.
  (void)connection_->Publish(
      js_->prefix() + "CONSUMER.MSG.NEXT." + options_.stream + "." + consumer_,
      replies_->Reply(replies_to_, ++pull_), body);
  connection_->Flush();
}

void StreamReader::OnMessage(const Delivery& delivery, const AckSubject& ack) {
  MutexLock lock(&mutex_);
  // What a consumer brings that was given up is read again.
  if (ack.consumer != consumer_ || !trouble_.empty()) return;
  heard_ms_ = MonotonicMs();
  if (ack.consumer_seq != ++consumer_seq_) {
    trouble_ = "a message was lost on its way";
    return;
  }
  if (asked_ > 0) --asked_;
  all_read_ = ack.stream_seq >= options_.last_seq || ack.pending == 0;
  if (ack.stream_seq > options_.last_seq) return;
  // nats-server 2.9 begins at the first message where it finds no block of that
  // time; behind the first that fits the order counts, whatever the clock did.
  if (next_seq_ == 0 && ack.time_ns < options_.since_ns) return;
  next_seq_ = ack.stream_seq + 1;
  StreamMessage& message = received_.emplace_back();
  message.seq = ack.stream_seq;
  message.time_ns = ack.time_ns;
  message.subject = delivery.subject();
  message.payload = delivery.payload();
  delivery.CopyHeaders(&message.headers);
}

void StreamReader::OnStatus(const Delivery::Status& status, uint64_t pull) {
  MutexLock lock(&mutex_);
  if (pull != pull_) return;
  heard_ms_ = MonotonicMs();
  switch (ReadPullStatus(status)) {
    case PullStatus::kHeartbeat: return;
    case PullStatus::kEnded:
    case PullStatus::kTooLarge:
      // Another consumer knows whether anything is left: it may have been deleted.
      if (asked_ == batch_) trouble_ = "nothing came";
      break;
    case PullStatus::kLimited:
      if (!limits_.Learn(status.description)) pause_until_ms_ = MonotonicMs() + kPauseMs;
      break;
    case PullStatus::kBroken:
      trouble_ = fmt::format("{} {}", status.code, status.description);
      break;
    case PullStatus::kPause:
    case PullStatus::kUnknown: pause_until_ms_ = MonotonicMs() + kPauseMs; break;
  }
  asked_ = 0;
}

}  // namespace expirer
