// What the pulls of a connection bring, on one thread for all of them: with a
// subscription for each source, nats.c would make a thread for each.
//
// A status comes to the reply subject of its pull. A message keeps its own subject,
// and only its ack subject tells which consumer brought it.
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
  // Called on the one thread, and none may block.
  struct Handlers {
    std::function<void(const Delivery& delivery, const AckSubject& ack)> message;
    // `pull` is the number that the pull's reply subject ended with.
    std::function<void(const Delivery& delivery, const Delivery::Status& status,
                       uint64_t pull)>
        status;
  };

  // It stays until the connection has stopped.
  explicit PullReplies(Connection* connection);

  // A number for Reply and Route. What the handlers use stays likewise.
  [[nodiscard]] size_t Add(Handlers handlers);
  // From now on `source` gets the messages of this consumer.
  void Route(size_t source, const std::string& stream, const std::string& consumer);
  // The subject at which a pull asks for its answers.
  [[nodiscard]] std::string Reply(size_t source, uint64_t pull) const;

 private:
  void OnDelivery(const Delivery& delivery);
  void OnStatus(const Delivery& delivery, const Delivery::Status& status);

  const std::string prefix_;
  mutable Mutex mutex_;
  // Stay where they are.
  std::deque<Handlers> sources_ ABSL_GUARDED_BY(mutex_);
  // "<stream>.<consumer>" -> source.
  absl::flat_hash_map<std::string, size_t> routes_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace expirer
