// The headers of a fired message (contract section 4): the job's own, then
// those expirer adds. The same for every attempt but Expirer-Attempt, also
// after a crash or on another machine (I2).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "job/job.h"

namespace expirer {

// <rule>/<key>/<due ms>, encoded: what JetStream removes duplicates by.
[[nodiscard]] std::string MsgId(std::string_view rule, std::string_view key,
                                int64_t due_ms);

// What a block of headers has on the wire: "NATS/1.0", a line for each of `headers`
// (name, value), and the empty line. No headers, no block.
template <typename NamesAndValues>
[[nodiscard]] size_t HeaderBytes(const NamesAndValues& headers) {
  size_t bytes = 0;
  for (const auto& [name, value] : headers) bytes += name.size() + value.size() + 4;
  return bytes == 0 ? 0 : bytes + 12;
}

// Builds the header list of one attempt; reused, so that a storm allocates
// nothing per job. Views are valid until the next Build.
class FiredHeaders {
 public:
  // `attempt` counts from 1.
  const std::vector<std::pair<std::string_view, std::string_view>>& Build(
      std::string_view rule, const JobView& job, uint64_t attempt);

 private:
  std::string job_name_;
  std::string msg_id_;
  std::string due_;
  std::string attempt_;
  std::vector<std::pair<std::string_view, std::string_view>> headers_;
};

}  // namespace expirer
