// How long the jobs that are due have been due. A row's time in the store says
// so only until it arrives overdue or is tried again: from then on it is the
// time of writing or of the next attempt. OverdueRows remembers the due times of
// such rows.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"

namespace expirer {

// Jobs that are due and not confirmed, by how long they have been due: each is
// in the last bucket whose bound it has reached.
struct Overdue {
  static constexpr std::array<int64_t, 5> kFromMs = {0, 1'000, 10'000, 60'000, 600'000};
  std::array<uint64_t, 5> jobs{};
  // There are more: beyond the window, or beyond what is counted (kVisitsMax a
  // lane, and as many of those tried again). A cancelled job may count until its
  // turn.
  bool more = false;
  static constexpr size_t kVisitsMax = 10'000;

  // Counts one job that has been due since `due_ms`.
  void Add(int64_t due_ms, int64_t now_ms);
};

// Rows whose time in the store is later than their job's due time. At most
// kRowsMax are kept, those due the longest; a row that is left out may come back
// with its next attempt, which writes it anew. Core thread only.
class OverdueRows {
 public:
  static constexpr size_t kRowsMax = 100'000;  // ~50 B each
  explicit OverdueRows(size_t rows_max = kRowsMax) : rows_max_(rows_max) {}

  // A row was written or found in the store.
  void Add(uint64_t seq, int64_t due_ms, bool retry);
  // A row is no more. Nothing where it was not kept.
  void Drop(uint64_t seq);

  [[nodiscard]] bool Holds(uint64_t seq) const { return due_.contains(seq); }
  // Of the rows kept, how many wait for a further attempt.
  [[nodiscard]] size_t retrying() const { return retrying_; }
  // The due time of the one due the longest; 0 where none is kept.
  [[nodiscard]] int64_t oldest_due_ms() const {
    return by_due_.empty() ? 0 : by_due_.begin()->first;
  }
  // Adds those that are due, the oldest first, kVisitsMax at most.
  void Count(int64_t now_ms, Overdue* overdue) const;

 private:
  struct Row {
    int64_t due_ms = 0;
    bool retry = false;
  };
  const size_t rows_max_;
  size_t retrying_ = 0;
  absl::flat_hash_map<uint64_t, Row> due_;                // by seq
  absl::btree_set<std::pair<int64_t, uint64_t>> by_due_;  // due, seq
};

}  // namespace expirer
