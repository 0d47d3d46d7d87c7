// Counts durations by size in 16 buckets per power of two. So a quantile is at
// most 6 % off, and the counts take 8 KB however many values are added.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace expirer {

// Not thread-safe; copyable.
class Histogram {
 public:
  // Values below 0 count as 0.
  void Add(int64_t value) {
    const uint64_t v = value < 0 ? 0 : static_cast<uint64_t>(value);
    ++counts_[Bucket(v)];
    ++count_;
    if (v > max_) max_ = v;
  }
  [[nodiscard]] uint64_t count() const { return count_; }
  [[nodiscard]] uint64_t max() const { return max_; }
  // The least value such that at least a `quantile` (0..1) of all values is not
  // above it, rounded up to the end of its bucket; 0 if nothing was added.
  [[nodiscard]] uint64_t Quantile(double quantile) const {
    const auto wanted =
        static_cast<uint64_t>(quantile * static_cast<double>(count_) + 0.999999);
    uint64_t seen = 0;
    for (size_t i = 0; i < kBuckets; ++i) {
      seen += counts_[i];
      if (seen >= wanted && seen > 0) return End(i) < max_ ? End(i) : max_;
    }
    return max_;
  }

 private:
  static constexpr size_t kSub = 16;
  static constexpr size_t kBuckets = kSub * 61;
  // Below 16: one bucket per value. Above: by the four bits after the leading one.
  static size_t Bucket(uint64_t v) {
    if (v < kSub) return v;
    const auto power = static_cast<size_t>(std::bit_width(v)) - 1;  // >= 4
    return (power - 3) * kSub + ((v >> (power - 4)) & (kSub - 1));
  }
  static uint64_t End(size_t bucket) {
    if (bucket < kSub) return bucket;
    const size_t shift = bucket / kSub - 1;
    return ((kSub + bucket % kSub + 1) << shift) - 1;
  }

  std::array<uint64_t, kBuckets> counts_{};
  uint64_t count_ = 0;
  uint64_t max_ = 0;
};

}  // namespace expirer
