// Counts due jobs by how long they have been due. A row's time in the store is its due
// time only if the row did not arrive overdue and was not tried again; otherwise it is
// the time of writing or of the next attempt. OverdueRows remembers the due times of
// such rows.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"

namespace expirer {

// Unconfirmed due jobs, by how long they have been due. Each is in the last bucket whose
// bound it has reached.
struct Overdue {
  static constexpr std::array<int64_t, 5> kFromMs = {0, 1'000, 10'000, 60'000, 600'000};
  std::array<uint64_t, 5> jobs{};
  // Whether there are more than counted: beyond the window, or beyond kVisitsMax per lane
  // and kVisitsMax retrying ones. A cancelled job may be counted until its due time
  // comes.
  bool more = false;
  static constexpr size_t kVisitsMax = 10'000;

  // Counts one job that has been due since `due_ms`.
  void Add(int64_t due_ms, int64_t now_ms);
};

// Rows whose time in the store is later than their job's due time. Holds at most kRowsMax
// of them, those that have been due the longest. A row that is left out may return with
// its next attempt, which writes it again. Core thread only.
class OverdueRows {
 public:
  static constexpr size_t kRowsMax = 100'000;  // ~50 B each
  explicit OverdueRows(size_t rows_max = kRowsMax) : rows_max_(rows_max) {}

  // A row was written, or was found in the store.
  void Add(uint64_t seq, int64_t due_ms, bool retry);
  // A row was deleted. Does nothing if the row is not held.
  void Drop(uint64_t seq);

  [[nodiscard]] bool Holds(uint64_t seq) const { return due_.contains(seq); }
  // How many of the held rows wait for another attempt.
  [[nodiscard]] size_t retrying() const { return retrying_; }
  // The earliest due time of the held rows; 0 if none is held.
  [[nodiscard]] int64_t oldest_due_ms() const {
    return by_due_.empty() ? 0 : by_due_.begin()->first;
  }
  // Adds the due rows to `overdue`, the earliest first, at most kVisitsMax.
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
