#include "net/pull_source.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "net/ack_subject.h"

namespace expirer {
namespace {

// A pull whose end was not told is over this long after it expired.
constexpr int64_t kDeadlineSlackMs = 2'000;
constexpr int64_t kPauseFirstMs = 100;
constexpr int64_t kPauseMaxMs = 2'000;

int64_t MonotonicMs() { return SystemClock().MonotonicMs(); }

bool Contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

}  // namespace

bool MayBecomeDead(const Intent& intent) {
  if (std::holds_alternative<RejectIntent>(intent)) return true;
  const auto* cancel = std::get_if<CancelIntent>(&intent);
  return cancel != nullptr && cancel->late != nullptr && !cancel->late->trouble.empty();
}

PullStatus ReadPullStatus(const Delivery::Status& status) {
  const std::string_view text = status.description;
  switch (status.code) {
    case 100: return PullStatus::kHeartbeat;
    case 404:  // No Messages: only to a pull that would not wait
      return PullStatus::kPause;
    case 408:  // Request Timeout, Interest Expired, Requests Pending
      return PullStatus::kEnded;
    case 409:
      if (Contains(text, "Consumer Deleted") || Contains(text, "push based")) {
        return PullStatus::kBroken;
      }
      if (Contains(text, "MaxBytes") || Contains(text, "Batch Completed")) {
        return PullStatus::kEnded;
      }
      // Exceeded MaxWaiting, Leadership Change, Server Shutdown, limits.
      return PullStatus::kPause;
    case 400:
    case 412:
    case 423:
    case 503:  // nobody answers pulls: the consumer is not there
      return PullStatus::kBroken;
    default: return PullStatus::kUnknown;
  }
}

PullSource::PullSource(Options options, Connection* connection, Inbox* inbox,
                       const Clock* clock, Evaluate evaluate,
                       std::function<void(const std::string& why)> broken)
    : options_(std::move(options)),
      next_subject_(options_.api_prefix + "CONSUMER.MSG.NEXT." + *options_.stream + "." +
                    options_.consumer),
      connection_(connection),
      inbox_(inbox),
      clock_(clock),
      evaluate_(std::move(evaluate)),
      broken_(std::move(broken)) {
  connection_->Subscribe(options_.inbox + ".*",
                         [this](const Delivery& d) { OnDelivery(d); });
}

void PullSource::Open(size_t batch) {
  MutexLock lock(&mutex_);
  batch_ = std::max<size_t>(batch, 1);
  if (open_) return;
  open_ = true;
  heard_ms_ = MonotonicMs();
  pause_until_ms_ = 0;
  Pump();
}

void PullSource::Close(bool abandon) {
  size_t unused = 0;
  {
    MutexLock lock(&mutex_);
    open_ = false;
    if (abandon) unused = Drop();
  }
  if (unused > 0) inbox_->Release(unused);
}

size_t PullSource::Drop() {
  pulls_.clear();
  return std::exchange(credit_, 0);
}

uint64_t PullSource::received() const {
  MutexLock lock(&mutex_);
  return received_;
}

void PullSource::Pump() {
  if (!open_ || MonotonicMs() < pause_until_ms_) return;
  const size_t most = static_cast<size_t>(options_.outstanding);
  bool sent = false;
  while (credit_ <= (most - 1) * batch_) {
    if (!inbox_->Reserve(batch_)) break;  // Tick comes when there is room
    // Counted also when it is not sent (the connection went, or its buffer is
    // full): the owner closes the source, or the deadline gives it back.
    credit_ += batch_;
    // A pull that was filled ends without a word: of many the oldest are such.
    if (pulls_.size() >= 4 * most) pulls_.pop_front();
    SendPull();
    sent = true;
  }
  if (sent) connection_->Flush();
}

void PullSource::SendPull() {
  const uint64_t token = next_token_++;
  const std::string body = fmt::format(
      "{{\"batch\":{},\"max_bytes\":{},\"expires\":{},\"idle_heartbeat\":{}}}", batch_,
      std::max(options_.bytes_max, 2 * connection_->max_payload()),
      options_.expires_ms * 1'000'000, options_.heartbeat_ms * 1'000'000);
  (void)connection_->Publish(next_subject_, fmt::format("{}.{}", options_.inbox, token),
                             body);
  if (pulls_.empty()) heard_ms_ = MonotonicMs();
  pulls_.push_back(
      {token, batch_, MonotonicMs() + options_.expires_ms + kDeadlineSlackMs});
}

void PullSource::PauseFor() {
  pause_ms_ = std::clamp(pause_ms_ * 2, kPauseFirstMs, kPauseMaxMs);
  pause_until_ms_ = MonotonicMs() + pause_ms_;
}

void PullSource::Tick() {
  std::string why;
  size_t unused = 0;
  {
    MutexLock lock(&mutex_);
    const int64_t now_ms = MonotonicMs();
    while (!pulls_.empty() && pulls_.front().deadline_ms <= now_ms) pulls_.pop_front();
    if (pulls_.empty()) unused = Drop();
    if (open_ && credit_ > 0 && now_ms - heard_ms_ > 2 * options_.heartbeat_ms + 500) {
      why = "no heartbeat from the consumer";
      open_ = false;
      unused += Drop();
    }
    Pump();
  }
  if (unused > 0) inbox_->Release(unused);
  if (!why.empty()) broken_(why);
}

void PullSource::OnDelivery(const Delivery& delivery) {
  // A message keeps its own subject and has an ack reply; a status comes to
  // the pull's reply subject.
  const auto status = delivery.status();
  if (status.code != 0 && delivery.reply().empty()) {
    OnStatus(delivery, status);
  } else {
    OnMessage(delivery);
  }
}

void PullSource::OnMessage(const Delivery& delivery) {
  const auto ack = ParseAckSubject(delivery.reply());
  if (!ack.has_value()) {
    LogGathered(Level::kWarn, "a delivery without a JetStream ack subject was dropped",
                "", "", {{"stream", *options_.stream}, {"reply", delivery.reply()}});
    return;
  }
  delivery.CopyHeaders(&headers_);
  MessageRequest request;
  request.rule = options_.rule;
  request.stream = options_.stream;
  request.created_ns = *options_.created_ns;
  request.stream_seq = ack->stream_seq;
  request.time_ns = ack->time_ns;
  request.received_ms = clock_->NowMs();
  request.reply.assign(delivery.reply());
  request.intent = evaluate_(
      EventView{delivery.subject(), delivery.payload(), &headers_, ack->time_ns},
      request.received_ms);
  if (MayBecomeDead(request.intent)) {
    request.raw = std::make_unique<RawMessage>(RawMessage{
        std::string(delivery.subject()), headers_, std::string(delivery.payload())});
  }
  MutexLock lock(&mutex_);
  heard_ms_ = MonotonicMs();
  pause_ms_ = 0;
  if (credit_ > 0) {
    --credit_;
  } else if (!inbox_->Reserve(1)) {
    return;  // of an abandoned pull, and no room: it will be delivered again
  }
  ++received_;
  inbox_->Push(std::move(request));
  Pump();
}

void PullSource::OnStatus(const Delivery& delivery, const Delivery::Status& status) {
  std::string_view token_text = delivery.subject();
  token_text.remove_prefix(std::min(token_text.size(), options_.inbox.size() + 1));
  uint64_t token = 0;
  (void)std::from_chars(token_text.data(), token_text.data() + token_text.size(), token);
  const PullStatus kind = ReadPullStatus(status);
  std::string why;
  size_t left = 0;
  {
    MutexLock lock(&mutex_);
    const auto pull =
        std::find_if(pulls_.begin(), pulls_.end(),
                     [token](const Pull& one) { return one.token == token; });
    if (pull == pulls_.end()) return;  // of an abandoned pull
    heard_ms_ = MonotonicMs();
    if (kind == PullStatus::kHeartbeat) return;
    // The unfilled part; without the header no message of it was sent.
    left = pull->batch;
    const std::string pending = delivery.Header("Nats-Pending-Messages");
    if (!pending.empty()) {
      (void)std::from_chars(pending.data(), pending.data() + pending.size(), left);
    }
    pulls_.erase(pull);
    left = std::min(left, credit_);
    credit_ -= left;
    if (kind == PullStatus::kBroken) {
      why = fmt::format("{} {}", status.code, status.description);
      if (!std::exchange(open_, false)) why.clear();  // told already
      left += Drop();
    } else if (kind != PullStatus::kEnded) {
      PauseFor();
    }
    Pump();
  }
  if (left > 0) inbox_->Release(left);
  if (!why.empty()) broken_(why);
}

}  // namespace expirer
