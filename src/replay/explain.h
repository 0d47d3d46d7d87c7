// Runs one message through the rules and explains what would fire, when and where, or
// why nothing would.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "replay/replayer.h"

namespace expirer {

// Runs the event `line` alone through an empty store, and says in sentences what each
// rule does with it. Ignores the hooks of `options`.
absl::StatusOr<std::string> ExplainEvent(ReplayOptions options,
                                         const std::vector<Rule>& rules,
                                         const TraceLine& line);

}  // namespace expirer
