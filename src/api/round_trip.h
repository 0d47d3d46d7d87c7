// `round-trip`: a job of its own that a caller wants to see come back over core NATS,
// on <name>.v1.round-trip.<id>.
#pragma once

#include "api/request.h"

namespace expirer {

inline constexpr std::string_view kRoundTripMembers = "id in_ms";
// The id is 1 to 40 letters and digits: it ends subject and key.
[[nodiscard]] absl::StatusOr<Query> ParseRoundTrip(std::string_view text);

// A job like any other: stored, synced, fired when it is due, closed.
struct RoundTripCommand : Command {
  explicit RoundTripCommand(const Query& query) : key(*query.id), in_ms(query.in_ms) {}
  [[nodiscard]] Kind kind() const override { return Kind::kChanges; }
  [[nodiscard]] absl::StatusOr<bool> Apply(Core& core, Piece*) override;
  [[nodiscard]] absl::StatusOr<Reply> Answer(Core&) override { return reply; }

  std::string key;
  uint64_t in_ms;  // until it is due
  Reply reply;
};

}  // namespace expirer
