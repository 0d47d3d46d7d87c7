// A client of the API of a running service.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "base/mutex.h"
#include "net/connection.h"
#include "net/requests.h"

namespace expirer {

// One thread. Connects in the constructor's background.
class Client {
 public:
  Client(ConnectionOptions options, std::string service, int64_t timeout_ms);
  ~Client();

  // Waits until connected. Errors, in one sentence: no connection within the time-out,
  // or `stopped`, which is called now and then, returned true.
  absl::Status Connect(bool (*stopped)() = nullptr);
  // Asks <service>.v1.<endpoint>. Errors: kUnavailable when no service
  // answers, with one sentence; what the service refused as
  // kInvalidArgument (400), kNotFound (404) or kFailedPrecondition, with its
  // own words.
  absl::StatusOr<std::string> Ask(const std::string& endpoint, const std::string& body);
  // Any subject; the raw reply.
  absl::StatusOr<std::string> Call(const std::string& subject, const std::string& body);

  // Collects what comes on `subject` from now on; the first of it, or nothing
  // within `timeout_ms`. Once.
  void Listen(const std::string& subject);
  [[nodiscard]] std::optional<std::string> Heard(int64_t timeout_ms);

  // Closes the connection: no handler of it runs from then on.
  void Stop() { connection_->Stop(0); }

  [[nodiscard]] Connection& connection() { return *connection_; }
  [[nodiscard]] Requests& requests() { return *requests_; }
  [[nodiscard]] std::string servers() const;
  // What the server reported by itself so far, e.g. a missing permission.
  [[nodiscard]] std::vector<std::string> errors();

 private:
  const std::string service_;
  const int64_t timeout_ms_;
  Mutex mutex_;
  bool up_ ABSL_GUARDED_BY(mutex_) = false;
  std::string failure_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> errors_ ABSL_GUARDED_BY(mutex_);
  std::optional<std::string> heard_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<Connection> connection_;
  std::unique_ptr<Requests> requests_;
};

}  // namespace expirer
