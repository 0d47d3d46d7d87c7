// A stopped store as JSON lines (job/dump_line.h), and a store from them.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "job/dump_line.h"
#include "store/store.h"

namespace expirer {

// Gives `write` the whole store in pieces of many lines. kDataLoss, naming the
// entry, where one cannot be read: then what was written has no last line, and
// no load takes it.
[[nodiscard]] absl::StatusOr<DumpCounts> DumpStore(
    const Store& store, const std::function<void(std::string_view)>& write);

struct LoadOptions {
  std::string file;  // "-" = stdin
  std::string dir;   // made when absent
  // Asked now and then; true ends the load as an error does.
  std::function<bool()> stopped;
};

// Makes a store out of a dump, with the id the dumped one had. It is built and
// audited (sched/audit.h) in a directory below `dir` and moved up as the last
// step, CURRENT after all others, without which no store is opened: so there is
// a whole store or, after an error, `dir` as it was.
// Errors: kFailedPrecondition where `dir` is not empty, kInvalidArgument
// "FILE:line: what was wrong", those of Store::Open and Store::Write.
[[nodiscard]] absl::StatusOr<DumpCounts> LoadStore(const LoadOptions& options);

}  // namespace expirer
