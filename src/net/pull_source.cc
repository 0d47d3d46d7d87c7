#include "net/pull_source.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "json/writer.h"

namespace expirer {
namespace {

// If no status ended a pull, it counts as ended this long after it expired.
constexpr int64_t kDeadlineSlackMs = 2'000;
constexpr int64_t kTickMaxMs = 200;  // between two ticks if none is late
constexpr int64_t kPauseFirstMs = 100;
constexpr int64_t kPauseMaxMs = 2'000;
constexpr size_t kPullsMax = 64;  // at a time; a consumer of ours takes 512
constexpr size_t kBytesMin = 1'024;
// A pull that was made larger than its share holds the bytes no longer than this.
constexpr int64_t kLargeExpiresMs = 2'000;
constexpr int kLargesMax = 16;  // then those behind may be smaller again

bool MayBecomeDead(const Intent& intent) {
  if (std::holds_alternative<RejectIntent>(intent)) return true;
  const auto* cancel = std::get_if<CancelIntent>(&intent);
  return cancel != nullptr && cancel->late != nullptr && !cancel->late->trouble.empty();
}

}  // namespace

void SetIntent(Intent intent, const EventView& event, MessageRequest* request) {
  request->intent = std::move(intent);
  if (MayBecomeDead(request->intent))
    request->raw = std::make_unique<RawMessage>(RawMessage{
        std::string(event.subject), event.headers != nullptr ? *event.headers : Headers(),
        std::string(event.payload)});
}

PullSource::PullSource(Options options, Connection* connection, PullReplies* replies,
                       Inbox* inbox, const Clock* clock, Evaluate evaluate,
                       Handlers handlers)
    : options_(std::move(options)),
      next_subject_(options_.api_prefix + "CONSUMER.MSG.NEXT." + *options_.stream + "." +
                    options_.consumer),
      connection_(connection),
      replies_(replies),
      replies_to_(replies->Add(
          {[this](const Delivery& d, const AckSubject& ack) { OnMessage(d, ack); },
           [this](const Delivery& d, const Delivery::Status& status, uint64_t token) {
             OnStatus(d, status, token);
           }})),
      inbox_(inbox),
      clock_(clock),
      evaluate_(std::move(evaluate)),
      handlers_(std::move(handlers)) {
  replies_->Route(replies_to_, *options_.stream, options_.consumer);
}

void PullSource::Open(size_t batch, size_t bytes) {
  MutexLock lock(&mutex_);
  batch_ = std::max<size_t>(batch, 1);
  bytes_ = bytes;
  if (open_) return;
  open_ = true;
  Heard();
  pause_until_ms_ = 0;
  limits_ = {};  // they may have changed
  Pump();
}

void PullSource::Close(bool abandon) {
  Credit unused;
  {
    MutexLock lock(&mutex_);
    open_ = false;
    if (abandon) {
      unused = Drop();
      refusal_.clear();
    }
  }
  GiveBack(unused);
}

PullSource::Credit PullSource::TakeOut(size_t places) {
  places = std::min(places, credit_.places);
  if (places == 0) return {};
  const size_t bytes =
      places == credit_.places ? credit_.bytes : credit_.bytes / credit_.places * places;
  credit_.places -= places;
  credit_.bytes -= bytes;
  return {places, bytes};
}

PullSource::Credit PullSource::Drop() {
  pulls_.clear();
  return std::exchange(credit_, {});
}

void PullSource::GiveBack(const Credit& unused) {
  if (unused.places > 0) inbox_->Release(unused.places, unused.bytes);
}

uint64_t PullSource::received() const {
  MutexLock lock(&mutex_);
  return received_;
}

std::string PullSource::refusal() const {
  MutexLock lock(&mutex_);
  return refusal_;
}

bool PullSource::asking() const {
  MutexLock lock(&mutex_);
  return open_ && !starved_;
}

void PullSource::Pump() {
  if (!open_ || MonotonicMs() < pause_until_ms_) return;
  const Pull next = Next();
  // As many messages asked for as there would be without a limit.
  const size_t most =
      next.large ? 1 : std::min(kPullsMax, kOutstanding * batch_ / next.batch);
  bool sent = false;
  while (credit_.places <= (most - 1) * next.batch) {
    starved_ = !inbox_->Reserve(next.batch, next.bytes);
    if (starved_) break;  // Tick comes when there is room
    // A pull also counts if it is not sent (the connection is lost, or its buffer is
    // full): the owner closes the source, or the deadline frees its places.
    credit_.places += next.batch;
    credit_.bytes += next.bytes;
    // A filled pull ends without a status. If there are too many, the oldest ones are
    // filled.
    if (pulls_.size() >= 4 * most) pulls_.pop_front();
    Send(next);
    sent = true;
  }
  if (sent) connection_->Flush();
}

// Two messages of the largest kind, since one with its headers and subjects takes
// more than max_payload, which may have been lowered.
size_t PullSource::BytesMax() const {
  const size_t two = 2 * static_cast<size_t>(connection_->server_max_payload());
  return std::min(std::max(bytes_, two), limits_.bytes);
}

bool PullSource::Grow(const Pull& pull) {
  grown_bytes_ = std::min(std::max(2 * pull.bytes, grown_bytes_), BytesMax());
  larges_ = kLargesMax;
  return grown_bytes_ > pull.bytes;
}

// A larger one brings one message only: nats-server 2.9 sets a message that it is to
// deliver again aside for ack_wait when it does not fit into what is left of a pull.
PullSource::Pull PullSource::Next() {
  Pull pull;
  pull.batch = std::min(batch_, limits_.batch);
  pull.bytes = std::min(std::max(bytes_ * pull.batch / batch_, kBytesMin), limits_.bytes);
  pull.expires_ms = std::min(kExpiresMs, limits_.expires_ms);
  if (larges_ == 0 || grown_bytes_ <= pull.bytes) return pull;
  return {0, 1, grown_bytes_, true, std::min(kLargeExpiresMs, limits_.expires_ms), 0};
}

void PullSource::Send(Pull pull) {
  pull.token = next_token_++;
  // Servers take no heartbeat above half of the duration.
  const int64_t heartbeat_ms = std::min(kHeartbeatMs, pull.expires_ms / 2);
  const std::string body =
      JsonObject("batch", pull.batch, "max_bytes", pull.bytes, "expires",
                 pull.expires_ms * 1'000'000, "idle_heartbeat", heartbeat_ms * 1'000'000);
  (void)connection_->Publish(next_subject_, replies_->Reply(replies_to_, pull.token),
                             body);
  if (pulls_.empty()) Heard();
  if (pull.large) --larges_;
  pull.deadline_ms = MonotonicMs() + pull.expires_ms + kDeadlineSlackMs;
  pulls_.push_back(pull);
}

void PullSource::PauseFor() {
  pause_ms_ = std::clamp(pause_ms_ * 2, kPauseFirstMs, kPauseMaxMs);
  pause_until_ms_ = MonotonicMs() + pause_ms_;
}

void PullSource::Heard() {
  silent_ms_ = 0;
  unheard_ = false;
}

void PullSource::Tick() {
  std::string why;
  bool unheard = false;
  Credit unused;
  {
    MutexLock lock(&mutex_);
    const int64_t now_ms = MonotonicMs();
    while (!pulls_.empty() && pulls_.front().deadline_ms <= now_ms) pulls_.pop_front();
    if (pulls_.empty()) unused = Drop();
    // Time in which our own threads did not run does not count as silence.
    silent_ms_ += std::min(now_ms - std::exchange(ticked_ms_, now_ms), kTickMaxMs);
    const bool asked = open_ && credit_.places > 0;
    if (asked && silent_ms_ > kHeartbeatMs * 5 / 4)
      unheard = !std::exchange(unheard_, true);
    if (asked && silent_ms_ > kHeartbeatMs * 5 / 2) {
      why = "no heartbeat from the consumer";
      open_ = false;
      unused = Drop();
    }
    Pump();
  }
  GiveBack(unused);
  if (unheard) handlers_.unheard();
  if (!why.empty()) handlers_.broken(why);
}

void PullSource::OnMessage(const Delivery& delivery, const AckSubject& ack) {
  delivery.CopyHeaders(&headers_);
  MessageRequest request;
  request.rule = options_.rule;
  request.stream = options_.stream;
  request.created_ns = *options_.created_ns;
  request.stream_seq = ack.stream_seq;
  request.time_ns = ack.time_ns;
  request.received_ms = clock_->NowMs();
  request.reply.assign(delivery.reply());
  const EventView event{.subject = delivery.subject(),
                        .payload = delivery.payload(),
                        .headers = &headers_,
                        .time_ns = ack.time_ns};
  SetIntent(evaluate_(event, request.received_ms), event, &request);
  MutexLock lock(&mutex_);
  Heard();
  pause_ms_ = 0;
  refusal_.clear();
  const Credit used = TakeOut(1);
  // It belongs to an abandoned pull, and there is no room: it will be redelivered.
  if (used.places == 0 && !inbox_->Reserve(1)) return;
  ++received_;
  inbox_->Push(std::move(request), used.bytes);
  Pump();
}

void PullSource::OnStatus(const Delivery& delivery, const Delivery::Status& status,
                          uint64_t token) {
  const PullStatus kind = ReadPullStatus(status);
  std::string why;
  Credit unused;
  {
    MutexLock lock(&mutex_);
    const auto found =
        std::find_if(pulls_.begin(), pulls_.end(),
                     [token](const Pull& one) { return one.token == token; });
    if (found == pulls_.end()) return;  // of an abandoned pull
    Heard();
    if (kind == PullStatus::kHeartbeat) {
      refusal_.clear();
      return;
    }
    const Pull pull = *found;
    pulls_.erase(found);
    // The unfilled part; without the header no message of it was sent.
    size_t left = pull.batch;
    const std::string pending = delivery.Header("Nats-Pending-Messages");
    if (!pending.empty()) {
      (void)std::from_chars(pending.data(), pending.data() + pending.size(), left);
    }
    unused = TakeOut(left);
    const std::string words = fmt::format("{} {}", status.code, status.description);
    if (kind == PullStatus::kBroken) {
      if (std::exchange(open_, false)) why = words;  // else told already
      const Credit rest = Drop();
      unused.places += rest.places;
      unused.bytes += rest.bytes;
    } else if (!Understood(kind, pull, left, status.description)) {
      refusal_ = words;
      PauseFor();
    }
    Pump();
  }
  GiveBack(unused);
  if (!why.empty()) handlers_.broken(why);
}

bool PullSource::Understood(PullStatus kind, const Pull& pull, size_t left,
                            std::string_view words) {
  switch (kind) {
    case PullStatus::kEnded:
      if (left > 0) larges_ = 0;  // nothing more waits
      return true;
    case PullStatus::kTooLarge: return left < pull.batch || Grow(pull);
    // If several pulls were refused, only the first refusal has new information.
    case PullStatus::kLimited: return limits_.Learn(words) || Exceeds(pull);
    default: return false;
  }
}

bool PullSource::Exceeds(const Pull& pull) const {
  return pull.batch > limits_.batch || pull.bytes > limits_.bytes ||
         pull.expires_ms > limits_.expires_ms;
}

}  // namespace expirer
