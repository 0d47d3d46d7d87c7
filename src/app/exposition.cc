#include "app/exposition.h"

#include <utility>

#include "app/metrics.h"

namespace expirer {

void Exposition::Publish(Status status, const HttpCounts& http) {
  MutexLock lock(&mutex_);
  status_ = std::move(status);
  http_ = http;
  text_.clear();
}

HttpResponse Exposition::Answer(std::string_view path) {
  const bool metrics = path == "/metrics";
  if (!metrics && path != "/healthz" && path != "/readyz")
    return {404, "expected /metrics, /healthz or /readyz\n"};
  MutexLock lock(&mutex_);
  if (!status_) return {503, "the store is being opened\n"};
  if (metrics && status_->starting) return {503, status_->not_ready_why + "\n"};
  if (metrics) {
    if (text_.empty()) text_ = MetricsText(*status_, *config_, http_);
    return {200, text_, kMetricsType};
  }
  const Health health = HealthOf(*status_, clock_->MonotonicMs());
  const bool good = path == "/healthz" ? health.live : health.ready;
  return good ? HttpResponse{200, "ok\n"} : HttpResponse{503, health.why + "\n"};
}

}  // namespace expirer
