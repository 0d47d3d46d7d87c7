// Whether a store is whole and of one mind: what `store verify` says of one that
// stands still, and `store load` of one it has just made.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/status.h"
#include "store/store.h"

namespace expirer {

struct AuditTotals {
  uint64_t jobs = 0;       // rows of the lanes
  uint64_t registers = 0;  // keys known, history included
  uint64_t dead = 0;
  bool renaming = false;  // a rename is not finished: what names rules is not compared
};

// Reads every table whole and every entry, decodes it and compares:
//   - a row with the register of its key, both ways; with the lane's low bound,
//     before which nothing is looked for; with the next number to be given;
//   - the counts of a rule with its registers and dead entries;
//   - the register of a dead job with its entry.
// Calls `found` with one sentence for each thing that is wrong; what follows an
// unreadable place of a family cannot be seen. Some 20 s a million jobs.
AuditTotals Audit(const Store& store,
                  const std::function<void(const std::string&)>& found);

}  // namespace expirer
