// The headers of a fired message: those that expirer adds, then the job's own.
// Nats-Msg-Id comes first, because nats-server searches for that text anywhere in
// the headers, and older servers give up if the first hit is not the header itself.
// Every attempt has the same headers except Expirer-Attempt, even after a crash or on
// another machine (I2).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "job/job.h"

namespace expirer {

// XXH3 (64 bits) of the position's time as be64. Its seed is the XXH3 of the sequence,
// whose seed is the XXH3 of the stream's name. The time is in it because a stream that
// was created again numbers its messages from 1 again.
[[nodiscard]] uint64_t SourceHash(std::string_view stream, const Position& position);
// The form of a SourceHash in ids: 16 lower-case hex digits.
[[nodiscard]] std::string SourceText(uint64_t source);
// The inverse of SourceText; empty for any other text.
[[nodiscard]] std::optional<uint64_t> ParseSourceText(std::string_view text);

// The names in a job's id and headers.
struct FiredNames {
  std::string_view service;  // the service's name
  std::string_view first;    // the queue's name, by the first name of its rule
  std::string_view now;      // the queue's name, by the present name of its rule
};

// The id by which JetStream removes duplicates: <service>/<first>/<key>/<due
// ms>/<source>, each part percent-encoded. If the job has IdForm::kPlain, service and
// source are left out. Two different messages never share an id: if a key is scheduled
// again, even for the same due time, that comes from another message of its stream.
// `stream` is the name of the stream of `job.source`; "" = none.
[[nodiscard]] std::string MsgId(const FiredNames& names, std::string_view stream,
                                const JobView& job);

// The largest block of headers that a JetStream stream stores, in bytes.
inline constexpr size_t kStreamHeaderBytesMax = 65'535;

// The size of a header block on the wire: "NATS/1.0", a line for each of `headers`
// (name, value), and the empty line. 0 if there are no headers, since then there is no
// block.
template <typename NamesAndValues>
[[nodiscard]] size_t HeaderBytes(const NamesAndValues& headers) {
  size_t bytes = 0;
  for (const auto& [name, value] : headers) bytes += name.size() + value.size() + 4;
  return bytes == 0 ? 0 : bytes + 12;
}

// Builds the header list of one attempt. Reuse one object, so that many fires need no
// allocation per job. Views are valid until the next Build.
class FiredHeaders {
 public:
  // `attempt` counts from 1.
  const std::vector<std::pair<std::string_view, std::string_view>>& Build(
      const FiredNames& names, std::string_view stream, const JobView& job,
      uint64_t attempt);

 private:
  std::string job_name_;
  std::string msg_id_;
  std::string due_;
  std::string attempt_;
  std::vector<std::pair<std::string_view, std::string_view>> headers_;
};

}  // namespace expirer
