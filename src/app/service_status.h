// Collects the status of a running service for the status file, HTTP and the API's
// `stats`. Any thread.
#pragma once

#include <string>

#include "app/service.h"
#include "app/status.h"

namespace expirer {

// `stopped`: the last status of this process, when some parts are destroyed already.
[[nodiscard]] Status TakeStatus(const Service& service, bool stopped);
// The members that `stats` answers besides the core's, as a fragment for JsonWriter.
// REQUIRED: service.open.
[[nodiscard]] std::string MoreStats(const Service& service);

}  // namespace expirer
