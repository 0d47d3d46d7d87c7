// Requests over a Connection, each answered exactly once: by a reply, by a
// time-out, or because the connection went.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "base/mutex.h"
#include "base/status.h"
#include "net/connection.h"

namespace expirer {

// Thread-safe. Its owner passes on the connection's `tick` and `down`.
class Requests {
 public:
  using Done = std::function<void(absl::StatusOr<std::string> reply)>;

  // The connection must outlive it, stopped before this is destroyed.
  explicit Requests(Connection* connection);

  // Calls `done` once: on the delivery thread of the replies, on the loop
  // thread, or at once on this thread when not connected. kUnavailable for no
  // responder, a time-out and a lost connection.
  void Ask(const std::string& subject, const std::string& body, int64_t timeout_ms,
           Done done);
  // Asks and waits. Not from a handler of the connection.
  absl::StatusOr<std::string> Call(const std::string& subject, const std::string& body,
                                   int64_t timeout_ms);
  // Likewise, all at once, with the same body; the replies in the same order.
  [[nodiscard]] std::vector<absl::StatusOr<std::string>> CallAll(
      const std::vector<std::string>& subjects, int64_t timeout_ms,
      const std::string& body = "");

  void Tick();
  void ConnectionLost();

 private:
  struct Pending {
    std::string subject;
    int64_t deadline_ms = 0;
    Done done;
  };
  void OnReply(const Delivery& delivery);

  Connection* const connection_;
  const std::string prefix_;
  Mutex mutex_;
  uint64_t next_ ABSL_GUARDED_BY(mutex_) = 1;
  absl::flat_hash_map<uint64_t, Pending> pending_ ABSL_GUARDED_BY(mutex_);
};

// Why a publish sent nothing, for people; `too_large` is the reason for kTooLarge.
// REQUIRED: it is not kOk.
[[nodiscard]] std::string_view WhyNotSent(Connection::Sent sent,
                                          std::string_view too_large);

}  // namespace expirer
