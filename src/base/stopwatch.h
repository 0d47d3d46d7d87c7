// Time for measuring how long something took; never for deciding what is
// due (base/clock.h).
#pragma once

#include <cstdint>

namespace expirer {

// Nanoseconds from an arbitrary origin; never steps back.
[[nodiscard]] int64_t MonotonicNs();
// Processor time that the calling thread has used.
[[nodiscard]] int64_t ThreadCpuMs();

}  // namespace expirer
