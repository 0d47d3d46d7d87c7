// Listens beside the target stream: sees every attempt expirer makes, also
// those the stream takes for a duplicate or refuses, at the moment it is made.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "support/nats_server.h"

namespace expirer::test {

struct Attempt {
  std::string msg_id;
  int64_t seen_ms = 0;  // wall clock
};

class Watcher {
 public:
  Watcher(const std::string& url, const std::string& target);
  ~Watcher();

  // Runs `now` on the watcher's thread when it sees the next attempt: its
  // PubAck is then on the way.
  void AtNextAttempt(std::function<void()> now);
  [[nodiscard]] std::vector<Attempt> attempts() const;

 private:
  void Run();

  TestClient client_;
  std::atomic<bool> stopping_ = false;
  mutable std::mutex mutex_;
  std::function<void()> at_next_attempt_;  // guarded by mutex_
  std::vector<Attempt> attempts_;          // guarded by mutex_
  std::thread thread_;
};

}  // namespace expirer::test
