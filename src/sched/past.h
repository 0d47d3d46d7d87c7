// What may have happened that the store does not know: what earlier processes may have
// sent, when none ran, what was fired before the volume was lost, and which attempts of
// this process got no answer. It also keeps the notes that a later process needs for the
// same: signs of life, spans without a connection, rebuilds.
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/container/flat_hash_set.h"
#include "base/status.h"
#include "sched/ahead.h"
#include "sched/possibly_sent.h"
#include "sched/process_gaps.h"
#include "sched/rebuild.h"

namespace expirer {

struct Core;

// Core thread only.
class Past {
 public:
  explicit Past(Core* core) : core_(*core) {}

  // Reads the store. Call it when the turn has been loaded.
  absl::Status Load();

  // Whether the row, which has no attempt now, may have been sent.
  [[nodiscard]] bool MayHaveSent(uint64_t seq, int64_t key_ms) const {
    return unanswered_.contains(seq) || possibly_sent_.MayHaveSent(seq, key_ms);
  }
  // The attempt at the row got no answer, and the row stays in its place.
  void NoteUnanswered(uint64_t seq, int64_t key_ms);
  // The row is sent again, or taken away.
  void Forget(uint64_t seq) { unanswered_.erase(seq); }

  // How late a job with this due time was found; 0 if a process ran at that time.
  [[nodiscard]] int64_t LatenessMs(int64_t due_ms) const {
    return process_gaps_.LatenessMs(due_ms);
  }

  // The connection for publishing dropped, or is back.
  void Disconnected();
  void Connected();
  // The process stood still, or the clock leapt. Later readers of the store assume that
  // no job with a later time than the last sign of life was sent, so nothing is sent
  // before there is a new one.
  void StoodStill();
  // Adds a sign of life to the turn, if it is time for one.
  void StageSignOfLife();

  // Begins a rebuild. If one is open its rows stay, and the time up to which somebody
  // else may have fired moves to now.
  absl::Status BeginRebuild();
  // All streams are read. Does nothing if no rebuild is open.
  void EndRebuild();
  // Whether a job due at `due_ms` may have been fired before the last rebuild began.
  [[nodiscard]] bool MayHaveFired(int64_t due_ms) const {
    return rebuild_.began_ms > 0 && due_ms <= rebuild_.began_ms;
  }
  // The same for a row; false unless the rebuild wrote it.
  [[nodiscard]] bool MayHaveFired(uint64_t seq, int64_t due_ms) const {
    return rebuild_.MayHaveFired(seq, due_ms);
  }

  // Call at the beginning of each turn; see sched/ahead.h.
  void NoteClock();
  // The row is back in its place, which no scan has judged meanwhile.
  void NotePutBack(int64_t key_ms) { ahead_rows_.NotePutBack(key_ms); }
  // Whether rows are to be judged because the clock stepped back.
  [[nodiscard]] bool judging() const { return ahead_rows_.scanning(); }
  // Judges the next part of them. Only rows in the store can be judged, so it does
  // nothing while changes are staged.
  absl::Status JudgeTimesAnew();

 private:
  Core& core_;
  // At most limits.inflight rows for each loss of the connection.
  absl::flat_hash_set<uint64_t> unanswered_;  // by seq
  PossiblySent possibly_sent_;
  ProcessGaps process_gaps_;
  Rebuild rebuild_;
  AheadRows ahead_rows_;
  size_t moved_back_ = 0;             // by the scan of ahead_rows_ that has not ended
  bool leapt_ = false;                // StoodStill, and no sign of life since
  int64_t disconnected_mono_ms_ = 0;  // since when, if disconnected
  int64_t alive_mono_ms_ = 0;         // the last sign of life
};

}  // namespace expirer
