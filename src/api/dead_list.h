// `dead.list`: a page of the dead store, read beside the core like those of `list`.
#pragma once

#include "api/dead.h"

namespace expirer {

// What the items of a page of dead entries may take of a reply of `bytes_max`. Where
// a server takes so little that the longest cursor would leave no room, the reply
// may be too long when one comes, which is then told as an error.
[[nodiscard]] size_t DeadPageBytes(size_t bytes_max);

// The JSON of one dead entry. If it would be longer than `bytes_max`, its longest members
// are left out and it has "shortened":true.
[[nodiscard]] std::string FormatDeadEntry(std::string_view key, const Dead& dead,
                                          const StreamNames& streams, size_t bytes_max);

struct DeadListCommand : Command {
  [[nodiscard]] absl::Status Read(const Store& store) override;
  [[nodiscard]] absl::StatusOr<Reply> Answer(Core&) override { return reply; }

  DeadQuery query;
  Reply reply;
};

}  // namespace expirer
