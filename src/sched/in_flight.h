// The attempts that have begun and are not answered yet.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "job/job.h"

namespace expirer {

// One attempt of one generation of a job, with everything that is needed to close it
// without reading the store again.
struct InFlight {
  // What happened to the job since the attempt began (I9).
  enum class Fate { kCurrent, kCancelled, kReplaced };
  JobKey row;
  Fate fate = Fate::kCurrent;
  bool unanswered = false;  // an earlier attempt may have been stored
  uint64_t sends = 0;       // before this attempt
  uint64_t counted_attempts = 0;
  std::string key;
  std::string target;
  int64_t due_ms = 0;
  Position source;
  int64_t received_ms = 0;
  int64_t stored_ms = 0;
  int64_t published_ms = 0;
  // A late cancel's job waits until this attempt ends.
  bool has_late_cancel = false;
  // The row of a newer schedule of the same due time. It waits for this attempt's end.
  std::optional<JobKey> successor = std::nullopt;
  // The answer said that the stream already has another message with its id.
  bool collision = false;
};

// Core thread only.
class InFlightTable {
 public:
  [[nodiscard]] size_t size() const { return attempts_.size(); }
  [[nodiscard]] bool Holds(uint64_t seq) const { return by_seq_.contains(seq); }

  // Adds an attempt and returns its number, which is never used again within a process
  // (I9). Its deadline must not be earlier than that of the attempt before it.
  uint64_t Begin(std::unique_ptr<InFlight> attempt, int64_t deadline_mono_ms);
  // Removes and returns the attempt; null if it is unknown or given up.
  [[nodiscard]] std::unique_ptr<InFlight> End(uint64_t attempt);
  // The attempt of the row with this seq; null when there is none. Valid until
  // it ends.
  [[nodiscard]] InFlight* OfRow(uint64_t seq);
  // Marks the attempt of the row with this seq, if there is one.
  bool SetFate(uint64_t seq, InFlight::Fate fate);
  // The number of an attempt whose deadline is at or before `mono_ms`, if there is one.
  // It stays in flight until End.
  [[nodiscard]] std::optional<uint64_t> Overdue(int64_t mono_ms);
  // The monotonic time when Overdue may next have one; INT64_MAX if nothing is in flight.
  [[nodiscard]] int64_t NextDeadline();
  // The number Begin gives next.
  [[nodiscard]] uint64_t next() const { return next_; }

 private:
  uint64_t next_ = 1;
  absl::flat_hash_map<uint64_t, std::unique_ptr<InFlight>> attempts_;
  absl::flat_hash_map<uint64_t, uint64_t> by_seq_;  // row's seq -> attempt
  // In order of Begin and so of deadline: the time-out is the same for all.
  std::deque<std::pair<int64_t, uint64_t>> deadlines_;
};

}  // namespace expirer
