// What producers do and what goes wrong: streams, link, targets, disk.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "sim/process.h"
#include "support/commands.h"

namespace expirer::sim {
namespace {

constexpr size_t kUnackedMax = 32;  // max_ack_pending
constexpr uint64_t kLittleBytes = 100 << 20;
constexpr uint64_t kNoBytes = 10 << 20;
constexpr uint64_t kKeys = 24;
constexpr size_t kSmallPayload = 100;

// One in four is larger than a small max_payload.
std::string BodyOf(const Event& event) {
  const uint64_t number = ContentOf(event);
  return fmt::format(R"({{"n":{},"pad":"{}"}})", number,
                     std::string(number % 4 == 0 ? kSmallPayload : 0, 'x'));
}

}  // namespace

void World::DrawRules() {
  const uint64_t count = 1 + draws_.Below(3);
  const uint64_t streams = 1 + draws_.Below(count);
  for (uint64_t i = 0; i < streams; ++i) streams_.emplace_back(fmt::format("S{}", i));
  for (uint64_t i = 0; i < count; ++i) {
    Rule& rule = rules_.emplace_back();
    rule.name = fmt::format("r{}", i);
    rule.reopen = draws_.Chance(75);
    rule.retry = {draws_.Between(200, 2'000), 10'000, draws_.Chance(40) ? 3U : 0U};
    rule.rate = draws_.Chance(20) ? draws_.Between(2, 40) : 0;
    if (draws_.Chance(30)) {
      rule.publish.resize(2);
      rule.publish[0].name = "a";
      rule.publish[1].name = "b";
    }
    for (Publish& publish : rule.publish)
      publish.via = draws_.Chance(15) ? Transport::kCore : Transport::kJetStream;
    if (draws_.Chance(25))
      rule.publish.back().late = {draws_.Between(0, 10'000), draws_.Chance(60)
                                                                 ? LateAction::kSkip
                                                                 : LateAction::kDead};
    if (draws_.Chance(30)) {
      rule.cancel.resize(1);
      rule.cancel[0].late.emplace().name = kLateQueue;
    }
    if (draws_.Chance(15)) rule.source = Transport::kCore;
    versioned_.push_back(draws_.Chance(25));
    consumers_.emplace_back(static_cast<RuleIndex>(i), &streams_[i % streams]);
  }
  foreign_.assign(count, false);
  read_anew_.assign(count, true);
  options_.fire_overdue = draws_.Chance(40);
  // The oracle tells what is forgotten by whole keys.
  const bool single = std::all_of(rules_.begin(), rules_.end(), [](const Rule& rule) {
    return rule.publish.size() == 1 && rule.cancel.empty();
  });
  if (single && draws_.Chance(50)) options_.history_keys = 4 + draws_.Below(40);
  options_.settle_ms = draws_.Chance(50) ? draws_.Between(500, 5'000) : 30'000;
  options_.in_flight = 1 + draws_.Below(32);
  options_.batch = 2 + draws_.Below(30);
  options_.wait_for_admission = true;
  if (draws_.Chance(40)) options_.window = 2 + draws_.Below(20);
  if (draws_.Chance(30)) {
    options_.dead = 1 + draws_.Below(12);
    options_.dead_bytes = draws_.Chance(50) ? 2'000 : options_.dead_bytes;
  }
}

void World::DrawOdds() {
  const auto one = [this](uint64_t most) {
    return draws_.Chance(50) ? draws_.Below(most + 1) : 0;
  };
  odds_.crash = one(15);
  if (plan_.often) odds_.crash = 20 + draws_.Below(81);
  odds_.power = 700;
  odds_.link = one(20);
  odds_.look = one(50);
  odds_.ack_lost = one(300);
  odds_.doubled = one(300);
  odds_.again = 20 + one(500);
  odds_.refused = one(300);
  odds_.vanished = one(200);
  odds_.slow_sync = one(800);
  odds_.push_back = one(100);
  odds_.stand_still = one(10);
  odds_.freeze = one(60);
  odds_.clock_step = one(15);
  // Of core NATS and the API what counts is the arrival, which the oracle tells by time.
  if (std::any_of(rules_.begin(), rules_.end(),
                  [](const Rule& rule) { return rule.source == Transport::kCore; }))
    odds_.clock_step = 0;
  odds_.put_back = one(6);
  odds_.io = one(8);
  odds_.full = one(8);
  odds_.ask = one(100);
  odds_.ask_dead = one(100);
  odds_.outage = one(20);
  odds_.configure = one(300);
  odds_.payload = one(10);
  odds_.replace = one(plan_.often ? 50 : 400);
}

// ---- Producers, and the streams between them and us.

void World::Produce() {
  for (uint64_t count = draws_.Below(3); count > 0; --count) {
    Event event;
    event.rule = static_cast<RuleIndex>(draws_.Below(rules_.size()));
    event.key = fmt::format("k{}", draws_.Below(kKeys));
    const uint64_t kind = draws_.Below(100);
    event.kind = kind < 65   ? Event::Kind::kSchedule
                 : kind < 95 ? Event::Kind::kCancel
                             : Event::Kind::kReject;
    const auto& known = oracle_->EventsOf(event.rule, event.key);
    event.due_ms = DrawDue();
    if (!known.empty() && draws_.Chance(20)) {
      event.due_ms = known.back()->due_ms;
      if (draws_.Chance(50)) event.same_as = ContentOf(*known.back());
    }
    if (versioned_[event.rule])
      event.version = static_cast<int64_t>(known.size()) + draws_.Between(-2, 1);
    event.time_ns = ServerNs();
    event.published_ms = clock_.NowMs();
    Event* const published = oracle_->Published(std::move(event));
    if (rules_[published->rule].source == Transport::kCore) {
      published->stream = &kCoreStream;
      published->in_stream =
          process_->admitted && ingress_up_ && published->rule < present_;
      if (published->in_stream) core_.push_back(published);
      continue;
    }
    StreamOf(published->rule).Append(published);
  }
}

// Mostly soon, sometimes past; some together.
int64_t World::DrawDue() {
  const int64_t now_ms = ServerNs() / 1'000'000;
  const int64_t least_ms = draws_.Chance(10) ? -10'000 : 0;
  const int64_t most_ms = draws_.Chance(30) ? 200 : draws_.Chance(70) ? 5'000 : 60'000;
  const int64_t due_ms = now_ms + draws_.Between(least_ms, most_ms);
  return draws_.Chance(30) ? due_ms / 500 * 500 : due_ms;
}

// In order, and once or never.
void World::DeliverCore() {
  for (; !core_.empty(); core_.pop_front()) {
    Event* const event = core_.front();
    event->in_stream = process_->bus.intake() && Push(event);
  }
}

void World::LoseCore() {
  for (Event* event : core_) event->in_stream = false;
  core_.clear();
}

void World::Deliver() {
  if (!ingress_up_ || deaf_ || !process_->admitted) return;
  DeliverCore();
  if (!process_->bus.intake()) return;
  for (uint64_t count = draws_.Below(6); count > 0; --count) {
    Consumer& consumer = consumers_[draws_.Below(present_)];
    if (process_->inbox.requests() + 2 > process_->inbox.capacity()) return;
    Event* event = nullptr;
    if (Happens(odds_.again))
      event = consumer.Again(&draws_);
    else if (consumer.unacked() < kUnackedMax)
      event = consumer.Next();
    if (event == nullptr) continue;
    (void)Push(event);
    if (Happens(odds_.doubled)) (void)Push(event);
  }
}

bool World::Push(Event* event) {
  const Stream& stream = StreamOf(event->rule);
  const bool core = rules_[event->rule].source == Transport::kCore;
  MessageRequest message;
  message.rule = event->rule;
  message.stream = core ? &kCoreStream : &stream.name();
  message.stream_seq = event->seq;
  message.time_ns = event->time_ns;
  message.received_ms = clock_.NowMs();
  if (!core)
    message.reply =
        fmt::format("{} {} {} {}", event->number, event->rule, stream.life(), event->seq);
  switch (event->kind) {
    case Event::Kind::kSchedule: message.intent = IntentOf(*event); break;
    case Event::Kind::kCancel:
      message.intent = CancelOf(*event);
      message.raw = std::make_unique<RawMessage>();  // its late message may be in trouble
      break;
    case Event::Kind::kReject:
      message.intent = RejectIntent{"not what it should be"};
      message.raw = std::make_unique<RawMessage>();
      break;
  }
  if (plan_.tell)
    Tell(fmt::format("hand over {} of kind {} key {}, due {}", message.reply,
                     static_cast<int>(event->kind), event->key, event->due_ms));
  if (!process_->inbox.Reserve(1)) return false;
  process_->inbox.Push(std::move(message));
  return true;
}

CancelIntent World::CancelOf(const Event& event) const {
  CancelIntent intent{event.key, event.version};
  if (rules_[event.rule].cancel.empty()) return intent;
  intent.late = std::make_unique<LateCancel>();
  if (LateInTrouble(event)) intent.late->trouble = "it cannot be made";
  Job& job = intent.late->job;
  job.key = event.key;
  job.target = TargetOf(oracle_->queues().LateCancels(event.rule));
  job.body = fmt::format(R"({{"n":{}}})", event.number);
  return intent;
}

ScheduleIntent World::IntentOf(const Event& event) const {
  const Queues& queues = oracle_->queues();
  const Queues::Range entries = queues.Entries(event.rule);
  const size_t count = entries.count - (event.rule == shortened_ ? 1 : 0);
  ScheduleIntent intent;
  for (size_t i = 0; i < count; ++i) {
    Job job;
    job.key = event.key;
    job.due_ms = DueOf(event, i);
    job.target = TargetOf(entries.first + i);
    job.body = BodyOf(event);
    job.source.version = event.version;
    if (i == 0)
      intent.job = std::move(job);
    else
      intent.more.push_back(std::move(job));
  }
  return intent;
}

void World::CarryAcks() {
  for (size_t i = 0; i < acks_.size();) {
    if (!quiet_ && draws_.Chance(40)) {
      ++i;  // still on its way
      continue;
    }
    const Ack ack = std::exchange(acks_[i], acks_.back());
    acks_.pop_back();
    if (!Happens(odds_.ack_lost)) consumers_[ack.rule].Ack(ack.life, ack.seq);
  }
}

// Restored from a backup, or deleted and created again; its consumers with it.
void World::PutStreamsBack() {
  if (!Happens(odds_.put_back)) return;
  Stream& stream = streams_[draws_.Below(streams_.size())];
  const uint64_t last =
      draws_.Chance(50)
          ? 0
          : stream.last() - draws_.Below(std::min<uint64_t>(stream.last() + 1, 20));
  Note(fmt::format("stream {} put back to {}", stream.name(), last));
  stream.PutBack(last);
  for (size_t i = 0; i < consumers_.size(); ++i)
    if (&StreamOf(static_cast<RuleIndex>(i)) == &stream)
      consumers_[i].PutBack(last - draws_.Below(std::min<uint64_t>(last + 1, 10)));
  if (ingress_up_) Away();
}

void World::AskToCancel() {
  if (!Happens(odds_.ask) || !ingress_up_) return;
  const auto rule = static_cast<RuleIndex>(draws_.Below(rules_.size()));
  const Queues::Range entries = oracle_->queues().Entries(rule);
  const size_t queue = entries.first + draws_.Below(entries.count);
  Ask({oracle_->queues()[queue].name, fmt::format("k{}", draws_.Below(kKeys))});
}

void World::Ask(JobRef job) {
  if (!process_->admitted || !process_->inbox.TakePlace()) return;
  Caller caller{fmt::format("ask {}", ++asked_)};
  Tell(fmt::format("{}: cancel {}/{}", caller.reply, job.rule, job.key));
  process_->inbox.Ask(MakeJobCommand("cancel", job.rule, job.key, std::move(caller)));
}

// Requeue or purge of some entries in a row. Rules may take by then what they rejected.
void World::AskAboutDead() {
  if (!Happens(odds_.ask_dead) || !ingress_up_ || !process_->admitted) return;
  std::set<std::string> asked;
  for (const auto& [reply, keys] : process_->dead_asked)
    asked.insert(keys.begin(), keys.end());
  std::vector<std::pair<std::string, Dead>> entries;
  const auto visited =
      process_->store->VisitDead("", [&](std::string_view key, std::string_view value) {
        auto dead = DecodeDead(value);
        if (dead.ok() && !asked.contains(std::string(key)))
          entries.emplace_back(key, *std::move(dead));
        return dead.status();
      });
  if (!visited.ok() || entries.empty() || !process_->inbox.TakePlace()) return;
  DeadCommand request;
  request.caller.reply = fmt::format("ask {}", ++asked_);
  request.purge = draws_.Chance(40);
  request.query.stale = draws_.Chance(50);
  const size_t first = draws_.Below(entries.size());
  const size_t end = std::min<size_t>(entries.size(), first + 1 + draws_.Below(4));
  request.query.one = end - first == 1 && draws_.Chance(50);
  for (size_t i = first; i < end; ++i) {
    DeadCommand::Entry& entry = request.entries.emplace_back();
    entry.key = entries[i].first;
    entry.source = entries[i].second.source;
    process_->dead_asked[request.caller.reply].insert(entry.key);
    if (SplitDeadKey(entry.key)->job) continue;
    const Event* const event = oracle_->ByTime(entry.source.time_ns);
    if (event->kind == Event::Kind::kReject && draws_.Chance(50))
      entry.intent = IntentOf(*event);
    else
      entry.intent = RejectIntent{"not what it should be either"};
  }
  Tell(fmt::format("{}: {} {} dead entries", request.caller.reply,
                   request.purge ? "purge" : "requeue", end - first));
  process_->inbox.Ask(std::make_unique<DeadCommand>(std::move(request)));
}

// ---- The link, the rules' consumers, the targets.

// Both connections go, and come back one by one.
void World::ChangeLink() {
  const bool was_down = !ingress_up_ || !egress_up_;
  if (!ingress_up_ && draws_.Chance(10)) SetIngress(true);
  if (!egress_up_ && draws_.Chance(10)) SetEgress(true);
  if (was_down || !Happens(odds_.link)) return;
  const uint64_t which = draws_.Below(4);
  if (which != 1) SetIngress(false);
  if (which != 2) SetEgress(false);
}

void World::SetLink(bool up) {
  SetEgress(up);
  SetIngress(up);
}

void World::SetEgress(bool up) {
  if (std::exchange(egress_up_, up) == up) return;
  Note(up ? "egress up" : "egress down");
  process_->bus.SetConnected(up);
  process_->owes_note = process_->owes_note || up;
  if (!up) LoseWires();
  if (!up) return;
  OutOfStep();
  BeginNewWaits();
}

void World::SetIngress(bool up) {
  if (std::exchange(ingress_up_, up) == up) return;
  Note(up ? "ingress up" : "ingress down");
  pulse_.beat_mono_ms = up ? clock_.MonotonicMs() : 0;
  if (!up) {
    acks_.clear();
    LoseCore();
  }
  Admit();
  Away();
}

// As net/admission: the consumers of another store are replaced once it is durable
// that a rebuild began, anew where the store of an older copy has an open one.
void World::Admit() {
  Process& process = *process_;
  if (!ingress_up_ || process.admitted) return;
  const auto next = std::find(foreign_.begin(), foreign_.begin() + present_, true);
  if (next != foreign_.begin() + present_ && !process.rebuild_begun) {
    if (!std::exchange(process.rebuild_asked, true))
      process.inbox.Complete(RebuildAsked{});
    return;
  }
  if (next != foreign_.begin() + present_) {
    const auto rule = static_cast<RuleIndex>(next - foreign_.begin());
    Note(fmt::format("the consumer of rule {} is replaced", rule));
    consumers_[rule].Replace();
    std::erase_if(acks_, [rule](const Ack& ack) { return ack.rule == rule; });
    *next = false;
    return;
  }
  process.admitted = true;
  process.inbox.Complete(Admitted{});
}

// What was under way may have arrived.
void World::LoseWires() {
  LoseCore();
  for (const Wire& wire : std::exchange(wires_, {}))
    if (!wire.stored && draws_.Chance(50)) oracle_->Stored(wire.message);
}

// The link goes, jobs come due, the process ends amid that or soon after the link
// was back, perhaps before a sync; cancels of what was on its way come first of all.
void World::SufferOutage() {
  const auto pass = [this](bool link, int64_t turns, bool sync) {
    SetLink(link);
    for (; turns > 0 && !died_ && !oracle_->failed(); --turns) {
      AnswerAttempts();
      Read();
      if (sync) Sync();
      PassTime();
      if (!died_) Step();
    }
  };
  std::vector<std::pair<QueueIndex, std::string>> sent;  // with its key
  const auto note_sent = [&] {
    for (const Wire& wire : wires_) {
      const std::string job = wire.message.Header("Expirer-Job");
      const size_t slash = job.find('/');
      sent.emplace_back(*oracle_->queues().Find(job.substr(0, slash)),
                        job.substr(slash + 1));
    }
  };
  note_sent();
  pass(false, draws_.Between(1, 60), true);
  if (draws_.Chance(70)) pass(true, draws_.Between(1, 6), draws_.Chance(50));
  if (oracle_->failed()) return;
  note_sent();
  Crash(Happens(odds_.power));
  SetLink(true);
  for (const auto& [queue, key] : sent) Ask({oracle_->queues()[queue].name, key});
}

void World::ChangeTargets() {
  // The servers were reloaded; the connection is made anew when that is noticed.
  if (Happens(odds_.payload)) {
    max_payload_ = max_payload_ == kSmallPayload ? SIZE_MAX : kSmallPayload;
    Note(fmt::format("max_payload is {} now", max_payload_));
    if (draws_.Chance(50)) SetEgress(false);
  }
  for (size_t i = 0; i < target_ready_.size(); ++i) {
    const std::string target = TargetOf(i);
    if (!target_ready_[i] && draws_.Chance(10)) {
      target_ready_[i] = true;
      process_->bus.SetStream(target, true);
    } else if (Happens(odds_.look)) {
      target_ready_[i] = false;
      if (draws_.Chance(50))
        process_->bus.SetResolving(target);
      else
        process_->bus.SetStream(target, false);
    }
  }
}

void World::AnswerAttempts() {
  const uint64_t most = quiet_ ? 4 * wires_.size() : draws_.Below(wires_.size() + 1);
  for (uint64_t count = most; count > 0 && !wires_.empty(); --count)
    AnswerOne(draws_.Below(wires_.size()));
}

void World::AnswerOne(size_t index) {
  Wire& wire = wires_[index];
  const uint64_t attempt = wire.message.attempt;
  const auto end = [this, index] {
    wires_[index] = std::move(wires_.back());
    wires_.pop_back();
  };
  if (Happens(odds_.vanished)) return end();  // the message, or its PubAck
  if (!wire.stored && wire.message.body.size() > max_payload_) {
    process_->bus.Answer(attempt, PubAnswer::Kind::kNever, "too large");
    return end();
  }
  if (!wire.stored) {
    if (Happens(odds_.refused)) {
      using Kind = PubAnswer::Kind;
      const Kind kinds[] = {Kind::kNoStream, Kind::kRefused, Kind::kRetry, Kind::kNever};
      process_->bus.Answer(attempt, kinds[draws_.Below(draws_.Chance(10) ? 4 : 3)],
                           "refused");
      return end();
    }
    wire.stored = true;
    oracle_->Stored(wire.message);
    if (draws_.Chance(50)) return;  // its answer takes a while
  }
  process_->bus.Answer(attempt, PubAnswer::Kind::kAck);
  if (!Happens(odds_.doubled)) end();
}

// ---- The disk.

void World::WatchDisk() {
  disk_->SetFreeBytes(free_bytes_);
  const auto io = [this](const std::string& path) {
    if (std::this_thread::get_id() != thread_) {
      ++others_accesses_;
      AwaitTurn();
      return rocksdb::IOStatus::OK();
    }
    if (!armed_ || io_countdown_ <= 0 || --io_countdown_ != 0)
      return rocksdb::IOStatus::OK();
    ++io_faults_;
    return rocksdb::IOStatus::IOError("a fault of the simulation", path);
  };
  disk_->OnSync(io);
  disk_->OnRead(io);
  disk_->OnAppend([this, io](const std::string& path) {
    if (std::this_thread::get_id() == thread_ && path.ends_with(".log"))
      log_written_ = true;
    return io(path);
  });
}

void World::ChangeDisk() {
  if (Happens(odds_.io)) io_countdown_ = draws_.Between(1, draws_.Chance(50) ? 10 : 200);
  if (free_bytes_ != kPlentyBytes) {
    if (draws_.Chance(5)) SetFree(kPlentyBytes);
  } else if (Happens(odds_.full)) {
    SetFree(draws_.Chance(50) ? kLittleBytes : kNoBytes);
  }
}

void World::SetFree(uint64_t bytes) {
  if (std::exchange(free_bytes_, bytes) == bytes) return;
  Note(fmt::format("{} bytes free", bytes));
  disk_->SetFreeBytes(bytes);
  process_->inbox.Complete(DiskSpace{bytes});
}

}  // namespace expirer::sim
