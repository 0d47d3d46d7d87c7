// The HTTP pages /metrics, /healthz and /readyz, if `metrics.listen` is set. All are made
// from the last Status. A scrape touches neither the core nor the store, and the text is
// made once per Status, however many scrapes come.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "app/config.h"
#include "app/status.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "net/http_server.h"

namespace expirer {

// Thread-safe.
class Exposition {
 public:
  // `config` and `clock` must outlive it.
  Exposition(const Config* config, const Clock* clock) : config_(config), clock_(clock) {}

  // Sets the status for later answers. Call it once a second. Before the first call every
  // answer is 503.
  void Publish(Status status, const HttpCounts& http);
  // /healthz: 200 while the core turns, independent of NATS, like `health --live`.
  // /readyz: 200 if ready. Otherwise 503 and the reason. Other paths: 404.
  [[nodiscard]] HttpResponse Answer(std::string_view path);

 private:
  const Config* const config_;
  const Clock* const clock_;
  Mutex mutex_;
  std::optional<Status> status_ ABSL_GUARDED_BY(mutex_);
  HttpCounts http_ ABSL_GUARDED_BY(mutex_);
  std::string text_ ABSL_GUARDED_BY(mutex_);  // of status_; "" = not made yet
};

}  // namespace expirer
