// Moves rows that lie ahead of a clock that was stepped back. A row's time is max(due,
// time of writing), or the time of its next attempt. If the clock was ahead when we set
// that time, the row must not wait until the clock shows it again. So each start, and
// each step back of the clock, begins a scan of all rows that may lie ahead, a bounded
// part per turn: in retry lanes all later rows, in the others those up to the latest
// time that the clock has shown.
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/functional/function_ref.h"
#include "base/status.h"
#include "job/job.h"
#include "sched/lanes.h"
#include "store/store.h"

namespace expirer {

// Core thread only.
class AheadRows {
 public:
  // A process starts at `now_ms`; the last sign of life of the one before was
  // `alive_ms`, 0 = none. Errors: kDataLoss for a malformed note.
  absl::Status Load(const Store& store, int64_t now_ms, int64_t alive_ms, WriteSet* set);
  // The clock shows `now_ms`. If it stepped back a scan begins, and `set` gets a note, so
  // that later starts scan, too, until the clock shows that time again.
  void Note(int64_t now_ms, WriteSet* set);
  // An attempt ended and its row stays at `key_ms`. No scan moved the row during the
  // attempt, so another scan begins if the row lies ahead.
  void NotePutBack(int64_t key_ms);

  // Whether a scan has not ended.
  [[nodiscard]] bool scanning() const { return scanning_; }
  // Called for a row whose time in the store is later than `now_ms` and than its due
  // time. Returns whether it moved the row.
  using Judge = absl::FunctionRef<absl::StatusOr<bool>(
      const LaneState& lane, const JobKey& key, std::string_view row)>;
  // Scans the next part of the store. Returns how many rows were moved.
  absl::StatusOr<size_t> Scan(const Store& store, const Lanes& lanes, int64_t now_ms,
                              Judge judge);

 private:
  // Rows read in a turn, and moved in one: 4,096 are read in ~2 ms.
  static constexpr size_t kRowsATurn = 4'096;
  static constexpr size_t kMovesATurn = 1'024;

  void Begin(int64_t until_ms);

  bool scanning_ = false;
  size_t lane_ = 0;        // the scan goes on in this lane ...
  JobKey from_;            // ... from here on
  int64_t until_ms_ = 0;   // up to here, unless it is a retry lane
  int64_t latest_ms_ = 0;  // shown by the clock since it last stepped back
  // In `meta` under "ahead": | varint ms |, the latest time that the clock has
  // shown; 0 = no note.
  int64_t noted_ms_ = 0;
};

}  // namespace expirer
