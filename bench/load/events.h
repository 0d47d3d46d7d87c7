// The events that the load is made of, and the check of what came of them.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "load/report.h"

namespace expirer::load {

enum class Ids { kAscending, kRandom };  // counts, or UUIDs; 36 characters both
[[nodiscard]] std::string_view Name(Ids ids);

inline constexpr std::string_view kRule = "order-expiration";

// Jobs 0..size-1: each has a key and a due time; both are functions of its
// number, so that events and expectations need not be kept twice.
class Jobs {
 public:
  // Job n is due at `first_due_ms` + n * `span_ms` / `count`. Keys and digits
  // follow from `seed`.
  Jobs(Ids ids, uint64_t count, int64_t first_due_ms, int64_t span_ms,
       uint64_t seed = std::random_device()(), std::string_view rule = kRule);

  [[nodiscard]] uint64_t count() const { return count_; }
  [[nodiscard]] std::string Key(uint64_t n) const;
  [[nodiscard]] int64_t DueMs(uint64_t n) const;
  // 200 bytes of JSON, as an order service might write it; it is the body of
  // the fired message, too. `earlier_ms`: one that is due so long before.
  [[nodiscard]] std::string Payload(uint64_t n, int64_t earlier_ms = 0) const;
  // As expirer's, but for its first part, the service's name, and its last, the source.
  [[nodiscard]] std::string MsgId(uint64_t n) const;

 private:
  const Ids ids_;
  const uint64_t count_;
  const int64_t first_due_ms_;
  const int64_t span_ms_;
  const uint64_t salt_;  // so that two runs have different keys
  const std::string rule_;
};

// Of times in ns, which are put into another order, in ms; 1 = the largest, and 0 ms
// when there are none.
[[nodiscard]] double QuantileMs(std::vector<int64_t>* ns, double quantile);

// What the target stream holds of `jobs`, checked message by message.
class FireCheck {
 public:
  explicit FireCheck(const Jobs& jobs);
  // `time_ns` is JetStream's time of the message. The job's number, if it is one and
  // this is its first message.
  std::optional<uint64_t> Add(std::string_view msg_id, std::string_view body,
                              int64_t time_ns);
  // Adds a failure to `report` for all that is missing, doubled, early,
  // unknown or has a wrong body.
  void Conclude(Report* report) const;
  [[nodiscard]] uint64_t early() const { return early_; }
  [[nodiscard]] uint64_t fired() const { return late_ns_.size(); }
  [[nodiscard]] int64_t last_ns() const { return last_ns_; }
  // JetStream's time less the due time, in ms, at `quantile` (1 = max).
  [[nodiscard]] double LateMs(double quantile) { return QuantileMs(&late_ns_, quantile); }

 private:
  const Jobs& jobs_;
  absl::flat_hash_map<std::string, uint64_t> numbers_;
  std::vector<uint8_t> seen_;
  std::vector<int64_t> late_ns_;
  uint64_t doubled_ = 0;
  uint64_t early_ = 0;
  uint64_t unknown_ = 0;
  uint64_t wrong_ = 0;
  int64_t last_ns_ = 0;
};

}  // namespace expirer::load
