// Consistency check of a store: for `store verify`, on a stopped store, and for `store
// load`, on the store that it made.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/status.h"
#include "store/store.h"

namespace expirer {

struct AuditTotals {
  uint64_t jobs = 0;       // rows in the lanes
  uint64_t registers = 0;  // keys known, history included
  uint64_t dead = 0;
  bool renaming = false;  // a rename is not finished, so names of rules are not compared
};

// Reads every table whole and every entry, decodes it and compares:
//   - each row with the register of its key, in both directions; with the lane's low
//     bound, below which the service does not read; with the next row number;
//   - the counts of a rule with its registers and dead entries;
//   - the register of a dead job with its entry.
// Calls `found` with one sentence for each fault. If a place of a family cannot be read,
// the entries after it are not checked. Takes some 20 s per million jobs.
AuditTotals Audit(const Store& store,
                  const std::function<void(const std::string&)>& found);

}  // namespace expirer
