// When no process ran: what makes "late" a pure function of a due time. A job
// is late by what passed between its due and the first moment a process could
// have known it: its arrival, or the start after the span it fell due in. Our
// own pacing never counts, however often we restart.
#pragma once

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "store/store.h"

namespace expirer {

// Core thread only.
class ProcessGaps {
 public:
  // Reads the spans and adds the one that ends now.
  [[nodiscard]] absl::Status Load(const Store& store, int64_t now_ms, WriteSet* set);
  // How late a job with this due time was found, 0 when a process ran then.
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
  // The newest kSpansMax spans; an older one counts as time a process ran.
  static constexpr size_t kSpansMax = 64;
  std::vector<Span> spans_;  // ascending
  int64_t last_alive_ms_ = 0;
};

}  // namespace expirer
