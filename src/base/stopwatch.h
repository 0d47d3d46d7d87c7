// Measures how long something took. To decide what is due, use base/clock.h.
#pragma once

#include <cstdint>

namespace expirer {

// Nanoseconds from an arbitrary origin; never steps back.
[[nodiscard]] int64_t MonotonicNs();
// Processor time that the calling thread has used.
[[nodiscard]] int64_t ThreadCpuMs();

}  // namespace expirer
