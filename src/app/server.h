// The service: builds every part, runs the core's loop, drains on SIGTERM.
#pragma once

#include "app/config.h"

namespace expirer {

struct ServeOptions {
  Config config;
  bool built_in = false;  // no config file: the built-in ticketing rule
  bool recover_point_in_time = false;
  bool hold_orphans = false;
  bool adopt_new = false;  // take over durables that another store read from
};

// Runs until SIGTERM or SIGINT; returns the process's exit code: 0 drained,
// 1 the store failed or refused. Blocks those signals in every thread, so it
// must be called before any other thread is started.
[[nodiscard]] int Serve(const ServeOptions& options);

}  // namespace expirer
