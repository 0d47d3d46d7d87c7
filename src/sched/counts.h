// Counts that must be exact and O(1) however large the store: they are written
// in the same batch as what they count.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "job/job.h"
#include "store/store.h"

namespace expirer {

// Of one rule, kept under "count/r/" rule: | u8 version=1 | varint pending |
// varint retrying | varint dead_jobs | varint rejected |
struct RuleCounts {
  uint64_t pending = 0;
  uint64_t retrying = 0;
  uint64_t dead_jobs = 0;
  uint64_t rejected = 0;  // entries in the dead store that never became jobs
  bool operator==(const RuleCounts&) const = default;
};

// Core thread only.
class Counts {
 public:
  explicit Counts(uint64_t history_max) : history_max_(history_max) {}
  [[nodiscard]] absl::Status Load(const Store& store);

  // The counts of a rule, also of one no longer configured, for change.
  RuleCounts& Change(std::string_view rule);
  [[nodiscard]] const std::map<std::string, RuleCounts, std::less<>>& rules() const {
    return rules_;
  }
  [[nodiscard]] uint64_t dead() const;

  // A key's register goes from one state to another; nullopt = unknown.
  void Move(std::string_view rule, const Register* from, const Register* to);

  // Closed keys still in history.
  [[nodiscard]] uint64_t closed() const { return closed_; }
  // Drops the buckets that expired, and at limits.history the oldest ones
  // early. Returns how many keys were forgotten early by this call.
  uint64_t Expire(int64_t now_ms);
  // Closed keys that expire at or before this are forgotten early; 0 = none.
  [[nodiscard]] int64_t forget_floor_ms() const { return forget_floor_ms_; }

  // Adds what changed since the last call to `set`.
  void Stage(WriteSet* set);

 private:
  // Closed keys by the time they expire, in spans of ten minutes, kept under
  // "count/h/" be64 span: varint count. 7 days of history are ~1,000 spans.
  static constexpr int64_t kSpanMs = 600'000;
  void Close(int64_t expires_ms, int64_t change);

  struct Span {
    uint64_t keys = 0;
    bool dirty = false;
  };
  const uint64_t history_max_;
  std::map<std::string, RuleCounts, std::less<>> rules_;
  std::map<std::string, bool, std::less<>> dirty_rules_;
  std::map<int64_t, Span> spans_;
  std::vector<int64_t> dirty_spans_;
  std::vector<int64_t> dropped_spans_;
  uint64_t closed_ = 0;
  int64_t forget_floor_ms_ = 0;
  bool floor_dirty_ = false;
};

}  // namespace expirer
