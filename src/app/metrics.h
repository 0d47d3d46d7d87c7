// All metrics of /metrics: one table, and a few families with labels. docs/metrics.md
// lists names, types and labels; a test compares.
//
// Nothing is counted here. The core counts, the loop copies the counts (app/status.h),
// and this code turns a copy into text. It uses prometheus-cpp's data model and
// serializer, but not its registry, whose counters can only count by themselves.
#pragma once

#include <string>
#include <vector>

#include "app/config.h"
#include "app/status.h"
#include "net/http_server.h"

namespace expirer {

// The metrics in the text format 0.0.4 of Prometheus. Labels are names of queues, rules
// and limits, and words of fixed lists, so the config bounds them. A rule that is gone
// appears while the store has entries of it.
[[nodiscard]] std::string MetricsText(const Status& status, const Config& config,
                                      const HttpCounts& http);
inline constexpr char kMetricsType[] = "text/plain; version=0.0.4; charset=utf-8";

// A row of docs/metrics.md.
struct MetricDoc {
  std::string name;
  std::string type;    // counter, gauge, histogram
  std::string labels;  // "rule, reason"; "" = none
  std::string help;
};
// The rows of all metrics, in their order.
[[nodiscard]] std::vector<MetricDoc> MetricDocs();

}  // namespace expirer
