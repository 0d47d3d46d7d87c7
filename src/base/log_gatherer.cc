#include "base/log_gatherer.h"

#include <utility>

namespace expirer {

void LogGatherer::Add(int64_t now_ms, Level level, std::string_view message,
                      std::string_view rule, std::string_view reason,
                      std::span<const Field> fields) {
  std::vector<Field> all;
  if (!rule.empty()) all.emplace_back("rule", rule);
  if (!reason.empty()) all.emplace_back("reason", reason);
  all.insert(all.end(), fields.begin(), fields.end());
  MutexLock lock(&mutex_);
  Kinds::key_type key(message, rule, reason);
  if (kinds_.size() >= kKindsMax && !kinds_.contains(key))
    key = Kinds::key_type(message, "", "");
  const auto [at, first] = kinds_.try_emplace(std::move(key));
  Kind& kind = at->second;
  kind.level = level;
  kind.newest = std::move(all);
  if (first) {
    kind.told_ms = now_ms;
    write_(level, message, kind.newest);
  } else {
    ++kind.more;
  }
}

void LogGatherer::Tick(int64_t now_ms) {
  MutexLock lock(&mutex_);
  for (auto at = kinds_.begin(); at != kinds_.end();) {
    Kind& kind = at->second;
    const bool due = now_ms - kind.told_ms >= kEveryMs;
    if (due && kind.more == 0) {
      at = kinds_.erase(at);
      continue;
    }
    if (due) Tell(std::get<0>(at->first), &kind, now_ms);
    ++at;
  }
}

void LogGatherer::Flush() {
  MutexLock lock(&mutex_);
  for (auto& [key, kind] : kinds_)
    if (kind.more > 0) Tell(std::get<0>(key), &kind, kind.told_ms);
}

void LogGatherer::Tell(std::string_view message, Kind* kind, int64_t now_ms) {
  kind->newest.emplace_back("more", std::exchange(kind->more, 0));
  kind->told_ms = now_ms;
  write_(kind->level, message, kind->newest);
}

}  // namespace expirer
