// The life of a turn: written, then synced, then its effects are released. A ticket
// numbers a write. An effect waits until the newest write that its turn could have
// read is durable, also when the turn itself wrote nothing (I1).
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <utility>
#include <vector>

#include "base/mutant.h"
#include "base/status.h"
#include "sched/turn.h"
#include "store/committer.h"

namespace expirer {

// Core thread only. Times are milliseconds of the monotonic clock.
class Ledger {
 public:
  // What is said to the outside: an ack, a reply.
  using Effect = std::function<void()>;

  // A write waits for its sync at most `unsynced_ms`. `committer` outlives the ledger.
  Ledger(Committer* committer, int64_t unsynced_ms)
      : committer_(committer), unsynced_ms_(unsynced_ms) {}

  // A process starts: rows numbered below `next_seq` were recovered from the log or
  // made durable when the store was opened.
  void Load(uint64_t next_seq) { durable_seq_ = next_seq; }

  // To be done once what this turn writes, or could have read, is durable.
  void OnceDurable(Effect effect) { waiting_.push_back(std::move(effect)); }
  // The next write has what the next process must know before anything more is sent.
  void FireAfterNextWrite() {
    fire_after_ = ticket_ + 1;
    sync_now_ = true;
  }
  [[nodiscard]] bool MayFire() const {
    return durable_ >= fire_after_ || Mutant("disconnected_unsynced");
  }

  // Writes the turn, gives a ticket to the effects of this turn and asks for a sync if
  // one is due. Alone, to propose a turn is to write it. On kResourceExhausted nothing
  // happened, and it may be tried again; any other error is final (I7).
  [[nodiscard]] absl::Status Write(Turn* turn, int64_t now_ms);
  // Always false but for a control's fault.
  [[nodiscard]] bool HoldsWrite(const Turn& turn, int64_t now_ms) const;
  // Everything up to `ticket` is durable.
  void Synced(uint64_t ticket);
  // Does what waited for tickets that are durable now, in order.
  void Release();

  // Whether the write that added the row with this number is durable (I8).
  [[nodiscard]] bool Durable(uint64_t seq) const {
    return seq < durable_seq_ || Mutant("dispatch_unsynced");
  }
  // Everything written is durable and every effect released.
  [[nodiscard]] bool idle() const {
    return effects_.empty() && waiting_.empty() && durable_ == ticket_;
  }
  // When a sync is to be asked for at the latest; INT64_MAX if none is.
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
