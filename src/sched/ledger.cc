#include "sched/ledger.h"

#include <algorithm>

namespace expirer {

absl::Status Ledger::Write(Turn* turn, int64_t now_ms) {
  const bool unticketed = Mutant("ack_unticketed") && turn->empty();
  if (!turn->empty()) {
    if (!HoldsWrite(*turn, now_ms)) {
      // A row waits for this write; deletes alone may wait longer.
      const bool adds_rows = turn->AddsRows();
      RETURN_IF_ERROR(turn->Write());
      seq_by_ticket_.emplace_back(++ticket_, turn->next_seq());
      sync_now_ = sync_now_ || adds_rows;
    }
    if (oldest_unsynced_ms_ == 0) oldest_unsynced_ms_ = now_ms;
  }
  for (Effect& effect : waiting_) {
    if (unticketed)
      effects_.emplace_front(0, std::move(effect));
    else
      effects_.emplace_back(ticket_, std::move(effect));
  }
  sync_now_ = sync_now_ || !waiting_.empty() || now_ms >= NextSyncMs();
  waiting_.clear();
  if (std::exchange(sync_now_, false) && ticket_ != requested_) {
    committer_->Request(ticket_);
    requested_ = ticket_;
    oldest_unsynced_ms_ = 0;
  }
  return absl::OkStatus();
}

// A control's fault has to be one that killing the process shows too. The
// kernel keeps what Write gave it, synced or not; so with this fault a write
// waits in the process for the turn of its sync, as it would in a log that is
// buffered there, while its acks leave.
bool Ledger::HoldsWrite(const Turn& turn, int64_t now_ms) const {
  return Mutant("ack_before_sync") && !turn.empty() &&
         (oldest_unsynced_ms_ == 0 || now_ms < NextSyncMs());
}

void Ledger::Synced(uint64_t ticket) {
  durable_ = std::max(durable_, ticket);
  for (; !seq_by_ticket_.empty() && seq_by_ticket_.front().first <= durable_;
       seq_by_ticket_.pop_front())
    durable_seq_ = seq_by_ticket_.front().second;
}

void Ledger::Release() {
  for (; !effects_.empty() &&
         (effects_.front().first <= durable_ || Mutant("ack_before_sync"));
       effects_.pop_front())
    effects_.front().second();
}

}  // namespace expirer
