// What a running service says of itself, in the status file, over HTTP and to `stats`
// of the API. Any thread.
#pragma once

#include <string>

#include "app/service.h"
#include "app/status.h"

namespace expirer {

// `stopped`: the last one of this process, when some parts are gone already.
[[nodiscard]] Status TakeStatus(const Service& service, bool stopped);
// What `stats` has beside what the core knows, as a fragment for JsonWriter. REQUIRED:
// service.open.
[[nodiscard]] std::string MoreStats(const Service& service);

}  // namespace expirer
