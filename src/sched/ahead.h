// Rows that wait for a time which the host's clock has shown and no longer shows. A
// row stands at max(due, time of writing), or at its next attempt: where the clock
// was ahead and was stepped back, such a time of ours is not waited for. At each
// start, and when the clock steps back, all rows that may stand so are looked at, a
// bounded piece a turn: of the retry lanes all later ones, of the others those up to
// the latest time that the clock has shown.
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
  [[nodiscard]] absl::Status Load(const Store& store, int64_t now_ms, int64_t alive_ms,
                                  WriteSet* set);
  // The clock shows `now_ms`. When it stepped back a look begins, and `set` has the
  // note that makes the next starts look, until the clock shows as much again.
  void Note(int64_t now_ms, WriteSet* set);
  // An attempt ended and left a row at `key_ms` as it is. While there was an attempt,
  // no look moved it: where it stands ahead there is another one.
  void NotePutBack(int64_t key_ms);

  // A look has not ended.
  [[nodiscard]] bool scanning() const { return scanning_; }
  // Whether the row, whose time in the store is later than `now_ms` and than its due
  // time, was moved.
  using Judge = absl::FunctionRef<absl::StatusOr<bool>(
      const LaneState& lane, const JobKey& key, std::string_view row)>;
  // Looks at a further piece of what is in the store. Returns how many were moved.
  [[nodiscard]] absl::StatusOr<size_t> Scan(const Store& store, const Lanes& lanes,
                                            int64_t now_ms, Judge judge);

 private:
  // Rows read in a turn, and moved in one: 4,096 are read in ~2 ms.
  static constexpr size_t kRowsATurn = 4'096;
  static constexpr size_t kMovesATurn = 1'024;

  void Begin(int64_t until_ms);

  bool scanning_ = false;
  size_t lane_ = 0;        // looked at next: this one ...
  JobKey from_;            // ... from here on
  int64_t until_ms_ = 0;   // up to here, where it is no retry lane
  int64_t latest_ms_ = 0;  // shown by the clock since it last stepped back
  // In `meta` under "ahead": | varint ms |, the latest time that the clock has
  // shown; 0 = no note.
  int64_t noted_ms_ = 0;
};

}  // namespace expirer
