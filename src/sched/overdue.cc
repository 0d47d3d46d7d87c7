#include "sched/overdue.h"

namespace expirer {

void Overdue::Add(int64_t due_ms, int64_t now_ms) {
  size_t bucket = 0;
  while (bucket + 1 < kFromMs.size() && now_ms - due_ms >= kFromMs[bucket + 1]) ++bucket;
  ++jobs[bucket];
}

void OverdueRows::Add(uint64_t seq, int64_t due_ms, bool retry) {
  if (!due_.try_emplace(seq, Row{due_ms, retry}).second) return;
  by_due_.emplace(due_ms, seq);
  retrying_ += retry ? 1 : 0;
  if (due_.size() > rows_max_) Drop(by_due_.rbegin()->second);
}

void OverdueRows::Drop(uint64_t seq) {
  const auto found = due_.find(seq);
  if (found == due_.end()) return;
  by_due_.erase({found->second.due_ms, seq});
  retrying_ -= found->second.retry ? 1 : 0;
  due_.erase(found);
}

void OverdueRows::Count(int64_t now_ms, Overdue* overdue) const {
  size_t visits = 0;
  for (const auto& [due_ms, seq] : by_due_) {
    if (due_ms > now_ms) return;
    if (++visits > Overdue::kVisitsMax) {
      overdue->more = true;
      return;
    }
    overdue->Add(due_ms, now_ms);
  }
}

}  // namespace expirer
