#include "sched/inbox.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/check.h"

namespace expirer {
namespace {

// The bytes that vary: what a hostile or merely large message brings along.
size_t Bytes(const Job& job) {
  size_t bytes = job.body.size();
  for (const auto& [name, value] : job.headers) bytes += name.size() + value.size();
  return bytes;
}

size_t Bytes(const Request& request) {
  const auto& message = std::get<MessageRequest>(request);  // asks are not counted
  size_t bytes = sizeof(MessageRequest) + message.reply.size();
  if (const auto* schedule = std::get_if<ScheduleIntent>(&message.intent)) {
    bytes += Bytes(schedule->job);
    for (const Job& job : schedule->more) bytes += Bytes(job);
  }
  if (const auto* cancel = std::get_if<CancelIntent>(&message.intent);
      cancel != nullptr && cancel->late != nullptr)
    bytes += Bytes(cancel->late->job);
  if (message.raw) {
    bytes += message.raw->payload.size();
    for (const auto& [name, value] : message.raw->headers)
      bytes += name.size() + value.size();
  }
  return bytes;
}

}  // namespace

Inbox::Inbox(size_t requests_max, std::function<void()> wake, size_t asks_max)
    : capacity_(requests_max), wake_(std::move(wake)), asks_max_(asks_max) {}

bool Inbox::Reserve(size_t count, size_t bytes) {
  MutexLock lock(&mutex_);
  const bool large = bytes_ + bytes > bytes_max_ && bytes_ > bytes_max_ / 2;
  if (reserved_ + count > capacity_ || large) {
    starved_ = true;
    return false;
  }
  reserved_ += count;
  bytes_ += bytes;
  return true;
}

void Inbox::Release(size_t count, size_t bytes) {
  bool tell = false;
  {
    MutexLock lock(&mutex_);
    CHECK(count <= reserved_ && bytes <= bytes_);
    reserved_ -= count;
    bytes_ -= bytes;
    tell = std::exchange(starved_, false);
  }
  if (tell && room_) room_();
}

void Inbox::OnRoom(std::function<void()> room) { room_ = std::move(room); }

void Inbox::SetWakeAt(size_t count) {
  MutexLock lock(&mutex_);
  wake_at_ = count;
}

void Inbox::SetBytesMax(size_t bytes) {
  {
    MutexLock lock(&mutex_);
    bytes_max_ = bytes;
  }
  Release(0);
}

void Inbox::Push(Request request, size_t bytes) {
  bool tell = false;
  const size_t own_bytes = Bytes(request);
  {
    MutexLock lock(&mutex_);
    CHECK(requests_.size() < reserved_ && bytes <= bytes_);
    tell = completions_.size() < wake_at_ && requests_.empty();
    requests_.push_back(std::move(request));
    bytes_ += own_bytes - bytes;
  }
  if (tell) wake_();
}

bool Inbox::TakePlace() {
  MutexLock lock(&mutex_);
  if (places_ >= asks_max_) return false;
  ++places_;
  return true;
}

void Inbox::Ask(Request request) {
  bool tell = false;
  {
    MutexLock lock(&mutex_);
    CHECK(asks_.size() < places_);
    tell = asks_.empty();
    asks_.push_back(std::move(request));
  }
  if (tell) wake_();
}

void Inbox::Answered() {
  MutexLock lock(&mutex_);
  CHECK(places_ > 0);
  --places_;
}

size_t Inbox::asks() const {
  MutexLock lock(&mutex_);
  return places_;
}

void Inbox::Complete(Completion completion) {
  bool tell = false;
  {
    MutexLock lock(&mutex_);
    if (const auto* read = std::get_if<RuleRead>(&completion)) {
      if (read->state == RuleRead::State::kAway)
        std::erase_if(reads_, [&](const auto& r) { return r.read.rule == read->rule; });
      else if (!requests_.empty())
        return reads_.push_back({requests_.size(), *read});  // these woke the core
    }
    completions_.push_back(std::move(completion));
    tell = completions_.size() == wake_at_ && requests_.empty();
  }
  if (tell) wake_();
}

void Inbox::Drain(size_t requests_max, std::vector<Completion>* completions,
                  std::vector<Request>* requests) {
  size_t count = 0;
  size_t bytes = 0;
  {
    MutexLock lock(&mutex_);
    if (completions->empty()) {
      completions->swap(completions_);
    } else {
      std::move(completions_.begin(), completions_.end(),
                std::back_inserter(*completions));
      completions_.clear();
    }
    for (; count < requests_max && !requests_.empty(); ++count) {
      bytes += Bytes(requests_.front());
      requests->push_back(std::move(requests_.front()));
      requests_.pop_front();
    }
    for (; !reads_.empty() && reads_.front().ahead <= count; reads_.pop_front())
      completions->push_back(reads_.front().read);
    for (WaitingRead& waiting : reads_) waiting.ahead -= count;
    for (size_t i = 0; requests_max > 0 && i < kAsksPerDrain && !asks_.empty(); ++i) {
      requests->push_back(std::move(asks_.front()));
      asks_.pop_front();
    }
  }
  if (count > 0) Release(count, bytes);
}

bool Inbox::empty() const {
  MutexLock lock(&mutex_);
  return completions_.empty() && asks_.empty() && requests_.empty();
}

size_t Inbox::completions() const {
  MutexLock lock(&mutex_);
  return completions_.size();
}

size_t Inbox::requests() const {
  MutexLock lock(&mutex_);
  return requests_.size() + asks_.size();
}

size_t Inbox::bytes() const {
  MutexLock lock(&mutex_);
  return bytes_;
}

size_t Inbox::bytes_max() const {
  MutexLock lock(&mutex_);
  return bytes_max_;
}

}  // namespace expirer
