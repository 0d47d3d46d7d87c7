// The NATS service protocol (ADR-32): discovery by PING, INFO and STATS, and
// endpoints with their counts. nats.c has it only from 3.7, so it is spoken
// here by hand, the same for all versions.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "base/mutex.h"
#include "net/connection.h"
#include "sched/events.h"

namespace expirer {

// Thread-safe once every endpoint is added.
class Micro {
 public:
  struct Options {
    std::string name;  // letters, digits, - and _
    std::string version;
    std::string description;
    std::string store_id;  // shown in the metadata
    // JSON object for the `data` of the endpoint called stats; may be empty.
    std::function<std::string()> data;
    // Filters beside $… and <name>.> whose subjects get no reply, whatever a request
    // asks for: what the service reads and what it publishes to.
    std::vector<std::string> no_replies_to = {};
  };
  // The request's payload lives for the call. Answer by Reply, once.
  using Handler = std::function<void(Caller caller, std::string_view payload)>;

  // `connection` outlives it.
  Micro(Options options, Connection* connection);

  // Before Listen. `name` as the service's.
  void AddEndpoint(const std::string& name, const std::string& subject, Handler handler);
  // Subscribes to all. Once.
  void Listen();

  // Any thread. `code` 0: `body` is the reply; else an error, told by header and body.
  // A reply over the server's max_payload becomes an error 429; an error over it is
  // cut.
  void Reply(const Caller& caller, int code, const std::string& body);
  // Any thread. Replies that did not leave as they were: too large, too much waiting
  // for the socket, no connection. Each is logged, at most one a minute.
  [[nodiscard]] uint64_t replies_failed() const { return replies_failed_; }

  // Any thread. Replies not sent because of their subject: a request could have made
  // the service publish what its sender may not. Logged likewise.
  [[nodiscard]] uint64_t replies_refused() const { return replies_refused_; }

  // The three answers of discovery, as JSON.
  [[nodiscard]] std::string PingJson() const;
  [[nodiscard]] std::string InfoJson() const;
  [[nodiscard]] std::string StatsJson() const;

  [[nodiscard]] const std::string& id() const { return id_; }

  // Members of one queue group share the requests (ADR-32's default name).
  static constexpr char kQueueGroup[] = "q";
  // Requests that may wait for an endpoint's handler: 1,024 of the largest
  // are 16 MB.
  static constexpr int kPendingMax = 1'024;

 private:
  struct Endpoint {
    std::string name;
    std::string subject;
    Handler handler;
  };
  struct Count {
    uint64_t requests = 0;
    uint64_t errors = 0;
    std::string last_error;
    int64_t processing_ns = 0;
  };
  [[nodiscard]] std::string Head(std::string_view type) const;
  void OnRequest(size_t endpoint, const Delivery& delivery);
  // What was answered in the end: `code`, or that the reply is too large.
  int Send(const std::string& reply, std::string_view endpoint, int code,
           const std::string& body);
  [[nodiscard]] Connection::Sent SendError(const std::string& reply, int code,
                                           const std::string& text);

  const Options options_;
  Connection* const connection_;
  const std::string id_;
  const std::string started_;
  std::vector<Endpoint> endpoints_;
  std::atomic<uint64_t> replies_failed_ = 0;
  std::atomic<uint64_t> replies_refused_ = 0;

  mutable Mutex mutex_;
  std::vector<Count> counts_ ABSL_GUARDED_BY(mutex_);
};

// Whether a request's reply may go there: to inboxes, and elsewhere not to $…,
// <service>.> or what one of `filters` matches.
[[nodiscard]] bool MayReplyTo(std::string_view subject, const std::string& service,
                              const std::vector<std::string>& filters);

// Who answered a PING; empty where the answer does not say.
struct ServiceIdentity {
  std::string id;
  std::string store_id;
};
[[nodiscard]] ServiceIdentity ReadPing(std::string_view json);

// {"error":{"code":...,"message":"..."}}
[[nodiscard]] std::string ErrorJson(int code, std::string_view message);

}  // namespace expirer
