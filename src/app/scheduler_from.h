// What a configuration says to the scheduler.
#pragma once

#include "app/config.h"
#include "sched/scheduler.h"

namespace expirer {

[[nodiscard]] SchedulerOptions SchedulerFrom(const Config& config);

}  // namespace expirer
