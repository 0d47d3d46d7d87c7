// Traces of events and the lines of what they fire (the forms of the command
// `replay`): one JSON object a line.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "job/job.h"
#include "net/memory_bus.h"

namespace expirer {

// {"at":RFC 3339,"subject":...,"headers":{...}} and the payload as one of
// "json" (its raw bytes), "payload" (text) or "payload_base64"; headers may be
// left out.
struct TraceEvent {
  int64_t at_ms = 0;
  std::string subject;
  Headers headers;
  std::string payload;
};

// The events of a file, in its order. A file that cannot be read or a line that
// is none fails the test that runs.
[[nodiscard]] std::vector<TraceEvent> ReadTrace(const std::string& path);

// One line of such a file.
[[nodiscard]] TraceEvent ParseTraceEvent(const std::string& line);

// A line that FireLine wrote, read back.
struct TraceFire {
  int64_t at_ms = 0;
  int64_t due_ms = 0;
  std::string job;
  std::string subject;
  Headers headers;
  std::string payload;
};
// As ReadTrace.
[[nodiscard]] std::vector<TraceFire> ReadFires(const std::string& path);

// The line of one fire: {"at":...,"job":...,"due":...,"lateness_ms":...,
// "attempt":...,"subject":...,"headers":{...},"payload":"..."}, the payload in
// base64 as "payload_base64" where it is not UTF-8.
[[nodiscard]] std::string FireLine(int64_t at_ms, const MemoryBus::Published& fire);

// The whole file; one that cannot be read fails the test that runs.
[[nodiscard]] std::string ReadWhole(const std::string& path);

}  // namespace expirer
