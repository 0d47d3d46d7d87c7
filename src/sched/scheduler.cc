#include "sched/scheduler.h"

#include <algorithm>
#include <limits>

#include "base/coding.h"
#include "base/log.h"
#include "base/mutant.h"
#include "store/meta.h"

namespace expirer {
namespace {

constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
// Signs of life while nothing else is written: a sync each is all it costs.
constexpr int64_t kAliveIdleMs = 10'000;
constexpr int64_t kStallPollMs = 200;
constexpr int64_t kStaleTellMs = 60'000;
// A store that is not whole may disagree with its counts again and again.
constexpr int64_t kRecountEveryMs = 600'000;

}  // namespace

Scheduler::Scheduler(const SchedulerOptions& options, const std::vector<Rule>& rules,
                     Store* store, Committer* committer, Egress* egress, Inbound* inbound)
    : options_(options),
      rules_(rules),
      queues_(rules),
      store_(store),
      committer_(committer),
      egress_(egress),
      inbound_(inbound),
      streams_(&rules),
      counts_(options.history_keys),
      gates_(rules, options.settle_ms, options.in_flight) {
  gates_.Set(Gates::Reason::kNotAdmitted, options.wait_for_admission);
}

Scheduler::~Scheduler() { TellStale(0); }

absl::Status Scheduler::Load(Instant now) {
  now_ = now;
  gates_.SetNow(now);
  RETURN_IF_ERROR(lanes_.Load(*store_, &queues_, options_.orphans, turn_.meta()));
  RETURN_IF_ERROR(queues_.LoadFirstNames(*store_, turn_.meta()));
  stats_.outcomes.resize(queues_.size());
  gates_.ShareRoom(
      std::any_of(queues_.all().begin(), queues_.all().end(), [this](const Queue& queue) {
        return queue.rule != queues_[0].rule && queue.name != kRoundTripQueue;
      }));
  RETURN_IF_ERROR(streams_.Load(*store_));
  ASSIGN_OR_RETURN(rebuild_, Rebuild::Load(*store_));
  gates_.Set(Gates::Reason::kRebuilding, rebuild_.open);
  RETURN_IF_ERROR(counts_.Load(*store_));
  if (options_.recount) counts_.WishRecount();
  RETURN_IF_ERROR(process_gaps_.Load(*store_, now.wall_ms, turn_.meta()));
  RETURN_IF_ERROR(turn_.Load());
  ledger_.Load(turn_.next_seq());
  RETURN_IF_ERROR(possibly_sent_.Load(*store_, now.wall_ms, process_gaps_.last_alive_ms(),
                                      turn_.next_seq(), turn_.meta()));
  RETURN_IF_ERROR(ahead_rows_.Load(*store_, now.wall_ms, process_gaps_.last_alive_ms(),
                                   turn_.meta()));
  egress_down_mono_ms_ = now.mono_ms;
  ledger_.FireAfterNextWrite();  // it has the sign of life
  for (const auto& [rule, floor_ms] : counts_.floors())
    store_->ForgetEarly(rule, floor_ms);
  store_->SetNow(now.wall_ms);
  return absl::OkStatus();
}

absl::StatusOr<int64_t> Scheduler::Step(Instant now, std::vector<Completion>* completions,
                                        std::vector<Request>* requests) {
  now_ = now;
  gates_.SetNow(now);
  pushed_back_ = false;
  if (stalled_) {
    if (!store_->Writable()) return now_.wall_ms + kStallPollMs;
    RETURN_IF_ERROR(Write());
    if (stalled_) return now_.wall_ms + kStallPollMs;
  }
  store_->SetNow(now_.wall_ms);
  ahead_rows_.Note(now_.wall_ms, turn_.meta());
  RETURN_IF_ERROR(ApplyCompletions(completions));
  RETURN_IF_ERROR(ApplyTimeouts());
  RETURN_IF_ERROR(ApplyRequests(requests));
  StageHousekeeping();
  RETURN_IF_ERROR(Write());
  if (stalled_) return now_.wall_ms + kStallPollMs;
  RETURN_IF_ERROR(AnswerCommands());
  CountAnew();
  RETURN_IF_ERROR(JudgeTimesAnew());
  ledger_.Release();
  RETURN_IF_ERROR(Dispatch());
  ASSIGN_OR_RETURN(const bool refilling,
                   lanes_.Refill(*store_, options_.window, &overdue_rows_));
  loaded_ = true;
  inbound_->Flush();
  next_work_ms_ = NextWork(refilling);
  const int64_t housekeeping_ms = housekeeping_mono_ms_ + kHousekeepingMs - now_.mono_ms;
  return std::min(next_work_ms_, now_.wall_ms + std::max<int64_t>(housekeeping_ms, 1));
}

bool Scheduler::Drained() const {
  return in_flight_.size() == 0 && unfinished_.empty() && turn_.empty() && ledger_.idle();
}

void Scheduler::StageHousekeeping() {
  turn_.StageNextSeq();
  if (now_.mono_ms >= housekeeping_mono_ms_ + kHousekeepingMs) {
    housekeeping_mono_ms_ = now_.mono_ms;
    for (const Counts::Forgotten& early : counts_.Expire(now_.wall_ms)) {
      store_->ForgetEarly(early.rule, early.floor_ms);
      stats_.forgotten += early.keys;
      LogGathered(Level::kWarn,
                  "history is full: the oldest closed keys of the rule that has the most "
                  "are forgotten early",
                  early.rule, "",
                  {{"forgotten", early.keys}, {"limit", options_.history_keys}});
    }
  }
  TellStale(kStaleTellMs);
  counts_.Stage(turn_.meta());
  streams_.Stage(turn_.meta());
  StageSignOfLife();
  turn_.StageBounds(now_.wall_ms);
}

void Scheduler::StageSignOfLife() {
  const int64_t silent_ms = now_.mono_ms - alive_mono_ms_;
  // A connection that is back within the second costs no note.
  const bool news = gates_.Holds(Gates::Reason::kNoConnection) &&
                    !possibly_sent_.disconnected_noted() &&
                    now_.mono_ms - egress_down_mono_ms_ >= kHousekeepingMs;
  const bool stepped_back =
      possibly_sent_.Note(now_.wall_ms, turn_.next_seq(), turn_.meta());
  if (!stepped_back && !leapt_ && silent_ms < kAliveIdleMs &&
      (silent_ms < kHousekeepingMs || (turn_.empty() && !news)))
    return;
  leapt_ = false;
  alive_mono_ms_ = now_.mono_ms;
  ProcessGaps::StageAlive(now_.wall_ms, turn_.meta());
  if (news || possibly_sent_.disconnected_noted())
    possibly_sent_.StageDisconnected(now_.wall_ms, turn_.meta());
}

// Step 2. The turn is kept, and nothing else is done, when there is no space.
absl::Status Scheduler::Write() {
  const absl::Status written = ledger_.Write(&turn_, now_.mono_ms);
  const bool full = absl::IsResourceExhausted(written);
  if (full && !stalled_) {
    ++stats_.no_space;
    Log(Level::kError, "no space for the store: nothing is written until there is",
        {{"error", Message(written)}});
  }
  if (written.ok() && stalled_) Log(Level::kInfo, "there is space for the store again");
  stalled_ = full;
  return full ? absl::OkStatus() : written;
}

// Of each stream the first time at once, then all of `every_ms` together.
void Scheduler::TellStale(int64_t every_ms) {
  for (auto& [stream, dropped] : stale_dropped_) {
    if (dropped.count == 0 || now_.mono_ms < dropped.told_mono_ms + every_ms) continue;
    Log(Level::kWarn,
        "stale messages were dropped: due longer ago than store.history remembers, and "
        "a tenth of limits.dead is stale already",
        {{"stream", stream},
         {"dropped", dropped.count},
         {"first_sequence", dropped.first_seq},
         {"last_sequence", dropped.last_seq}});
    dropped = {0, 0, 0, now_.mono_ms};
  }
}

// Begins only where nothing is staged: what is counted must be in the store.
void Scheduler::CountAnew() {
  if (recount_ == nullptr) {
    if (!counts_.recount_wished() || !turn_.empty() ||
        now_.mono_ms < recount_after_mono_ms_)
      return;
    counts_.BeginRecount();
    recount_ = std::make_unique<Recount>(*store_);
  }
  const absl::StatusOr<bool> done = recount_->Read();
  if (done.ok() && !*done) return;
  if (done.ok()) {
    counts_.EndRecount(recount_->seen(), recount_->stale(), recount_->dead_bytes());
  } else {
    counts_.GiveUpRecount();
    Log(Level::kError, "counting the store's jobs again failed: counts stay unchanged",
        {{"why", Message(done.status())}});
  }
  recount_.reset();
  recount_after_mono_ms_ = now_.mono_ms + kRecountEveryMs;
}

uint64_t Scheduler::pending() const {
  uint64_t sum = 0;
  for (const auto& [rule, counts] : counts_.rules())
    sum += counts.pending + counts.retrying;
  return sum;
}

int64_t Scheduler::NextWork(bool refilling) {
  if ((!turn_.empty() && !ledger_.HoldsWrite(turn_, now_.mono_ms)) ||
      !unfinished_.empty() || refilling || recount_ != nullptr || ahead_rows_.scanning())
    return now_.wall_ms;
  int64_t mono =
      std::min({in_flight_.NextDeadline(), ledger_.NextSyncMs(), gates_.NextOverdueMs()});
  if (pushed_back_) mono = std::min(mono, now_.mono_ms + 1);
  int64_t wake =
      mono == kNever ? kNever : now_.wall_ms + std::max<int64_t>(mono - now_.mono_ms, 1);
  if (!MayFire() || pushed_back_ || WaitingLaneBlocks()) return wake;
  for (const LaneState& lane : lanes_.all())
    wake = std::min(wake, std::max(FireMs(lane), now_.wall_ms));
  return wake;
}

Stats Scheduler::Snapshot(int64_t now_ms) const {
  Stats stats = stats_;
  stats.rules = counts_.rules();
  stats.closed = counts_.closed();
  stats.dead_bytes = counts_.dead_bytes();
  stats.miscounts = counts_.miscounts();
  stats.in_flight = in_flight_.size();
  stats.window = lanes_.held();
  stats.egress_up = !gates_.Holds(Gates::Reason::kNoConnection);
  stats.intake_open = intake_open_;
  stats.stalled = stalled_;
  stats.loaded = loaded_;
  stats.rebuilding = gates_.Holds(Gates::Reason::kRebuilding);
  stats.catching_up = gates_.closed();
  for (const LaneState& lane : lanes_.all()) {
    const TimerEntry lowest = lane.Lowest();
    const bool known = !lane.window.empty() || !lane.out.empty();
    if (known && (stats.next_due_ms == 0 || lowest.key_ms < stats.next_due_ms))
      stats.next_due_ms = lowest.key_ms;
    if (!known || lowest.key_ms >= now_ms) continue;
    if (stats.oldest_due_ms == 0 || lowest.key_ms < stats.oldest_due_ms)
      stats.oldest_due_ms = lowest.key_ms;
  }
  const int64_t oldest_ms = overdue_rows_.oldest_due_ms();
  if (oldest_ms == 0 || oldest_ms > now_ms) return stats;
  for (int64_t* told_ms : {&stats.next_due_ms, &stats.oldest_due_ms})
    if (*told_ms == 0 || oldest_ms < *told_ms) *told_ms = oldest_ms;
  return stats;
}

}  // namespace expirer
