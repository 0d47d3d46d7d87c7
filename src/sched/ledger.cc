#include "sched/ledger.h"

#include <algorithm>

namespace expirer {

absl::Status Ledger::Write(Turn* turn, int64_t now_ms) {
  if (!turn->empty()) {
    // A row waits for this write; deletes alone may wait longer.
    const bool adds_rows = turn->AddsRows();
    RETURN_IF_ERROR(turn->Write());
    seq_by_ticket_.emplace_back(++ticket_, turn->next_seq());
    sync_now_ = sync_now_ || adds_rows;
    if (oldest_unsynced_ms_ == 0) oldest_unsynced_ms_ = now_ms;
  }
  for (Effect& effect : waiting_) effects_.emplace_back(ticket_, std::move(effect));
  sync_now_ = sync_now_ || !waiting_.empty() || now_ms >= NextSyncMs();
  waiting_.clear();
  if (std::exchange(sync_now_, false) && ticket_ != requested_) {
    committer_->Request(ticket_);
    requested_ = ticket_;
    oldest_unsynced_ms_ = 0;
  }
  return absl::OkStatus();
}

void Ledger::Synced(uint64_t ticket) {
  durable_ = std::max(durable_, ticket);
  for (; !seq_by_ticket_.empty() && seq_by_ticket_.front().first <= durable_;
       seq_by_ticket_.pop_front())
    durable_seq_ = seq_by_ticket_.front().second;
}

void Ledger::Release() {
  for (; !effects_.empty() && effects_.front().first <= durable_; effects_.pop_front())
    effects_.front().second();
}

}  // namespace expirer
