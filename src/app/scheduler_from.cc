#include "app/scheduler_from.h"

namespace expirer {

SchedulerOptions SchedulerFrom(const Config& config) {
  SchedulerOptions options;
  options.name = config.name;
  options.window = static_cast<size_t>(config.limits.window);
  options.in_flight = static_cast<size_t>(config.limits.inflight);
  options.batch = static_cast<size_t>(config.limits.batch);
  options.dead = static_cast<uint64_t>(config.limits.dead);
  options.dead_bytes = static_cast<uint64_t>(config.limits.dead_bytes);
  options.history_keys = static_cast<uint64_t>(config.limits.history);
  options.history_ms = config.store.history_ms;
  options.unsynced_ms = config.limits.unsynced_ms;
  options.settle_ms = config.limits.settle_ms;
  options.disk_free = static_cast<uint64_t>(config.limits.disk_free_bytes);
  return options;
}

}  // namespace expirer
