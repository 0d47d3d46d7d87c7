// What becomes of jobs: opened, taken away, fired, retried, given up.

#include <algorithm>

#include "base/check.h"
#include "base/log.h"
#include "base/mutant.h"
#include "sched/scheduler.h"

namespace expirer {

RegisterPolicy Scheduler::Policy(RuleIndex rule) const {
  return {rules_[rule].reopen, options_.history_ms};
}

absl::StatusOr<std::optional<Register>> Scheduler::Known(const std::string& id) const {
  const auto staged = staged_registers_.find(id);
  if (staged != staged_registers_.end()) return std::optional<Register>(staged->second);
  return store_->GetRegister(id);
}

void Scheduler::Remember(RuleIndex rule, const std::string& id, const Register* from,
                         const Register& to) {
  RememberOf(rules_[rule].name, id, from, to);
}

void Scheduler::RememberOf(std::string_view rule, const std::string& id,
                           const Register* from, const Register& to) {
  counts_.Move(rule, from, &to);
  staged_.PutRegister(id, EncodeRegister(to));
  staged_registers_[id] = to;
}

// The register of an attempt's own generation, as it was when it began.
Register Scheduler::LiveRegister(const InFlight& attempt) {
  Register reg;
  reg.state =
      lanes_.Numbered(attempt.row.lane).retry ? JobState::kRetrying : JobState::kPending;
  reg.schedule = Register::Schedule{attempt.source, attempt.due_ms};
  reg.job = attempt.row;
  return reg;
}

void Scheduler::StageRow(LaneState* lane, const JobKey& key, std::string_view row) {
  lanes_.LowerBound(lane, key.key_ms, &staged_);
  staged_.PutJob(key, row);
  staged_rows_.emplace_back(key.lane, TimerEntry{key.key_ms, key.seq});
  next_seq_dirty_ = true;
}

absl::Status Scheduler::OpenJob(RuleIndex rule, const std::string& id, Job job,
                                const std::optional<Register>& known, Register reg) {
  const Register* from = known ? &*known : nullptr;
  if (known && !IsClosed(known->state)) {
    TakeAway(rule, job.key, *known, InFlight::Fate::kReplaced);
    ++stats_.moved;
  }
  ++stats_.scheduled;
  LaneState& lane = lanes_.First(rule);
  job.stored_ms = now_.wall_ms;
  const JobKey key{lane.lane, std::max(job.due_ms, now_.wall_ms), next_seq_++};
  const LatePolicy& late = rules_[rule].late;
  const bool too_late =
      late.after_ms > 0 && now_.wall_ms - job.due_ms > late.after_ms &&
      (late.action != LateAction::kDead || counts_.dead() < options_.dead);
  job.late_judged = now_.wall_ms > job.due_ms;
  reg.job = key;
  if (too_late && late.action != LateAction::kFire) {
    // Closed before it was ever live: no row is written.
    next_seq_dirty_ = true;
    if (late.action == LateAction::kSkip) {
      ++stats_.skipped;
      reg.state = JobState::kSkipped;
      reg.expires_ms = ExpiryMs(now_.wall_ms, job.due_ms, Policy(rule));
    } else {
      ++stats_.dead;
      reg.state = JobState::kDead;
      staged_.PutDead(DeadJobKey(rules_[rule].name, job.key),
                      EncodeDead({false,
                                  "came too late",
                                  now_.wall_ms,
                                  job.source,
                                  "",
                                  {},
                                  "",
                                  EncodeJob(job)}));
    }
    Remember(rule, id, from, reg);
    return absl::OkStatus();
  }
  StageRow(&lane, key, EncodeJob(job));
  Remember(rule, id, from, reg);
  return absl::OkStatus();
}

// The row or dead entry of a key that is about to get another register.
void Scheduler::TakeAway(RuleIndex rule, const std::string& key, const Register& known,
                         InFlight::Fate fate) {
  TakeAwayOf(rules_[rule].name, key, known, fate);
}

void Scheduler::TakeAwayOf(std::string_view rule, std::string_view key,
                           const Register& known, InFlight::Fate fate) {
  if (known.state == JobState::kDead) {
    staged_.DeleteDead(DeadJobKey(rule, key));
    return;
  }
  CHECK(IsLive(known.state) && known.job);
  staged_.DeleteJob(*known.job);
  in_flight_.SetFate(known.job->seq, fate);
  unanswered_.erase(known.job->seq);
}

void Scheduler::CloseFired(const InFlight& attempt) {
  const LaneState& lane = lanes_.Numbered(attempt.row.lane);
  staged_.DeleteJob(attempt.row);
  const Register from = LiveRegister(attempt);
  Register to = from;
  to.state = JobState::kFired;
  to.times =
      Times{attempt.received_ms, attempt.stored_ms, attempt.published_ms, now_.wall_ms};
  to.expires_ms = ExpiryMs(now_.wall_ms, attempt.due_ms, Policy(lane.rule));
  Remember(lane.rule, MakeId(rules_[lane.rule].name, attempt.key), &from, to);
}

// A cancel came while the attempt was in flight, and the attempt succeeded:
// the key fired, and keeps the cancel it had too late.
absl::Status Scheduler::CloseCancelledAsFired(const InFlight& attempt) {
  const LaneState& lane = lanes_.Numbered(attempt.row.lane);
  const std::string id = MakeId(rules_[lane.rule].name, attempt.key);
  ASSIGN_OR_RETURN(const std::optional<Register> known, Known(id));
  const bool same = known && known->state == JobState::kCancelled && known->job &&
                    *known->job == attempt.row;
  if (!same) return absl::OkStatus();
  Register to = *known;
  to.state = JobState::kFired;
  to.times =
      Times{attempt.received_ms, attempt.stored_ms, attempt.published_ms, now_.wall_ms};
  Remember(lane.rule, id, &*known, to);
  return absl::OkStatus();
}

// An attempt ended without a confirmation.
absl::Status Scheduler::Retry(const InFlight& attempt, AttemptEnd end,
                              std::string_view why) {
  // Cancelled or replaced meanwhile: no further attempt of this generation.
  if (attempt.fate != InFlight::Fate::kCurrent) return absl::OkStatus();
  LaneState& lane = lanes_.Numbered(attempt.row.lane);
  const Rule& rule = rules_[lane.rule];
  std::string row;
  ASSIGN_OR_RETURN(const bool found, store_->GetJob(attempt.row, &row));
  if (!found)
    return Corrupt("the row of " + JobName(rule.name, attempt.key) +
                   " is gone while its attempt was in flight");
  const std::string id = MakeId(rule.name, attempt.key);
  Decision decision =
      Decide(rule.retry, {id, attempt.sends, attempt.burned}, end, why, now_.wall_ms);
  if (auto* dead = std::get_if<MoveToDead>(&decision)) {
    if (counts_.dead() < options_.dead) {
      CloseDead(attempt, row, std::move(dead->reason));
      return absl::OkStatus();
    }
    // The dead store is full: nothing is dropped, so it is tried on.
    decision = RetryAt{now_.wall_ms + rule.retry.max_ms, false};
  }
  ASSIGN_OR_RETURN(Job job, DecodeJob(row));
  // Only a refusal says that the message was not stored.
  job.unanswered =
      attempt.unanswered || end == AttemptEnd::kTimedOut || end == AttemptEnd::kRetry;
  job.last_error = why.substr(0, kErrorBytesMax);
  if (attempt.sends == 0)
    Log(Level::kWarn, "an attempt failed: to be retried",
        {{"job", JobName(rule.name, attempt.key)},
         {"target", attempt.target},
         {"why", why}});
  MoveToRetry(attempt, std::move(job), std::get<RetryAt>(decision));
  return absl::OkStatus();
}

void Scheduler::MoveToRetry(const InFlight& attempt, Job job, const RetryAt& when) {
  const LaneState& lane = lanes_.Numbered(attempt.row.lane);
  LaneState& retry = lanes_.Retry(lane.rule);
  const Register from = LiveRegister(attempt);
  ++stats_.retries;
  job.sends += 1;
  job.burned += when.burned ? 1 : 0;
  const JobKey key{retry.lane, std::max(when.at_ms, now_.wall_ms), next_seq_++};
  if (job.unanswered) staged_unanswered_.insert(key.seq);
  staged_.DeleteJob(attempt.row);
  StageRow(&retry, key, EncodeJob(job));
  Register to = from;
  to.state = JobState::kRetrying;
  to.job = key;
  Remember(lane.rule, MakeId(rules_[lane.rule].name, attempt.key), &from, to);
}

void Scheduler::CloseSkipped(const InFlight& attempt) {
  const LaneState& lane = lanes_.Numbered(attempt.row.lane);
  ++stats_.skipped;
  staged_.DeleteJob(attempt.row);
  const Register from = LiveRegister(attempt);
  Register to = from;
  to.state = JobState::kSkipped;
  to.expires_ms = ExpiryMs(now_.wall_ms, attempt.due_ms, Policy(lane.rule));
  Remember(lane.rule, MakeId(rules_[lane.rule].name, attempt.key), &from, to);
}

// A row that no version of expirer wrote: kept as it is, so that nothing is
// lost, and out of the way, so that it stops nothing else.
void Scheduler::Quarantine(const LaneState& lane, const JobKey& key, std::string_view row,
                           const absl::Status& why) {
  const std::string& rule = rules_[lane.rule].name;
  ++stats_.dead;
  Log(Level::kError, "a stored job cannot be read and is kept in the dead store",
      {{"rule", rule}, {"key_ms", key.key_ms}, {"seq", key.seq}, {"why", Message(why)}});
  staged_.DeleteJob(key);
  staged_.PutDead(
      DeadJobKey(rule, "malformed-" + std::to_string(key.seq)),
      EncodeDead({false, Message(why), now_.wall_ms, {}, "", {}, std::string(row), ""}));
  RuleCounts& counts = counts_.Change(rule);
  uint64_t& live = lane.retry ? counts.retrying : counts.pending;
  if (live > 0) --live;
  ++counts.dead_jobs;
}

void Scheduler::CloseDead(const InFlight& attempt, std::string row, std::string reason) {
  const LaneState& lane = lanes_.Numbered(attempt.row.lane);
  const std::string& rule = rules_[lane.rule].name;
  ++stats_.dead;
  Log(Level::kError, "a job is given up and kept in the dead store",
      {{"job", JobName(rule, attempt.key)}, {"target", attempt.target}, {"why", reason}});
  staged_.DeleteJob(attempt.row);
  if (attempt.unanswered) {
    MarkUnanswered(&row);
    staged_unanswered_.insert(attempt.row.seq);
  }
  staged_.PutDead(
      DeadJobKey(rule, attempt.key),
      EncodeDead(
          {false, std::move(reason), now_.wall_ms, attempt.source, "", {}, "", row}));
  const Register from = LiveRegister(attempt);
  Register to = from;
  to.state = JobState::kDead;
  Remember(lane.rule, MakeId(rule, attempt.key), &from, to);
}

}  // namespace expirer
