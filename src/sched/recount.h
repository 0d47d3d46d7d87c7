// Counts the entries of each rule anew, from the store: a bounded piece a turn,
// beside the work of the scheduler, whose changes meanwhile Counts adds.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "sched/counts.h"
#include "store/store.h"

namespace expirer {

// Core thread only. Sees the store as it was when this was made.
class Recount {
 public:
  explicit Recount(const Store& store);

  // Reads on; true at the end. An entry that cannot be read is counted nowhere.
  [[nodiscard]] absl::StatusOr<bool> Read();
  [[nodiscard]] const CountsByRule& seen() const { return seen_; }
  [[nodiscard]] uint64_t stale() const { return stale_; }
  [[nodiscard]] uint64_t dead_bytes() const { return dead_bytes_; }

 private:
  // 4,096 registers take ~2 ms; of ten million all take some 5 s.
  static constexpr size_t kRowsATurn = 4'096;

  // Of the rule that an entry's key begins with. Keys come in order.
  RuleCounts& Of(std::string_view key);
  void CountDead(std::string_view key, std::string_view value);
  void CountRegister(std::string_view id, std::string_view value);

  std::unique_ptr<EntryScan> dead_;
  std::unique_ptr<EntryScan> registers_;
  CountsByRule seen_;
  uint64_t stale_ = 0;
  uint64_t dead_bytes_ = 0;
  CountsByRule::iterator last_ = seen_.end();
};

}  // namespace expirer
