// A rebuild of a store that lacks events, because the volume was lost or restored from an
// older copy. The streams are read again from their beginning, and nothing fires before
// all of them have been read. Jobs that fell due before the rebuild began may have been
// fired already, by the process that read the streams until then.
#pragma once

#include <cstdint>

#include "base/status.h"
#include "store/store.h"

namespace expirer {

// In `meta` under "rebuild": | u8 version=1 | u8 open | varint began_ms | varint
// end_seq |. Only the last rebuild; all members are zero if there was none.
struct Rebuild {
  bool open = false;     // still reading
  int64_t began_ms = 0;  // jobs due by then may have fired before
  uint64_t end_seq = 0;  // the rows that it wrote have lower numbers

  static absl::StatusOr<Rebuild> Load(const Store& store);
  void Stage(WriteSet* set) const;

  // Whether a job in a row numbered `seq` may have fired before the rebuild.
  [[nodiscard]] bool MayHaveFired(uint64_t seq, int64_t due_ms) const {
    return seq < end_seq && due_ms <= began_ms;
  }
};

}  // namespace expirer
