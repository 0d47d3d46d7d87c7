// Status replies of servers to a pull.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "net/delivery.h"

namespace expirer {

// The meaning of a status at a pull's reply subject.
enum class PullStatus {
  kHeartbeat,  // the consumer is alive
  kEnded,      // this pull has ended: pull again
  kTooLarge,   // it ended because the next message exceeds its remaining bytes
  kLimited,    // it was refused because of its size or duration (PullLimits)
  kPause,      // this pull has ended: pull again after a pause
  kBroken,     // the consumer is gone or has changed: set it up again
  kUnknown,
};
[[nodiscard]] PullStatus ReadPullStatus(const Delivery::Status& status);

// The largest pull that a server or a consumer accepts.
struct PullLimits {
  size_t batch = SIZE_MAX;
  size_t bytes = SIZE_MAX;
  int64_t expires_ms = INT64_MAX;
  // Learns a limit from a refusal ("Exceeded MaxRequestBatch of 250"). False if it names
  // no limit, or none below the known one.
  [[nodiscard]] bool Learn(std::string_view words);
};

}  // namespace expirer
