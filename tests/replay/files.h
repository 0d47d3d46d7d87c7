// Files of traces and fires, read whole, for tests.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "job/job.h"
#include "replay/trace.h"

namespace expirer {

// The lines of a trace, in its order. A file that cannot be read or a line that
// is none fails the test that runs.
[[nodiscard]] std::vector<TraceLine> ReadTrace(const std::string& path);

// One line of such a file.
[[nodiscard]] TraceLine ParsedTraceLine(std::string_view text);

// A line that AppendFire wrote, read back.
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

// The whole file; one that cannot be read fails the test that runs.
[[nodiscard]] std::string ReadWhole(const std::string& path);

}  // namespace expirer
