// Makes the configured streams that no rule reads, which only store targets. The others
// are made when a rule's streams are set up (net/ingress.h).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "net/jetstream.h"

namespace expirer {

// A stream that existed and is gone is not made again before this time has passed.
// nats-server 2.9 reports a stream as deleted while it still removes its directory, and
// then also removes the files of a new stream of that name. And the person who deleted
// the stream may want to make it again in another form.
inline constexpr int64_t kRemakeAfterMs = 2'000;

// One thread only.
class TargetStreams {
 public:
  // `js` must outlive it.
  TargetStreams(JetStream* js, std::vector<StreamSpec> specs)
      : js_(js), specs_(std::move(specs)) {}

  // Makes each stream, unless another stream has one of its subjects. If that fails, logs
  // it and tries again later. Returns the monotonic time, in ms, of the next call.
  int64_t Keep(int64_t mono_ms);
  // The connection is new: check all streams at the next call.
  void LookAgain() { next_ms_ = 0; }

 private:
  // How long until this stream must be checked again.
  [[nodiscard]] absl::StatusOr<int64_t> MaintainOne(const StreamSpec& spec,
                                                    int64_t mono_ms);

  JetStream* const js_;
  const std::vector<StreamSpec> specs_;
  int64_t next_ms_ = 0;
  // When a stream that existed was found gone; 0 = it exists.
  std::map<std::string, int64_t> gone_since_ms_;
};

}  // namespace expirer
