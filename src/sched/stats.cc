#include "sched/stats.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "base/rfc3339.h"
#include "json/writer.h"

namespace expirer {

std::string LatenessJson(const Histogram& h) {
  return fmt::format(R"({{"count":{},"p50":{},"p99":{},"p999":{},"max":{}}})", h.count(),
                     h.Quantile(0.5), h.Quantile(0.99), h.Quantile(0.999), h.max());
}

std::string RulesJson(const Stats& stats, std::string_view after, size_t bytes_max,
                      std::string* cursor) {
  std::string out = "{";
  std::string_view last;
  for (auto at = stats.rules.upper_bound(after); at != stats.rules.end(); ++at) {
    const auto& [name, counts] = *at;
    const std::string one = fmt::format(
        R"({}:{{"pending":{},"retrying":{},"dead":{},"rejected":{}}})", JsonQuoted(name),
        counts.pending, counts.retrying, counts.dead_jobs, counts.rejected);
    if (!last.empty() && out.size() + one.size() + 2 > bytes_max) {
      *cursor = last;
      break;
    }
    if (!last.empty()) out.push_back(',');
    out += one;
    last = name;
  }
  return out + "}";
}

std::string RulesJson(const Stats& stats) {
  std::string cursor;
  return RulesJson(stats, "", std::numeric_limits<size_t>::max(), &cursor);
}

std::string CountersJson(const Stats& s) {
  return fmt::format(
      R"({{"scheduled":{},"moved":{},"cancelled":{},"too_late":{},"unchanged":{},)"
      R"("ignored":{},"rejected":{},"dropped":{},"stale_dropped":{},"rewinds":{},"published":{},"fired":{},)"
      R"("skipped":{},"dead":{},"may_have_fired":{},"retries":{},"timeouts":{},"lost":{},)"
      R"("strange_answers":{},"collisions":{},"settle_timeouts":{},"standstills":{},)"
      R"("gaps":{},"forgotten":{},"miscounts":{},"markers":{}}})",
      s.scheduled, s.moved, s.cancelled, s.too_late, s.unchanged, s.ignored, s.rejected,
      s.dropped, s.stale_dropped, s.rewinds, s.published, s.fired, s.skipped, s.dead,
      s.may_have_fired, s.retries, s.timeouts, s.lost, s.strange_answers, s.collisions,
      s.settle_timeouts, s.standstills, s.gaps, s.forgotten, s.miscounts, s.markers);
}

std::string TotalsJson(const Stats& stats, int64_t now_ms) {
  RuleCounts all;
  for (const auto& [name, counts] : stats.rules) {
    all.pending += counts.pending;
    all.retrying += counts.retrying;
    all.dead_jobs += counts.dead_jobs;
    all.rejected += counts.rejected;
  }
  std::string out = fmt::format(
      R"("pending":{},"retrying":{},"in_flight":{},"dead":{},"rejected":{},"history":{},)"
      R"("window":{},"fired":{},"oldest_overdue_ms":{})",
      all.pending, all.retrying, stats.in_flight, all.dead_jobs, all.rejected,
      stats.closed, stats.window, stats.fired,
      stats.oldest_due_ms == 0 ? 0 : std::max<int64_t>(now_ms - stats.oldest_due_ms, 0));
  const auto& jobs = stats.overdue.jobs;
  out +=
      fmt::format(R"(,"overdue":{{"0s":{},"1s":{},"10s":{},"1m":{},"10m":{},"more":{}}})",
                  jobs[0], jobs[1], jobs[2], jobs[3], jobs[4], stats.overdue.more);
  out += fmt::format(R"(,"lateness_ms":{{"sent":{},"acked":{}}})",
                     LatenessJson(stats.sent_late_ms), LatenessJson(stats.acked_late_ms));
  return out;
}

}  // namespace expirer
