// The output of a replay: one line with a JSON object per fire, in the order of the
// fires.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "net/instant_bus.h"

namespace expirer {

// A message that was published, and the values of its headers. Views are valid as long as
// the message. A second attempt is a fire with the same Nats-Msg-Id.
struct Fire {
  int64_t at_ms = 0;
  int64_t due_ms = 0;
  std::string job;  // <rule>/<key>, decoded
  std::string attempt;
  const InstantBus::Published* message = nullptr;
};

// The fire that was published at `at_ms`. REQUIRES: a Scheduler published it, so that it
// has all headers.
[[nodiscard]] Fire FireOf(int64_t at_ms, const InstantBus::Published& message);

// The headers that reach a subscriber: over NATS Streaming none.
[[nodiscard]] const Headers& SentHeaders(const InstantBus::Published& message);

// Appends {"at":…,"job":…,"due":…,"lateness_ms":…,"attempt":…,"subject":…,
// "headers":{…},"payload":"…"} without a newline; headers and payload as in
// replay/trace_writer.h.
void AppendFire(const Fire& fire, std::string* out);

}  // namespace expirer
