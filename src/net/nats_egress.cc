#include "net/nats_egress.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "base/clock.h"
#include "base/log.h"
#include "job/fired.h"
#include "net/jetstream.h"

namespace expirer {
namespace {

std::string TooLarge(size_t bytes, int64_t max_payload) {
  return fmt::format("the message has {} bytes, max_payload of the NATS server is {}",
                     bytes, max_payload);
}

}  // namespace

std::string DeniedSubject(std::string_view error) {
  // nats.c strips quotes at the ends: Permissions Violation for Publish to "x
  constexpr std::string_view kBefore = "ermissions Violation for Publish to ";
  const size_t at = error.find(kBefore);
  if (at == std::string_view::npos) return "";
  error.remove_prefix(at + kBefore.size());
  while (!error.empty() && (error.front() == '"' || error.front() == '\''))
    error.remove_prefix(1);
  while (!error.empty() && (error.back() == '"' || error.back() == '\''))
    error.remove_suffix(1);
  return std::string(error);
}

NatsEgress::NatsEgress(const ConnectionOptions& options, Inbox* inbox,
                       std::vector<std::string> targets)
    : inbox_(inbox),
      connection_(
          options, "egress",
          {[this] { OnUp(); }, [this](const std::string& why) { OnDown(why); },
           [this](const std::string& text) { OnError(text); }, [this] { OnTick(); }}),
      requests_(&connection_),
      routes_(
          &requests_,
          options.domain.empty() ? "$JS.API." : "$JS." + options.domain + ".API.",
          std::move(targets),
          [this](const std::string& target) { inbox_->Complete(TargetKnown{target}); }),
      reply_prefix_(connection_.inbox() + ".a.") {
  connection_.Subscribe(reply_prefix_ + "*", [this](const Delivery& d) { OnAnswer(d); });
}

NatsEgress::~NatsEgress() { Stop(0); }

void NatsEgress::Start() { connection_.Start(); }
void NatsEgress::Stop(int64_t flush_ms) { connection_.Stop(flush_ms); }

Egress::Target NatsEgress::Resolve(Transport via, std::string_view target,
                                   std::string* why) {
  if (via == Transport::kCore) return Target::kReady;
  return routes_.Resolve(target, why);
}

std::string NatsEgress::Warning(Transport via, std::string_view target) {
  return via == Transport::kJetStream ? routes_.Warning(target) : "";
}

absl::Status NatsEgress::Fits(Transport via, std::string_view target, size_t bytes) {
  if (via == Transport::kStan) return absl::OkStatus();
  const auto over = [this, bytes] {
    const int64_t max_payload = connection_.server_max_payload();
    return max_payload > 0 && bytes > static_cast<uint64_t>(max_payload);
  };
  if (over()) connection_.CheckMaxPayload();
  if (over())
    return MakeStatus(absl::StatusCode::kOutOfRange,
                      TooLarge(bytes, connection_.server_max_payload()));
  return via == Transport::kJetStream ? routes_.Fits(target, bytes) : absl::OkStatus();
}

// Of a stream that never says a word.
absl::Status NatsEgress::FitsUnasked(std::string_view target, const HeaderViews& headers,
                                     std::string_view body) {
  const size_t header_bytes = HeaderBytes(headers);
  if (header_bytes > kStreamHeaderBytesMax)
    return MakeStatus(absl::StatusCode::kOutOfRange,
                      fmt::format("the message has {} bytes of headers, a stream stores "
                                  "{} at most",
                                  header_bytes, kStreamHeaderBytesMax));
  return routes_.Fits(target, header_bytes + body.size());
}

void NatsEgress::SetReply(std::string_view before, uint64_t attempt) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof digits, attempt).ptr;
  reply_.assign(reply_prefix_).append(before).append(digits, end);
}

bool NatsEgress::Publish(uint64_t attempt, Transport via, std::string_view target,
                         const HeaderViews& headers, std::string_view body) {
  if (!connection_.up()) return false;
  const bool no_ack = via == Transport::kJetStream && routes_.NoAck(target);
  const bool core = via == Transport::kCore || no_ack;
  subject_.assign(target);
  SetReply(core ? "c" : "", attempt);
  {
    // Before the first byte leaves, so that a loss cannot overlook it.
    MutexLock lock(&mutex_);
    in_flight_[attempt] = subject_;
  }
  if (no_ack) {
    const absl::Status fits = FitsUnasked(target, headers, body);
    if (!fits.ok()) return Refuse(attempt, PubAnswer::Kind::kNever, Message(fits));
  }
  const char* error = "";
  const Connection::Sent sent =
      connection_.Publish(subject_, core ? "" : reply_, headers, body, &error);
  // An echo that finds no room is no loss: the core times the attempt out.
  if (core && sent == Connection::Sent::kOk) (void)connection_.Publish(reply_, "", "");
  return Began(attempt, sent, error, headers, body);
}

bool NatsEgress::Began(uint64_t attempt, Connection::Sent sent, const char* error,
                       const HeaderViews& headers, std::string_view body) {
  switch (sent) {
    case Connection::Sent::kOk: return true;
    case Connection::Sent::kTooLarge: {
      MutexLock lock(&mutex_);
      too_large_.emplace_back(attempt, HeaderBytes(headers) + body.size());
      return true;
    }
    case Connection::Sent::kInvalid:
      return Refuse(attempt, PubAnswer::Kind::kNever,
                    "nats.c takes its subject or one of its headers for invalid");
    case Connection::Sent::kNoHeaders:
      return Refuse(attempt, PubAnswer::Kind::kRefused,
                    "the NATS server has headers switched off (no_header_support)");
    case Connection::Sent::kError:
      LogGathered(Level::kWarn, "nats.c could not take a message", "", error,
                  {{"target", subject_}});
      return Refuse(attempt, PubAnswer::Kind::kRefused,
                    fmt::format("nats.c could not take it: {}", error));
    case Connection::Sent::kDown:
    case Connection::Sent::kFull: break;
  }
  // Already taken: it was declared lost, and is answered for.
  return !Take(attempt);
}

// Nothing was sent, and yet there is an answer.
bool NatsEgress::Refuse(uint64_t attempt, PubAnswer::Kind kind, const std::string& why) {
  if (Take(attempt)) Answer({attempt}, kind, why);
  return true;
}

void NatsEgress::JudgeTooLarge() {
  std::vector<std::pair<uint64_t, size_t>> too_large;
  {
    MutexLock lock(&mutex_);
    too_large.swap(too_large_);
  }
  if (!too_large.empty()) connection_.CheckMaxPayload();
  const int64_t now = connection_.server_max_payload();
  const int64_t before = connection_.max_payload();
  if (now != before)
    connection_.Renew(
        fmt::format("max_payload of the server is {} now and was {}", now, before));
  for (const auto& [attempt, bytes] : too_large) {
    const bool fits = bytes <= static_cast<uint64_t>(now);
    (void)Refuse(attempt, fits ? PubAnswer::Kind::kRetry : PubAnswer::Kind::kNever,
                 TooLarge(bytes, fits ? before : now));
  }
}

void NatsEgress::OnTick() {
  requests_.Tick();
  JudgeTooLarge();
  if (connection_.up()) routes_.Refresh();
  const int64_t until_ms = MonotonicMs() - kCoreGraceMs;
  std::vector<uint64_t> confirmed;
  {
    MutexLock lock(&mutex_);
    for (; !echoed_.empty() && echoed_.front().second <= until_ms; echoed_.pop_front())
      if (in_flight_.erase(echoed_.front().first) > 0)
        confirmed.push_back(echoed_.front().first);
  }
  Answer(confirmed, PubAnswer::Kind::kAck, "");
}

void NatsEgress::Answer(const std::vector<uint64_t>& attempts, PubAnswer::Kind kind,
                        const std::string& text) {
  for (const uint64_t attempt : attempts)
    inbox_->Complete(PubAnswer{.attempt = attempt, .kind = kind, .text = text});
}

void NatsEgress::Flush() { connection_.Flush(); }

void NatsEgress::Forget(uint64_t attempt, std::string_view target, bool timed_out) {
  Take(attempt);
  if (timed_out) routes_.Forget(target);
}

bool NatsEgress::Take(uint64_t attempt) {
  MutexLock lock(&mutex_);
  return in_flight_.erase(attempt) > 0;
}

void NatsEgress::OnAnswer(const Delivery& delivery) {
  std::string_view token = delivery.subject();
  token.remove_prefix(std::min(token.size(), reply_prefix_.size()));
  const bool echo = token.starts_with('c');
  if (echo) token.remove_prefix(1);
  uint64_t attempt = 0;
  const char* const end = token.data() + token.size();
  const auto [stop, error] = std::from_chars(token.data(), end, attempt);
  if (error != std::errc() || stop != end) return;
  if (echo) {
    MutexLock lock(&mutex_);
    if (in_flight_.contains(attempt)) echoed_.emplace_back(attempt, MonotonicMs());
    return;
  }
  PubAnswer answer = pub_ack_.Read(attempt, delivery.status(), delivery.payload());
  std::string target;
  {
    MutexLock lock(&mutex_);
    const auto found = in_flight_.find(attempt);
    if (found != in_flight_.end()) {
      target = std::move(found->second);
      in_flight_.erase(found);
    }
  }
  if (answer.kind == PubAnswer::Kind::kNoStream && !target.empty())
    routes_.Forget(target);
  inbox_->Complete(std::move(answer));
}

void NatsEgress::OnUp() {
  // Another server, or the same with other streams.
  routes_.ForgetAll();
  inbox_->Complete(EgressChanged{true});
}

// Where the server said so as it closed the connection, the longest subject was
// too long for it: sent again, it would close every connection.
std::optional<uint64_t> NatsEgress::TakeTooLong(const std::string& why) {
  if (why.find("maximum control line exceeded") == why.npos) return std::nullopt;
  const auto shorter = [](const auto& a, const auto& b) {
    return a.second.size() < b.second.size();
  };
  const auto longest = std::max_element(in_flight_.begin(), in_flight_.end(), shorter);
  if (longest == in_flight_.end()) return std::nullopt;
  const uint64_t attempt = longest->first;
  in_flight_.erase(longest);
  return attempt;
}

void NatsEgress::OnDown(const std::string& why) {
  requests_.ConnectionLost();
  std::vector<uint64_t> lost;
  std::optional<uint64_t> too_long;
  {
    MutexLock lock(&mutex_);
    too_long = TakeTooLong(why);
    for (const auto& [attempt, target] : in_flight_) lost.push_back(attempt);
    in_flight_.clear();
    too_large_.clear();
    echoed_.clear();
  }
  if (too_long)
    Answer({*too_long}, PubAnswer::Kind::kNever,
           "its subject is too long for max_control_line of the NATS server");
  std::sort(lost.begin(), lost.end());
  Answer(lost, PubAnswer::Kind::kLost, "connection lost");
  inbox_->Complete(EgressChanged{false});
}

void NatsEgress::OnError(const std::string& text) {
  const std::string subject = DeniedSubject(text);
  if (subject.empty()) return LogErrorsOf("egress")(text);
  // Our own inbox: the echo of a message over core NATS, whose attempt would
  // otherwise time out again and again without a word.
  const bool echo = subject.starts_with(reply_prefix_);
  std::vector<uint64_t> denied;
  {
    MutexLock lock(&mutex_);
    for (const auto& [attempt, target] : in_flight_) {
      if (echo ? subject == reply_prefix_ + "c" + std::to_string(attempt)
               : target == subject)
        denied.push_back(attempt);
    }
    for (const uint64_t attempt : denied) in_flight_.erase(attempt);
  }
  if (denied.empty()) return;
  LogGathered(Level::kWarn, "no permission to publish", "", "", {{"target", subject}});
  const std::string why = "no permission to publish to " + subject;
  if (!echo) routes_.Deny(subject, why, kDeniedMs);
  std::sort(denied.begin(), denied.end());
  Answer(denied, PubAnswer::Kind::kRefused, why);
}

}  // namespace expirer
