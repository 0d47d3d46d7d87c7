// Every metric, in one table and a few families with labels: what /metrics says.
// Names, types and labels stand in docs/metrics.md; a test compares.
//
// Nothing is counted here. The core counts for itself, the loop copies that out
// (app/status.h), and a copy becomes text: prometheus-cpp's data model and its
// serializer, but none of its registry, whose counters only count themselves.
#pragma once

#include <string>
#include <vector>

#include "app/config.h"
#include "app/status.h"
#include "net/http_server.h"

namespace expirer {

// In the text format 0.0.4 of Prometheus. Labels are names of queues, rules and
// limits and words of fixed lists: bounded by the config. A rule that is gone is
// told of while the store holds something of it.
[[nodiscard]] std::string MetricsText(const Status& status, const Config& config,
                                      const HttpCounts& http);
inline constexpr char kMetricsType[] = "text/plain; version=0.0.4; charset=utf-8";

// What docs/metrics.md has a row for.
struct MetricDoc {
  std::string name;
  std::string type;    // counter, gauge, histogram
  std::string labels;  // "rule, reason"; "" = none
  std::string help;
};
// Of all metrics, in their order.
[[nodiscard]] std::vector<MetricDoc> MetricDocs();

}  // namespace expirer
