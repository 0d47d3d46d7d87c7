// Several streams as one trace, in the order of time.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "replay/trace.h"

namespace expirer {

// Holds one line of each source. One thread.
class TraceMerge {
 public:
  // The next event of a stream into `*line`; false at its end.
  using Source = std::function<absl::StatusOr<bool>(TraceLine* line)>;
  explicit TraceMerge(std::vector<Source> sources);

  // The earliest event that is left; of one nanosecond those of an earlier
  // source come first. False when no source has any. After an error, which is
  // a source's, it may be asked again.
  [[nodiscard]] absl::StatusOr<bool> Next(TraceLine* line);

  // How many events got the time of the one before them in their stream, since
  // theirs was earlier: a server's clock had stepped back. The order of a
  // stream is that of its sequences.
  [[nodiscard]] uint64_t raised() const { return raised_; }

 private:
  struct Head {
    Source source;
    TraceLine line = {};
    bool there = false;  // `line` is the source's next
    bool ended = false;
    int64_t last_ns = 0;
  };
  [[nodiscard]] absl::Status Fill(Head* head);

  std::vector<Head> heads_;
  uint64_t raised_ = 0;
};

}  // namespace expirer
