#include "sched/possibly_sent.h"

#include <algorithm>

#include "base/coding.h"
#include "store/meta.h"

namespace expirer {
namespace {

// A process writes a sign of life every ten seconds. The last one may have been lost
// with the power, or may have waited for a slow sync.
constexpr int64_t kMarginMs = 60'000;

}  // namespace

absl::StatusOr<std::vector<PossiblySent::Range>> PossiblySent::Decode(
    std::string_view bytes) {
  std::vector<Range> ranges;
  Reader in(bytes);
  while (in.ok() && !in.AtEnd()) {
    Range range;
    range.seq = in.Varint();
    range.until_ms = static_cast<int64_t>(in.Varint());
    ranges.push_back(range);
  }
  if (!in.ok())
    return Corrupt("possibly-sent entry malformed: expected pairs of varints");
  return ranges;
}

absl::Status PossiblySent::Load(const Store& store, int64_t now_ms, int64_t alive_ms,
                                uint64_t next_seq, WriteSet* set) {
  std::string value;
  ASSIGN_OR_RETURN(const bool found, store.GetMeta(kMetaPossiblySent, &value));
  if (found) {
    ASSIGN_OR_RETURN(before_, Decode(value));
  }
  high_ms_ = now_ms;
  const bool stepped_back = now_ms < alive_ms;
  Range last{next_seq, now_ms};
  if (alive_ms != 0)
    last.until_ms =
        stepped_back ? alive_ms + kMarginMs : std::min(now_ms, alive_ms + kMarginMs);
  RETURN_IF_ERROR(LoadDisconnected(store, alive_ms, &last, set));
  // Later signs of life cover these ranges. Only up to last.until_ms and not `now_ms`:
  // while there is no connection, the disconnected note covers less than a sign of life.
  noted_ = before_;
  std::erase_if(noted_,
                [&](const Range& range) { return range.until_ms <= last.until_ms; });
  if (found && noted_.empty()) set->DeleteMeta(kMetaPossiblySent);
  before_.push_back(last);
  if (stepped_back) Add(last, set);
  disconnected_since_ms_ = last.until_ms;
  if (disconnected_noted_) StageDisconnected(now_ms, set);
  return absl::OkStatus();
}

// Reads the note about a disconnected span that the process before left.
absl::Status PossiblySent::LoadDisconnected(const Store& store, int64_t alive_ms,
                                            Range* last, WriteSet* set) {
  std::string value;
  ASSIGN_OR_RETURN(const bool found, store.GetMeta(kMetaDisconnected, &value));
  if (!found) return absl::OkStatus();
  Reader in(value);
  const auto since_ms = static_cast<int64_t>(in.Varint());
  const auto noted_ms = static_cast<int64_t>(in.Varint());
  if (!in.ok() || !in.AtEnd())
    return Corrupt("disconnected note malformed: expected a pair of varints");
  if (noted_ms != alive_ms) {
    set->DeleteMeta(
        kMetaDisconnected);  // void, also should a clock ever show that time again
    return absl::OkStatus();
  }
  last->until_ms = std::min(last->until_ms, since_ms);
  disconnected_noted_ = true;
  return absl::OkStatus();
}

void PossiblySent::StageDisconnected(int64_t now_ms, WriteSet* set) {
  set->PutMeta(kMetaDisconnected, Varints(disconnected_since_ms_, now_ms));
  disconnected_noted_ = true;
}

bool PossiblySent::EndDisconnected(WriteSet* set) {
  if (!disconnected_noted_) return false;
  set->DeleteMeta(kMetaDisconnected);
  disconnected_noted_ = false;
  return true;
}

bool PossiblySent::MayHaveSent(uint64_t seq, int64_t key_ms) const {
  return std::any_of(before_.begin(), before_.end(), [&](const Range& range) {
    return seq < range.seq && key_ms <= range.until_ms;
  });
}

bool PossiblySent::Note(int64_t now_ms, uint64_t next_seq, WriteSet* set) {
  if (now_ms >= high_ms_) {
    high_ms_ = now_ms;
    return false;
  }
  Add({next_seq, high_ms_}, set);
  high_ms_ = now_ms;
  return true;
}

void PossiblySent::Add(Range range, WriteSet* set) {
  // Earlier ranges have no higher seq, so the new one covers those that end no later.
  std::erase_if(noted_, [&](const Range& old) { return old.until_ms <= range.until_ms; });
  noted_.push_back(range);
  if (noted_.size() > kRangesMax) {
    noted_[1].until_ms = std::max(noted_[0].until_ms, noted_[1].until_ms);
    noted_.erase(noted_.begin());
  }
  std::string value;
  for (const Range& one : noted_) value += Varints(one.seq, one.until_ms);
  set->PutMeta(kMetaPossiblySent, value);
}

}  // namespace expirer
