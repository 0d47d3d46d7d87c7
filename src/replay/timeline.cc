#include "replay/timeline.h"

#include <algorithm>

namespace expirer {
namespace {

// Each is a multiple of the one before, so that buckets merge whole.
constexpr int64_t kWidthsMs[] = {
    1,         10,         100,        1'000,       10'000,        60'000,        600'000,
    3'600'000, 21'600'000, 86'400'000, 604'800'000, 2'419'200'000, 31'449'600'000};

int64_t Wider(int64_t width_ms) {
  const auto* const next =
      std::upper_bound(std::begin(kWidthsMs), std::end(kWidthsMs), width_ms);
  return next == std::end(kWidthsMs) ? width_ms * 10 : *next;
}

}  // namespace

void Timeline::AddPending(int64_t at_ms, uint64_t pending) {
  Bucket& bucket = At(at_ms);
  bucket.pending_max = std::max(bucket.pending_max, pending);
  bucket.pending_last = pending;
}

Timeline::Bucket& Timeline::At(int64_t at_ms) {
  if (buckets_.empty()) first_ = at_ms / width_ms_;
  while (at_ms / width_ms_ - first_ >= static_cast<int64_t>(kBucketsMax)) Widen();
  const auto at = static_cast<size_t>(at_ms / width_ms_ - first_);
  while (buckets_.size() <= at) {
    const uint64_t last = buckets_.empty() ? 0 : buckets_.back().pending_last;
    buckets_.push_back({0, last, last});
  }
  return buckets_[at];
}

void Timeline::Widen() {
  const int64_t wider = Wider(width_ms_);
  const int64_t by = wider / width_ms_;
  const int64_t first = first_ / by;
  std::vector<Bucket> merged;
  for (size_t i = 0; i < buckets_.size(); ++i) {
    const auto to = static_cast<size_t>((first_ + static_cast<int64_t>(i)) / by - first);
    if (merged.size() <= to) merged.resize(to + 1);
    merged[to].fires += buckets_[i].fires;
    merged[to].pending_max = std::max(merged[to].pending_max, buckets_[i].pending_max);
    merged[to].pending_last = buckets_[i].pending_last;
  }
  buckets_ = std::move(merged);
  first_ = first;
  width_ms_ = wider;
}

}  // namespace expirer
