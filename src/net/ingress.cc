#include "net/ingress.h"

#include <algorithm>
#include <chrono>
#include <set>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "absl/time/time.h"
#include "base/log.h"
#include "base/mutant.h"
#include "base/thread.h"
#include "sched/streams.h"

namespace expirer {
namespace {

constexpr int64_t kSetupBackOffFirstMs = 100;
constexpr int64_t kSetupBackOffMaxMs = 2'000;
// A rule in order is looked at again for streams made meanwhile.
constexpr int64_t kRediscoverMs = 60'000;
// Messages wait for so long and none comes: the rule is not reading.
constexpr int64_t kNotReadingMs = 10'000;
constexpr int64_t kComplainEveryMs = 60'000;
constexpr int64_t kPollFirstMs = 4;
constexpr int64_t kPollMaxMs = 250;
// A goal that is reached so soon: what is read comes as it is published. Twice in a
// row, since of a backlog the first is reached the sooner the fewer came meanwhile.
constexpr int64_t kNearMs = 1'000;
constexpr int64_t kFloorEveryMs = 5'000;
// Acks are lost with the leader of a consumer that they went to: the consumer waits
// ack_wait for them, and the gate for the consumer.
constexpr int64_t kAckStuckMs = 1'500;
constexpr int64_t kIdleMs = 1'000;
// A new leader of a stream may not know its end for a moment.
constexpr int64_t kAheadForMs = 1'000;
// A message came so shortly before the connection went: it was busy with them.
constexpr int64_t kReadingMs = 2'000;
constexpr int64_t kLessForMs = 600'000;
constexpr size_t kBytesMaxLeast = 1 << 20;
// A stream or consumer that cannot be looked at keeps all rules from starting
// for this long at most.
constexpr int64_t kAdmissionMaxMs = 30'000;

int64_t NowMs() { return SystemClock().MonotonicMs(); }

bool ReadElsewhere(const Rule& rule) { return rule.source == Transport::kStan; }

// Those of `all` that no rule reads.
std::vector<StreamSpec> Unread(std::vector<StreamSpec> all,
                               const std::vector<Rule>& rules) {
  std::erase_if(all, [&rules](const StreamSpec& spec) {
    return std::any_of(rules.begin(), rules.end(), [&spec](const Rule& rule) {
      return rule.source == Transport::kJetStream && Serves(spec, FiltersOf(rule));
    });
  });
  return all;
}

// A floor of no stream: it was gone, and --adopt=new went on without it.
const StoredFloor kGivenUp{"", 0};

std::set<std::string> GivenUp(const std::map<std::string, std::string>& floors) {
  std::set<std::string> keys;
  for (const auto& [key, value] : floors)
    if (value == EncodeFloor(kGivenUp)) keys.insert(key);
  return keys;
}

}  // namespace

Ingress::Ingress(IngressOptions options, const std::vector<Rule>* rules, Inbox* inbox,
                 const Clock* clock, std::map<std::string, std::string> floors)
    : options_(std::move(options)),
      rules_(rules),
      inbox_(inbox),
      clock_(clock),
      connection_(options_.connection, "ingress",
                  {[this] { OnUp(); }, [this](const std::string&) { OnDown(); },
                   [](const std::string& text) {
                     LogGathered(Level::kWarn, "NATS reports an error", "", text,
                                 {{"connection", "ingress"}});
                   },
                   [this] { OnTick(); }}),
      requests_(&connection_),
      pull_replies_(&connection_),
      js_(&requests_, options_.connection.domain),
      target_streams_(&js_, Unread(options_.streams, *rules)),
      admission_({options_.name, options_.store_id, options_.adopt, options_.rebuilding,
                  options_.read_marks, GivenUp(floors)},
                 &requests_, &js_),
      floors_(std::move(floors)),
      rebuild_begun_(options_.rebuilding),
      troubles_(rules->size(), "not connected to NATS yet"),
      hindrances_(rules->size()) {
  for (const Rule& rule : *rules_) {
    RuleState state;
    state.rule = &rule;
    state.filters = FiltersOf(rule);
    if (rule.source == Transport::kCore)
      ListenToCore(static_cast<RuleIndex>(states_.size()), state.filters.anywhere);
    if (ReadElsewhere(rule)) troubles_[states_.size()].clear();
    states_.push_back(std::move(state));
  }
  inbox_->OnRoom([this] { TickSources(); });
}

Ingress::~Ingress() {
  Close(0);
  inbox_->OnRoom([] {});
}

void Ingress::Start() {
  connection_.EnablePulse();
  connection_.Start();
  if (core_ != nullptr) core_->EnablePulse();
  if (core_ != nullptr) core_->Start();
  control_ = StartThread("nats-control", [this] { Run(); });
}

void Ingress::Stop() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    awake_ = true;
  }
  for (PullSource* pull : Pulls()) pull->Close(/*abandon=*/false);
}

void Ingress::Close(int64_t flush_ms) {
  Stop();
  if (core_ != nullptr) core_->Stop(0);
  connection_.Stop(flush_ms);  // ends a request the control thread waits for
  if (control_.joinable()) control_.join();
}

void Ingress::Ack(const std::string& reply) {
  (void)connection_.Publish(reply, "", "+ACK");
}

void Ingress::Term(const std::string& reply, std::string_view reason) {
  // Servers before 2.10.4 take only the bare word.
  (void)reason;
  (void)connection_.Publish(reply, "", "+TERM");
}

void Ingress::Reply(const Caller& caller, int code, const std::string& body) {
  if (replier_) replier_(caller, code, body);
}

void Ingress::Announce(const std::string& subject, const std::string& payload) {
  const Connection::Sent sent = connection_.Publish(subject, "", payload);
  if (sent == Connection::Sent::kOk) return;
  ++announcements_lost_;
  if (sent == Connection::Sent::kTooLarge)
    LogGathered(Level::kWarn, "an announcement exceeds the server's max_payload", "", "",
                {{"subject", subject}, {"bytes", payload.size()}});
}

void Ingress::Flush() { connection_.Flush(); }

void Ingress::SetIntake(bool open) {
  if (intake_.exchange(open) == open) return;
  if (open) {
    Wake();  // the control thread knows which sources are ready
    return;
  }
  for (PullSource* pull : Pulls()) pull->Close(/*abandon=*/false);
}

void Ingress::LookAgain(LookHow how) {
  MutexLock lock(&mutex_);
  if (how == LookHow::kAnew) {
    ++link_epoch_;  // all begins anew, as after a reconnect
    PostAway();
  }
  look_wanted_ = true;
  awake_ = true;
}

void Ingress::RebuildBegun() {
  rebuild_begun_ = true;
  Wake();
}

std::vector<PullSource*> Ingress::Pulls() const {
  MutexLock lock(&mutex_);
  return pulls_;
}

uint64_t Ingress::slow_consumers() const {
  return connection_.slow_consumers() + (core_ ? core_->slow_consumers() : 0);
}

std::string Ingress::Disconnected() const {
  std::string why = connection_.trouble();
  if (why.empty() && core_ != nullptr) why = core_->trouble();
  return why;
}

std::string Ingress::Trouble(RuleIndex rule) const {
  const Transport source = (*rules_)[rule].source;
  if (source != Transport::kStan) {
    const std::string why =
        source == Transport::kCore ? core_->trouble() : connection_.trouble();
    if (!why.empty()) return "not connected to NATS: " + why;
  }
  MutexLock lock(&mutex_);
  return troubles_[rule].empty() ? hindrances_[rule] : troubles_[rule];
}

void Ingress::OnUp() {
  const std::string server = connection_.server_id();
  if (std::exchange(server_id_, server) == server && was_reading_) AskForLess();
  was_reading_ = false;
  {
    MutexLock lock(&mutex_);
    ++link_epoch_;
    link_up_ = true;
  }
  Wake();
}

// A server ends a connection for which too much waits (max_pending) without a word.
void Ingress::AskForLess() {
  const size_t bytes = std::max(inbox_->bytes_max() / 2, kBytesMaxLeast);
  if (bytes >= inbox_->bytes_max()) return;
  Log(Level::kWarn,
      "the server ended the connection while messages came, and is the same as before: "
      "it does so with a slow consumer, for which more waits than its max_pending; "
      "at most half as many bytes are asked for at a time from now on",
      {{"bytes", bytes}});
  inbox_->SetBytesMax(bytes);
  less_since_ms_ = NowMs();
}

void Ingress::AskForMore() {
  if (less_since_ms_ == 0 || NowMs() - less_since_ms_ < kLessForMs) return;
  const size_t bytes = std::min(inbox_->bytes_max() * 2, Inbox::kBytesMax);
  inbox_->SetBytesMax(bytes);
  less_since_ms_ = bytes < Inbox::kBytesMax ? NowMs() : 0;
}

void Ingress::OnDown() {
  FindWaitingMessages();
  was_reading_ = NowMs() - message_ms_ < kReadingMs;
  {
    MutexLock lock(&mutex_);
    ++link_epoch_;
    link_up_ = false;
    PostAway();
  }
  requests_.ConnectionLost();
  for (PullSource* pull : Pulls()) pull->Close(/*abandon=*/true);
  Wake();
}

void Ingress::PostAway() {
  for (size_t i = 0; i < rules_->size() && !stopping_; ++i) {
    if (!ReadElsewhere((*rules_)[i]))
      inbox_->Complete(
          RuleRead{static_cast<RuleIndex>(i), RuleRead::State::kAway, Now()});
  }
}

void Ingress::OnTick() {
  requests_.Tick();
  TickSources();
  FindWaitingMessages();
  AskForMore();
}

void Ingress::FindWaitingMessages() {
  uint64_t received = 0;
  for (const PullSource* pull : Pulls()) received += pull->received();
  if (std::exchange(received_, received) != received) message_ms_ = NowMs();
}

void Ingress::TickSources() {
  // Each time another one is the first that may ask: in a full inbox there is room for
  // the first ones only.
  const std::vector<PullSource*> pulls = Pulls();
  const size_t first = first_pull_++;
  for (size_t i = 0; i < pulls.size(); ++i) pulls[(first + i) % pulls.size()]->Tick();
}

void Ingress::Wake() {
  MutexLock lock(&mutex_);
  awake_ = true;
}

void Ingress::PostRead(const RuleRead& read) {
  states_[read.rule].said = read;
  MutexLock lock(&mutex_);
  // Judged by what held before the link changed: no longer true.
  if (epoch_ != link_epoch_ || stopping_) return;
  inbox_->Complete(read);
}

void Ingress::Unheard(Source* source) {
  MutexLock lock(&mutex_);
  if (stopping_) return;
  source->unheard = true;
  inbox_->Complete(RuleRead{source->rule, RuleRead::State::kAway, Now()});
  awake_ = true;
}

void Ingress::Run() {
  int64_t next_ms = 0;
  while (!stopping_) {
    bool link_up = false;
    bool look = false;
    uint64_t link_epoch = 0;
    {
      MutexLock lock(&mutex_);
      // At least a millisecond: no error can make this a busy loop.
      const int64_t wait_ms = std::clamp<int64_t>(next_ms - NowMs(), 1, kIdleMs);
      mutex_.AwaitFor(wait_ms,
                      [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return awake_; });
      awake_ = false;
      link_up = link_up_;
      link_epoch = link_epoch_;
      look = std::exchange(look_wanted_, false);
    }
    if (stopping_) return;
    next_ms = NowMs() + kIdleMs;
    if (link_epoch != epoch_) {
      epoch_ = link_epoch;
      BeginEpoch();
    } else if (look) {
      BeginLook();
    }
    if (!link_up) continue;
    if (!ContinueAdmission()) {
      next_ms = NowMs() + kSetupBackOffFirstMs;
      continue;
    }
    for (size_t i = 0; i < states_.size() && !stopping_ && phase_ == Phase::kAdmitted;
         ++i) {
      next_ms = std::min(next_ms, MaintainRule(static_cast<RuleIndex>(i)));
    }
    if (!stopping_ && phase_ == Phase::kAdmitted)
      next_ms = std::min(next_ms, target_streams_.Keep(NowMs()));
    OpenSources();
    next_ms = std::min(next_ms, MaintainSources());
  }
}

bool Ingress::ContinueAdmission() {
  if (phase_ == Phase::kAdmitted) return true;
  if (phase_ == Phase::kRefused) return false;
  if (admission_since_ms_ == 0) admission_since_ms_ = NowMs();
  if (const absl::Status status = Admit(); !status.ok()) {
    for (RuleState& state : states_) Complain(&state, Message(status));
    // Not with a rebuild half done: it would fire what may have fired.
    const bool waiting = NowMs() - admission_since_ms_ < kAdmissionMaxMs;
    if (!waiting && phase_ == Phase::kJudging && !options_.rebuilding) {
      Log(Level::kWarn, "starting although not all consumers could be looked at",
          {{"why", Message(status)}});
      EndAdmission();
    }
  }
  return phase_ == Phase::kAdmitted;
}

absl::Status Ingress::Admit() {
  ASSIGN_OR_RETURN(const std::vector<WishedSource> sources, WishedSources());
  if (phase_ == Phase::kJudging) {
    ASSIGN_OR_RETURN(const Admission::Verdict verdict,
                     admission_.Judge(*rules_, sources));
    MutexLock lock(&mutex_);
    // What was asked over a link that is gone says nothing.
    if (link_epoch_ != epoch_ || stopping_) return absl::OkStatus();
    switch (verdict) {
      case Admission::Verdict::kRefused: phase_ = Phase::kRefused; break;
      case Admission::Verdict::kAdmitted: phase_ = Phase::kAdmitted; break;
      case Admission::Verdict::kRebuild:
        phase_ = Phase::kAwaitingRebuild;
        // An open rebuild goes on. If the store is an older copy of its volume, the
        // rebuild begins anew: another process may have finished it, and fired since.
        rebuild_begun_ = admission_.why().empty();
        if (!rebuild_begun_) {
          Log(Level::kWarn, "rebuilding the store from its streams",
              {{"why", admission_.why()}});
          inbox_->Complete(RebuildAsked{});
        }
        break;
    }
  }
  if (phase_ == Phase::kRefused) Refuse(admission_.why());
  if (phase_ == Phase::kAdmitted) EndAdmission();
  if (phase_ == Phase::kAwaitingRebuild && rebuild_begun_) {
    phase_ = Phase::kReplacing;
    floors_.clear();
  }
  if (phase_ == Phase::kReplacing) {
    RETURN_IF_ERROR(admission_.Replace(sources));
    EndAdmission();
  }
  return absl::OkStatus();
}

void Ingress::EndAdmission() {
  phase_ = Phase::kAdmitted;
  for (const std::string& key : admission_.given_up())
    PostFloor(key, EncodeFloor(kGivenUp));
  inbox_->Complete(Admitted{});
  if (outcome_.admitted) outcome_.admitted();
}

void Ingress::Refuse(const std::string& why) {
  phase_ = Phase::kRefused;
  if (outcome_.refused) outcome_.refused(why);
}

absl::StatusOr<std::vector<WishedSource>> Ingress::WishedSources() {
  std::vector<WishedSource> sources;
  for (size_t i = 0; i < states_.size(); ++i) {
    const RuleState& state = states_[i];
    if (state.rule->source != Transport::kJetStream) continue;
    std::set<std::string> streams;
    for (const std::string& filter : state.filters.anywhere) {
      ASSIGN_OR_RETURN(const std::vector<std::string> names, js_.StreamNames(filter));
      streams.insert(names.begin(), names.end());
    }
    for (const auto& [name, filters] : state.filters.named) streams.insert(name);
    for (const std::string& name : streams) {
      auto stream = js_.Stream(name);
      if (JetStreamCode(stream.status()) == kStreamNotFound) continue;
      if (!stream.ok()) return stream.status();
      ConsumerWish wish = WishFor(static_cast<RuleIndex>(i), *stream);
      if (!wish.filters.empty())
        sources.push_back({state.rule->name, *std::move(stream), std::move(wish)});
    }
  }
  return sources;
}

ConsumerWish Ingress::WishFor(RuleIndex index, const StreamInfo& stream) const {
  const Rule& rule = (*rules_)[index];
  ConsumerWish wish;
  wish.durable = options_.name + "-" + rule.name;
  wish.filters = FiltersFor(states_[index].filters, stream);
  wish.store_id = options_.store_id;
  wish.max_ack_pending = options_.max_ack_pending;
  if (!rule.was.empty()) wish.was = options_.name + "-" + rule.was;
  wish.deliver = rule.deliver;
  const auto floor = floors_.find(SourceKey(rule.name, stream.name));
  if (floor != floors_.end()) wish.floor = DecodeFloor(floor->second);
  return wish;
}

void Ingress::BeginEpoch() {
  target_streams_.LookAgain();
  for (auto& [key, source] : sources_) CloseSource(source.get());
  for (size_t i = 0; i < states_.size(); ++i) {
    RuleState& state = states_[i];
    state.blocked = true;
    state.next_setup_ms = 0;
    state.back_off_ms = 0;
    if (ReadElsewhere(*state.rule)) continue;
    PostRead({static_cast<RuleIndex>(i), RuleRead::State::kAway, Now()});
  }
}

// All consumers stay as they are; how far they are is found out anew.
void Ingress::BeginLook() {
  for (auto& [key, source] : sources_) LookAt(source.get());
  for (RuleState& state : states_) state.said = {};  // also of those without sources
}

void Ingress::LookAt(Source* source) {
  source->caught_up = false;
  source->near = false;
  // The goal stays: once it is reached, all that was published before it is applied.
  source->poll_every_ms = kPollFirstMs;
  source->next_poll_ms = 0;
  states_[source->rule].said = {};
}

void Ingress::CloseSource(Source* source) {
  source->ready = false;
  source->caught_up = false;
  source->broken = false;
  source->hindrance.clear();
  source->pull->Close(/*abandon=*/true);
}

void Ingress::ListenToCore(RuleIndex index, const std::vector<std::string>& filters) {
  if (core_ == nullptr) {
    ConnectionOptions options = options_.connection;
    options.ordered = true;
    core_ = std::make_unique<Connection>(
        options, "core",
        Connection::Handlers{[this] { Wake(); },
                             [this](const std::string&) { Wake(); },
                             [](const std::string& text) {
                               LogGathered(Level::kWarn, "NATS reports an error", "",
                                           text, {{"connection", "core"}});
                             },
                             {}});
  }
  const Rule& rule = (*rules_)[index];
  core_sources_.push_back(std::make_unique<CoreSource>(index, rule, options_.job_limits));
  CoreSource* const source = core_sources_.back().get();
  for (const std::string& filter : filters) {
    core_->Subscribe(filter, options_.name + "-" + rule.name, Connection::kPendingMax,
                     [this, source](const Delivery& d) { OnCoreMessage(source, d); });
  }
}

// Waits while the inbox is full or the intake closed; what comes meanwhile
// waits in nats.c, up to its own limit.
void Ingress::OnCoreMessage(CoreSource* source, const Delivery& delivery) {
  while (!intake_ || !inbox_->Reserve(1)) {
    if (stopping_ || !core_->up()) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  MessageRequest request;
  request.rule = source->rule;
  request.received_ms = clock_->NowMs();
  request.time_ns = request.received_ms * 1'000'000;
  delivery.CopyHeaders(&source->headers);
  request.intent =
      source->evaluator.Evaluate(EventView{delivery.subject(), delivery.payload(),
                                           &source->headers, request.time_ns},
                                 request.received_ms);
  if (MayBecomeDead(request.intent)) {
    request.raw = std::make_unique<RawMessage>(
        RawMessage{std::string(delivery.subject()), source->headers,
                   std::string(delivery.payload())});
  }
  inbox_->Push(std::move(request));
}

// Nothing to read up to: what came while we were away is gone.
int64_t Ingress::MaintainCoreRule(RuleIndex index) {
  RuleState& state = states_[index];
  state.blocked = !core_->up();
  Complain(&state, state.blocked ? "the connection to core NATS is not up yet" : "");
  if (state.blocked) return NowMs() + kSetupBackOffFirstMs;
  if (state.said.state != RuleRead::State::kCaughtUp)
    PostRead({index, RuleRead::State::kCaughtUp, Now()});
  return NowMs() + kRediscoverMs;
}

int64_t Ingress::MaintainRule(RuleIndex index) {
  if (ReadElsewhere((*rules_)[index])) return INT64_MAX;
  if ((*rules_)[index].source == Transport::kCore) return MaintainCoreRule(index);
  RuleState& state = states_[index];
  for (Source* source : state.sources) {
    if (source->unheard.exchange(false)) LookAt(source);
    if (!source->broken) continue;
    CloseSource(source);
    PostRead({index, RuleRead::State::kAway, Now()});
    // The first repair at once, the next ones ever later until it holds.
    if (!state.blocked) state.next_setup_ms = 0;
    state.blocked = true;
  }
  const int64_t now_ms = NowMs();
  if (now_ms < state.next_setup_ms) return state.next_setup_ms;
  Missing missing;
  absl::Status status = SetUpRule(&state, index, &missing);
  if (IsForeign(status)) {
    Refuse(Message(status));
    return INT64_MAX;
  }
  state.blocked = !status.ok();
  if (status.ok()) status = missing.Sentence();
  Complain(&state, status.ok() ? "" : Message(status));
  if (status.ok()) {
    // Not reset at once: a consumer that is deleted again and again must not
    // make this a busy loop.
    state.back_off_ms /= 2;
    state.next_setup_ms = NowMs() + kRediscoverMs;
  } else {
    state.back_off_ms =
        std::clamp(state.back_off_ms * 2, kSetupBackOffFirstMs, kSetupBackOffMaxMs);
    // Counted from when this try began: if it waited for an answer, that was a pause.
    state.next_setup_ms = now_ms + state.back_off_ms;
  }
  return state.next_setup_ms;
}

void Ingress::Complain(RuleState* state, const std::string& why) {
  if (ReadElsewhere(*state->rule)) return;
  const auto index = static_cast<size_t>(state - states_.data());
  bool news = false;
  {
    MutexLock lock(&mutex_);
    news = troubles_[index] != why;
    troubles_[index] = why;
  }
  const int64_t now_ms = NowMs();
  if (why.empty()) {
    if (news)
      Log(Level::kInfo, "reading a rule's streams", {{"rule", state->rule->name}});
    state->warned_ms = 0;
  } else if (state->warned_ms == 0 || now_ms - state->warned_ms >= kComplainEveryMs) {
    state->warned_ms = now_ms;
    Log(Level::kWarn, "cannot read a rule's streams, trying on",
        {{"rule", state->rule->name}, {"why", why}});
  }
}

absl::Status Ingress::Missing::Sentence() const {
  if (!streams.empty())
    return NotFound(fmt::format("there is no stream {}, which the rule names",
                                fmt::join(streams, ", ")));
  if (!filters.empty())
    return NotFound(
        fmt::format("no stream carries {} (one that stores it as a mirror, "
                    "from a source or by a transform is named by `stream`)",
                    fmt::join(filters, ", ")));
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> Ingress::FindStreams(const RuleState& state,
                                                              Missing* missing) {
  std::set<std::string> streams;
  for (const std::string& filter : state.filters.anywhere) {
    ASSIGN_OR_RETURN(std::vector<std::string> names, js_.StreamNames(filter));
    if (names.empty()) {
      ASSIGN_OR_RETURN(const std::string made, MakeStream(filter, ""));
      if (made.empty()) {
        missing->filters.push_back(filter);
        continue;
      }
      names.push_back(made);
    }
    streams.insert(names.begin(), names.end());
  }
  for (const auto& [name, filters] : state.filters.named) {
    const absl::Status there = js_.Stream(name).status();
    if (!there.ok() && JetStreamCode(there) != kStreamNotFound) return there;
    if (!there.ok()) {
      ASSIGN_OR_RETURN(const std::string made, MakeStream(filters.front(), name));
      if (made.empty()) missing->streams.push_back(name);
      if (made.empty()) continue;
    }
    streams.insert(name);
  }
  return std::vector<std::string>(streams.begin(), streams.end());
}

absl::StatusOr<std::string> Ingress::MakeStream(const std::string& filter,
                                                const std::string& name) {
  for (const StreamSpec& spec : options_.streams) {
    if (name.empty() ? !Overlaps(spec.subjects, filter) : spec.name != name) continue;
    for (const std::string& subject : spec.subjects) {
      ASSIGN_OR_RETURN(const std::vector<std::string> names, js_.StreamNames(subject));
      if (!names.empty()) {
        return Refused(
            fmt::format("no stream carries {}, and stream {} is not made because {} "
                        "already carries its {}",
                        filter, spec.name, names.front(), subject));
      }
    }
    if (const int64_t wait_ms = RemakeWaitMs(spec.name); wait_ms > 0) {
      return Unavailable(fmt::format(
          "stream {} is gone and will be made again in {} ms unless somebody else does",
          spec.name, wait_ms));
    }
    RETURN_IF_ERROR(js_.CreateStream(spec));
    Log(Level::kInfo, "created a stream", {{"stream", spec.name}});
    return spec.name;
  }
  return std::string();
}

int64_t Ingress::RemakeWaitMs(const std::string& stream) {
  const bool was_there =
      std::any_of(sources_.begin(), sources_.end(),
                  [&](const auto& entry) { return entry.first.second == stream; });
  if (!was_there) return 0;
  const int64_t since_ms = gone_since_ms_.try_emplace(stream, NowMs()).first->second;
  return since_ms + kRemakeAfterMs - NowMs();
}

Ingress::Source* Ingress::SourceOf(RuleIndex index, const std::string& stream) {
  std::unique_ptr<Source>& slot = sources_[{index, stream}];
  if (slot != nullptr) return slot.get();
  const Rule& rule = (*rules_)[index];
  slot = std::make_unique<Source>();
  Source* const source = slot.get();
  source->rule = index;
  source->stream = stream;
  source->durable = options_.name + "-" + rule.name;
  source->evaluator = std::make_unique<RuleEvaluator>(rule, options_.job_limits);
  PullSource::Options pull;
  pull.rule = index;
  pull.stream = &source->stream;
  pull.created_ns = &source->created_ns;
  pull.consumer = source->durable;
  pull.api_prefix = js_.prefix();
  pull.outstanding = options_.outstanding;
  source->pull = std::make_unique<PullSource>(
      pull, &connection_, &pull_replies_, inbox_, clock_,
      [source](const EventView& event, int64_t now_ms) {
        EventView placed = event;
        placed.stream = source->stream;
        placed.only_named = source->only_named;
        return source->evaluator->Evaluate(placed, now_ms);
      },
      PullSource::Handlers{[this, source] { Unheard(source); },
                           [this, source](const std::string& why) {
                             Log(Level::kWarn, "a consumer broke off",
                                 {{"stream", source->stream},
                                  {"consumer", source->durable},
                                  {"why", why}});
                             source->broken = true;
                             Wake();
                           }});
  states_[index].sources.push_back(source);
  MutexLock lock(&mutex_);
  pulls_.push_back(source->pull.get());
  return source;
}

absl::Status Ingress::SetUpRule(RuleState* state, RuleIndex index, Missing* missing) {
  ASSIGN_OR_RETURN(const std::vector<std::string> streams, FindStreams(*state, missing));
  for (Source* source : state->sources) {
    if (std::find(streams.begin(), streams.end(), source->stream) == streams.end()) {
      CloseSource(source);  // the stream is gone, or carries other subjects
    }
  }
  absl::Status first_error;
  for (const std::string& stream : streams) {
    Source* const source = SourceOf(index, stream);
    if (source->ready) continue;
    const absl::Status status = SetUpSource(source);
    if (!status.ok() && first_error.ok()) first_error = status;
  }
  return first_error;
}

absl::Status Ingress::SetUpSource(Source* source) {
  const Instant asked = Now();
  ASSIGN_OR_RETURN(const StreamInfo stream, js_.Stream(source->stream));
  const ConsumerWish wish = WishFor(source->rule, stream);
  if (wish.filters.empty())
    return NotFound("stream " + stream.name + " changed its subjects");
  const std::vector<std::string> stored = StoredSubjects(&js_, stream);
  for (const std::string& filter : wish.filters)
    RETURN_IF_ERROR(CheckStores(stream, stored, filter));
  source->only_named = IsOnlyNamed(states_[source->rule].filters, stream);
  ASSIGN_OR_RETURN(ConsumerInfo consumer, EnsureConsumer(&js_, stream, wish));
  if (source->read_anew) {
    // The floor of the sequences before means nothing now.
    PostFloor(*source, StoredFloor());
    ASSIGN_OR_RETURN(consumer, ReadAnew(&js_, stream, wish, consumer));
    source->read_anew = false;
  }
  // What was delivered to a process that is gone, or before the link was lost,
  // is asked back now and not after ack_wait.
  source->asking_back = consumer.num_ack_pending > 0;
  source->asked_to = consumer.delivered_stream_seq;
  const absl::Status ack_wait = SetAckWait(&js_, stream.name, source->durable, consumer,
                                           source->asking_back ? kAskBackNs : kAckWaitNs);
  if (!ack_wait.ok()) {
    source->asking_back = false;
    Log(Level::kWarn, "cannot change a consumer's ack_wait",
        {{"consumer", source->durable}, {"why", Message(ack_wait)}});
  }
  gone_since_ms_.erase(source->stream);
  source->created = stream.created;
  source->created_ns = stream.created_ns;
  source->subjects = stream.subjects;
  source->moved_ms = NowMs();
  source->stuck_since_ms = 0;
  source->end = stream.last_seq;
  source->next_look_ms = 0;
  source->ahead_since_ms = 0;
  source->goal = Goal{stream.last_seq, asked};
  source->caught_up = false;
  source->near = false;
  source->read_to = {};
  source->ready = true;
  source->floor = 0;
  source->next_floor_ms = 0;
  source->poll_every_ms = kPollFirstMs;
  source->next_poll_ms = 0;
  if (states_[source->rule].said.state != RuleRead::State::kAway)
    PostRead({source->rule, RuleRead::State::kAway, asked});
  return absl::OkStatus();
}

void Ingress::OpenSources() {
  size_t ready = 0;
  for (const auto& [key, source] : sources_) ready += source->ready ? 1 : 0;
  if (ready == 0) return;
  // Half the inbox at most is promised, so that a source found later finds
  // room before the pulls of the others expire.
  const size_t share =
      inbox_->capacity() / (2 * ready * static_cast<size_t>(options_.outstanding));
  const size_t batch = std::clamp<size_t>(share, 1, options_.batch);
  const size_t bytes =
      inbox_->bytes_max() / (2 * ready * static_cast<size_t>(options_.outstanding));
  for (auto& [key, source] : sources_) {
    if (!source->ready || source->broken) continue;
    MutexLock lock(&mutex_);
    // Under the lock: neither a loss nor Stop comes between.
    if (link_epoch_ == epoch_ && intake_ && !stopping_) source->pull->Open(batch, bytes);
  }
}

int64_t Ingress::MaintainSources() {
  int64_t next_ms = INT64_MAX;
  std::vector<Source*> due;
  std::vector<JetStream::ConsumerName> names;
  for (auto& [key, source] : sources_) {
    if (!source->ready) continue;
    if (NowMs() < source->next_poll_ms) {
      next_ms = std::min(next_ms, source->next_poll_ms);
      continue;
    }
    due.push_back(source.get());
    names.push_back({source->stream, source->durable});
  }
  const Instant asked = Now();
  const auto infos = js_.Consumers(names);
  for (size_t i = 0; i < due.size(); ++i) NotePoll(due[i], infos[i], asked);
  TakeMarks();
  for (Source* source : due) {
    const bool urgent = !source->caught_up || source->asking_back ||
                        source->ahead_since_ms != 0 || !source->hindrance.empty();
    source->poll_every_ms =
        urgent ? std::min(source->poll_every_ms * 3 / 2, kPollMaxMs) : kFloorEveryMs;
    source->next_poll_ms = NowMs() + source->poll_every_ms;
    next_ms = std::min(next_ms, source->next_poll_ms);
  }
  for (size_t i = 0; i < states_.size(); ++i) SayRead(static_cast<RuleIndex>(i));
  TellHindrances();
  return next_ms;
}

void Ingress::NotePoll(Source* source, const absl::StatusOr<ConsumerInfo>& info,
                       Instant asked) {
  if (!info.ok()) {
    const int code = JetStreamCode(info.status());
    if (code == kConsumerNotFound || code == kStreamNotFound) source->broken = true;
    return;
  }
  source->hindrance = Hindrance(source, *info);
  if (!EndsWell(source, *info)) return;
  NoteRead(source, *info, asked);
  AskBackWhatIsStuck(source, *info);
  NoteFloor(source, *info);
}

std::string Ingress::Hindrance(Source* source, const ConsumerInfo& info) {
  const std::string who =
      fmt::format("consumer {} of stream {}", source->durable, source->stream);
  if (info.paused) return fmt::format("{} is paused until {}", who, info.pause_until);
  const uint64_t received = source->pull->received();
  const std::string refusal = source->pull->refusal();
  const bool came = std::exchange(source->received, received) != received;
  // It may be larger than the server allowed when this connection was made.
  if (refusal.find("MaxBytes") != refusal.npos) connection_.CheckMaxPayload();
  // Without room in the inbox or with the intake closed nothing is asked for.
  const bool waits = info.num_pending > 0 || !refusal.empty();
  if (came || !waits || !source->pull->asking()) source->moved_ms = NowMs();
  if (NowMs() - source->moved_ms < kNotReadingMs) return "";
  if (!refusal.empty())
    return fmt::format("{} refuses what is asked of it: {}", who, refusal);
  return fmt::format("{} messages wait in {} and none comes", info.num_pending, who);
}

void Ingress::TellHindrances() {
  for (size_t i = 0; i < states_.size(); ++i) {
    std::string why;
    for (const Source* source : states_[i].sources)
      if (why.empty() && source->ready) why = source->hindrance;
    std::string before;
    {
      MutexLock lock(&mutex_);
      before = std::exchange(hindrances_[i], why);
    }
    if (before.empty() == why.empty()) continue;
    if (why.empty())
      Log(Level::kInfo, "a rule is reading again", {{"rule", states_[i].rule->name}});
    else
      Log(Level::kWarn, "a rule is not reading",
          {{"rule", states_[i].rule->name}, {"why", why}});
  }
}

// Acked means applied: the core acks only after the sync.
void Ingress::NoteRead(Source* source, const ConsumerInfo& info, Instant asked) {
  if (source->caught_up) return;
  if (info.num_pending == 0 && info.num_ack_pending == 0) {
    source->read_to = asked;
    source->caught_up = true;
    return;
  }
  if (!source->goal.has_value() || info.ack_floor_stream_seq < source->goal->seq) return;
  const bool near = asked.mono_ms - source->goal->at.mono_ms <= kNearMs;
  source->read_to = source->goal->at;
  source->caught_up = near && source->near;
  source->near = near;
  source->goal.reset();
}

// Of each stream whose sources have none, at once for all of them.
void Ingress::TakeMarks() {
  std::set<std::string> streams;
  const auto wants = [](const Source& source) {
    return source.ready && !source.broken && !source.caught_up && !source.goal;
  };
  for (const auto& [key, source] : sources_)
    if (wants(*source)) streams.insert(source->stream);
  const std::vector<std::string> names(streams.begin(), streams.end());
  const Instant asked = Now();
  const auto infos = js_.Streams(names);
  for (auto& [key, source] : sources_) {
    if (!wants(*source)) continue;
    const auto at = std::lower_bound(names.begin(), names.end(), source->stream);
    const auto& info = infos[static_cast<size_t>(at - names.begin())];
    if (!info.ok()) continue;
    source->goal = Goal{info->last_seq, asked};
    source->poll_every_ms = kPollFirstMs;
  }
}

void Ingress::SayRead(RuleIndex index) {
  const RuleState& state = states_[index];
  if (state.blocked || state.rule->source != Transport::kJetStream) return;
  RuleRead read{index, RuleRead::State::kCaughtUp, kEver};
  bool any = false;
  for (const Source* source : state.sources) {
    if (!source->ready) continue;
    any = true;
    if (!source->caught_up) read.state = RuleRead::State::kReading;
    if (source->read_to.mono_ms < read.at.mono_ms) read.at = source->read_to;
  }
  // Without a stream there is nothing to catch up with, or it is not there yet.
  if (!any) read = {index, RuleRead::State::kReading, {}};
  if (read.state != state.said.state || read.at.mono_ms != state.said.at.mono_ms)
    PostRead(read);
}

void Ingress::AskBackWhatIsStuck(Source* source, const ConsumerInfo& info) {
  const uint64_t before = std::exchange(source->acked_to, info.ack_floor_stream_seq);
  const bool moves = before != source->acked_to || info.num_ack_pending == 0;
  if (moves || source->asking_back) source->stuck_since_ms = 0;
  if (moves || source->asking_back) return;
  if (source->stuck_since_ms == 0) source->stuck_since_ms = NowMs();
  if (NowMs() - source->stuck_since_ms < kAckStuckMs) return;
  source->asked_to = info.delivered_stream_seq;
  source->asking_back =
      SetAckWait(&js_, source->stream, source->durable, info, kAskBackNs).ok();
}

void Ingress::NoteFloor(Source* source, const ConsumerInfo& info) {
  if (source->asking_back &&
      (info.num_ack_pending == 0 || info.ack_floor_stream_seq >= source->asked_to)) {
    source->asking_back = false;
    if (const absl::Status back =
            SetAckWait(&js_, source->stream, source->durable, info, kAckWaitNs);
        !back.ok()) {
      source->asking_back = true;  // tried again at the next poll
    }
  }
  // Seldom, however often it is looked at: each is a write.
  if (NowMs() < source->next_floor_ms) return;
  source->next_floor_ms = NowMs() + kFloorEveryMs;
  if (info.ack_floor_stream_seq == source->floor) return;
  source->floor = info.ack_floor_stream_seq;
  PostFloor(*source, {source->created, source->floor});
}

void Ingress::PostFloor(const Source& source, const StoredFloor& stored) {
  PostFloor(SourceKey((*rules_)[source.rule].name, source.stream), EncodeFloor(stored));
}

void Ingress::PostFloor(const std::string& key, const std::string& value) {
  floors_[key] = value;
  inbox_->Complete(ConsumerFloor{key, value});
}

// A stream may lose messages, or be restored from an older copy, and its consumer
// stay: it then waits for sequences far ahead, and what is written meanwhile would
// never be read.
bool Ingress::EndsWell(Source* source, const ConsumerInfo& consumer) {
  if (consumer.delivered_stream_seq <= source->end && NowMs() < source->next_look_ms)
    return true;
  // After the consumer: of two that grow it must be the further.
  const auto stream = js_.Stream(source->stream);
  if (!stream.ok()) return false;
  source->next_look_ms = NowMs() + kFloorEveryMs;
  source->end = stream->last_seq;
  // What the rule reads may be in another stream now.
  if (std::exchange(source->subjects, stream->subjects) != stream->subjects) {
    states_[source->rule].next_setup_ms = 0;
    Wake();
  }
  if (stream->created != source->created) {
    source->broken = true;  // another stream of that name
    return false;
  }
  if (consumer.delivered_stream_seq <= stream->last_seq || Mutant("ahead_unseen")) {
    source->ahead_since_ms = 0;
    return true;
  }
  if (source->ahead_since_ms == 0) source->ahead_since_ms = NowMs();
  if (NowMs() - source->ahead_since_ms < kAheadForMs) return false;
  Log(Level::kWarn,
      "a consumer has read further than its stream goes: the stream lost messages or "
      "was restored, and is read anew",
      {{"stream", source->stream},
       {"consumer", source->durable},
       {"read_to", consumer.delivered_stream_seq},
       {"stream_ends", stream->last_seq}});
  ++consumers_ahead_;
  source->read_anew = true;
  source->broken = true;
  return false;
}

}  // namespace expirer
