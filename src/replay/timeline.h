// Counts fires and pending jobs over time, in at most kBucketsMax buckets. The span need
// not be known before: the buckets' width grows with it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace expirer {

class Timeline {
 public:
  struct Bucket {
    uint64_t fires = 0;
    uint64_t pending_max = 0;
    uint64_t pending_last = 0;
  };
  static constexpr size_t kBucketsMax = 600;

  // REQUIRED: times never go back.
  void AddFire(int64_t at_ms) { ++At(at_ms).fires; }
  void AddPending(int64_t at_ms, uint64_t pending);

  // The buckets in order and without gaps, from start_ms() on. A bucket in which nothing
  // happened has the pending jobs of the one before.
  [[nodiscard]] const std::vector<Bucket>& buckets() const { return buckets_; }
  [[nodiscard]] int64_t width_ms() const { return width_ms_; }
  // A multiple of the width.
  [[nodiscard]] int64_t start_ms() const { return first_ * width_ms_; }

 private:
  Bucket& At(int64_t at_ms);
  void Widen();

  int64_t width_ms_ = 1;
  int64_t first_ = 0;  // number of the first bucket, counted from 1970
  std::vector<Bucket> buckets_;
};

}  // namespace expirer
