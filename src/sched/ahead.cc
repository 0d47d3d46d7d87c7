#include "sched/ahead.h"

#include <algorithm>
#include <string>

#include "base/coding.h"
#include "store/meta.h"

namespace expirer {
namespace {

// A row that stands ahead by less comes soon enough; clocks are slewed.
constexpr int64_t kSlackMs = 1'000;
// A process tells at least every ten seconds what its clock shows, and a late
// cancel's job may wait for an answer.
constexpr int64_t kMarginMs = 60'000;

}  // namespace

absl::Status AheadRows::Load(const Store& store, int64_t now_ms, int64_t alive_ms,
                             WriteSet* set) {
  latest_ms_ = now_ms;
  std::string value;
  ASSIGN_OR_RETURN(const bool found, store.GetMeta(kMetaAhead, &value));
  if (found) {
    Reader in(value);
    noted_ms_ = static_cast<int64_t>(in.Varint());
    if (!in.ok() || !in.AtEnd())
      return Corrupt("the entry ahead of meta is malformed: expected a varint");
  }
  if (alive_ms > std::max(now_ms, noted_ms_)) {
    noted_ms_ = alive_ms;
    set->PutMeta(kMetaAhead, Varints(noted_ms_));
  }
  Begin(std::max(noted_ms_, alive_ms));
  return absl::OkStatus();
}

void AheadRows::Note(int64_t now_ms, WriteSet* set) {
  if (noted_ms_ != 0 && now_ms >= noted_ms_) {
    set->DeleteMeta(kMetaAhead);
    noted_ms_ = 0;
  }
  if (now_ms + kSlackMs >= latest_ms_) {
    latest_ms_ = std::max(latest_ms_, now_ms);
    return;
  }
  if (latest_ms_ > noted_ms_) {
    noted_ms_ = latest_ms_;
    set->PutMeta(kMetaAhead, Varints(noted_ms_));
  }
  Begin(latest_ms_);
  latest_ms_ = now_ms;
}

void AheadRows::NotePutBack(int64_t key_ms) {
  if (key_ms > latest_ms_) Begin(key_ms);
}

void AheadRows::Begin(int64_t until_ms) {
  // What a look that has not ended was to find is found by this one.
  until_ms_ = scanning_ ? std::max(until_ms_, until_ms) : until_ms;
  scanning_ = true;
  lane_ = 0;
  from_ = {};
}

absl::StatusOr<size_t> AheadRows::Scan(const Store& store, const Lanes& lanes,
                                       int64_t now_ms, Judge judge) {
  size_t moved = 0;
  JobView job;
  for (size_t rows = 0; lane_ < lanes.all().size(); ++lane_, from_ = {}) {
    const LaneState& lane = lanes.all()[lane_];
    const int64_t until_ms = lane.retry ? Store::kToEnd : until_ms_ + kMarginMs;
    if (until_ms <= now_ms) continue;
    const auto scan = store.ScanDue(lane.lane, until_ms);
    scan->Seek(std::max(from_, JobKey{lane.lane, now_ms + 1, 0}));
    for (; scan->Valid(); scan->Next()) {
      from_ = scan->key();
      if (rows++ == kRowsATurn || moved == kMovesATurn) return moved;
      // One that is malformed is told when its turn comes.
      if (!DecodeJob(scan->value(), &job).ok() || job.due_ms >= from_.key_ms) continue;
      ASSIGN_OR_RETURN(const bool one, judge(lane, from_, scan->value()));
      if (one) ++moved;
    }
    RETURN_IF_ERROR(scan->status());
  }
  scanning_ = false;
  return moved;
}

}  // namespace expirer
