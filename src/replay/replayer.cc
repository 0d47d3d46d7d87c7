#include "replay/replayer.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/rfc3339.h"
#include "net/pull_source.h"

namespace expirer {
namespace {

constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
// No turn takes more than the time of one; a core that asks again and again
// without an end is at fault.
constexpr int kTurnsMax = 1'000'000;
// How long what nobody waits for may be put off, as a service's inbox gathers
// messages while it works and its deletes wait for limits.unsynced.
constexpr int64_t kGatherMs = 50;

bool Reads(const Rule& rule, const EventView& event) {
  const auto fits = [&event](const Entry& entry) { return MayConcern(entry, event); };
  return std::any_of(rule.schedule.begin(), rule.schedule.end(), fits) ||
         std::any_of(rule.cancel.begin(), rule.cancel.end(), fits);
}

}  // namespace

struct Replayer::Process {
  Process(const SchedulerOptions& options, const std::vector<Rule>& rules, Store* store)
      : inbox(0, [] {}),
        bus(&inbox),
        scheduler(options, rules, store, &committer, &bus, &bus) {}
  ManualCommitter committer;
  uint64_t synced = 0;
  Inbox inbox;  // of completions; messages are handed over as they are made
  InstantBus bus;
  Scheduler scheduler;
  std::vector<Completion> completions;
  std::vector<Request> requests;
};

Replayer::Replayer(ReplayOptions options, const std::vector<Rule>& rules)
    : options_([&options] {
        // A write alone waits for nothing: its sync costs nothing here.
        options.scheduler.unsynced_ms = 0;
        options.scheduler.wait_for_admission = false;
        return std::move(options);
      }()),
      rules_(rules) {
  for (const Rule& rule : rules_)
    evaluators_.push_back(std::make_unique<RuleEvaluator>(rule, options_.job_limits));
}

Replayer::~Replayer() = default;

Instant Replayer::Now() const { return {clock_.NowMs(), clock_.MonotonicMs()}; }

void Replayer::JumpTo(int64_t ms) { clock_.Advance(ms - clock_.NowMs()); }

absl::Status Replayer::Open() {
  StoreOptions store;
  store.path = options_.store;
  ASSIGN_OR_RETURN(store_, Store::Open(store));
  process_ = std::make_unique<Process>(options_.scheduler, rules_, store_.get());
  process_->bus.OnPublish([this](const InstantBus::Published& message) {
    ++summary_.attempts;
    Noticed(clock_.NowMs());
    if (options_.on_fire) options_.on_fire(FireOf(clock_.NowMs(), message));
  });
  RETURN_IF_ERROR(process_->scheduler.Load(Now()));
  if (link_up_)
    process_->inbox.Complete(EgressChanged{true});
  else
    process_->bus.SetConnected(false);
  catching_up_ = link_up_;
  return absl::OkStatus();
}

// What is written and counted from here on is what a crash loses.
void Replayer::MarkDurable() {
  store_->SetSavepoint();
  durable_ = process_->scheduler.Snapshot(clock_.NowMs());
}

absl::Status Replayer::Crash() {
  ++summary_.crashes;
  CountProcess(durable_);
  process_.reset();
  RETURN_IF_ERROR(store_->TakeBack());
  store_.reset();
  RETURN_IF_ERROR(Open());
  for (Waiting& waiting : std::exchange(unacked_, {})) {
    waiting.again = true;
    Deliver(waiting);
  }
  return absl::OkStatus();
}

void Replayer::CountProcess(const Stats& stats) {
  summary_.scheduled += stats.scheduled;
  summary_.moved += stats.moved;
  summary_.cancelled += stats.cancelled;
  summary_.too_late += stats.too_late;
  summary_.fired += stats.fired;
  summary_.skipped += stats.skipped;
  summary_.dead += stats.dead;
  summary_.rejected += stats.rejected + stats.dropped + stats.stale_dropped;
  const Queues& queues = process_->scheduler.queues();
  // The last is not a rule's: of `doctor --round-trip`. A replay's store is empty
  // when it begins, so there are no orphans behind it.
  CHECK(queues.RoundTrips() + 1U == queues.size());
  summary_.queues.resize(queues.RoundTrips());
  for (size_t i = 0; i < summary_.queues.size(); ++i) {
    ReplaySummary::Queue& to = summary_.queues[i];
    const Outcomes& from = stats.outcomes[i];
    to.name = queues[i].name;
    to.outcomes.scheduled += from.scheduled;
    to.outcomes.moved += from.moved;
    to.outcomes.cancelled += from.cancelled;
    to.outcomes.fired += from.fired;
    to.outcomes.skipped += from.skipped;
    to.outcomes.dead += from.dead;
    to.outcomes.rejected += from.rejected;
    const auto counts = stats.rules.find(to.name);
    to.pending = counts == stats.rules.end()
                     ? 0
                     : counts->second.pending + counts->second.retrying;
  }
}

void Replayer::Noticed(int64_t ms) {
  if (summary_.first_ms == 0) summary_.first_ms = ms;
  summary_.last_ms = ms;
}

absl::StatusOr<bool> Replayer::Take(TraceLine line) {
  if (line.at_ms() > options_.until_ms) return false;
  if (line.at_ms() == options_.until_ms &&
      line.at_ns % 1'000'000 > options_.until_ns_of_ms)
    return false;
  if (!begun_) {
    begun_ = true;
    // A process is not born at the origin of its host's monotonic clock.
    clock_ = VirtualClock(line.at_ms() - 10'000);
    JumpTo(line.at_ms());
    RETURN_IF_ERROR(Open());
  }
  if (!lines_.empty() && line.at_ms() != lines_.front()->at_ms())
    RETURN_IF_ERROR(RunMillisecond());
  lines_.push_back(std::make_shared<TraceLine>(std::move(line)));
  return true;
}

absl::Status Replayer::Finish() {
  if (!begun_) return absl::OkStatus();
  RETURN_IF_ERROR(RunMillisecond());
  RETURN_IF_ERROR(
      RunBefore(options_.until_ms == kNoEnd ? kNoEnd : options_.until_ms + 1));
  if (Owes()) RETURN_IF_ERROR(PassWhole());  // answers of what fired last
  CountProcess(process_->scheduler.Snapshot(clock_.NowMs()));
  summary_.pending = process_->scheduler.pending();
  if (options_.on_pending) RETURN_IF_ERROR(TellPending());
  process_.reset();
  store_.reset();
  return absl::OkStatus();
}

absl::Status Replayer::TellPending() const {
  return store_->VisitRegisters(
      "", [this](std::string_view id, std::string_view value) -> absl::Status {
        ASSIGN_OR_RETURN(const Register known, DecodeRegister(value));
        const size_t end = id.find('\0');
        if (IsLive(known.state) && known.schedule && end != id.npos)
          options_.on_pending(JobName(id.substr(0, end), id.substr(end + 1)),
                              known.schedule->due_ms);
        return absl::OkStatus();
      });
}

// All that happens in the millisecond of lines_.
absl::Status Replayer::RunMillisecond() {
  const int64_t at_ms = lines_.front()->at_ms();
  RETURN_IF_ERROR(RunBefore(at_ms));
  const auto count = [this](TraceLine::What what) {
    return std::count_if(lines_.begin(), lines_.end(),
                         [what](const LinePtr& line) { return line->what == what; });
  };
  auto crashes = count(TraceLine::What::kCrash);
  const bool plain =
      count(TraceLine::What::kEvent) == static_cast<ptrdiff_t>(lines_.size());
  if (!plain && Owes()) RETURN_IF_ERROR(PassWhole());
  if (crashes > 0 && clock_.NowMs() < at_ms - 1) {
    // A process that runs leaves signs of life; this clock has jumped over them.
    JumpTo(at_ms - 1);
    RETURN_IF_ERROR(PassWhole());
  }
  JumpTo(at_ms);
  if (crashes > 0) MarkDurable();
  for (const LinePtr& line : std::exchange(lines_, {})) ApplyLine(line);
  if (plain && MayWait()) {
    unacked_.clear();
    return absl::OkStatus();
  }
  for (; crashes > 0; --crashes) {
    RETURN_IF_ERROR(Work());
    RETURN_IF_ERROR(Crash());
    if (crashes > 1) MarkDurable();
  }
  return plain ? Pass() : PassWhole();
}

// Something was delivered or answered that no turn has taken yet.
bool Replayer::Owes() const {
  return !process_->requests.empty() || !process_->inbox.empty();
}

// Nothing that was delivered can fire, nor anything else, before the next
// moment that is run.
bool Replayer::MayWait() const {
  return begun_whole_ && first_due_ms_ > clock_.NowMs() &&
         process_->scheduler.next_work_ms() > clock_.NowMs();
}

// All that happens by itself before `end_ms`.
absl::Status Replayer::RunBefore(int64_t end_ms) {
  while (Owes() || process_->scheduler.pending() > 0) {
    int64_t next_ms = std::min(process_->scheduler.next_work_ms(), first_due_ms_);
    if (Owes() && std::min(next_ms, end_ms) - kGatherMs > whole_ms_) {
      RETURN_IF_ERROR(PassWhole());
      next_ms = process_->scheduler.next_work_ms();
    }
    if (next_ms >= end_ms || next_ms == kNever) break;
    JumpTo(std::max(next_ms, clock_.NowMs()));
    RETURN_IF_ERROR(Pass());
  }
  return absl::OkStatus();
}

// The end of a millisecond: what was written becomes durable.
absl::Status Replayer::Pass() {
  passing_ = true;
  const absl::Status status = Work();
  passing_ = false;
  RETURN_IF_ERROR(status);
  unacked_.clear();
  if (!Owes()) whole_ms_ = clock_.NowMs();
  if (options_.stopped && options_.stopped())
    return MakeStatus(absl::StatusCode::kCancelled, "stopped");
  if (options_.on_passed)
    options_.on_passed(clock_.NowMs(), process_->scheduler.pending());
  return absl::OkStatus();
}

// As Pass, and nothing is put off.
absl::Status Replayer::PassWhole() {
  first_due_ms_ = clock_.NowMs();
  begun_whole_ = true;
  return Pass();
}

// Turns until nothing more happens in this millisecond; when it is passing, what
// nobody waits for is left to the next turn.
absl::Status Replayer::Work() {
  const bool put_off = passing_ && first_due_ms_ > clock_.NowMs() && !catching_up_;
  for (int turns = 0; turns < kTurnsMax; ++turns) {
    RETURN_IF_ERROR(Turn());
    if (catching_up_) {
      // All that waited in the streams was applied by this turn.
      catching_up_ = false;
      PostCaughtUp(true);
    }
    const uint64_t wanted = process_->committer.wanted();
    if (passing_ && wanted > process_->synced) {
      process_->synced = wanted;
      process_->inbox.Complete(Synced{wanted});
    }
    const bool more = process_->scheduler.next_work_ms() <= clock_.NowMs();
    const bool full = process_->scheduler.in_flight() >= options_.scheduler.in_flight;
    if (!more && (process_->inbox.empty() || (put_off && !full))) return absl::OkStatus();
  }
  return Internal("the scheduler does not come to rest at " +
                  FormatRfc3339Ms(clock_.NowMs()));
}

absl::Status Replayer::Turn() {
  Process& process = *process_;
  first_due_ms_ = kNever;
  process.inbox.Drain(0, &process.completions, &process.requests);
  const auto wake =
      process.scheduler.Step(Now(), &process.completions, &process.requests);
  RETURN_IF_ERROR(wake.status());
  if (!store_->Writable())
    return NoSpace("no space left on the volume of " + options_.store);
  return absl::OkStatus();
}

void Replayer::ApplyLine(const LinePtr& line) {
  switch (line->what) {
    case TraceLine::What::kEvent:
      ++summary_.events;
      Noticed(line->at_ms());
      last_events_.push_back(line);
      if (last_events_.size() > kRedelivered) last_events_.pop_front();
      Deliver({line, false});
      break;
    case TraceLine::What::kRedeliver:
      summary_.redelivered += last_events_.size();
      for (const LinePtr& event : last_events_) Deliver({event, true});
      break;
    case TraceLine::What::kNatsDown: CutLink(); break;
    case TraceLine::What::kNatsUp: MendLink(); break;
    case TraceLine::What::kCrash: break;  // at the end of its millisecond
  }
}

void Replayer::CutLink() {
  if (!std::exchange(link_up_, false)) return;
  process_->bus.SetConnected(false);
  PostCaughtUp(false);
  catching_up_ = false;
  // Their acks can no longer leave.
  for (Waiting& waiting : std::exchange(unacked_, {}))
    backlog_.push_back({std::move(waiting.line), true});
}

void Replayer::MendLink() {
  if (std::exchange(link_up_, true)) return;
  process_->bus.SetConnected(true);
  PostCaughtUp(false);
  catching_up_ = true;
  for (const Waiting& waiting : std::exchange(backlog_, {})) Deliver(waiting);
}

void Replayer::PostCaughtUp(bool caught_up) {
  for (size_t i = 0; i < rules_.size(); ++i)
    process_->inbox.Complete(
        RuleRead{static_cast<RuleIndex>(i),
                 caught_up ? RuleRead::State::kCaughtUp : RuleRead::State::kAway, Now()});
}

void Replayer::Deliver(const Waiting& waiting) {
  if (!link_up_) {
    backlog_.push_back(waiting);
    return;
  }
  unacked_.push_back(waiting);
  bool concerned = false;
  for (size_t i = 0; i < rules_.size(); ++i)
    concerned = DeliverTo(static_cast<RuleIndex>(i), waiting) || concerned;
  if (!concerned && !waiting.again) ++summary_.ignored;
}

// When what was delivered may fire first.
void Replayer::NoteDue(const Intent& intent) {
  if (const auto* schedule = std::get_if<ScheduleIntent>(&intent)) {
    first_due_ms_ = std::min(first_due_ms_, schedule->job.due_ms);
    for (const Job& job : schedule->more)
      first_due_ms_ = std::min(first_due_ms_, job.due_ms);
  } else if (const auto* cancel = std::get_if<CancelIntent>(&intent)) {
    if (cancel->late != nullptr) first_due_ms_ = clock_.NowMs();
  }
}

const std::string* Replayer::StreamName(std::string_view name) {
  auto stream = streams_.find(name);
  if (stream == streams_.end()) stream = streams_.emplace(name).first;
  return &*stream;
}

// Whether the event concerns the rule.
bool Replayer::DeliverTo(RuleIndex index, const Waiting& waiting) {
  const TraceLine& line = *waiting.line;
  const Rule& rule = rules_[index];
  EventView event{line.subject, line.payload, &line.headers, line.at_ns};
  if (line.stream != kFileStream) event.stream = line.stream;
  if (!Reads(rule, event)) return false;
  const bool missed = waiting.again || line.at_ms() != clock_.NowMs();
  const bool core = rule.source == Transport::kCore;
  if (core && missed) return !waiting.again;
  MessageRequest request;
  request.rule = index;
  request.stream = StreamName(core ? "" : line.stream);
  request.stream_seq = core ? 0 : line.seq;
  request.received_ms = clock_.NowMs();
  if (core) event.time_ns = request.received_ms * 1'000'000;
  request.time_ns = event.time_ns;
  SetIntent(evaluators_[index]->Evaluate(event, request.received_ms), event, &request);
  if (!waiting.again && options_.on_intent)
    options_.on_intent(line, rule, request.intent);
  NoteDue(request.intent);
  const bool concerned = !std::holds_alternative<IgnoreIntent>(request.intent);
  process_->requests.emplace_back(std::move(request));
  return concerned;
}

}  // namespace expirer
