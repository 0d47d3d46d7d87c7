// The API over NATS request and reply (docs/api.md): parses requests, hands
// them to the core within a credit of their own (limits.requests), reads pages
// of lists on a thread of its own, and sends the replies. Every request is
// answered; one over the limit with 429.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "job/rules.h"
#include "net/micro.h"
#include "sched/inbox.h"
#include "sched/pages.h"
#include "sched/queues.h"
#include "store/store.h"

namespace expirer {

struct ApiOptions {
  std::string name = "expirer";  // subjects are <name>.v1.…
  std::string version;
  std::string store_id;
  JobLimits job_limits;
  // JSON object of what STATS shows beside the counts; any thread.
  std::function<std::string()> data;
  // More members for the reply of `stats`, a fragment (json/writer.h); any thread.
  std::function<std::string()> more_stats;
};

// Reply: any thread. Everything else: any one thread.
class Api {
 public:
  // All outlive it; the connection is stopped before this is destroyed.
  Api(ApiOptions options, Connection* connection, Inbox* inbox, const Store* store,
      const std::vector<Rule>* rules, const Clock* clock);
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
  // What the reader does for one request.
  struct Page {
    Caller caller;
    DeadVerb verb = DeadVerb::kList;
    std::optional<ListQuery> list;  // else `dead`
    DeadQuery dead;
  };
  // Delivery threads.
  void AddEndpoints();
  // True when the request may go on; else it is answered.
  [[nodiscard]] bool Admit(const Caller& caller);
  // True if the request was parsed and may go on; else it is answered.
  [[nodiscard]] bool Take(const Caller& caller, const absl::Status& parsed);
  void OnJob(bool cancel, Caller caller, std::string_view payload);
  void OnStats(Caller caller, std::string_view payload);
  void OnRoundTrip(Caller caller, std::string_view payload);
  void OnList(Caller caller, std::string_view payload);
  void OnDead(DeadVerb verb, Caller caller, std::string_view payload);
  void AddPage(Page page);

  // Reader thread.
  void Run();
  [[nodiscard]] absl::Status Read(Page* page);
  [[nodiscard]] absl::Status ReadList(Page* page);
  [[nodiscard]] absl::Status ReadDeadList(Page* page);
  [[nodiscard]] absl::Status ReadDeadEntries(Page* page);
  void Evaluate(const Dead& dead, const StreamNames& streams, DeadRequest::Entry* entry);

  const ApiOptions options_;
  Inbox* const inbox_;
  const Store* const store_;
  const std::vector<Rule>* const rules_;
  const Queues queues_;
  const Clock* const clock_;
  Connection* const connection_;
  Micro micro_;
  std::atomic<bool> refusing_ = false;

  // Reader thread only.
  std::map<std::string, std::unique_ptr<RuleEvaluator>, std::less<>> evaluators_;

  Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<Page> pages_ ABSL_GUARDED_BY(mutex_);  // bounded by the inbox's places
  std::thread reader_;
};

}  // namespace expirer
