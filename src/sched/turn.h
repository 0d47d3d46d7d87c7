// The changes of one turn of the core, which can be read before they are written. The
// scheduler reads registers, rows and dead entries only through its Turn, because the
// changes are not in the store yet. Counts change together with what they count, so they
// are written in the same batch.
//
// Turns can be stacked: after Propose the changes so far wait for Write, later changes
// accumulate above them, and reads see both. Without replicas the core writes each turn
// and proposes none.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "base/status.h"
#include "job/job.h"
#include "sched/counts.h"
#include "sched/events.h"
#include "sched/lanes.h"
#include "sched/overdue.h"
#include "store/store.h"

namespace expirer {

// Core thread only. Every function that reads may return an error of the disk (I7), or
// kDataLoss if an entry is malformed.
class Turn {
 public:
  // All of them outlive the turn.
  Turn(Store* store, Lanes* lanes, Counts* counts, OverdueRows* overdue)
      : store_(store), lanes_(lanes), counts_(counts), overdue_(overdue) {}

  // Reads the next row number from the store. Call it once, before all others.
  absl::Status Load();

  // Takes a number for a new row, or for an event that has no sequence. Numbers only
  // rise, over the whole life of the store.
  [[nodiscard]] uint64_t TakeSeq() {
    next_seq_dirty_ = true;
    return next_seq_++;
  }
  // The number that TakeSeq gives next.
  [[nodiscard]] uint64_t next_seq() const { return next_seq_; }

  // The register of a key; empty if the key is unknown.
  absl::StatusOr<std::optional<Register>> Known(const std::string& id) const;
  // Reads these registers, for Known: one by one each would make its own way through a
  // large store's filters and index. REQUIRES: EndReadAhead before the next write.
  absl::Status ReadAhead(std::vector<std::string> ids);
  void EndReadAhead() { ahead_.clear(); }
  // Replaces the key's register, also one of a rule that is not configured, and counts
  // the change. `from` is the register known so far; null = none.
  void Put(const std::string& id, const Register* from, Register to);

  // Copies a row to `row`; false if there is none.
  absl::StatusOr<bool> ReadRow(const JobKey& key, std::string* row) const;
  // Adds a row, which enters its lane's window when it is written. REQUIRES: `key` has
  // the newest number of TakeSeq. `due_ms`: of its job.
  void PutRow(LaneState* lane, const JobKey& key, int64_t due_ms, std::string_view row);
  // Replaces the value of a row, which exists.
  void RewriteRow(const JobKey& key, std::string_view row);
  // Deletes a row. The caller takes it out of its lane's window (Lanes::Forget) unless it
  // has left that already.
  void DropRow(const JobKey& key);
  // Whether the turn deletes the row with this number, which the store may still have.
  [[nodiscard]] bool Dropped(uint64_t seq) const;

  // Copies an entry of the dead store; false if there is none.
  absl::StatusOr<bool> FindDead(const std::string& key, std::string* value) const;
  // These count the entry's bytes; the caller counts the entry.
  void PutDead(std::string key, const Dead& dead);
  void DropDead(std::string key);

  // The set for entries of `meta`, which are only read when a process starts.
  [[nodiscard]] WriteSet* meta() { return &levels_.back().set; }
  // Adds the next number to `meta`, if it has changed.
  void StageNextSeq();
  // Raises the lanes' low bounds to `now_ms`, a wall time, but not past a row that is
  // in no window yet, since the clock may have leapt past it. Does nothing if there is
  // nothing to write.
  void StageBounds(int64_t now_ms);

  // Whether nothing waits to be written.
  [[nodiscard]] bool empty() const;
  // Whether the oldest changes that are not written add a row.
  [[nodiscard]] bool AddsRows() const { return !levels_.front().rows.empty(); }
  // The changes so far are complete and may not be written yet.
  void Propose() { levels_.emplace_back(); }
  // Writes the oldest changes: those proposed first, or those that have accumulated.
  // After kResourceExhausted nothing was written, and the call may be repeated; any other
  // error is final (I7).
  absl::Status Write();

 private:
  struct Span {
    size_t offset = 0;  // of a value in its write set
    size_t size = 0;
  };
  struct Row {
    Lane lane = 0;
    TimerEntry entry;
    Span value;
  };
  struct Changes {
    WriteSet set;
    absl::flat_hash_map<std::string, Register> registers;  // by id
    // By key; nothing: it was taken out.
    absl::flat_hash_map<std::string, std::optional<std::string>> dead;
    std::vector<Row> rows;                          // new ones, in order of seq
    absl::flat_hash_map<uint64_t, Span> rewritten;  // rows, by seq
    absl::flat_hash_set<uint64_t> dropped;          // rows, by seq
    void Clear();
  };

  Span Stage(Changes* changes, const JobKey& key, std::string_view row);
  // The bytes that an entry takes now.
  [[nodiscard]] int64_t DeadBytes(const std::string& key);

  Store* const store_;
  Lanes* const lanes_;
  Counts* const counts_;
  OverdueRows* const overdue_;
  // The last one accumulates; those before it are proposed, the oldest first.
  std::deque<Changes> levels_ = std::deque<Changes>(1);
  // Registers that were read ahead.
  absl::flat_hash_map<std::string, std::optional<Register>> ahead_;
  uint64_t next_seq_ = 1;
  bool next_seq_dirty_ = false;
};

}  // namespace expirer
