#include "crash/watcher.h"

#include <utility>

#include "support/ledger.h"

namespace expirer::test {

Watcher::Watcher(const std::string& url, const std::string& target) : client_(url) {
  client_.Subscribe(target);
  thread_ = std::thread([this] { Run(); });
}

Watcher::~Watcher() {
  stopping_ = true;
  thread_.join();
}

void Watcher::AtNextAttempt(std::function<void()> now) {
  const std::lock_guard lock(mutex_);
  at_next_attempt_ = std::move(now);
}

std::vector<Attempt> Watcher::attempts() const {
  const std::lock_guard lock(mutex_);
  return attempts_;
}

void Watcher::Run() {
  while (!stopping_) {
    const auto message = client_.Next(100);
    if (!message) continue;
    std::function<void()> now;
    {
      const std::lock_guard lock(mutex_);
      now = std::exchange(at_next_attempt_, nullptr);
      attempts_.push_back({message->Header("Nats-Msg-Id"), NowMs()});
    }
    if (now) now();
  }
}

}  // namespace expirer::test
