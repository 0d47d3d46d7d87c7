#include "net/requests.h"

#include <charconv>
#include <utility>

#include "base/clock.h"

namespace expirer {

std::string_view WhyNotSent(Connection::Sent sent, std::string_view too_large) {
  switch (sent) {
    case Connection::Sent::kTooLarge: return too_large;
    case Connection::Sent::kFull: return "too much waits for the socket";
    case Connection::Sent::kDown: return "not connected to NATS";
    default: return "nats.c does not take it";
  }
}

Requests::Requests(Connection* connection)
    : connection_(connection), prefix_(connection->inbox() + ".q.") {
  connection_->Subscribe(prefix_ + "*", [this](const Delivery& d) { OnReply(d); });
}

void Requests::Ask(const std::string& subject, const std::string& body,
                   int64_t timeout_ms, Done done) {
  uint64_t number = 0;
  {
    MutexLock lock(&mutex_);
    number = next_++;
    pending_[number] = {subject, MonotonicMs() + timeout_ms, std::move(done)};
  }
  const Connection::Sent sent =
      connection_->Publish(subject, prefix_ + std::to_string(number), body);
  connection_->Flush();
  if (sent == Connection::Sent::kOk) return;
  Done failed;
  {
    MutexLock lock(&mutex_);
    const auto found = pending_.find(number);
    if (found == pending_.end()) return;  // ConnectionLost was faster
    failed = std::move(found->second.done);
    pending_.erase(found);
  }
  failed(Unavailable(
      std::string(WhyNotSent(sent, "the request exceeds the server's max_payload"))));
}

absl::StatusOr<std::string> Requests::Call(const std::string& subject,
                                           const std::string& body, int64_t timeout_ms) {
  return std::move(CallAll({subject}, timeout_ms, body).front());
}

std::vector<absl::StatusOr<std::string>> Requests::CallAll(
    const std::vector<std::string>& subjects, int64_t timeout_ms,
    const std::string& body) {
  struct Waiter {
    Mutex mutex;
    size_t missing ABSL_GUARDED_BY(mutex);
    std::vector<absl::StatusOr<std::string>> replies ABSL_GUARDED_BY(mutex);
  };
  Waiter waiter;
  {
    MutexLock lock(&waiter.mutex);
    waiter.missing = subjects.size();
    waiter.replies.assign(subjects.size(), Unavailable("no reply"));
  }
  for (size_t i = 0; i < subjects.size(); ++i) {
    Ask(subjects[i], body, timeout_ms, [&waiter, i](absl::StatusOr<std::string> reply) {
      MutexLock lock(&waiter.mutex);
      waiter.replies[i] = std::move(reply);
      --waiter.missing;
    });
  }
  MutexLock lock(&waiter.mutex);
  waiter.mutex.Await([&waiter] { return waiter.missing == 0; });
  return std::move(waiter.replies);
}

void Requests::OnReply(const Delivery& delivery) {
  std::string_view token = delivery.subject();
  if (token.size() <= prefix_.size()) return;
  token.remove_prefix(prefix_.size());
  uint64_t number = 0;
  (void)std::from_chars(token.data(), token.data() + token.size(), number);
  Pending pending;
  {
    MutexLock lock(&mutex_);
    const auto found = pending_.find(number);
    if (found == pending_.end()) return;  // too late
    pending = std::move(found->second);
    pending_.erase(found);
  }
  if (const auto status = delivery.status(); status.code != 0) {
    pending.done(Unavailable(status.code == 503
                                 ? "nobody answers " + pending.subject
                                 : "status " + std::to_string(status.code) + " on " +
                                       pending.subject));
    return;
  }
  pending.done(std::string(delivery.payload()));
}

void Requests::Tick() {
  const int64_t now_ms = MonotonicMs();
  std::vector<Pending> late;
  {
    MutexLock lock(&mutex_);
    for (auto it = pending_.begin(); it != pending_.end();) {
      if (it->second.deadline_ms > now_ms) {
        ++it;
        continue;
      }
      late.push_back(std::move(it->second));
      pending_.erase(it++);
    }
  }
  for (Pending& one : late) one.done(Unavailable("no answer from " + one.subject));
}

void Requests::ConnectionLost() {
  absl::flat_hash_map<uint64_t, Pending> lost;
  {
    MutexLock lock(&mutex_);
    lost.swap(pending_);
  }
  for (auto& [number, one] : lost)
    one.done(Unavailable("connection lost asking " + one.subject));
}

}  // namespace expirer
