// The API over NATS request and reply (docs/api.md): parses requests into commands,
// lets a thread of its own do their slow reads, hands them to the core, and sends the
// replies. At most limits.requests are open. Every request is answered, one over that
// limit with 429.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "api/verb.h"
#include "base/mutex.h"
#include "net/micro.h"
#include "sched/inbox.h"
#include "store/store.h"

namespace expirer {

struct ApiOptions {
  std::string name = "expirer";  // subjects are <name>.v1.…
  std::string version;
  std::string store_id;
  // JSON object of what STATS shows beside the counts; any thread.
  std::function<std::string()> data;
  ApiContext context;  // but for its queues, which are made of its rules
};

// Reply: any thread. Everything else: any one thread.
class Api {
 public:
  // All outlive it; the connection is stopped before this is destroyed.
  Api(ApiOptions options, Connection* connection, Inbox* inbox, const Store* store);
  ~Api();

  // Begins to take requests. Once, any thread.
  void Listen() { micro_.Listen(); }
  void Start();
  // From now on every request is answered 503.
  void Refuse() { refusing_ = true; }
  // No page is read any more. The store may close after it.
  void Stop();

  // The answer to a request that the core has decided on; gives its place back.
  void Reply(const Caller& caller, int code, const std::string& body);
  // Any thread; see Micro.
  [[nodiscard]] uint64_t replies_failed() const { return micro_.replies_failed(); }
  [[nodiscard]] uint64_t replies_refused() const { return micro_.replies_refused(); }

 private:
  // Delivery threads.
  void OnRequest(const Verb& verb, Caller caller, std::string_view payload);
  // True when the request may go on; else it is answered.
  [[nodiscard]] bool Admit(const Caller& caller);
  // Reader thread.
  void Run();

  Inbox* const inbox_;
  const Store* const store_;
  const Queues queues_;
  ApiContext context_;  // constant after construction
  Connection* const connection_;
  Micro micro_;
  std::atomic<bool> refusing_ = false;

  Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  // To be read, bounded by the inbox's places.
  std::deque<std::unique_ptr<Command>> cold_ ABSL_GUARDED_BY(mutex_);
  std::thread reader_;
};

}  // namespace expirer
