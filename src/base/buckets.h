// Counts values by fixed upper bounds and sums them up, for a Prometheus
// histogram. base/histogram.h needs no bounds for its quantiles, but its counts
// at a round bound are up to 6 % off; these are exact.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/check.h"

namespace expirer {

// Not thread-safe; copyable.
class Buckets {
 public:
  static constexpr size_t kBoundsMax = 20;

  // `bounds` rise, are at most kBoundsMax, and outlive every copy of this.
  explicit Buckets(std::span<const int64_t> bounds) : bounds_(bounds) {
    CHECK(bounds.size() <= kBoundsMax);
  }

  // Values below 0 count as 0. Takes ~5 ns: the bounds are few and most values
  // small, so the search begins with the smallest bound.
  void Add(int64_t value) {
    const int64_t v = value < 0 ? 0 : value;
    size_t i = 0;
    while (i < bounds_.size() && v > bounds_[i]) ++i;
    ++counts_[i];
    sum_ += static_cast<uint64_t>(v);
  }

  [[nodiscard]] std::span<const int64_t> bounds() const { return bounds_; }
  // counts()[i]: values above bounds()[i - 1] and at or below bounds()[i]. There is
  // one count more than bounds, for the values above all of them.
  [[nodiscard]] std::span<const uint64_t> counts() const {
    return {counts_.data(), bounds_.size() + 1};
  }
  [[nodiscard]] uint64_t sum() const { return sum_; }

 private:
  std::span<const int64_t> bounds_;
  std::array<uint64_t, kBoundsMax + 1> counts_{};
  uint64_t sum_ = 0;
};

}  // namespace expirer
