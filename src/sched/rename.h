// `was`: a rule under a new name takes over what the store holds of its old
// one.
#pragma once

#include <vector>

#include "base/status.h"
#include "job/rules.h"
#include "store/store.h"

namespace expirer {

// For each rule with `was` whose old name the store knows: gives its lanes,
// registers, dead entries, counts and consumer floors, and those of its named
// entries, to the new name, and makes that durable. Rows in lanes name no rule
// and stay. Before the store is used otherwise; no change when there is nothing
// to do. ~10 s a million keys.
//
// A process that ends in between leaves a note ("rename/" in store/meta.h); the
// next start with the same rules goes on. kFailedPrecondition when the note is
// of a rename that the rules do not ask for, or the store knows both names.
[[nodiscard]] absl::Status TakeOverRenamed(const std::vector<Rule>& rules, Store* store);

}  // namespace expirer
