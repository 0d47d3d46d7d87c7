// The life of a turn: it is written, then synced, then its effects are released. A
// ticket is the number of a write. An effect waits until the newest write that its turn
// could have read is durable, even if the turn itself wrote nothing (I1).
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <utility>
#include <vector>

#include "base/status.h"
#include "sched/turn.h"
#include "store/committer.h"

namespace expirer {

// Core thread only. Times are milliseconds of the monotonic clock.
class Ledger {
 public:
  // An action that others see: an ack, a reply.
  using Effect = std::function<void()>;

  // Each write is synced after at most `unsynced_ms`. `committer` outlives the ledger.
  Ledger(Committer* committer, int64_t unsynced_ms)
      : committer_(committer), unsynced_ms_(unsynced_ms) {}

  // The process starts: rows with a number below `next_seq` are durable, since the
  // opening of the store recovered or synced them.
  void Load(uint64_t next_seq) { durable_seq_ = next_seq; }

  // Adds an effect, to be done once everything is durable that this turn writes or could
  // have read.
  void OnceDurable(Effect effect) { waiting_.push_back(std::move(effect)); }
  // Nothing more may be sent until the next write is durable, because the next process
  // must find that write.
  void FireAfterNextWrite() {
    fire_after_ = ticket_ + 1;
    sync_now_ = true;
  }
  [[nodiscard]] bool MayFire() const { return durable_ >= fire_after_; }

  // Writes the turn, gives a ticket to its effects and requests a sync if one is due.
  // Without replicas, proposing a turn means writing it. After kResourceExhausted nothing
  // has happened, and the call may be repeated; any other error is final (I7).
  absl::Status Write(Turn* turn, int64_t now_ms);
  // The committer reports that everything up to `ticket` is durable.
  void Synced(uint64_t ticket);
  // Does the effects whose tickets are durable now, in order.
  void Release();

  // Whether the write that added the row with this number is durable (I8).
  [[nodiscard]] bool Durable(uint64_t seq) const { return seq < durable_seq_; }
  // Whether everything written is durable and every effect is released.
  [[nodiscard]] bool idle() const {
    return effects_.empty() && waiting_.empty() && durable_ == ticket_;
  }
  // When a sync must be requested at the latest; INT64_MAX if none is needed.
  [[nodiscard]] int64_t NextSyncMs() const {
    return oldest_unsynced_ms_ == 0 ? std::numeric_limits<int64_t>::max()
                                    : oldest_unsynced_ms_ + unsynced_ms_;
  }

 private:
  Committer* const committer_;
  const int64_t unsynced_ms_;

  uint64_t ticket_ = 0;       // of the newest write
  uint64_t requested_ = 0;    // newest ticket asked of the committer
  uint64_t durable_ = 0;      // newest durable ticket
  uint64_t durable_seq_ = 1;  // rows with a lower seq are durable
  uint64_t fire_after_ = 0;   // nothing is sent before this ticket is durable
  // Of the writes that are not durable: ticket, and the next seq after it.
  std::deque<std::pair<uint64_t, uint64_t>> seq_by_ticket_;
  std::vector<Effect> waiting_;                      // of this turn
  std::deque<std::pair<uint64_t, Effect>> effects_;  // by ticket
  int64_t oldest_unsynced_ms_ = 0;  // 0 = a sync of everything was asked for
  bool sync_now_ = false;
};

}  // namespace expirer
