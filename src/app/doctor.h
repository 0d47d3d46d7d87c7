// `expirer doctor`: looks at everything a service needs and prints a line a
// check. Changes nothing; with a round trip it sends one job of its own through
// the running service.
#pragma once

#include "app/config.h"

namespace expirer {

// Prints "ok", "warn" or "FAIL", the check, and what was found. Returns the
// exit code: 1 when a check failed; a warning is none.
[[nodiscard]] int RunDoctor(const Config& config, int64_t timeout_ms, bool round_trip);

}  // namespace expirer
