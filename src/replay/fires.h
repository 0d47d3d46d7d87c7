// The output of a replay: one JSON object a line for each fire, in the order of
// the fires.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "net/memory_bus.h"

namespace expirer {

// A message as it left, and what its headers tell. Views live as long as the
// message; a second attempt is a fire with the same Nats-Msg-Id.
struct Fire {
  int64_t at_ms = 0;
  int64_t due_ms = 0;
  std::string job;  // <rule>/<key>, decoded
  std::string attempt;
  const MemoryBus::Published* message = nullptr;
};

// What was published at `at_ms`. REQUIRES: by a Scheduler, which gives every
// message its headers.
[[nodiscard]] Fire FireOf(int64_t at_ms, const MemoryBus::Published& message);

// The headers that reach whoever listens: of NATS Streaming none.
[[nodiscard]] const Headers& SentHeaders(const MemoryBus::Published& message);

// Appends {"at":…,"job":…,"due":…,"lateness_ms":…,"attempt":…,"subject":…,
// "headers":{…},"payload":"…"} without a newline; headers and payload as in
// replay/trace_writer.h.
void AppendFire(const Fire& fire, std::string* out);

}  // namespace expirer
