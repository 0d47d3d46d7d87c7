#include "sched/process_gaps.h"

#include <algorithm>
#include <string>

#include "base/coding.h"
#include "store/meta.h"

namespace expirer {
namespace {

std::string GapKey(int64_t from_ms) {
  std::string key(kMetaProcessGap);
  PutBig64(&key, static_cast<uint64_t>(from_ms));
  return key;
}

}  // namespace

absl::Status ProcessGaps::Load(const Store& store, int64_t now_ms, WriteSet* set) {
  RETURN_IF_ERROR(store.VisitMeta(
      kMetaProcessGap,
      [this](std::string_view key, std::string_view value) -> absl::Status {
        if (key.size() != kMetaProcessGap.size() + 8)
          return Corrupt("process gap entry malformed");
        spans_.push_back(
            {static_cast<int64_t>(Big64(key.data() + kMetaProcessGap.size())),
             static_cast<int64_t>(Reader(value).Varint())});
        return absl::OkStatus();
      }));
  std::string alive;
  ASSIGN_OR_RETURN(const bool found, store.GetMeta(kMetaAlive, &alive));
  const int64_t from_ms = found ? static_cast<int64_t>(Reader(alive).Varint()) : now_ms;
  if (found) last_alive_ms_ = from_ms;
  // Nothing to note when the clock stepped back over the whole span.
  if (from_ms < now_ms) {
    set->PutMeta(GapKey(from_ms), Varints(now_ms));
    spans_.push_back({from_ms, now_ms});
    std::sort(spans_.begin(), spans_.end(),
              [](const Span& a, const Span& b) { return a.from_ms < b.from_ms; });
  }
  for (; spans_.size() > kSpansMax; spans_.erase(spans_.begin()))
    set->DeleteMeta(GapKey(spans_.front().from_ms));
  StageAlive(now_ms, set);
  return absl::OkStatus();
}

int64_t ProcessGaps::LatenessMs(int64_t due_ms) const {
  for (const Span& span : spans_)
    if (span.from_ms < due_ms && due_ms < span.until_ms) return span.until_ms - due_ms;
  return 0;
}

void ProcessGaps::StageAlive(int64_t now_ms, WriteSet* set) {
  set->PutMeta(kMetaAlive, Varints(now_ms));
}

}  // namespace expirer
