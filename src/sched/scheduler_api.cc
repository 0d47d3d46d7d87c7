// The API's requests (docs/api.md): what each does to a job, and what is told.
//
// A cancel of the API counts by arrival: its position is stream 0, numbered by
// turn_.next_seq(), at the time of this host's clock, but always after what is known
// of its key, so it also has the highest version known of it. An older schedule that
// comes again, or late, does not revive the job, and one with a later JetStream time
// opens it anew.

#include <algorithm>

#include "base/mutant.h"
#include "base/rfc3339.h"
#include "json/writer.h"
#include "sched/pages.h"
#include "sched/scheduler.h"

namespace expirer {
namespace {

constexpr int kNotFound = 404;
constexpr int kConflict = 409;
constexpr int kAtLimit = 429;

Json OutcomeJson(const JobRef& job, std::string_view outcome) {
  return JsonObject("job", JobName(job.rule, job.key), "outcome", outcome);
}

Json UseJson(uint64_t used, uint64_t max) { return JsonObject("used", used, "max", max); }

void CountLane(const LaneState& lane, const OverdueRows& told, int64_t now_ms,
               Overdue* overdue) {
  size_t visits = 0;
  const auto count = [&](const TimerEntry& entry) {
    if (++visits > Overdue::kVisitsMax) {
      overdue->more = true;
      return false;
    }
    if (!told.Holds(entry.seq)) overdue->Add(entry.key_ms, now_ms);
    return true;
  };
  for (const TimerEntry& entry : lane.out)
    if (entry.key_ms > now_ms || !count(entry)) break;
  lane.window.VisitUntil(now_ms, count);
  if (!lane.window.complete() && lane.window.horizon().key_ms <= now_ms)
    overdue->more = true;
}

}  // namespace

void Scheduler::Answer(Caller caller, int code, std::string body) {
  ledger_.OnceDurable([this, caller = std::move(caller), code, body = std::move(body)] {
    inbound_->Reply(caller, code, body);
  });
}

Position Scheduler::ApiPosition(const Register& known) {
  Position position;
  position.seq = turn_.TakeSeq();
  position.time_ns = now_.wall_ms * 1'000'000;
  const auto follow = [&position](const Position& other) {
    position.time_ns = std::max(position.time_ns, other.time_ns + 1);
    if (!Mutant("cancel_hides_version"))
      position.version = std::max(position.version, other.version);  // none is the least
  };
  if (known.schedule) follow(known.schedule->position);
  if (known.cancel) follow(*known.cancel);
  return position;
}

// Whether the target's stream may hold the job's message although no PubAck
// said so: contract section 4, "in flight until PubAck or explicit refusal",
// also when the connection or the process went in between.
absl::StatusOr<bool> Scheduler::MaybeSent(std::string_view rule, std::string_view key,
                                          const Register& known) const {
  if (!known.job) return false;
  const JobKey& row_key = *known.job;
  if (HasAttempt(row_key.seq) || unanswered_.contains(row_key.seq)) return true;
  if (IsLive(known.state) && possibly_sent_.MayHaveSent(row_key.seq, row_key.key_ms))
    return true;
  // A row that stands at its due time was never tried.
  if (known.state == JobState::kPending && row_key.key_ms == known.schedule->due_ms)
    return false;
  std::string row;
  if (known.state == JobState::kDead) {
    std::string value;
    ASSIGN_OR_RETURN(const bool found, turn_.FindDead(DeadJobKey(rule, key), &value));
    if (!found) return false;
    absl::StatusOr<Dead> dead = DecodeDead(value);
    if (!dead.ok()) return true;  // nobody will ever know
    row = std::move(dead->job_row);
  } else {
    ASSIGN_OR_RETURN(const bool found, turn_.ReadRow(row_key, &row));
    if (!found) return false;
  }
  JobView job;
  return DecodeJob(row, &job).ok() && job.unanswered;
}

absl::Status Scheduler::ApplyCancelRequest(CancelRequest* request) {
  const JobRef& job = request->job;
  const std::string id = MakeId(job.rule, job.key);
  ASSIGN_OR_RETURN(const std::optional<Register> known, turn_.Known(id));
  if (!known) {
    // Not remembered, unlike an event's: a slip in a name must not close a key
    // that is yet to come.
    Answer(std::move(request->caller), 0, OutcomeJson(job, "unknown"));
    return absl::OkStatus();
  }
  const std::optional<QueueIndex> queue = queues_.Find(job.rule);
  const RegisterPolicy policy =
      queue ? Policy(*queue) : RegisterPolicy{true, options_.history_ms};
  CancelResult result = ApplyCancel(known, ApiPosition(*known), policy, now_.wall_ms);
  bool too_late = known->state != JobState::kCancelled;
  if (result.effect == CancelEffect::kClose) {
    ASSIGN_OR_RETURN(too_late, CloseCancelled(job.rule, job.key, *known, &result.reg));
  } else {
    // Closed already. Cancelled, but an attempt may have been stored by then.
    too_late = too_late || known->job.has_value();
    if (too_late) ++stats_.too_late;
  }
  if (result.effect != CancelEffect::kNone) turn_.Put(id, &*known, result.reg);
  Answer(std::move(request->caller), 0,
         OutcomeJson(job, too_late ? "too_late" : "cancelled"));
  return absl::OkStatus();
}

// A job like any other: stored, synced, fired when it is due, closed.
absl::Status Scheduler::ApplyRoundTrip(RoundTripRequest* request) {
  if (!intake_open_) {
    Answer(std::move(request->caller), kAtLimit,
           "too little disk space: no job is taken in until there is more");
    return absl::OkStatus();
  }
  const QueueIndex queue = queues_.RoundTrips();
  Job job;
  job.key = request->trip.id;
  job.due_ms = now_.wall_ms + static_cast<int64_t>(request->trip.in_ms);
  job.target = options_.name + ".v1.round-trip." + job.key;
  const std::string name = JobName(queues_[queue].name, job.key);
  job.body = JsonObject("job", name);
  const std::string id = MakeId(queues_[queue].name, job.key);
  ASSIGN_OR_RETURN(const std::optional<Register> known, turn_.Known(id));
  if (known) {
    Answer(std::move(request->caller), kConflict, name + " is known already");
    return absl::OkStatus();
  }
  job.source = ApiPosition(Register());
  job.received_ms = now_.wall_ms;
  ScheduleResult result =
      ApplySchedule(known, job.source, job.due_ms, Policy(queue), now_.wall_ms);
  Answer(
      std::move(request->caller), 0,
      JsonObject("job", name, "due", FormatRfc3339Ms(job.due_ms), "subject", job.target));
  OpenJob(queue, id, std::move(job), known, std::move(result.reg));
  return absl::OkStatus();
}

absl::Status Scheduler::AnswerReads() {
  RETURN_IF_ERROR(turn_.ReadAhead<GetRequest>(reads_));
  for (Request& request : reads_) {
    if (auto* get = std::get_if<GetRequest>(&request))
      RETURN_IF_ERROR(AnswerGet(get));
    else if (auto* list = std::get_if<ListRequest>(&request))
      AnswerList(list);
    else if (auto* stats = std::get_if<StatsRequest>(&request))
      AnswerStats(stats);
    else if (auto* read = std::get_if<ReadRequest>(&request))
      Answer(std::move(read->caller), 0, std::move(read->body));
  }
  reads_.clear();
  turn_.EndReadAhead();
  return ledger_.Write(&turn_, now_.mono_ms);  // nothing but the replies
}

absl::Status Scheduler::AnswerGet(GetRequest* request) {
  const JobRef& job = request->job;
  ASSIGN_OR_RETURN(const std::optional<Register> known,
                   turn_.Known(MakeId(job.rule, job.key)));
  if (!known) {
    Answer(std::move(request->caller), kNotFound,
           "no job is known as " + JobName(job.rule, job.key));
    return absl::OkStatus();
  }
  const std::optional<QueueIndex> queue = queues_.Find(job.rule);
  JobInfo info;
  info.rule = job.rule;
  info.key = job.key;
  info.state = Name(known->state);
  if (known->schedule) {
    info.due_ms = known->schedule->due_ms;
    info.source = known->schedule->position;
  } else {
    info.source = known->cancel;
  }
  std::string row;
  std::string reason;
  if (IsLive(known->state)) {
    if (known->brief) {
      info.target = known->brief->target;
      info.attempts = known->brief->sends;
      info.last_error = known->brief->last_error;
    } else {
      ASSIGN_OR_RETURN(const bool found, turn_.ReadRow(*known->job, &row));
      if (!found) row.clear();  // held back by a full disk
    }
    if (!queue) info.state = "held";
    if (known->job->key_ms != *info.due_ms) info.next_ms = known->job->key_ms;
  } else if (known->state == JobState::kDead) {
    std::string value;
    ASSIGN_OR_RETURN(const bool found,
                     turn_.FindDead(DeadJobKey(job.rule, job.key), &value));
    absl::StatusOr<Dead> dead = DecodeDead(value);
    if (found && dead.ok()) {
      row = std::move(dead->job_row);
      reason = std::move(dead->reason);
    }
  }
  if (known->job && HasAttempt(known->job->seq)) info.state = "in_flight";
  JobView view;
  if (!row.empty() && DecodeJob(row, &view).ok()) {
    info.target = view.target;
    info.attempts = view.sends;
    info.last_error = view.last_error;
  }
  if (!reason.empty()) info.last_error = reason;
  std::string warning;
  if (info.target && queue) warning = egress_->Warning(queues_[*queue].via, *info.target);
  info.warning = warning;
  if (known->state == JobState::kFired) {
    info.times = known->times;
    info.collision = known->collision;
  }
  info.stream = streams_.NameOf(info.source ? info.source->stream : 0);
  std::string body = FormatJobInfo(info, request->caller.bytes_max);
  Answer(std::move(request->caller), 0, std::move(body));
  return absl::OkStatus();
}

void Scheduler::AnswerList(ListRequest* request) {
  JsonWriter out;
  out.Object().Array("jobs");
  for (const ListRequest::Row& row : request->jobs) {
    const std::string_view state = HasAttempt(row.seq) ? "in_flight"
                                   : row.held          ? "held"
                                   : row.retrying      ? "retrying"
                                                       : "pending";
    if (!request->state.empty() && request->state != state) continue;
    out.Item(Json{row.head + std::string(state) + row.tail});
  }
  out.End().Add("cursor", IfAny(request->cursor));
  Answer(std::move(request->caller), 0, out.Take());
}

void Scheduler::AnswerStats(StatsRequest* request) {
  Stats stats = Snapshot(now_.wall_ms);
  stats.overdue = CountOverdue(now_.wall_ms);
  const std::string tail =
      JsonWriter()
          .Add("counters", CountersJson(stats), "limits",
               JsonObject("window", UseJson(stats.window, options_.window), "inflight",
                          UseJson(stats.in_flight, options_.in_flight), "dead",
                          UseJson(counts_.dead(), options_.dead), "dead_bytes",
                          UseJson(stats.dead_bytes, options_.dead_bytes), "history",
                          UseJson(stats.closed, options_.history_keys)),
               "egress_up", stats.egress_up, "intake_open", stats.intake_open,
               "rules_catching_up", stats.catching_up, "rebuilding", stats.rebuilding)
          .Members(request->more)
          .Take();
  std::string cursor;
  const auto reply = [&](const Json& rules) {
    return JsonWriter()
        .Object()
        .Members(TotalsJson(stats, now_.wall_ms))
        .Add("rules", rules)
        .Members(tail)
        .Add("cursor", IfAny(cursor))
        .Take();
  };
  // The rules that the reply has room for; the rest is the next page's.
  const size_t other = reply(Json()).size() - 1 + kPageEndBytes;
  const size_t bytes_max = request->caller.bytes_max;
  const Json rules =
      RulesJson(stats, request->after, bytes_max - std::min(bytes_max, other), &cursor);
  Answer(std::move(request->caller), 0, reply(rules));
}

Overdue Scheduler::CountOverdue(int64_t now_ms) const {
  Overdue overdue;
  overdue_rows_.Count(now_ms, &overdue);
  uint64_t retrying = 0;
  for (const LaneState& lane : lanes_.all()) {
    if (!lane.retry) {
      CountLane(lane, overdue_rows_, now_ms, &overdue);
      continue;
    }
    const auto counts = counts_.rules().find(queues_[lane.queue].name);
    if (counts != counts_.rules().end()) retrying += counts->second.retrying;
  }
  if (retrying > overdue_rows_.retrying()) overdue.more = true;
  return overdue;
}

// ---- The dead store.

// A piece a turn: each entry is read whole, and there may be hundreds of pages of them.
absl::Status Scheduler::ApplyDeadRequests() {
  size_t entries = 0;
  size_t bytes = 0;
  while (!dead_work_.empty()) {
    DeadWork& work = dead_work_.front();
    const DeadRequest& request = work.request;
    const bool refused = work.next == 0 && !request.purge && !intake_open_;
    const bool ended = refused || work.next == request.entries.size();
    if (!ended && (entries == kDeadEntriesATurn || bytes >= kDeadBytesATurn)) break;
    DeadOutcome outcome;
    if (!ended) {
      ++entries;
      ASSIGN_OR_RETURN(
          outcome, ApplyDeadEntry(request, &work.request.entries[work.next++], &bytes));
      work.done += outcome.end == DeadEnd::kDone ? 1 : 0;
      work.still += outcome.end == DeadEnd::kStill ? 1 : 0;
      work.conflicts += outcome.end == DeadEnd::kConflict ? 1 : 0;
    }
    const bool failed = request.one && outcome.end != DeadEnd::kDone;
    if (!ended && !failed) continue;
    if (refused)
      Answer(request.caller, kAtLimit,
             "too little disk space: nothing is taken back until there is more");
    else if (failed)
      Answer(request.caller, outcome.end == DeadEnd::kGone ? kNotFound : kConflict,
             outcome.why);
    else
      AnswerDead(work);
    dead_work_.pop_front();
  }
  return absl::OkStatus();
}

void Scheduler::AnswerDead(const DeadWork& work) {
  const auto cursor = IfAny(work.request.cursor);
  Answer(work.request.caller, 0,
         work.request.purge
             ? JsonObject("purged", work.done, "dry_run", work.request.dry_run, "cursor",
                          cursor)
             : JsonObject("requeued", work.done, "still_rejected", work.still,
                          "conflicts", work.conflicts, "cursor", cursor));
}

absl::StatusOr<Scheduler::DeadOutcome> Scheduler::ApplyDeadEntry(
    const DeadRequest& request, DeadRequest::Entry* entry, size_t* bytes) {
  const std::optional<DeadName> name = SplitDeadKey(entry->key);
  if (!name) return DeadOutcome{DeadEnd::kGone, "no such dead entry"};
  std::string value;
  ASSIGN_OR_RETURN(const bool found, turn_.FindDead(entry->key, &value));
  *bytes += value.size();
  if (!found) {
    if (!name->job) return DeadOutcome{DeadEnd::kGone, "no such dead entry"};
    const std::string job = JobName(name->rule, name->key);
    ASSIGN_OR_RETURN(const std::optional<Register> known,
                     turn_.Known(MakeId(name->rule, name->key)));
    if (!known) return DeadOutcome{DeadEnd::kGone, "no job is known as " + job};
    return DeadOutcome{DeadEnd::kConflict,
                       job + " is not dead: it is " + std::string(Name(known->state))};
  }
  if (request.dry_run) return DeadOutcome{};
  Dead dead;
  if (absl::StatusOr<Dead> read = DecodeDead(value); read.ok())
    dead = *std::move(read);
  else if (!request.purge)
    return DeadOutcome{DeadEnd::kConflict, Message(read.status())};
  if (request.purge) {
    RETURN_IF_ERROR(PurgeDead(name->rule, name->key, entry->key, name->job, dead));
    return DeadOutcome{};
  }
  const bool configured = name->job ? queues_.Find(name->rule).has_value()
                                    : queues_.RuleOf(name->rule).has_value();
  if (!configured)
    return DeadOutcome{DeadEnd::kConflict,
                       "the rule " + std::string(name->rule) + " is not configured"};
  return name->job ? RequeueJob(name->rule, name->key, dead)
                   : RequeueReject(name->rule, entry, dead, request.one || request.stale);
}

// A message that was rejected, run through the rules again. Where they reject it
// once more, its entry stays as it is, whatever else came of it.
absl::StatusOr<Scheduler::DeadOutcome> Scheduler::RequeueReject(std::string_view rule,
                                                                DeadRequest::Entry* entry,
                                                                const Dead& dead,
                                                                bool stale) {
  if (!entry->refusal.empty()) return DeadOutcome{DeadEnd::kConflict, entry->refusal};
  Requeue requeue;
  requeue.stale = stale;
  RETURN_IF_ERROR(RunAgain(rule, entry, dead, &requeue));
  if (!requeue.refusal.empty() && !Mutant("requeue_drops"))
    return DeadOutcome{DeadEnd::kStill, "still rejected: " + requeue.refusal};
  DropReject(rule, entry->key, dead);
  return DeadOutcome{};
}

absl::Status Scheduler::RunAgain(std::string_view rule, DeadRequest::Entry* entry,
                                 const Dead& dead, Requeue* requeue) {
  MessageRequest message;
  message.rule = *queues_.RuleOf(rule);
  message.received_ms = now_.wall_ms;
  message.requeue = requeue;
  if (!dead.job_row.empty()) {  // stale: what was kept is the job
    absl::StatusOr<Job> job = DecodeJob(dead.job_row);
    const std::optional<QueueIndex> queue = queues_.Find(rule);
    if (job.ok() && queue) {
      const Position position = job->source;
      return ScheduleJob(&message, *queue, *std::move(job), position).status();
    }
    requeue->refusal = job.ok() ? std::string(rule) + " publishes nothing any more"
                                : Message(job.status());
  } else if (!entry->intent) {
    requeue->refusal = "it was rejected just now: try again";
  } else if (std::holds_alternative<IgnoreIntent>(*entry->intent)) {
    requeue->refusal = "it concerns no entry of its rule any more";
  } else {
    message.intent = std::move(*entry->intent);
    return ApplyMessage(&message, dead.source);
  }
  return absl::OkStatus();
}

void Scheduler::DropReject(std::string_view rule, const std::string& key,
                           const Dead& dead) {
  turn_.DropDead(key);
  counts_.Add(rule, &RuleCounts::rejected, -1);
  if (IsStale(dead)) counts_.AddStale(-1);
}

// A dead job is made pending again, with all its attempts before it.
absl::StatusOr<Scheduler::DeadOutcome> Scheduler::RequeueJob(std::string_view rule,
                                                             std::string_view key,
                                                             const Dead& dead) {
  const std::string name = JobName(rule, key);
  ASSIGN_OR_RETURN(const std::optional<Register> known, turn_.Known(MakeId(rule, key)));
  if (!known || known->state != JobState::kDead)
    return DeadOutcome{DeadEnd::kConflict, name + " is not dead"};
  absl::StatusOr<Job> job = DecodeJob(dead.job_row);
  if (!job.ok())
    return DeadOutcome{DeadEnd::kConflict, name + " cannot be read: " + dead.reason};
  job->counted_attempts = 0;
  job->late_judged = true;  // a person wants it sent, late as it is
  turn_.DropDead(DeadJobKey(rule, key));
  // A row that stands at its due time was never tried (MaybeSent).
  const int64_t from_ms = job->due_ms + (job->unanswered ? 1 : 0);
  Place(&lanes_.First(*queues_.Find(rule)), std::max(from_ms, now_.wall_ms), *job,
        MakeId(rule, key), &*known, *known);
  return DeadOutcome{};
}

// A purged job's key is closed like a cancelled one, so that its schedule,
// delivered again, does not revive it.
absl::Status Scheduler::PurgeDead(std::string_view rule, std::string_view key,
                                  const std::string& dead_key, bool job,
                                  const Dead& dead) {
  if (!job) {
    DropReject(rule, dead_key, dead);
    return absl::OkStatus();
  }
  turn_.DropDead(dead_key);
  const std::string id = MakeId(rule, key);
  ASSIGN_OR_RETURN(const std::optional<Register> known, turn_.Known(id));
  if (!known || known->state != JobState::kDead) {
    // Of a row nobody could read.
    counts_.Add(rule, &RuleCounts::dead_jobs, -1);
    return absl::OkStatus();
  }
  Register to = *known;
  to.state = JobState::kCancelled;
  to.cancel = ApiPosition(*known);
  to.expires_ms = ExpiryMs(now_.wall_ms, known->schedule ? known->schedule->due_ms : 0,
                           {true, options_.history_ms});
  turn_.Put(id, &*known, to);
  return absl::OkStatus();
}

}  // namespace expirer
