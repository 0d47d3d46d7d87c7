// A 4-ary min-heap of 16-byte entries, with the next due entry at its top. Publishing
// costs ~10 us per job, so the heap is never the limit, and its code is short. It is
// 4-ary because a level then costs one cache line; bench/heap_bench.cc compares it with
// std::priority_queue.
#pragma once

#include <algorithm>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace expirer {

// A job's place within its lane; ordered as JobKey within one lane (I4).
struct TimerEntry {
  int64_t key_ms = 0;
  uint64_t seq = 0;
  auto operator<=>(const TimerEntry&) const = default;
};

class TimerHeap {
 public:
  [[nodiscard]] bool empty() const { return entries_.empty(); }
  [[nodiscard]] size_t size() const { return entries_.size(); }
  // REQUIRES: not empty.
  [[nodiscard]] const TimerEntry& top() const { return entries_.front(); }

  void Push(TimerEntry entry) {
    size_t at = entries_.size();
    entries_.push_back(entry);
    while (at > 0) {
      const size_t parent = (at - 1) / kArity;
      if (entries_[parent] <= entry) break;
      entries_[at] = entries_[parent];
      at = parent;
    }
    entries_[at] = entry;
  }

  // REQUIRES: not empty. The hole at the top moves down to a leaf along the lesser
  // children; then the last entry rises from there (Wegener's bottom-up sift). The last
  // entry nearly always belongs near the bottom, so this saves a comparison per level.
  // The 256 bytes that the step after next may read are prefetched: this halves the time
  // at a million entries.
  void Pop() {
    const TimerEntry last = entries_.back();
    entries_.pop_back();
    const size_t size = entries_.size();
    if (size == 0) return;
    size_t hole = 0;
    for (size_t child = 1; child < size; child = hole * kArity + 1) {
      const size_t below = child * kArity + 1;
      const size_t below_end = std::min(below + kArity * kArity, size);
      for (size_t at = below; at < below_end; at += kArity)
        __builtin_prefetch(entries_.data() + at);
      size_t least = child;
      const size_t end = std::min(child + kArity, size);
      for (size_t other = child + 1; other < end; ++other)
        least = entries_[other] < entries_[least] ? other : least;
      entries_[hole] = entries_[least];
      hole = least;
    }
    while (hole > 0) {
      const size_t parent = (hole - 1) / kArity;
      if (entries_[parent] <= last) break;
      entries_[hole] = entries_[parent];
      hole = parent;
    }
    entries_[hole] = last;
  }

  // Removes all but the `count` least entries and returns the greatest of those.
  // REQUIRES: 0 < count <= size(). O(n): ~20 ms at a million.
  TimerEntry KeepLeast(size_t count) {
    const auto kth = entries_.begin() + static_cast<ptrdiff_t>(count) - 1;
    std::nth_element(entries_.begin(), kth, entries_.end());
    const TimerEntry greatest = *kth;
    entries_.resize(count);
    // A sorted array is a valid heap of any arity.
    std::sort(entries_.begin(), entries_.end());
    return greatest;
  }

  // Removes the entries for which `gone` is true. O(n): ~10 ms at a million, plus the
  // time of `gone`.
  template <typename Gone>
  void Remove(Gone gone) {
    std::erase_if(entries_, gone);
    for (size_t root = entries_.size() / kArity + 1; root-- > 0;) SinkAt(root);
  }

  // Calls `visit` for entries at or before `key_ms`, in no order, until it
  // returns false. O(visited).
  template <typename Visit>
  void VisitUntil(int64_t key_ms, Visit visit) const {
    std::vector<size_t> open(entries_.empty() ? 0 : 1);
    while (!open.empty()) {
      const size_t at = open.back();
      open.pop_back();
      if (entries_[at].key_ms > key_ms) continue;  // nor is any below it
      if (!visit(entries_[at])) return;
      const size_t end = std::min((at + 1) * kArity + 1, entries_.size());
      for (size_t child = at * kArity + 1; child < end; ++child) open.push_back(child);
    }
  }

  void Clear() { entries_.clear(); }

 private:
  static constexpr size_t kArity = 4;

  // Restores the order below `at`, whose children are heaps.
  void SinkAt(size_t at) {
    while (true) {
      size_t least = at;
      const size_t end = std::min((at + 1) * kArity + 1, entries_.size());
      for (size_t child = at * kArity + 1; child < end; ++child)
        if (entries_[child] < entries_[least]) least = child;
      if (least == at) return;
      std::swap(entries_[at], entries_[least]);
      at = least;
    }
  }

  std::vector<TimerEntry> entries_;
};

}  // namespace expirer
