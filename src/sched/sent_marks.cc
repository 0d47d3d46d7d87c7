#include "sched/sent_marks.h"

#include <algorithm>

#include "base/coding.h"
#include "base/mutant.h"
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
  }
  high_ms_ = now_ms;
  const bool stepped_back = now_ms < alive_ms;
  Mark last{next_seq, now_ms};
  if (alive_ms != 0)
    last.until_ms =
        stepped_back ? alive_ms + kMarginMs : std::min(now_ms, alive_ms + kMarginMs);
  RETURN_IF_ERROR(LoadQuiet(store, alive_ms, &last, set));
  // What the signs of life from now on cover. Not up to `now_ms`: as long as there
  // is no connection, the quiet note says less than they do.
  kept_ = before_;
  std::erase_if(kept_, [&](const Mark& mark) { return mark.until_ms <= last.until_ms; });
  if (found && kept_.empty()) set->DeleteMeta(kMetaSent);
  before_.push_back(last);
  if (stepped_back) Keep(last, set);
  quiet_since_ms_ = last.until_ms;
  if (quiet_noted_) StageQuiet(now_ms, set);
  return absl::OkStatus();
}

// What the process before knew of its own silence.
absl::Status SentMarks::LoadQuiet(const Store& store, int64_t alive_ms, Mark* last,
                                  WriteSet* set) {
  std::string value;
  ASSIGN_OR_RETURN(const bool found, store.GetMeta(kMetaQuiet, &value));
  if (!found) return absl::OkStatus();
  Reader in(value);
  const auto since_ms = static_cast<int64_t>(in.Varint());
  const auto noted_ms = static_cast<int64_t>(in.Varint());
  if (!in.ok() || !in.AtEnd())
    return Corrupt("quiet note malformed: expected a pair of varints");
  if (noted_ms != alive_ms) {
    set->DeleteMeta(kMetaQuiet);  // void, also should a clock ever show that time again
    return absl::OkStatus();
  }
  last->until_ms = std::min(last->until_ms, since_ms);
  quiet_noted_ = true;
  return absl::OkStatus();
}

void SentMarks::StageQuiet(int64_t now_ms, WriteSet* set) {
  set->PutMeta(kMetaQuiet, Varints(quiet_since_ms_, now_ms));
  quiet_noted_ = true;
}

bool SentMarks::EndQuiet(WriteSet* set) {
  if (!quiet_noted_ || Mutant("quiet_kept")) return false;
  set->DeleteMeta(kMetaQuiet);
  quiet_noted_ = false;
  return true;
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
  for (const Mark& one : kept_) value += Varints(one.seq, one.until_ms);
  set->PutMeta(kMetaSent, value);
}

}  // namespace expirer
