#include "sched/inbox.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/check.h"

namespace expirer {

Inbox::Inbox(size_t requests_max, std::function<void()> wake)
    : capacity_(requests_max), wake_(std::move(wake)) {}

bool Inbox::Reserve(size_t count) {
  absl::MutexLock lock(&mutex_);
  if (reserved_ + count > capacity_) {
    starved_ = true;
    return false;
  }
  reserved_ += count;
  return true;
}

void Inbox::Release(size_t count) {
  bool tell = false;
  {
    absl::MutexLock lock(&mutex_);
    CHECK(count <= reserved_);
    reserved_ -= count;
    tell = std::exchange(starved_, false);
  }
  if (tell && room_) room_();
}

void Inbox::OnRoom(std::function<void()> room) { room_ = std::move(room); }

void Inbox::Push(Request request) {
  bool was_empty = false;
  {
    absl::MutexLock lock(&mutex_);
    CHECK(requests_.size() - taken_ < reserved_);
    was_empty = completions_.empty() && requests_.size() == taken_;
    requests_.push_back(std::move(request));
  }
  if (was_empty) wake_();
}

void Inbox::Complete(Completion completion) {
  bool was_empty = false;
  {
    absl::MutexLock lock(&mutex_);
    was_empty = completions_.empty() && requests_.size() == taken_;
    completions_.push_back(std::move(completion));
  }
  if (was_empty) wake_();
}

void Inbox::Drain(size_t requests_max, std::vector<Completion>* completions,
                  std::vector<Request>* requests) {
  size_t count = 0;
  {
    absl::MutexLock lock(&mutex_);
    if (completions->empty()) {
      completions->swap(completions_);
    } else {
      std::move(completions_.begin(), completions_.end(),
                std::back_inserter(*completions));
      completions_.clear();
    }
    count = std::min(requests_max, requests_.size() - taken_);
    const auto first = requests_.begin() + static_cast<ptrdiff_t>(taken_);
    std::move(first, first + static_cast<ptrdiff_t>(count),
              std::back_inserter(*requests));
    taken_ += count;
    if (taken_ == requests_.size()) {
      requests_.clear();
      taken_ = 0;
    }
  }
  if (count > 0) Release(count);
}

bool Inbox::empty() const {
  absl::MutexLock lock(&mutex_);
  return completions_.empty() && requests_.size() == taken_;
}

size_t Inbox::requests() const {
  absl::MutexLock lock(&mutex_);
  return requests_.size() - taken_;
}

}  // namespace expirer
