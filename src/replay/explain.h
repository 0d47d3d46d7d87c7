// One message run through the rules: what would fire, when and where, or why
// not.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "replay/replayer.h"

namespace expirer {

// Runs `line`, an event, alone through a store that knows nothing before, and
// tells in sentences, for each rule, what becomes of it. The hooks of `options`
// are not used.
[[nodiscard]] absl::StatusOr<std::string> ExplainEvent(ReplayOptions options,
                                                       const std::vector<Rule>& rules,
                                                       const TraceLine& line);

}  // namespace expirer
