// Jobs that earlier processes may have published without recording the answer: rows that
// they wrote and whose time is not later than their clocks have shown. That is the time
// of the last sign of life. If the clock steps back, a note in the store says what it had
// shown, until it shows that time again. A process that is disconnected sends nothing: it
// notes that, too, and deletes the note before it sends again.
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
  // A process starts at `now_ms`. The last sign of life of the process before was at
  // `alive_ms` (0 = none); rows that it wrote have numbers below `next_seq`.
  // Errors: kDataLoss for a malformed entry.
  // Undetected: the clock stepped back during a process gap, by less than the time
  // between the last sign of life and the end of that process.
  absl::Status Load(const Store& store, int64_t now_ms, int64_t alive_ms,
                    uint64_t next_seq, WriteSet* set);

  // Whether an earlier process may have sent the row at `key_ms`.
  [[nodiscard]] bool MayHaveSent(uint64_t seq, int64_t key_ms) const;

  // Call when this process's clock shows `now_ms`; the next row gets number `next_seq`.
  // Returns whether the clock stepped back. Then `set` has the note, and the caller must
  // add a new sign of life to it.
  [[nodiscard]] bool Note(int64_t now_ms, uint64_t next_seq, WriteSet* set);

  // Call when the connection drops.
  void BeginDisconnected() { disconnected_since_ms_ = high_ms_; }
  // Call with each sign of life (at `now_ms`) while there is no connection. The note is
  // valid only with this sign of life, so a binary that does not know the note voids it
  // by its own sign of life.
  void StageDisconnected(int64_t now_ms, WriteSet* set);
  [[nodiscard]] bool disconnected_noted() const { return disconnected_noted_; }
  // Call when the connection is back. If it returns true, `set` deletes the note, and
  // nothing may be sent before that is durable.
  [[nodiscard]] bool EndDisconnected(WriteSet* set);

 private:
  // The rows with a number below `seq` whose time is not later than `until_ms`.
  struct Range {
    uint64_t seq = 0;
    int64_t until_ms = 0;
  };
  // In `meta` under "sent": per range | varint seq | varint until_ms |. More ranges make
  // the answer more precise. If there are more than this, two are merged into one that
  // covers both.
  static constexpr size_t kRangesMax = 8;

  static absl::StatusOr<std::vector<Range>> Decode(std::string_view bytes);
  void Add(Range range, WriteSet* set);
  absl::Status LoadDisconnected(const Store& store, int64_t alive_ms, Range* last,
                                WriteSet* set);

  std::vector<Range> before_;  // ranges of earlier processes
  std::vector<Range> noted_;   // in the store, ascending in seq
  int64_t high_ms_ = 0;        // the latest this process's clock has shown
  // While disconnected: no row with a later time was sent. In `meta` under "quiet":
  // | varint since_ms | varint ms of the sign of life that it is valid with |.
  int64_t disconnected_since_ms_ = 0;
  bool disconnected_noted_ = false;
};

}  // namespace expirer
