// The spans in which no process ran. They make "late" a pure function of the due time: a
// job is late by the time from its due until a process could first know of it, which is
// its arrival, or the start after the gap in which it fell due. Our own pacing never
// counts, however often we restart.
#pragma once

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "store/store.h"

namespace expirer {

// Core thread only.
class ProcessGaps {
 public:
  // Reads the stored gaps and adds the one that ends now.
  absl::Status Load(const Store& store, int64_t now_ms, WriteSet* set);
  // How late a job with this due time was found; 0 if a process ran at that time.
  [[nodiscard]] int64_t LatenessMs(int64_t due_ms) const;
  // The last sign of life of the processes before, as Load found it; 0 = none.
  [[nodiscard]] int64_t last_alive_ms() const { return last_alive_ms_; }
  // Notes that the process is alive.
  static void StageAlive(int64_t now_ms, WriteSet* set);

 private:
  struct Span {
    int64_t from_ms = 0;  // last sign of life
    int64_t until_ms = 0;
  };
  // Only the newest kSpansMax gaps are stored; older ones count as if a process ran.
  static constexpr size_t kSpansMax = 64;
  std::vector<Span> spans_;  // ascending
  int64_t last_alive_ms_ = 0;
};

}  // namespace expirer
