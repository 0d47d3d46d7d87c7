// Requests to the API as JSON, and what is told of jobs in its replies
// (docs/api.md). Pure: bytes in, values or one sentence out; fuzzed.
//
// A request is one object, at most kRequestBytesMax long. Names that no
// request has are refused, since a mistyped filter of a purge would otherwise
// be no filter at all; so are names that stand twice.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "job/job.h"

namespace expirer {

inline constexpr size_t kRequestBytesMax = 16 << 10;
inline constexpr uint64_t kPageDefault = 100;
inline constexpr uint64_t kPageMax = 1'000;

// A job by its name: everything before the first '/' is the rule (it may hold
// dots), the rest the key.
struct JobRef {
  std::string rule;
  std::string key;
  bool operator==(const JobRef&) const = default;
};
[[nodiscard]] absl::StatusOr<JobRef> ParseJobName(std::string_view name);

// Where a page of `list` begins: after this place, in the order in which jobs
// are sent.
struct ListPlace {
  int64_t key_ms = 0;
  uint64_t seq = 0;
  auto operator<=>(const ListPlace&) const = default;
};

struct ListQuery {
  std::string rule;    // "" = all
  std::string prefix;  // of the key
  std::string state;   // pending, in_flight, retrying, held; "" = all of them
  int64_t due_before_ms = std::numeric_limits<int64_t>::max();
  uint64_t limit = kPageDefault;
  std::optional<ListPlace> after;
};

struct DeadQuery {
  std::string rule;               // "" = all
  std::string prefix;             // of a dead job's key; leaves out what has none
  std::optional<JobRef> job;      // requeue and purge: just this one
  std::optional<std::string> id;  // likewise: the key of a dead entry
  bool dry_run = false;           // purge: only count
  bool stale = false;             // requeue: stale ones, too
  uint64_t limit = kPageDefault;
  std::string after;  // key of the last entry of the page before; "" = none
};
enum class DeadVerb { kList, kRequeue, kPurge };

// Each kInvalidArgument with one sentence for the caller. An empty `text` is
// taken as {} by those that need no member.
[[nodiscard]] absl::StatusOr<JobRef> ParseJobRequest(std::string_view text);
[[nodiscard]] absl::StatusOr<ListQuery> ParseListQuery(std::string_view text);
[[nodiscard]] absl::StatusOr<DeadQuery> ParseDeadQuery(std::string_view text,
                                                       DeadVerb verb);
// The rule after which the page begins, "" = the first.
[[nodiscard]] absl::StatusOr<std::string> ParseStatsRequest(std::string_view text);

// A job of its own that a caller wants to see come back.
struct RoundTrip {
  std::string id;      // 1..40 letters and digits: ends subject and key
  uint64_t in_ms = 0;  // until it is due, at most kRoundTripMaxMs
};
inline constexpr uint64_t kRoundTripMaxMs = 60'000;
[[nodiscard]] absl::StatusOr<RoundTrip> ParseRoundTrip(std::string_view text);

[[nodiscard]] std::string FormatListPlace(const ListPlace& place);
// Dead entries are named to users by the hex form of their key.
[[nodiscard]] std::string FormatDeadId(std::string_view key);

// What is told of one job; what is not known is left out of the JSON.
struct JobInfo {
  std::string_view rule;
  std::string_view key;
  std::string_view state;
  std::optional<int64_t> due_ms;
  std::optional<int64_t> next_ms;  // of its next attempt, when not its due
  std::optional<std::string_view> target;
  std::optional<uint64_t> attempts;  // begun and ended so far
  std::string_view last_error;       // "" = none known
  std::string_view warning;          // of its target; "" = none
  std::optional<Position> source;
  std::string_view stream;  // name of source.stream; "" = no stream
  std::optional<Times> times;
  bool collision = false;
};
// Where it would be longer than `bytes_max`: without the last error, then without
// target and stream, then with the beginning of the job's name alone, and with
// "shortened":true. Of less than 1 KB it takes up to that all the same.
[[nodiscard]] std::string FormatJobInfo(const JobInfo& info, size_t bytes_max);

}  // namespace expirer
