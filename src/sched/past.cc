#include "sched/past.h"

#include <utility>

#include "base/log.h"
#include "base/rfc3339.h"
#include "sched/core.h"
#include "store/meta.h"

namespace expirer {
namespace {

// Signs of life while nothing else is written: each costs a sync.
constexpr int64_t kAliveIdleMs = 10'000;
constexpr int64_t kAliveMs = 1'000;

}  // namespace

absl::Status Past::Load() {
  const int64_t now_ms = core_.now.wall_ms;
  WriteSet* const meta = core_.turn.meta();
  ASSIGN_OR_RETURN(rebuild_, Rebuild::Load(core_.store));
  core_.gates.Set(Gates::Reason::kRebuilding, rebuild_.open);
  RETURN_IF_ERROR(process_gaps_.Load(core_.store, now_ms, meta));
  const int64_t alive_ms = process_gaps_.last_alive_ms();
  RETURN_IF_ERROR(
      possibly_sent_.Load(core_.store, now_ms, alive_ms, core_.turn.next_seq(), meta));
  RETURN_IF_ERROR(ahead_rows_.Load(core_.store, now_ms, alive_ms, meta));
  disconnected_mono_ms_ = core_.now.mono_ms;
  core_.ledger.FireAfterNextWrite();  // it has the sign of life
  return absl::OkStatus();
}

void Past::NoteUnanswered(uint64_t seq, int64_t key_ms) {
  unanswered_.insert(seq);
  NotePutBack(key_ms);
}

void Past::Disconnected() {
  possibly_sent_.BeginDisconnected();
  disconnected_mono_ms_ = core_.now.mono_ms;
}

void Past::Connected() {
  if (possibly_sent_.EndDisconnected(core_.turn.meta()))
    core_.ledger.FireAfterNextWrite();
}

void Past::StoodStill() {
  leapt_ = true;
  core_.ledger.FireAfterNextWrite();
}

void Past::NoteClock() { ahead_rows_.Note(core_.now.wall_ms, core_.turn.meta()); }

void Past::StageSignOfLife() {
  const int64_t silent_ms = core_.now.mono_ms - alive_mono_ms_;
  // A connection that is back within the second costs no note.
  const bool news = core_.gates.Holds(Gates::Reason::kNoConnection) &&
                    !possibly_sent_.disconnected_noted() &&
                    core_.now.mono_ms - disconnected_mono_ms_ >= kAliveMs;
  const bool stepped_back =
      possibly_sent_.Note(core_.now.wall_ms, core_.turn.next_seq(), core_.turn.meta());
  if (!stepped_back && !leapt_ && silent_ms < kAliveIdleMs &&
      (silent_ms < kAliveMs || (core_.turn.empty() && !news)))
    return;
  leapt_ = false;
  alive_mono_ms_ = core_.now.mono_ms;
  ProcessGaps::StageAlive(core_.now.wall_ms, core_.turn.meta());
  if (news || possibly_sent_.disconnected_noted())
    possibly_sent_.StageDisconnected(core_.now.wall_ms, core_.turn.meta());
}

absl::Status Past::BeginRebuild() {
  rebuild_ = {true, core_.now.wall_ms, 0};
  rebuild_.Stage(core_.turn.meta());
  RETURN_IF_ERROR(core_.store.VisitMeta(kMetaConsumer, [this](std::string_view key,
                                                              std::string_view) {
    core_.turn.meta()->DeleteMeta(key);  // a consumer made anew begins at the beginning
    return absl::OkStatus();
  }));
  core_.ledger.OnceDurable([this] { core_.inbound.RebuildBegun(); });
  core_.gates.Set(Gates::Reason::kRebuilding, true);
  core_.gates.Close(/*outage=*/true);
  Log(Level::kWarn, "rebuilding: nothing fires until all streams are read again");
  return absl::OkStatus();
}

void Past::EndRebuild() {
  if (!rebuild_.open) return;
  rebuild_.open = false;
  core_.gates.Set(Gates::Reason::kRebuilding, false);
  rebuild_.end_seq = core_.options.fire_overdue ? 0 : core_.turn.next_seq();
  rebuild_.Stage(core_.turn.meta());
  uint64_t pending = 0;
  for (const auto& [rule, counts] : core_.counts.rules()) pending += counts.pending;
  Log(Level::kWarn,
      core_.options.fire_overdue
          ? "rebuilt: what fell due before it began fires (--fire-overdue)"
          : "rebuilt: what fell due before it began goes to the dead store as may have "
            "fired",
      {{"pending", pending}, {"began", FormatRfc3339Ms(rebuild_.began_ms)}});
}

absl::Status Past::JudgeTimesAnew() {
  if (!ahead_rows_.scanning() || !core_.turn.empty()) return absl::OkStatus();
  const auto judge = [this](const LaneState& of, const JobKey& key,
                            std::string_view row) {
    return core_.jobs.JudgeTimeAnew(of, key, row);
  };
  ASSIGN_OR_RETURN(const size_t moved,
                   ahead_rows_.Scan(core_.store, core_.lanes, core_.now.wall_ms, judge));
  moved_back_ += moved;
  if (ahead_rows_.scanning() || moved_back_ == 0) return absl::OkStatus();
  Log(Level::kWarn,
      "the clock was ahead and was set back: overdue jobs and further attempts do not "
      "wait until it shows that time again",
      {{"jobs", std::exchange(moved_back_, 0)}});
  return absl::OkStatus();
}

}  // namespace expirer
