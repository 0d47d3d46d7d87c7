// Receives the answers to all pulls of a connection, on one thread. If each source had
// its own subscription, nats.c would start a thread for each.
//
// A status comes to the reply subject of its pull. A message has its own subject, and
// only its ack subject says which consumer delivered it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "base/mutex.h"
#include "net/ack_subject.h"
#include "net/connection.h"

namespace expirer {

// Thread-safe.
class PullReplies {
 public:
  // Called on that one thread. None may block.
  struct Handlers {
    std::function<void(const Delivery& delivery, const AckSubject& ack)> message;
    // `pull` is the number that the pull's reply subject ended with.
    std::function<void(const Delivery& delivery, const Delivery::Status& status,
                       uint64_t pull)>
        status;
  };

  // Must live until the connection has stopped.
  explicit PullReplies(Connection* connection);

  // Returns a number for Reply and Route. What the handlers use must live as long.
  [[nodiscard]] size_t Add(Handlers handlers);
  // Lets `source` get the messages of this consumer.
  void Route(size_t source, const std::string& stream, const std::string& consumer);
  // The reply subject for a pull.
  [[nodiscard]] std::string Reply(size_t source, uint64_t pull) const;

 private:
  void OnDelivery(const Delivery& delivery);
  void OnStatus(const Delivery& delivery, const Delivery::Status& status);

  const std::string prefix_;
  mutable Mutex mutex_;
  // Their addresses do not change.
  std::deque<Handlers> sources_ ABSL_GUARDED_BY(mutex_);
  // "<stream>.<consumer>" -> source.
  absl::flat_hash_map<std::string, size_t> routes_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace expirer
