// `was`: a rule with a new name takes over the jobs and keys that the store has under its
// old name.
#pragma once

#include <vector>

#include "base/status.h"
#include "job/rules.h"
#include "store/store.h"

namespace expirer {

// For each rule with `was` whose old name the store knows, gives the lanes, registers,
// dead entries, counts and consumer floors of that name, and of its named entries, to the
// new name, and makes that durable. Rows do not name their rule, so they do not change.
// Call it before the store is used otherwise. ~10 s per million keys.
//
// If the process ends in between, a note stays ("rename/" in store/meta.h), and the next
// start with the same rules goes on. kFailedPrecondition if the rules do not ask for the
// rename in the note, or if the store knows both names.
absl::Status TakeOverRenamed(const std::vector<Rule>& rules, Store* store);

}  // namespace expirer
