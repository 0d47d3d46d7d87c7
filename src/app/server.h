// The service: builds every part, runs the core's loop, drains on SIGTERM.
#pragma once

#include "app/config.h"
#include "net/admission.h"

namespace expirer {

struct ServeOptions {
  Config config;          // the flags set core.orphans, core.fire_overdue, core.recount
  bool built_in = false;  // no config file: the built-in ticketing rule
  bool recover_point_in_time = false;
  Adopt adopt = Adopt::kRefuse;
};

// Runs until SIGTERM, SIGINT or, unless it is ignored, SIGHUP; returns the process's
// exit code: 0 drained, 1 the store failed, or store or streams refused the start.
// Blocks those signals in every thread, so it must be called before any other thread
// is started.
[[nodiscard]] int Serve(const ServeOptions& options);

}  // namespace expirer
