// Writes a stopped store as JSON lines (job/dump_line.h), and makes a store from them.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "job/dump_line.h"
#include "store/store.h"

namespace expirer {

// Calls `write` with the whole store in pieces of many lines. If an entry cannot be read:
// kDataLoss, naming it; the dump then has no last line, so LoadStore refuses it.
absl::StatusOr<DumpCounts> DumpStore(const Store& store,
                                     const std::function<void(std::string_view)>& write);

struct LoadOptions {
  std::string file;  // "-" = stdin
  std::string dir;   // created if absent
  // Called now and then; true ends the load like an error.
  std::function<bool()> stopped;
};

// Makes a store from a dump, with the id of the dumped store. It builds and audits it
// (sched/audit.h) in a directory below `dir`. Then it moves the files to `dir`, CURRENT
// last, without which no store can be opened. So `dir` gets a whole store, or does not
// change if there is an error. Errors: kFailedPrecondition if `dir` is not empty;
// kInvalidArgument "FILE:line: what was wrong"; those of Store::Open and Store::Write.
absl::StatusOr<DumpCounts> LoadStore(const LoadOptions& options);

}  // namespace expirer
