// Fine time for measuring how long something took; never for deciding what is
// due (base/clock.h).
#pragma once

#include <cstdint>

namespace expirer {

// Nanoseconds from an arbitrary origin; never steps back.
[[nodiscard]] int64_t MonotonicNs();

}  // namespace expirer
