// What earlier processes may have sent without this one knowing the answer: rows
// written before some moment that stood no later than their clocks showed. The
// last sign of life tells it, unless the clock stepped back since: what it had
// shown before is then noted, until it shows as much again. While there is no
// connection nothing is sent: that is noted too, and taken back before anything
// is sent again.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "store/store.h"

namespace expirer {

// Core thread only.
class PossiblySent {
 public:
  // A process starts at `now_ms`; the last sign of life of the one before was
  // `alive_ms`, 0 = none, and it gave no row `next_seq` or a higher number.
  // Errors: kDataLoss for a malformed entry.
  // Not told: a clock that stepped back while no process ran, by less than passed
  // between the last sign of life and the end.
  [[nodiscard]] absl::Status Load(const Store& store, int64_t now_ms, int64_t alive_ms,
                                  uint64_t next_seq, WriteSet* set);

  // Whether an earlier process may have sent the row at `key_ms`.
  [[nodiscard]] bool MayHaveSent(uint64_t seq, int64_t key_ms) const;

  // This process's clock shows `now_ms`; rows below `next_seq` exist. Whether it
  // stepped back: then `set` has the note, and needs a new sign of life.
  [[nodiscard]] bool Note(int64_t now_ms, uint64_t next_seq, WriteSet* set);

  // There is no connection from now on, and before there was one.
  void BeginDisconnected() { disconnected_since_ms_ = high_ms_; }
  // There still is none. With each sign of life, which is also `now_ms`: the note
  // holds for that one only, so that a binary that does not know it undoes it.
  void StageDisconnected(int64_t now_ms, WriteSet* set);
  [[nodiscard]] bool disconnected_noted() const { return disconnected_noted_; }
  // There is a connection. True: `set` takes the note back, and nothing may be
  // sent before that is durable.
  [[nodiscard]] bool EndDisconnected(WriteSet* set);

 private:
  // Rows below `seq` that stand no later than `until_ms`.
  struct Range {
    uint64_t seq = 0;
    int64_t until_ms = 0;
  };
  // Kept in `meta` under "sent": per range | varint seq | varint until_ms |.
  // The more there are the closer the answer; two are merged to one that covers
  // both when there are more.
  static constexpr size_t kRangesMax = 8;

  static absl::StatusOr<std::vector<Range>> Decode(std::string_view bytes);
  void Add(Range range, WriteSet* set);
  absl::Status LoadDisconnected(const Store& store, int64_t alive_ms, Range* last,
                                WriteSet* set);

  std::vector<Range> before_;  // of the processes before
  std::vector<Range> noted_;   // in the store, ascending in seq
  int64_t high_ms_ = 0;        // the latest this process's clock has shown
  // Without a connection: what was sent stood no later. In the store under
  // "quiet": | varint since_ms | varint ms of the sign of life it goes with |.
  int64_t disconnected_since_ms_ = 0;
  bool disconnected_noted_ = false;
};

}  // namespace expirer
