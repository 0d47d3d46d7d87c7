#include "sched/sent_marks.h"

#include <algorithm>

#include "base/coding.h"
#include "store/meta.h"

namespace expirer {
namespace {

// A process notes that it lives every ten seconds, and what it noted may have
// been lost with the power or waited for a slow sync.
constexpr int64_t kMarginMs = 60'000;

}  // namespace

absl::StatusOr<std::vector<SentMarks::Mark>> SentMarks::Decode(std::string_view bytes) {
  std::vector<Mark> marks;
  Reader in(bytes);
  while (in.ok() && !in.AtEnd()) {
    Mark mark;
    mark.seq = in.Varint();
    mark.until_ms = static_cast<int64_t>(in.Varint());
    marks.push_back(mark);
  }
  if (!in.ok()) return Corrupt("sent marks malformed: expected pairs of varints");
  return marks;
}

absl::Status SentMarks::Load(const Store& store, int64_t now_ms, int64_t alive_ms,
                             uint64_t next_seq, WriteSet* set) {
  std::string value;
  ASSIGN_OR_RETURN(const bool found, store.GetMeta(kMetaSent, &value));
  if (found) {
    ASSIGN_OR_RETURN(before_, Decode(value));
    // The signs of life from now on cover what the clock shows again.
    kept_ = before_;
    std::erase_if(kept_, [&](const Mark& mark) { return mark.until_ms <= now_ms; });
    if (kept_.empty()) set->DeleteMeta(kMetaSent);
  }
  high_ms_ = now_ms;
  const bool stepped_back = now_ms < alive_ms;
  Mark last{next_seq, now_ms};
  if (alive_ms != 0)
    last.until_ms =
        stepped_back ? alive_ms + kMarginMs : std::min(now_ms, alive_ms + kMarginMs);
  before_.push_back(last);
  if (stepped_back) Keep(last, set);
  return absl::OkStatus();
}

bool SentMarks::MayHaveSent(uint64_t seq, int64_t key_ms) const {
  return std::any_of(before_.begin(), before_.end(), [&](const Mark& mark) {
    return seq < mark.seq && key_ms <= mark.until_ms;
  });
}

bool SentMarks::Note(int64_t now_ms, uint64_t next_seq, WriteSet* set) {
  if (now_ms >= high_ms_) {
    high_ms_ = now_ms;
    return false;
  }
  Keep({next_seq, high_ms_}, set);
  high_ms_ = now_ms;
  return true;
}

void SentMarks::Keep(Mark mark, WriteSet* set) {
  // Those before have no higher seq: one that ends no later is covered.
  std::erase_if(kept_, [&](const Mark& old) { return old.until_ms <= mark.until_ms; });
  kept_.push_back(mark);
  if (kept_.size() > kMarksMax) {
    kept_[1].until_ms = std::max(kept_[0].until_ms, kept_[1].until_ms);
    kept_.erase(kept_.begin());
  }
  std::string value;
  for (const Mark& one : kept_) {
    PutVarint(&value, one.seq);
    PutVarint(&value, static_cast<uint64_t>(one.until_ms));
  }
  set->PutMeta(kMetaSent, value);
}

}  // namespace expirer
