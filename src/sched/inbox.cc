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

bool Inbox::Reserve(size_t count) {
  MutexLock lock(&mutex_);
  if (reserved_ + count > capacity_ || bytes_ > kBytesMax) {
    starved_ = true;
    return false;
  }
  reserved_ += count;
  return true;
}

void Inbox::Release(size_t count) {
  bool tell = false;
  {
    MutexLock lock(&mutex_);
    CHECK(count <= reserved_);
    reserved_ -= count;
    tell = std::exchange(starved_, false);
  }
  if (tell && room_) room_();
}

void Inbox::OnRoom(std::function<void()> room) { room_ = std::move(room); }

void Inbox::SetWakeAt(size_t count) {
  MutexLock lock(&mutex_);
  wake_at_ = count;
}

void Inbox::Push(Request request) {
  bool tell = false;
  const size_t bytes = Bytes(request);
  {
    MutexLock lock(&mutex_);
    CHECK(requests_.size() - taken_ < reserved_);
    tell = completions_.size() < wake_at_ && requests_.size() == taken_;
    requests_.push_back(std::move(request));
    bytes_ += bytes;
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
    completions_.push_back(std::move(completion));
    tell = completions_.size() == wake_at_ && requests_.size() == taken_;
  }
  if (tell) wake_();
}

void Inbox::Drain(size_t requests_max, std::vector<Completion>* completions,
                  std::vector<Request>* requests) {
  size_t count = 0;
  {
    MutexLock lock(&mutex_);
    if (completions->empty()) {
      completions->swap(completions_);
    } else {
      std::move(completions_.begin(), completions_.end(),
                std::back_inserter(*completions));
      completions_.clear();
    }
    count = std::min(requests_max, requests_.size() - taken_);
    const auto first = requests_.begin() + static_cast<ptrdiff_t>(taken_);
    for (size_t i = 0; i < count; ++i) bytes_ -= Bytes(first[static_cast<ptrdiff_t>(i)]);
    std::move(first, first + static_cast<ptrdiff_t>(count),
              std::back_inserter(*requests));
    taken_ += count;
    if (taken_ == requests_.size()) {
      requests_.clear();
      taken_ = 0;
    }
    for (size_t i = 0; requests_max > 0 && i < kAsksPerDrain && !asks_.empty(); ++i) {
      requests->push_back(std::move(asks_.front()));
      asks_.pop_front();
    }
  }
  if (count > 0) Release(count);
}

bool Inbox::empty() const {
  MutexLock lock(&mutex_);
  return completions_.empty() && asks_.empty() && requests_.size() == taken_;
}

size_t Inbox::completions() const {
  MutexLock lock(&mutex_);
  return completions_.size();
}

size_t Inbox::requests() const {
  MutexLock lock(&mutex_);
  return requests_.size() - taken_ + asks_.size();
}

}  // namespace expirer
