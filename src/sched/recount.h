// Counts the entries of each rule again, from the store, a bounded part per turn. The
// scheduler goes on meanwhile, and Counts adds its changes.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "sched/counts.h"
#include "store/store.h"

namespace expirer {

// Core thread only. It sees the store as it was when it was constructed.
class Recount {
 public:
  explicit Recount(const Store& store);

  // Reads the next part; true at the end. Does not count entries that cannot be read.
  absl::StatusOr<bool> Read();
  [[nodiscard]] const CountsByRule& seen() const { return seen_; }
  [[nodiscard]] uint64_t stale() const { return stale_; }
  [[nodiscard]] uint64_t dead_bytes() const { return dead_bytes_; }

 private:
  // 4,096 registers take ~2 ms; of ten million all take some 5 s.
  static constexpr size_t kRowsATurn = 4'096;

  // The counts of the rule that an entry's key begins with. REQUIRES: keys come in
  // order.
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
