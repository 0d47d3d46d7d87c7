// A rebuild of a store whose past is not known: after the volume was lost, or
// restored from an older copy. The streams are read anew from their beginning,
// and nothing fires before all of them have been read. What fell due before the
// rebuild began may have fired already, by whoever read the streams until then.
#pragma once

#include <cstdint>

#include "base/mutant.h"
#include "base/status.h"
#include "store/store.h"

namespace expirer {

// Kept in `meta` under "rebuild": | u8 version=1 | u8 open | varint began_ms |
// varint end_seq |. The last rebuild only; none: all zero.
struct Rebuild {
  bool open = false;     // still reading
  int64_t began_ms = 0;  // what was due by then may have fired before
  uint64_t end_seq = 0;  // what it found stands in rows with a lower seq

  [[nodiscard]] static absl::StatusOr<Rebuild> Load(const Store& store);
  void Stage(WriteSet* set) const;

  // Whether a job in a row numbered `seq` may have fired before the rebuild.
  [[nodiscard]] bool MayHaveFired(uint64_t seq, int64_t due_ms) const {
    return seq < end_seq && due_ms <= began_ms && !Mutant("overdue_fires_again");
  }
};

}  // namespace expirer
