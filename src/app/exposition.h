// What is published over HTTP where `metrics.listen` is set: /metrics, /healthz
// and /readyz, all made of the last status that was told. A scrape touches
// neither the core nor the store, and however many come, text is made once for
// each status.
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
  // `config` and `clock` outlive it.
  Exposition(const Config* config, const Clock* clock) : config_(config), clock_(clock) {}

  // Once a second: what is answered from now on. Before the first, everything is
  // answered 503.
  void Publish(Status status, const HttpCounts& http);
  // /healthz: 200 while the core turns (as `health --live`, never by NATS);
  // /readyz: 200 when ready; else 503 and why. Other paths: 404.
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
