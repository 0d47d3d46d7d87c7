// Merges several streams into one trace, in the order of time.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "replay/trace.h"

namespace expirer {

// Holds one line of each source. One thread.
class TraceMerge {
 public:
  // Reads a stream's next event into `*line`; false at its end.
  using Source = std::function<absl::StatusOr<bool>(TraceLine* line)>;
  explicit TraceMerge(std::vector<Source> sources);

  // Reads the earliest event of all sources; if times are equal, that of the earlier
  // source. False if no source has any. An error comes from a source; after it the call
  // may be repeated.
  absl::StatusOr<bool> Next(TraceLine* line);

  // The number of events whose time was changed to that of the event before in their
  // stream, since it was earlier because a server's clock had stepped back. The order of
  // a stream is that of its sequences.
  [[nodiscard]] uint64_t raised() const { return raised_; }

 private:
  struct Head {
    Source source;
    TraceLine line = {};
    bool there = false;  // `line` is the source's next event
    bool ended = false;
    int64_t last_ns = 0;
  };
  absl::Status Fill(Head* head);

  std::vector<Head> heads_;
  uint64_t raised_ = 0;
};

}  // namespace expirer
