// The configured streams that no rule reads: those that only targets go to. The
// others are made where a rule looks for what it reads (net/ingress.h).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "net/jetstream.h"

namespace expirer {

// A stream that was there, be it read or a target's, is not made again before.
// nats-server 2.9 says it has deleted one while it still removes its directory,
// and takes the files of a new one of that name with it; and who deletes a stream
// may mean to make it again in another way.
inline constexpr int64_t kRemakeAfterMs = 2'000;

// One thread only.
class TargetStreams {
 public:
  // `js` outlives it.
  TargetStreams(JetStream* js, std::vector<StreamSpec> specs)
      : js_(js), specs_(std::move(specs)) {}

  // Makes each stream of whose subjects no stream carries any; what cannot be
  // made is logged and tried on. Returns the monotonic time, ms, of the next call.
  int64_t Keep(int64_t mono_ms);
  // The connection is another: look at all of them at the next call.
  void LookAgain() { next_ms_ = 0; }

 private:
  // How long until this one must be looked at again.
  [[nodiscard]] absl::StatusOr<int64_t> MaintainOne(const StreamSpec& spec,
                                                    int64_t mono_ms);

  JetStream* const js_;
  const std::vector<StreamSpec> specs_;
  int64_t next_ms_ = 0;
  // Since when a stream is gone that was there; 0 = it is there.
  std::map<std::string, int64_t> gone_since_ms_;
};

}  // namespace expirer
