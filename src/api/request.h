// What the requests to the API have in common: their members, and what is told of a job
// in replies (docs/api.md). Pure: bytes in, values or one sentence out; fuzzed.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "job/job.h"
#include "sched/command.h"

namespace expirer {

// Error codes of replies.
inline constexpr int kBadRequest = 400;
inline constexpr int kNotFound = 404;
inline constexpr int kConflict = 409;
inline constexpr int kAtLimit = 429;
inline constexpr int kNotReady = 503;

inline constexpr size_t kRequestBytesMax = 16 << 10;
inline constexpr uint64_t kPageDefault = 100;
inline constexpr uint64_t kPageMax = 1'000;

// A page touches at most kPageRowsMax rows and kPageScanBytesMax of their bytes,
// whatever the store holds and the filters leave out, and is no longer than
// kPageBytesMax and what its caller's server takes: it may therefore hold fewer items
// than asked for, or none, and still have a cursor. An item that is too long for a page
// is shortened and marked, so that a page always leads on.
inline constexpr size_t kPageRowsMax = 10'000;
inline constexpr size_t kPageScanBytesMax = 16 << 20;
inline constexpr size_t kPageBytesMax = 256 << 10;
// Room for the cursor and the names of members: the cursor and the members' names.
inline constexpr size_t kPageEndBytes = 64;

// A job by its name: everything before the first '/' is the rule (it may hold
// dots), the rest the key.
struct JobRef {
  std::string rule;
  std::string key;
  bool operator==(const JobRef&) const = default;
};
absl::StatusOr<JobRef> ParseJobName(std::string_view name);

// What a request can say; each verb takes some of it (Verb::members). A member that is
// absent or null leaves its field as it is here.
inline constexpr uint64_t kRoundTripMaxMs = 60'000;
struct Query {
  std::optional<JobRef> job;
  std::string rule;    // "" = all
  std::string prefix;  // of the key
  std::string state;
  std::optional<std::string> id;
  std::optional<std::string> cursor;
  int64_t due_before_ms = std::numeric_limits<int64_t>::max();
  uint64_t limit = kPageDefault;  // 1..kPageMax
  uint64_t in_ms = 0;             // at most kRoundTripMaxMs
  bool dry_run = false;
  bool stale = false;
};
// A request is one object, at most kRequestBytesMax long; nothing is taken as {}. Names
// other than the words of `members` are refused, since a mistyped filter of a purge would
// otherwise be no filter at all; so are names that stand twice. Errors: kInvalidArgument,
// with one sentence for the caller.
absl::StatusOr<Query> ParseQuery(std::string_view text, std::string_view members);
// The words of a text that has one space between them.
[[nodiscard]] std::vector<std::string> Words(std::string_view text);

// A command about one job, which its request names.
struct JobCommand : Command {
  explicit JobCommand(JobRef of) : job(std::move(of)) {}
  [[nodiscard]] std::string id() const override { return MakeId(job.rule, job.key); }
  JobRef job;
};

// The name of a stream by its number; "" for one that the store has not read.
using StreamNames = std::function<std::string(uint16_t number)>;
// The streams that the store has read so far. Any thread.
absl::StatusOr<StreamNames> NamesOfStreams(const Store& store);

// Cursors and ids are shown as hex. Nullopt for what ToHex does not write.
[[nodiscard]] std::string ToHex(std::string_view bytes);
[[nodiscard]] std::optional<std::string> FromHex(std::string_view text);

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
// "shortened":true. A `bytes_max` below 1 KB counts as 1 KB.
[[nodiscard]] std::string FormatJobInfo(const JobInfo& info, size_t bytes_max);

}  // namespace expirer
