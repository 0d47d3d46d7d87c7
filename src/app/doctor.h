// `expirer doctor`: checks everything that a service needs and prints one line per check.
// It changes nothing, except that a round trip sends one job through the running
// service.
#pragma once

#include "app/config.h"

namespace expirer {

// Prints "ok", "warn" or "FAIL", the name of the check, and its result. Returns the exit
// code: 1 if a check failed; warnings do not count.
[[nodiscard]] int RunDoctor(const Config& config, int64_t timeout_ms, bool round_trip);

}  // namespace expirer
