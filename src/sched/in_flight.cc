#include "sched/in_flight.h"

#include <limits>

namespace expirer {

uint64_t InFlightTable::Begin(std::unique_ptr<InFlight> attempt,
                              int64_t deadline_mono_ms) {
  const uint64_t number = next_++;
  by_seq_[attempt->row.seq] = number;
  attempts_[number] = std::move(attempt);
  deadlines_.emplace_back(deadline_mono_ms, number);
  return number;
}

std::unique_ptr<InFlight> InFlightTable::End(uint64_t attempt) {
  const auto it = attempts_.find(attempt);
  if (it == attempts_.end()) return nullptr;
  std::unique_ptr<InFlight> ended = std::move(it->second);
  attempts_.erase(it);
  by_seq_.erase(ended->row.seq);
  return ended;
}

InFlight* InFlightTable::OfRow(uint64_t seq) {
  const auto it = by_seq_.find(seq);
  return it == by_seq_.end() ? nullptr : attempts_[it->second].get();
}

bool InFlightTable::SetFate(uint64_t seq, InFlight::Fate fate) {
  InFlight* const attempt = OfRow(seq);
  if (attempt == nullptr) return false;
  attempt->fate = fate;
  return true;
}

std::optional<uint64_t> InFlightTable::Overdue(int64_t mono_ms) {
  if (NextDeadline() > mono_ms) return std::nullopt;
  const uint64_t attempt = deadlines_.front().second;
  deadlines_.pop_front();
  return attempt;
}

int64_t InFlightTable::NextDeadline() {
  while (!deadlines_.empty() && !attempts_.contains(deadlines_.front().second))
    deadlines_.pop_front();
  return deadlines_.empty() ? std::numeric_limits<int64_t>::max()
                            : deadlines_.front().first;
}

}  // namespace expirer
