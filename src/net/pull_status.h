// What servers say to a pull instead of a message.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "net/delivery.h"

namespace expirer {

// What the status that came to a pull's reply means.
enum class PullStatus {
  kHeartbeat,  // alive
  kEnded,      // this pull is over, ask again
  kTooLarge,   // likewise, before a message that is larger than what was left of it
  kLimited,    // refused for its size or duration (PullLimits)
  kPause,      // this pull is over, ask again in a while
  kBroken,     // the consumer is gone or not what it was: look after it
  kUnknown,
};
[[nodiscard]] PullStatus ReadPullStatus(const Delivery::Status& status);

// The most that a server or a consumer lets one pull ask for.
struct PullLimits {
  size_t batch = SIZE_MAX;
  size_t bytes = SIZE_MAX;
  int64_t expires_ms = INT64_MAX;
  // From the words of a refusal ("Exceeded MaxRequestBatch of 250"); false when
  // they tell no limit that is below what is known already.
  [[nodiscard]] bool Learn(std::string_view words);
};

}  // namespace expirer
