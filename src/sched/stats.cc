#include "sched/stats.h"

#include <algorithm>
#include <limits>

namespace expirer {
namespace {

Json LatenessJson(const Histogram& h) {
  return JsonObject("count", h.count(), "p50", h.Quantile(0.5), "p99", h.Quantile(0.99),
                    "p999", h.Quantile(0.999), "max", h.max());
}

}  // namespace

Json RulesJson(const Stats& stats, std::string_view after, size_t bytes_max,
               std::string* cursor) {
  Json all;
  JsonWriter out(&all.text);
  out.Object();
  std::string_view last;
  for (auto at = stats.rules.upper_bound(after); at != stats.rules.end(); ++at) {
    const auto& [name, counts] = *at;
    const std::string rule =
        JsonWriter()
            .Add(name, JsonObject("pending", counts.pending, "retrying", counts.retrying,
                                  "dead", counts.dead_jobs, "rejected", counts.rejected))
            .Take();
    if (!last.empty() && all.text.size() + rule.size() + 2 > bytes_max) {
      *cursor = last;
      break;
    }
    out.Members(rule);
    last = name;
  }
  out.End();
  return all;
}

Json RulesJson(const Stats& stats) {
  std::string cursor;
  return RulesJson(stats, "", std::numeric_limits<size_t>::max(), &cursor);
}

Json CountersJson(const Stats& s) {
  return JsonObject(
      "scheduled", s.scheduled, "moved", s.moved, "cancelled", s.cancelled, "too_late",
      s.too_late, "unchanged", s.unchanged, "ignored", s.ignored, "rejected", s.rejected,
      "dropped", s.dropped, "stale_dropped", s.stale_dropped, "rewinds", s.rewinds,
      "published", s.published, "fired", s.fired, "skipped", s.skipped, "dead", s.dead,
      "may_have_fired", s.may_have_fired, "retries", s.retries, "timeouts", s.timeouts,
      "lost", s.lost, "strange_answers", s.strange_answers, "collisions", s.collisions,
      "settle_timeouts", s.settle_timeouts, "standstills", s.standstills, "gaps", s.gaps,
      "forgotten", s.forgotten, "miscounts", s.miscounts, "markers", s.markers);
}

std::string TotalsJson(const Stats& stats, int64_t now_ms) {
  RuleCounts all;
  for (const auto& [name, counts] : stats.rules) {
    all.pending += counts.pending;
    all.retrying += counts.retrying;
    all.dead_jobs += counts.dead_jobs;
    all.rejected += counts.rejected;
  }
  const int64_t overdue_ms =
      stats.oldest_due_ms == 0 ? 0 : std::max<int64_t>(now_ms - stats.oldest_due_ms, 0);
  const auto& jobs = stats.overdue.jobs;
  return JsonWriter()
      .Add("pending", all.pending, "retrying", all.retrying, "in_flight", stats.in_flight,
           "dead", all.dead_jobs, "rejected", all.rejected, "history", stats.closed,
           "window", stats.window, "fired", stats.fired, "oldest_overdue_ms", overdue_ms,
           "overdue",
           JsonObject("0s", jobs[0], "1s", jobs[1], "10s", jobs[2], "1m", jobs[3], "10m",
                      jobs[4], "more", stats.overdue.more),
           "lateness_ms",
           JsonObject("sent", LatenessJson(stats.sent_late_ms), "acked",
                      LatenessJson(stats.acked_late_ms)))
      .Take();
}

}  // namespace expirer
