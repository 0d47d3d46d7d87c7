// The headers of a fired message (contract section 4): those expirer adds, then
// the job's own. Nats-Msg-Id is the first of all, since nats-server looks for that
// text anywhere in the headers, and older ones give up where the first
// place is not the header itself. The same for every attempt but Expirer-Attempt,
// also after a crash or on another machine (I2).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "job/job.h"

namespace expirer {

// XXH3 (64 bits) of the position's time as be64, seeded by that of its sequence,
// which is seeded by that of the stream's name. A stream that is made again numbers
// its messages anew, but they have other times.
[[nodiscard]] uint64_t SourceHash(std::string_view stream, const Position& position);
// A SourceHash as it stands in ids: 16 lower-case hex digits.
[[nodiscard]] std::string SourceText(uint64_t source);
// Nothing for any other text.
[[nodiscard]] std::optional<uint64_t> ParseSourceText(std::string_view text);

// Whose job it is, as its id and headers say.
struct FiredNames {
  std::string_view service;  // the service's name
  std::string_view first;    // of the queue: with the first name its rule had
  std::string_view now;      // of the queue, with the rule's name of today
};

// What JetStream removes duplicates by: <service>/<first>/<key>/<due ms>/<source>,
// with its parts percent-encoded; a job of IdForm::kPlain has no service and no
// source in it. No two different messages have one id: what a key schedules anew,
// be it for the same due time, comes from another message of its stream.
// `stream` is the name of the stream that `job.source` speaks of; "" = none.
[[nodiscard]] std::string MsgId(const FiredNames& names, std::string_view stream,
                                const JobView& job);

// The largest block of headers that a stream of JetStream stores.
inline constexpr size_t kStreamHeaderBytesMax = 65'535;

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
