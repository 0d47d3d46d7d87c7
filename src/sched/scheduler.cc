#include "sched/scheduler.h"

#include <algorithm>
#include <limits>

#include "base/log.h"
#include "store/meta.h"

namespace expirer {
namespace {

constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
// The longest time between two Steps.
constexpr int64_t kHousekeepingMs = 1'000;
constexpr int64_t kStallPollMs = 200;
constexpr int64_t kStaleLogMs = 60'000;
// A store that is not whole may disagree with its counts again and again.
constexpr int64_t kRecountEveryMs = 600'000;

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

}  // namespace

absl::StatusOr<int64_t> Scheduler::Step(Instant now, std::vector<Completion>* completions,
                                        std::vector<Request>* requests) {
  core_.now = now;
  core_.gates.SetNow(now);
  const bool& stalled = core_.stats.stalled;
  if (stalled) {
    if (!core_.store.Writable()) return core_.now.wall_ms + kStallPollMs;
    RETURN_IF_ERROR(Write());
    if (stalled) return core_.now.wall_ms + kStallPollMs;
  }
  core_.store.SetNow(core_.now.wall_ms);
  core_.past.NoteClock();
  RETURN_IF_ERROR(ApplyCompletions(completions));
  RETURN_IF_ERROR(core_.attempts.TimeOut());
  RETURN_IF_ERROR(ApplyRequests(requests));
  StageHousekeeping();
  RETURN_IF_ERROR(Write());
  if (stalled) return core_.now.wall_ms + kStallPollMs;
  RETURN_IF_ERROR(commands_.Answer());
  CountAnew();
  RETURN_IF_ERROR(core_.past.JudgeTimesAnew());
  core_.ledger.Release();
  RETURN_IF_ERROR(core_.dispatch.Run());
  ASSIGN_OR_RETURN(
      const bool refilling,
      core_.lanes.Refill(core_.store, core_.options.window, &core_.overdue_rows));
  core_.stats.loaded = true;
  core_.inbound.Flush();
  next_work_ms_ = NextWork(refilling);
  const int64_t housekeeping_ms =
      housekeeping_mono_ms_ + kHousekeepingMs - core_.now.mono_ms;
  return std::min(next_work_ms_,
                  core_.now.wall_ms + std::max<int64_t>(housekeeping_ms, 1));
}

bool Scheduler::Drained() const {
  return core_.in_flight.size() == 0 && !commands_.unfinished() && core_.turn.empty() &&
         core_.ledger.idle();
}

absl::Status Scheduler::ApplyCompletions(std::vector<Completion>* completions) {
  for (const Completion& completion : *completions) {
    absl::Status status;
    std::visit(
        Overloaded{
            [&](const PubAnswer& e) { status = core_.attempts.Apply(e); },
            [&](const Synced& e) { core_.ledger.Synced(e.ticket); },
            [&](const EgressChanged& e) { ApplyEgress(e.up); },
            [&](const RuleRead& e) { ApplyRead(e); },
            [&](const StoodStill& e) { ApplyStoodStill(e.ms); },
            [&](const TargetKnown& e) { core_.dispatch.EndResolving(e.target); },
            [&](const DiskSpace& e) { ApplyDiskSpace(e); },
            [&](const RebuildAsked&) { status = core_.past.BeginRebuild(); },
            [&](const Admitted&) { core_.gates.Set(Gates::Reason::kNotAdmitted, false); },
            [&](const ConsumerFloor& e) {
              core_.turn.meta()->PutMeta(std::string(kMetaConsumer) + e.key, e.value);
            },
        },
        completion);
    RETURN_IF_ERROR(status);
  }
  completions->clear();
  return absl::OkStatus();
}

void Scheduler::ApplyEgress(bool up) {
  if (up)
    core_.past.Connected();
  else if (!core_.gates.Holds(Gates::Reason::kNoConnection))
    core_.past.Disconnected();
  core_.gates.Set(Gates::Reason::kNoConnection, !up);
  core_.dispatch.EndResolving("");
  // What cut this connection may have cut the other one, which does not know yet.
  if (up) LookAgain(/*outage=*/true, Inbound::LookHow::kQuick);
}

void Scheduler::ApplyRead(const RuleRead& event) {
  core_.gates.Apply(event);
  if (core_.gates.closed() == 0) core_.past.EndRebuild();
}

// Does the same as after a start: jobs that fell due meanwhile wait for the cancels of
// that time. After a long gap they also wait for a sign of life.
void Scheduler::ApplyStoodStill(int64_t ms) {
  if (ms < kStandstillMs) {
    ++core_.stats.gaps;
    return LookAgain(/*outage=*/false, Inbound::LookHow::kQuick);
  }
  Log(Level::kWarn,
      "the process stood still or the clock leapt: overdue jobs wait until the "
      "streams are read",
      {{"ms", ms}});
  ++core_.stats.standstills;
  core_.past.StoodStill();
  LookAgain(/*outage=*/true, Inbound::LookHow::kAnew);
}

void Scheduler::LookAgain(bool outage, Inbound::LookHow how) {
  core_.gates.Close(outage);
  core_.inbound.LookAgain(how);
}

void Scheduler::ApplyDiskSpace(const DiskSpace& space) {
  const bool open =
      space.free_bytes >= core_.options.disk_free && space.free_inodes >= kResumeInodes;
  if (open == core_.intake_open) return;
  core_.intake_open = open;
  core_.inbound.SetIntake(open);
  if (open)
    Log(Level::kInfo, "disk space is back: taking in again",
        {{"free_bytes", space.free_bytes}});
  else
    Log(Level::kError, "little disk space: no more input is taken, firing goes on",
        {{"free_bytes", space.free_bytes},
         {"limit_bytes", core_.options.disk_free},
         {"free_inodes", space.free_inodes},
         {"limit_inodes", kResumeInodes}});
}

absl::Status Scheduler::ApplyRequests(std::vector<Request>* requests) {
  RETURN_IF_ERROR(commands_.ReadAhead(*requests));
  int64_t messages = 0;
  for (Request& request : *requests) {
    if (auto* const message = std::get_if<MessageRequest>(&request)) {
      ++messages;
      RETURN_IF_ERROR(core_.messages.Apply(message));
    } else {
      RETURN_IF_ERROR(
          commands_.Take(std::get<std::unique_ptr<Command>>(std::move(request))));
    }
  }
  RETURN_IF_ERROR(commands_.ApplyPieces());
  if (messages > 0) core_.stats.batch.Add(messages);
  requests->clear();
  core_.turn.EndReadAhead();
  return absl::OkStatus();
}

void Scheduler::StageHousekeeping() {
  core_.turn.StageNextSeq();
  if (core_.now.mono_ms >= housekeeping_mono_ms_ + kHousekeepingMs) {
    housekeeping_mono_ms_ = core_.now.mono_ms;
    for (const Counts::Forgotten& early : core_.counts.Expire(core_.now.wall_ms)) {
      core_.store.ForgetEarly(early.rule, early.floor_ms);
      core_.stats.forgotten += early.keys;
      LogGathered(Level::kWarn,
                  "history is full: the oldest closed keys of the rule that has the most "
                  "are forgotten early",
                  early.rule, "",
                  {{"forgotten", early.keys}, {"limit", core_.options.history_keys}});
    }
  }
  core_.messages.LogStale(kStaleLogMs);
  core_.counts.Stage(core_.turn.meta());
  core_.streams.Stage(core_.turn.meta());
  core_.past.StageSignOfLife();
  core_.turn.StageBounds(core_.now.wall_ms);
}

// Step 2. The turn is kept, and nothing else is done, when there is no space.
absl::Status Scheduler::Write() {
  const absl::Status written = core_.ledger.Write(&core_.turn, core_.now.mono_ms);
  bool& stalled = core_.stats.stalled;
  const bool full = absl::IsResourceExhausted(written);
  if (full && !stalled) {
    ++core_.stats.no_space;
    Log(Level::kError, "no space for the store: nothing is written until there is",
        {{"error", Message(written)}});
  }
  if (written.ok() && stalled) Log(Level::kInfo, "there is space for the store again");
  stalled = full;
  return full ? absl::OkStatus() : written;
}

// Begins only where nothing is staged: what is counted must be in the store.
void Scheduler::CountAnew() {
  if (recount_ == nullptr) {
    if (!core_.counts.recount_wished() || !core_.turn.empty() ||
        core_.now.mono_ms < recount_after_mono_ms_)
      return;
    core_.counts.BeginRecount();
    recount_ = std::make_unique<Recount>(core_.store);
  }
  const absl::StatusOr<bool> done = recount_->Read();
  if (done.ok() && !*done) return;
  if (done.ok()) {
    core_.counts.EndRecount(recount_->seen(), recount_->stale(), recount_->dead_bytes());
  } else {
    core_.counts.GiveUpRecount();
    Log(Level::kError, "counting the store's jobs again failed: counts stay unchanged",
        {{"why", Message(done.status())}});
  }
  recount_.reset();
  recount_after_mono_ms_ = core_.now.mono_ms + kRecountEveryMs;
}

uint64_t Scheduler::pending() const {
  uint64_t sum = 0;
  for (const auto& [rule, counts] : core_.counts.rules())
    sum += counts.pending + counts.retrying;
  return sum;
}

int64_t Scheduler::NextWork(bool refilling) {
  if (!core_.turn.empty() || commands_.unfinished() || refilling || recount_ != nullptr ||
      core_.past.judging())
    return core_.now.wall_ms;
  int64_t mono = std::min({core_.in_flight.NextDeadline(), core_.ledger.NextSyncMs(),
                           core_.gates.NextOverdueMs()});
  if (core_.dispatch.pushed_back()) mono = std::min(mono, core_.now.mono_ms + 1);
  const int64_t wake =
      mono == kNever ? kNever
                     : core_.now.wall_ms + std::max<int64_t>(mono - core_.now.mono_ms, 1);
  return std::min(wake, core_.dispatch.NextMs());
}

}  // namespace expirer
