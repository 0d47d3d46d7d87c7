#include "net/stan.h"

#include <algorithm>

#if defined(EXPIRER_STAN)
#include <atomic>
#include <charconv>
#include <chrono>
#include <deque>
#include <set>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/thread.h"
#include "net/connection.h"
#include "net/pull_source.h"
#include "net/stan_link.h"
#include "net/stan_progress.h"
#endif

namespace expirer {

bool UsesStan(const std::vector<Rule>& rules) {
  return std::any_of(rules.begin(), rules.end(), [](const Rule& rule) {
    return rule.source == Transport::kStan ||
           std::any_of(rule.publish.begin(), rule.publish.end(),
                       [](const Publish& p) { return p.via == Transport::kStan; });
  });
}

bool IsStanChannel(std::string_view name) {
  return !name.empty() && name.front() != '.' && name.back() != '.' &&
         name.find("..") == name.npos && name.find_first_of("*>/") == name.npos;
}

#if defined(EXPIRER_STAN)

bool StanCompiledIn() { return true; }

namespace {

// A look into an empty channel is never answered: so long it is silent.
constexpr int64_t kSilenceMs = 2'000;
constexpr int64_t kIdleMs = 1'000;
// For the server's word on our going, which nothing depends on.
constexpr int64_t kFarewellMs = 1'000;
constexpr std::string_view kReplyPrefix = "stan ";

// A rule's channel.
struct Reader {
  RuleIndex rule = 0;
  std::string channel;
  // As positions know it: never the name of a JetStream stream.
  std::string stream;
  StanProgress progress;
  int64_t look_since_ms = 0;
  bool look_open = false;  // its subscription is to be closed
  // By this look: an empty channel would not answer, and hold jobs up for as long
  // as it is waited for.
  bool passed_over = false;
};

// Where an ack goes: a message of one life of the connection.
struct AckPlace {
  uint64_t life = 0;
  size_t reader = 0;
  uint64_t seq = 0;
};

std::string ReplyOf(const AckPlace& place) {
  return fmt::format("{}{} {} {}", kReplyPrefix, place.life, place.reader, place.seq);
}

AckPlace PlaceOf(std::string_view reply) {
  AckPlace place;
  reply.remove_prefix(kReplyPrefix.size());
  const auto next = [&reply](auto* value) {
    const auto end = std::from_chars(reply.data(), reply.data() + reply.size(), *value);
    reply.remove_prefix(static_cast<size_t>(end.ptr - reply.data()));
    if (!reply.empty()) reply.remove_prefix(1);
  };
  next(&place.life);
  next(&place.reader);
  next(&place.seq);
  return place;
}

class Bus final : public StanBus {
 public:
  Bus(StanOptions options, const std::vector<Rule>* rules, Inbox* inbox,
      const Clock* clock, Egress* egress, Inbound* inbound)
      : options_(std::move(options)),
        rules_(rules),
        inbox_(inbox),
        clock_(clock),
        egress_(egress),
        inbound_(inbound),
        readers_(MakeReaders()),
        link_({options_.connection, options_.cluster, options_.client}, Channels(),
              {[this](size_t i, const StanLink::Message& m) { return OnMessage(i, m); },
               [this](size_t i, uint64_t seq) { OnEnd(i, seq); },
               [this](uint64_t attempt, std::string_view error) {
                 OnPublished(attempt, error);
               },
               [this](const std::string& why) { MarkLost(why); }}) {
    for (const Rule& rule : *rules_)
      evaluators_.push_back(std::make_unique<RuleEvaluator>(rule, options_.job_limits));
    said_.resize(rules_->size(), RuleRead::State::kAway);
  }
  ~Bus() override { Stop(0); }

  void Start() override {
    control_ = StartThread("stan-control", [this] { Run(); });
    sender_ = StartThread("stan-sender", [this] { SendAll(); });
  }
  void StopReading() override { reading_ = false; }
  void Stop(int64_t flush_ms) override;
  [[nodiscard]] std::string Trouble() const override {
    MutexLock lock(&mutex_);
    return trouble_;
  }
  [[nodiscard]] uint64_t connects() const override { return connects_; }

  [[nodiscard]] Target Resolve(Transport via, std::string_view target,
                               std::string* why) override;
  [[nodiscard]] std::string Warning(Transport via, std::string_view target) override;
  [[nodiscard]] bool Publish(uint64_t attempt, Transport via, std::string_view target,
                             const HeaderViews& headers, std::string_view body) override;
  void Flush() override;  // of both halves
  void Forget(uint64_t attempt, std::string_view target, bool timed_out) override;

  void Ack(const std::string& reply) override;
  void Term(const std::string& reply, std::string_view reason) override;
  void Reply(const Caller& caller, int code, const std::string& body) override {
    inbound_->Reply(caller, code, body);
  }
  void Announce(const std::string& subject, const std::string& payload) override {
    inbound_->Announce(subject, payload);
  }
  void SetIntake(bool open) override;
  void LookAgain(LookHow how) override;
  void RebuildBegun() override { inbound_->RebuildBegun(); }

 private:
  // What the sender is to hand to nats.c: a publish, or an ack.
  struct Outgoing {
    uint64_t attempt = 0;
    std::string channel;  // "" = an ack
    std::string body;
    AckPlace ack;
  };

  [[nodiscard]] std::deque<Reader> MakeReaders() const;
  [[nodiscard]] std::vector<StanLink::Channel> Channels() const;

  // The link's threads.
  bool OnMessage(size_t index, const StanLink::Message& message);
  void OnEnd(size_t index, uint64_t seq);
  void OnPublished(uint64_t attempt, std::string_view error);
  // Any thread: the control thread takes the link down.
  void MarkLost(const std::string& why);

  // Sender.
  void SendAll();
  void Send(const Outgoing& out);

  // Control thread.
  void Run();
  absl::Status Connect();
  void Serve();
  void TakeDown();
  absl::Status MaintainReading();
  absl::Status MaintainLooks();
  void PostCaughtUp();
  void Complain(const std::string& why);
  void Wait(int64_t ms);
  void PostAway() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Post(RuleIndex rule, RuleRead::State state, Instant at)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] Instant Now() const { return {clock_->NowMs(), clock_->MonotonicMs()}; }
  [[nodiscard]] bool TakeFromFlight(uint64_t attempt);

  const StanOptions options_;
  const std::vector<Rule>* const rules_;
  Inbox* const inbox_;
  const Clock* const clock_;
  Egress* const egress_;
  Inbound* const inbound_;

  // One thread of nats.c only.
  std::vector<std::unique_ptr<RuleEvaluator>> evaluators_;

  std::atomic<bool> stopping_ = false;
  std::atomic<bool> reading_ = true;
  std::atomic<bool> intake_ = true;
  std::atomic<bool> up_ = false;
  std::atomic<bool> receiving_ = false;  // a message is being handled
  std::atomic<int64_t> heard_ms_ = 0;    // when the last one had been
  std::atomic<uint64_t> life_ = 0;       // of the link; raised by each connect
  std::atomic<uint64_t> connects_ = 0;   // those of them that succeeded

  // Control thread only.
  bool subscribed_ = false;

  mutable Mutex mutex_;
  std::deque<Reader> readers_;  // progress and looks: mutex_; the rest constant
  bool awake_ ABSL_GUARDED_BY(mutex_) = false;
  std::string lost_why_ ABSL_GUARDED_BY(mutex_);
  std::string trouble_ ABSL_GUARDED_BY(mutex_) = "not connected to NATS Streaming yet";
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;  // the control thread
  bool look_wanted_ ABSL_GUARDED_BY(mutex_) = false;
  bool quick_ ABSL_GUARDED_BY(mutex_) = false;  // only where it is answered at once
  Instant looked_ ABSL_GUARDED_BY(mutex_);      // when the last one began
  std::vector<RuleRead::State> said_ ABSL_GUARDED_BY(mutex_);  // by rule
  absl::flat_hash_set<uint64_t> in_flight_ ABSL_GUARDED_BY(mutex_);
  std::deque<Outgoing> outgoing_ ABSL_GUARDED_BY(mutex_);
  bool flush_ ABSL_GUARDED_BY(mutex_) = false;
  bool sending_ ABSL_GUARDED_BY(mutex_) = false;

  StanLink link_;
  std::thread control_;
  std::thread sender_;
};

std::deque<Reader> Bus::MakeReaders() const {
  std::deque<Reader> readers;
  for (size_t i = 0; i < rules_->size(); ++i) {
    const Rule& rule = (*rules_)[i];
    if (rule.source != Transport::kStan) continue;
    std::set<std::string> channels;
    for (const Entry& entry : rule.schedule) channels.insert(entry.subject);
    for (const Entry& entry : rule.cancel) channels.insert(entry.subject);
    for (const std::string& channel : channels) {
      Reader& reader = readers.emplace_back();
      reader.rule = static_cast<RuleIndex>(i);
      reader.channel = channel;
      reader.stream = "stan:" + channel;
    }
  }
  return readers;
}

std::vector<StanLink::Channel> Bus::Channels() const {
  // Half the inbox at most is ever delivered and not acked.
  const size_t share = inbox_->capacity() / (2 * std::max<size_t>(readers_.size(), 1));
  std::vector<StanLink::Channel> channels;
  for (const Reader& reader : readers_) {
    const Rule& rule = (*rules_)[reader.rule];
    StanLink::Channel& channel = channels.emplace_back();
    channel.name = reader.channel;
    channel.durable =
        rule.durable.empty() ? options_.name + "-" + rule.name : rule.durable;
    channel.deliver = rule.deliver;
    channel.max_inflight =
        static_cast<int>(std::clamp<size_t>(share, 1, options_.inflight));
  }
  return channels;
}

Egress::Target Bus::Resolve(Transport via, std::string_view target, std::string* why) {
  if (via != Transport::kStan) return egress_->Resolve(via, target, why);
  if (!IsStanChannel(target)) {
    *why = fmt::format("{} is no name of a channel", target);
    return Target::kRefused;
  }
  // TargetKnown follows each connect.
  return up_ ? Target::kReady : Target::kDown;
}

std::string Bus::Warning(Transport via, std::string_view target) {
  return via == Transport::kStan ? "" : egress_->Warning(via, target);
}

// Headers there are none.
bool Bus::Publish(uint64_t attempt, Transport via, std::string_view target,
                  const HeaderViews& headers, std::string_view body) {
  if (via != Transport::kStan)
    return egress_->Publish(attempt, via, target, headers, body);
  MutexLock lock(&mutex_);
  if (!up_) return false;
  in_flight_.insert(attempt);
  outgoing_.push_back({attempt, std::string(target), std::string(body), {}});
  return true;
}

void Bus::Flush() {
  {
    MutexLock lock(&mutex_);
    flush_ = !outgoing_.empty();
  }
  // Both halves have one Flush.
  egress_->Flush();
  inbound_->Flush();
}

void Bus::Forget(uint64_t attempt, std::string_view target, bool timed_out) {
  if (!TakeFromFlight(attempt)) egress_->Forget(attempt, target, timed_out);
}

bool Bus::TakeFromFlight(uint64_t attempt) {
  MutexLock lock(&mutex_);
  return in_flight_.erase(attempt) > 0;
}

void Bus::Ack(const std::string& reply) {
  if (!reply.starts_with(kReplyPrefix)) return inbound_->Ack(reply);
  MutexLock lock(&mutex_);
  outgoing_.push_back({0, "", "", PlaceOf(reply)});
}

void Bus::Term(const std::string& reply, std::string_view reason) {
  if (!reply.starts_with(kReplyPrefix)) return inbound_->Term(reply, reason);
  Ack(reply);
}

void Bus::SetIntake(bool open) {
  inbound_->SetIntake(open);
  intake_ = open;
  MutexLock lock(&mutex_);
  awake_ = true;
}

void Bus::LookAgain(LookHow how) {
  inbound_->LookAgain(how);
  MutexLock lock(&mutex_);
  if (how == LookHow::kAnew) {
    PostAway();
    quick_ = false;
  } else if (!look_wanted_) {
    quick_ = true;
  }
  std::fill(said_.begin(), said_.end(), RuleRead::State::kAway);
  look_wanted_ = true;
  awake_ = true;
}

// Under mutex_, as every post of it: so `true` never follows what made it old.
void Bus::PostAway() {
  for (size_t i = 0; i < rules_->size(); ++i)
    Post(static_cast<RuleIndex>(i), RuleRead::State::kAway, Now());
}

void Bus::Post(RuleIndex rule, RuleRead::State state, Instant at) {
  if ((*rules_)[rule].source != Transport::kStan || stopping_) return;
  said_[rule] = state;
  inbox_->Complete(RuleRead{rule, state, at});
}

// Waits while the inbox is full. With the intake closed the subscription is about
// to be closed too.
bool Bus::OnMessage(size_t index, const StanLink::Message& message) {
  receiving_ = true;
  const Reader& reader = readers_[index];
  const auto wanted = [this] { return up_ && reading_ && intake_ && !stopping_; };
  bool room = false;
  while (wanted() && !(room = inbox_->Reserve(1)))
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  if (room) {
    MessageRequest request;
    request.rule = reader.rule;
    request.stream = &reader.stream;
    request.stream_seq = message.seq;
    request.time_ns = message.time_ns;
    request.received_ms = clock_->NowMs();
    request.reply = ReplyOf({life_, index, message.seq});
    const EventView event{reader.channel, message.payload, nullptr, message.time_ns};
    SetIntent(evaluators_[reader.rule]->Evaluate(event, request.received_ms), event,
              &request);
    {
      MutexLock lock(&mutex_);
      readers_[index].progress.Delivered(message.seq);
    }
    inbox_->Push(std::move(request));
  }
  heard_ms_ = MonotonicMs();
  receiving_ = false;
  return room;
}

void Bus::OnEnd(size_t index, uint64_t seq) {
  MutexLock lock(&mutex_);
  readers_[index].progress.LookEnded(seq);
  awake_ = true;
}

void Bus::OnPublished(uint64_t attempt, std::string_view error) {
  if (!TakeFromFlight(attempt)) return;
  PubAnswer answer{attempt, PubAnswer::Kind::kAck, 0, ""};
  if (!error.empty()) {
    // Said of a client the server does not know (any more), too.
    const bool again = error.find("invalid publish request") != error.npos;
    answer.kind = again ? PubAnswer::Kind::kRetry : PubAnswer::Kind::kRefused;
    answer.text = error;
  }
  inbox_->Complete(std::move(answer));
}

void Bus::MarkLost(const std::string& why) {
  MutexLock lock(&mutex_);
  up_ = false;
  if (lost_why_.empty()) lost_why_ = why;
  awake_ = true;
}

void Bus::SendAll() {
  for (;;) {
    std::deque<Outgoing> batch;
    {
      MutexLock lock(&mutex_);
      sending_ = false;
      const auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return flush_ || stopping_;
      };
      mutex_.Await(ready);
      if (!flush_) return;
      batch.swap(outgoing_);
      flush_ = false;
      sending_ = true;
    }
    bool acked = false;
    for (const Outgoing& out : batch) {
      if (stopping_) return;  // what is left was given up
      Send(out);
      acked = acked || out.channel.empty();
    }
    if (!acked) continue;
    MutexLock lock(&mutex_);
    awake_ = true;  // a rule may have caught up now
  }
}

void Bus::Send(const Outgoing& out) {
  if (out.channel.empty()) {
    if (out.ack.life != life_) return;
    link_.Ack(out.ack.reader, out.ack.seq);
    MutexLock lock(&mutex_);
    readers_[out.ack.reader].progress.Acked(out.ack.seq);
    return;
  }
  std::string error;
  switch (link_.Publish(out.attempt, out.channel, out.body, &error)) {
    case StanLink::Sent::kOk: return;
    case StanLink::Sent::kTooLarge:
      if (TakeFromFlight(out.attempt))
        inbox_->Complete(PubAnswer{out.attempt, PubAnswer::Kind::kNever, 0,
                                   "larger than max_payload of the NATS server"});
      return;
    case StanLink::Sent::kError:
      LogGathered(Level::kWarn, "nats.c could not take a message", "", error,
                  {{"channel", out.channel}});
      if (TakeFromFlight(out.attempt))
        inbox_->Complete(PubAnswer{out.attempt, PubAnswer::Kind::kRefused, 0,
                                   "nats.c could not take it: " + error});
      return;
    case StanLink::Sent::kDown:
      // Answered when the link is taken down.
      MarkLost("a message could not be sent");
      return;
  }
}

void Bus::Run() {
  int64_t back_off_ms = Connection::kBackOffFirstMs;
  // Not made anew once it is to stop: nothing would go over it.
  while (!stopping_ && reading_) {
    const int64_t since_ms = MonotonicMs();
    if (const absl::Status status = Connect(); status.ok()) {
      Serve();
      if (MonotonicMs() - since_ms >= Connection::kProvenMs)
        back_off_ms = Connection::kBackOffFirstMs;
    } else {
      Complain(Message(status));
    }
    TakeDown();
    Wait(back_off_ms);
    back_off_ms = std::min(back_off_ms * 2, Connection::kBackOffMaxMs);
  }
  MutexLock lock(&mutex_);
  ended_ = true;
}

void Bus::Wait(int64_t ms) {
  const int64_t until_ms = MonotonicMs() + ms;
  while (!stopping_ && reading_ && MonotonicMs() < until_ms)
    std::this_thread::sleep_for(
        std::chrono::milliseconds(std::min<int64_t>(50, until_ms - MonotonicMs() + 1)));
}

void Bus::Complain(const std::string& why) {
  {
    MutexLock lock(&mutex_);
    trouble_ = why;
  }
  if (!why.empty()) LogGathered(Level::kWarn, "no NATS Streaming, trying on", "", why);
}

absl::Status Bus::Connect() {
  {
    MutexLock lock(&mutex_);
    lost_why_.clear();
  }
  ++life_;
  RETURN_IF_ERROR(link_.Connect());
  subscribed_ = false;
  {
    MutexLock lock(&mutex_);
    PostAway();
    look_wanted_ = true;
    quick_ = false;
    up_ = lost_why_.empty();
  }
  inbox_->Complete(TargetKnown{""});
  RETURN_IF_ERROR(MaintainReading());
  RETURN_IF_ERROR(MaintainLooks());
  ++connects_;
  Complain("");
  Log(Level::kInfo, "connected to NATS Streaming",
      {{"cluster", options_.cluster}, {"client", options_.client}});
  return absl::OkStatus();
}

void Bus::Serve() {
  while (!stopping_) {
    {
      MutexLock lock(&mutex_);
      if (!lost_why_.empty()) break;
    }
    absl::Status status = MaintainReading();
    if (status.ok()) status = MaintainLooks();
    if (!status.ok()) {
      MarkLost(Message(status));
      break;
    }
    PostCaughtUp();
    MutexLock lock(&mutex_);
    const auto awake = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return awake_ || stopping_;
    };
    (void)mutex_.AwaitFor(kIdleMs, awake);
    awake_ = false;
  }
  if (stopping_) return;
  MutexLock lock(&mutex_);
  trouble_ = "the connection to NATS Streaming is lost: " + lost_why_;
  Log(Level::kWarn, "connection to NATS Streaming lost", {{"why", lost_why_}});
}

// Subscribes while the intake is open.
absl::Status Bus::MaintainReading() {
  if (subscribed_ == intake_) return absl::OkStatus();
  subscribed_ = intake_;
  for (size_t i = 0; i < readers_.size(); ++i) {
    if (!subscribed_) {
      link_.StopReading(i);
      continue;
    }
    {
      MutexLock lock(&mutex_);
      readers_[i].progress.Begin(static_cast<size_t>(Channels()[i].max_inflight));
    }
    RETURN_IF_ERROR(link_.Read(i));
  }
  return absl::OkStatus();
}

// Begins the looks that are wanted, and ends those that were answered, or that
// nothing will answer.
absl::Status Bus::MaintainLooks() {
  bool begin = false;
  {
    MutexLock lock(&mutex_);
    begin = std::exchange(look_wanted_, false);
    if (begin) looked_ = Now();
    for (Reader& reader : readers_) {
      reader.passed_over = quick_ && reader.progress.empty();
      if (begin && !reader.passed_over) reader.progress.Look();
    }
  }
  for (size_t i = 0; i < readers_.size(); ++i) {
    Reader& reader = readers_[i];
    if (begin && !reader.passed_over) {
      RETURN_IF_ERROR(link_.Look(i));
      reader.look_since_ms = MonotonicMs();
      reader.look_open = true;
      continue;
    }
    if (!reader.look_open) continue;
    const int64_t silent_ms =
        MonotonicMs() - std::max(reader.look_since_ms, heard_ms_.load());
    {
      MutexLock lock(&mutex_);
      if (reader.progress.looking() && (receiving_ || silent_ms < kSilenceMs)) continue;
      if (reader.progress.looking()) reader.progress.LookEnded(0);
    }
    reader.look_open = false;
    link_.EndLook(i);
  }
  return absl::OkStatus();
}

void Bus::PostCaughtUp() {
  MutexLock lock(&mutex_);
  if (look_wanted_ || !up_ || !reading_ || stopping_) return;
  for (size_t i = 0; i < rules_->size(); ++i) {
    const bool caught_up =
        std::all_of(readers_.begin(), readers_.end(), [i](const Reader& reader) {
          return reader.rule != i || reader.progress.caught_up();
        });
    const auto state = caught_up ? RuleRead::State::kCaughtUp : RuleRead::State::kReading;
    if (said_[i] == RuleRead::State::kCaughtUp || said_[i] == state) continue;
    Post(static_cast<RuleIndex>(i), state, caught_up ? looked_ : Instant{});
  }
}

void Bus::TakeDown() {
  std::vector<uint64_t> lost;
  {
    MutexLock lock(&mutex_);
    up_ = false;
    PostAway();
  }
  link_.Close();
  {
    MutexLock lock(&mutex_);
    lost.assign(in_flight_.begin(), in_flight_.end());
    in_flight_.clear();
    // Acks too: of messages that come again.
    outgoing_.clear();
    flush_ = false;
    for (Reader& reader : readers_) reader.look_open = false;
  }
  std::sort(lost.begin(), lost.end());
  for (const uint64_t attempt : lost)
    inbox_->Complete(PubAnswer{attempt, PubAnswer::Kind::kLost, 0, "connection lost"});
}

void Bus::Stop(int64_t flush_ms) {
  reading_ = false;
  if (!control_.joinable()) return;
  bool silent = false;
  {
    MutexLock lock(&mutex_);
    flush_ = !outgoing_.empty();
    const auto sent = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return outgoing_.empty() && !sending_;
    };
    if (flush_ms > 0) (void)mutex_.AwaitFor(flush_ms, sent);
    stopping_ = true;
    outgoing_.clear();
    flush_ = false;
    const auto ended = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return ended_; };
    silent = !mutex_.AwaitFor(kFarewellMs, ended);
  }
  if (silent) link_.Abort();
  sender_.join();
  control_.join();  // closes the link
}

}  // namespace

absl::StatusOr<std::unique_ptr<StanBus>> MakeStan(StanOptions options,
                                                  const std::vector<Rule>* rules,
                                                  Inbox* inbox, const Clock* clock,
                                                  Egress* egress, Inbound* inbound) {
  return std::unique_ptr<StanBus>(
      std::make_unique<Bus>(std::move(options), rules, inbox, clock, egress, inbound));
}

#else

bool StanCompiledIn() { return false; }

absl::StatusOr<std::unique_ptr<StanBus>> MakeStan(StanOptions, const std::vector<Rule>*,
                                                  Inbox*, const Clock*, Egress*,
                                                  Inbound*) {
  return Refused("this expirer was built without NATS Streaming");
}

#endif  // EXPIRER_STAN

}  // namespace expirer
