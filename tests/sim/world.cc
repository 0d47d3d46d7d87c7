// Turns, and the process within them. What goes wrong around it: world_faults.cc.
#include "sim/world.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <future>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "controls/mutant.h"
#include "rocksdb/env.h"
#include "sched/rename.h"
#include "sched/share.h"
#include "sim/process.h"

namespace expirer::sim {
namespace {

constexpr int64_t kBegin = 1'800'000'000'000;  // 2027-01-15
// Turns in which all must have come to rest once faults stopped.
constexpr int kQuietTurnsMax = 20'000;
constexpr int64_t kQuietLeapMs = 60'000;
// Within which the core notices that there is space again.
constexpr int64_t kHealMs = 10'000;

// One thread a pool works off its tasks in order, so that a task of ours behind
// all others tells that those are done.
void AwaitPool(rocksdb::Env::Priority pool) {
  rocksdb::Env* const env = rocksdb::Env::Default();
  env->IncBackgroundThreadsIfNeeded(1, pool);
  std::promise<void> done;
  env->Schedule(
      [](void* promise) { static_cast<std::promise<void>*>(promise)->set_value(); },
      &done, pool);
  done.get_future().wait();
}

}  // namespace

// While it lives, the threads of compactions have something else to do.
class World::Plug {
 public:
  Plug() {
    rocksdb::Env::Default()->IncBackgroundThreadsIfNeeded(1, rocksdb::Env::Priority::LOW);
    rocksdb::Env::Default()->Schedule(
        [](void* pulled) {
          const std::unique_ptr<std::shared_future<void>> until(
              static_cast<std::shared_future<void>*>(pulled));
          until->wait();
        },
        new std::shared_future<void>(pulled_.get_future()), rocksdb::Env::Priority::LOW);
  }
  ~Plug() { pulled_.set_value(); }

 private:
  std::promise<void> pulled_;
};

World::World(const Plan& plan)
    : plan_(plan),
      draws_(plan.seed),
      clock_(kBegin),
      disk_(std::make_shared<PageFs>()),
      free_bytes_(kPlentyBytes) {
  clock_.Advance(10'000);  // no process is born with its host's monotonic clock
  no_compactions_ = std::make_unique<Plug>();
  DrawRules();
  DrawOdds();
  oracle_ = std::make_unique<Oracle>(&rules_, &options_);
  present_ = rules_.size();
  WatchDisk();
}

World::~World() = default;

bool World::Happens(uint64_t per_mille) { return draws_.Below(1'000) < per_mille; }

Instant World::Now() const { return {clock_.NowMs(), clock_.MonotonicMs()}; }

int64_t World::ServerNs() {
  server_ns_ = std::max(server_ns_ + 1'000, (kBegin + clock_.MonotonicMs()) * 1'000'000);
  return server_ns_;
}

void World::Tell(const std::string& what) {
  if (plan_.tell)
    std::printf("%8lld %lld %s\n", static_cast<long long>(clock_.MonotonicMs()),
                static_cast<long long>(clock_.NowMs()), what.c_str());
}

void World::Note(const std::string& what) {
  for (const char c : what)
    report_.digest = (report_.digest ^ static_cast<uint8_t>(c)) * 1099511628211U;
  Tell(what);
}

Report World::Run() {
  Start();
  while (!oracle_->failed() && report_.events < plan_.events) Turn();
  if (!oracle_->failed()) RunQuietly();
  report_.failure = oracle_->why();
  oracle_->Count(&report_);
  report_.io_faults = io_faults_;
  process_.reset();
  return report_;
}

void World::Turn() {
  ++report_.turns;
  Produce();
  PutStreamsBack();
  if (odds_.replace > 0 && Happens(3)) copy_ = disk_->AfterKill();
  ChangeLink();
  ChangeTargets();
  ChangeDisk();
  Admit();
  Deliver();
  AskToCancel();
  AskAboutDead();
  CarryAcks();
  AnswerAttempts();
  Read();
  Sync();
  PassTime();
  if (!died_) Step();
  if (oracle_->failed()) return;
  if (died_) {
    Crash(Happens(odds_.power));
  } else if (Happens(odds_.outage)) {
    SufferOutage();
  } else if (Happens(odds_.crash)) {
    if (Happens(200))
      Restart();
    else
      Crash(Happens(odds_.power));
  }
}

// ---- The process.

// What is read by the oracle, and how a store is closed, is no business of the
// faults: they strike only while the core works.
void World::Arm(bool armed) {
  {
    std::lock_guard lock(armed_mutex_);
    armed_ = armed;
    // Opening a store waits for threads of its own.
    others_wait_ = armed && process_ != nullptr;
  }
  if (!armed) others_may_.notify_all();
}

// Whether a flush that began meanwhile ends before a read or after it would be
// left to chance. The limit is for a write that itself waits for a flush.
void World::AwaitTurn() {
  std::unique_lock lock(armed_mutex_);
  others_may_.wait_for(lock, std::chrono::seconds(10), [this] { return !others_wait_; });
}

// What ends may bring more: flushes of other families, compactions, and those
// deletions of files. Never a flush beside a compaction: they take file numbers.
void World::AwaitBackground() {
  using Priority = rocksdb::Env::Priority;
  const auto done = [this] { return others_accesses_ + disk_->names_changed(); };
  for (int idle = 0; idle < 2;) {
    const uint64_t before = done();
    AwaitPool(Priority::HIGH);
    if (before == done()) {
      no_compactions_.reset();
      AwaitPool(Priority::LOW);
      no_compactions_ = std::make_unique<Plug>();
    }
    idle = before == done() ? idle + 1 : 0;
  }
}

template <typename Work>
auto World::Armed(Work work) {
  Arm(true);
  auto result = work();
  Arm(false);
  if (disk_->names_changed() != names_changed_) AwaitBackground();
  names_changed_ = disk_->names_changed();
  return result;
}

void World::Start() {
  // A fault may strike once while it starts; then it is started again.
  while (!oracle_->failed() && !TryStart()) disk_ = disk_->AfterKill();
}

bool World::TryStart() {
  WatchDisk();
  names_changed_ = 0;
  const uint64_t faults = io_faults_;
  StoreOptions options;
  options.path = "/store";
  options.file_system = disk_;
  // Logs change hands by their bytes, which are the same in every run, and not by
  // the memory of skip lists, whose heights are not.
  options.memtable_bytes = 8 << 20;
  options.wal_bytes_max = 64 << 10;
  options.cache_bytes = 0;  // so that reads reach the disk, and the same ones always
  options.clock = &clock_;
  auto store = Armed([&] { return Store::Open(options); });
  if (absl::IsResourceExhausted(store.status())) {
    Tell("waits for room: " + Message(store.status()));
    free_bytes_ = kPlentyBytes;
    return false;
  }
  if (!store.ok()) {
    Tell("the store does not open: " + Message(store.status()));
    if (io_faults_ == faults)
      oracle_->Fail("P1: the store does not open: " + Message(store.status()));
    return false;
  }
  // Rules that have another name now.
  const absl::Status taken_over =
      Armed([&] { return TakeOverRenamed(rules_, store->get()); });
  if (!taken_over.ok()) {
    Tell("a rename failed: " + Message(taken_over));
    if (io_faults_ == faults) oracle_->Fail("a rename failed: " + Message(taken_over));
    return false;
  }
  process_ = std::make_unique<Process>(options_, Configured(), *std::move(store));
  process_->faults_before = faults;
  oracle_->Started(*process_->store, Now(), options_.dead == SchedulerOptions().dead);
  const absl::Status loaded = Armed([&] { return process_->scheduler.Load(Now()); });
  if (!loaded.ok()) {
    Tell("the jobs cannot be loaded: " + Message(loaded));
    if (io_faults_ == faults)
      oracle_->Fail("P1: the jobs cannot be loaded: " + Message(loaded));
    process_.reset();
    return false;
  }
  oracle_->NoteForgotten(*process_->store, /*applied=*/true);
  // The first reads of all jobs are few, and the ones to fail.
  if (Happens(20 * odds_.io)) io_countdown_ = draws_.Between(1, 6);
  died_ = false;
  ingress_up_ = false;
  egress_up_ = false;
  log_written_ = false;
  pulse_ = {};
  process_->gaps = GapWatch(Now());
  process_->wake_ms = clock_.NowMs();
  readings_.assign(rules_.size(), {});
  gave_up_ = 0;
  target_ready_.assign(oracle_->queues().size(), true);
  process_->bus.SetConnected(false);
  process_->bus.OnPublish([this](const MemoryBus::Published& message) {
    Note("sent " + message.MsgId() + " " + message.body);
    if (Rebuilding()) oracle_->Fail("P3: sent before all streams were read anew");
    oracle_->Sent(message, Now());
    wires_.push_back({message});
  });
  if (free_bytes_ != kPlentyBytes) process_->inbox.Complete(DiskSpace{free_bytes_});
  return true;
}

// The process ends without a word; with the power, the disk keeps of what was
// not synced what it likes.
void World::Crash(bool power) {
  ++report_.crashes;
  Note(power ? "power lost" : "killed");
  LoseWires();
  auto after =
      power ? disk_->AfterPowerLoss(draws_.Below(UINT64_MAX)) : disk_->AfterKill();
  process_.reset();
  disk_ = std::move(after);
  ReplaceStore();
  BeAway();
  Start();
}

void World::Restart() {
  Note("restarted");
  LoseWires();
  process_.reset();
  BeAway();
  Start();
}

// The volume is lost, or put back as it was some time ago; the service is started with
// --adopt=rebuild.
void World::ReplaceStore() {
  if (present_ < rules_.size() || shortened_ || !Happens(odds_.replace)) return;
  const bool lost = copy_ == nullptr || draws_.Chance(50);
  Note(lost ? "the volume is lost" : "the volume is an older copy");
  entries_stored_ = false;
  disk_ = lost ? std::make_shared<PageFs>() : copy_->AfterKill();
  disk_->SetFreeBytes(free_bytes_);
  foreign_.assign(rules_.size(), true);
  read_anew_.assign(rules_.size(), false);
  oracle_->StoreReplaced();
}

bool World::Rebuilding() const {
  return std::find(read_anew_.begin(), read_anew_.begin() + present_, false) !=
         read_anew_.begin() + present_;
}

void World::BeAway() {
  Configure();
  clock_.Advance(draws_.Between(10, draws_.Chance(20) ? 60'000 : 3'000));
}

std::vector<Rule> World::Configured() const {
  std::vector<Rule> rules(rules_.begin(), rules_.begin() + present_);
  if (shortened_) rules[*shortened_].publish.pop_back();
  return rules;
}

QueueIndex World::LastEntryOf(RuleIndex rule) const {
  const Queues::Range entries = oracle_->queues().Entries(rule);
  return static_cast<QueueIndex>(entries.first + entries.count - 1);
}

void World::TellOracleWhatIsAbsent() {
  std::optional<RuleIndex> rule;
  if (present_ < rules_.size()) rule = static_cast<RuleIndex>(present_);
  std::optional<QueueIndex> entry;
  if (shortened_) entry = LastEntryOf(*shortened_);
  oracle_->Without(rule, entry, options_.orphans);
}

// Between two processes: a rule gets another name; the last one goes or is back, or
// the last publish entry of one.
void World::Configure() {
  const bool whole = present_ == rules_.size() && !shortened_ && !Rebuilding();
  if ((present_ < rules_.size() || shortened_) && (quiet_ || draws_.Chance(50))) {
    present_ = rules_.size();
    shortened_.reset();
    options_.orphans = Orphans::kRefuse;
    TellOracleWhatIsAbsent();
    Note("the configuration is whole again");
  }
  if (quiet_ || !Happens(odds_.configure)) return;
  const auto some = static_cast<RuleIndex>(draws_.Below(present_));
  if (rules_[some].publish.size() > 1 && whole && entries_stored_ && draws_.Chance(50)) {
    shortened_ = some;
    options_.orphans = draws_.Chance(50) ? Orphans::kHold : Orphans::kFire;
    TellOracleWhatIsAbsent();
    Note(rules_[some].name + " has lost its last entry");
  } else if (draws_.Chance(50)) {
    if (free_bytes_ != kPlentyBytes) return;  // it takes some
    Rule& rule = rules_[some];
    rule.was = std::exchange(rule.name, rule.name + "n");
    copy_.reset();  // it knows the name before
    oracle_->Renamed();
    Note(rule.was + " is " + rule.name + " now");
  } else if (present_ > 1 && whole) {
    --present_;
    options_.orphans = draws_.Chance(50) ? Orphans::kHold : Orphans::kFire;
    TellOracleWhatIsAbsent();
    Note("the last rule is gone");
  }
}

// One turn of the core, as app/core_loop.cc takes it.
void World::Step() {
  Process& process = *process_;
  NoticeGap();
  TakeIn();
  const bool pushed_back = Happens(odds_.push_back);
  process.bus.RefuseNextPublishes(pushed_back ? 1 + draws_.Below(3) : 0);
  oracle_->BeginStep();
  // The Step that hears of it may send already.
  for (size_t i = 0; i < rules_.size(); ++i) {
    readings_[i].told = readings_[i].caught_up();
    if (MayGiveUp(readings_[i]) || readings_[i].told)
      oracle_->InStep(static_cast<RuleIndex>(i));
  }
  const auto wake = Armed([&] {
    return process.scheduler.Step(Now(), &process.completions, &process.requests);
  });
  process.bus.RefuseNextPublishes(0);
  const bool roomy =
      free_bytes_ == kPlentyBytes && clock_.MonotonicMs() > full_until_mono_ms_;
  oracle_->Stepped(*process.store, Now(), roomy,
                   roomy && wake.ok() && process.requests.empty());
  if (wake.ok()) process.wake_ms = *wake;
  TakeOut();
  CheckGaveUp();
  if (!wake.ok()) {
    Tell("the store failed: " + Message(wake.status()));
    died_ = true;
    if (io_faults_ == process.faults_before)
      oracle_->Fail("the store failed: " + Message(wake.status()));
    return;
  }
  if (process.scheduler.in_flight() > options_.in_flight)
    oracle_->Fail("P5: more in flight than limits.inflight");
  if (process.scheduler.Snapshot(clock_.NowMs()).miscounts > 0)
    oracle_->Fail("P5: a count of jobs does not agree with what happened");
  CheckUnsynced();
  if (process.completions.empty() && std::exchange(process.owes_note, false))
    process.sends_after = process.committer.wanted();
  if (!pushed_back) CheckAtRest();
}

void World::TakeIn() {
  Process& process = *process_;
  // Events stay in the vectors while the store has no space.
  const size_t room = process.requests.empty() ? options_.batch : 0;
  const size_t held = process.requests.size();
  for (const Request& request : process.requests) oracle_->Waits(request, Now());
  process.inbox.Drain(room, &process.completions, &process.requests);
  for (size_t i = held; i < process.requests.size(); ++i)
    oracle_->Handed(process.requests[i], Now(), *process.store);
  for (const Completion& completion : process.completions) {
    if (std::holds_alternative<RebuildAsked>(completion)) oracle_->RebuildBegins(Now());
    const auto* read = std::get_if<RuleRead>(&completion);
    if (read == nullptr || read->state != RuleRead::State::kCaughtUp) continue;
    readings_[read->rule].heard_at_ms = read->at.mono_ms;
  }
  report_.events += process.completions.size() + process.requests.size() - held;
}

void World::TakeOut() {
  MemoryBus& bus = process_->bus;
  const auto carry = [this](const std::string& reply) {
    unsigned long long number = 0;
    unsigned long long rule = 0;
    unsigned long long life = 0;
    unsigned long long seq = 0;
    CHECK(std::sscanf(reply.c_str(), "%llu %llu %llu %llu", &number, &rule, &life,
                      &seq) == 4);
    if (ingress_up_) acks_.push_back({static_cast<RuleIndex>(rule), life, seq});
  };
  for (const std::string& reply : bus.acked()) {
    Note("acked " + reply);
    oracle_->Acked(reply, *process_->store);
    carry(reply);
  }
  for (const MemoryBus::Termed& termed : bus.termed()) {
    Note("termed " + termed.reply);
    oracle_->Termed(termed.reply, *process_->store,
                    process_->scheduler.Snapshot(clock_.NowMs()).dropped);
    carry(termed.reply);
  }
  for (const MemoryBus::Replied& reply : bus.replied()) {
    Note("replied " + reply.to + " " + reply.body);
    oracle_->Replied(reply, *process_->store);
    process_->dead_asked.erase(reply.to);
  }
  bus.ClearRecords();
  process_->rebuild_begun = process_->rebuild_begun || bus.rebuilds() > 0;
  if (bus.looks_again() == process_->looks) return;
  process_->looks = bus.looks_again();
  LookAgain();
}

// I8: what was written is asked to be synced in time, unless there is no space.
void World::CheckUnsynced() {
  Process& process = *process_;
  const int64_t now_ms = clock_.MonotonicMs();
  if (free_bytes_ != kPlentyBytes) full_until_mono_ms_ = now_ms + kHealMs;
  if (std::exchange(log_written_, false) && process.unsynced_since_ms == 0)
    process.unsynced_since_ms = now_ms;
  if (std::exchange(process.wanted, process.committer.wanted()) !=
      process.committer.wanted())
    process.unsynced_since_ms = 0;
  if (process.unsynced_since_ms == 0) return;
  if (now_ms <= full_until_mono_ms_) process.unsynced_since_ms = now_ms;
  if (now_ms - process.unsynced_since_ms >= options_.unsynced_ms)
    oracle_->Fail("I8: a write waits for its sync longer than limits.unsynced");
}

// Whatever is due and free to go was sent by the Step just taken.
void World::CheckAtRest() {
  Process& process = *process_;
  const bool rests = process.scheduler.next_work_ms() > clock_.NowMs() &&
                     process.inbox.empty() && process.completions.empty() &&
                     process.requests.empty() && process.untold == 0 &&
                     !process.owes_note && process.synced >= process.sends_after;
  const bool roomy = process.scheduler.in_flight() < options_.in_flight &&
                     clock_.MonotonicMs() > full_until_mono_ms_;
  if (!rests || !roomy || !ingress_up_ || !egress_up_ ||
      process.scheduler.Snapshot(clock_.NowMs()).rebuilding)
    return;
  std::vector<size_t> own(rules_.size() + 1);  // attempts out, by rule
  for (const auto& [number, message] : process.bus.in_flight())
    ++own[oracle_->queues()[*oracle_->QueueOf(message)].rule];
  std::optional<QueueIndex> absent_entry;
  if (shortened_) absent_entry = LastEntryOf(*shortened_);
  const auto ready = [&](QueueIndex queue) {
    const Queue& of = oracle_->queues()[queue];
    return of.rule < present_ && queue != absent_entry &&
           readings_[of.rule].caught_up() &&
           ((present_ == 1 && options_.orphans != Orphans::kFire) ||
            MayTake(own[of.rule], process.scheduler.in_flight(), options_.in_flight)) &&
           oracle_->RateAllows(of.rule, clock_.MonotonicMs()) &&
           (of.via == Transport::kCore || target_ready_[queue]);
  };
  oracle_->AtRest(*process.store, Now(), ready, process.bus.in_flight());
}

// Makes durable what the core asked for, and tells it, at once or later.
void World::Sync() {
  Process& process = *process_;
  if (process.untold != 0)
    process.inbox.Complete(Synced{std::exchange(process.untold, 0)});
  const uint64_t ticket = process.committer.wanted();
  if (ticket == process.synced || Happens(odds_.slow_sync)) return;
  if (!Mutant("sync_off")) {
    const absl::Status synced = Armed([&] { return process.store->Sync(); });
    if (!synced.ok()) {
      Tell("a sync failed");
      died_ = true;  // I7
      if (io_faults_ == process.faults_before) oracle_->Fail("a sync failed");
      return;
    }
  }
  process.synced = ticket;
  entries_stored_ = entries_stored_ || !shortened_;
  oracle_->Synced(*process.store);
  if (Happens(odds_.slow_sync))
    process.untold = ticket;
  else
    process.inbox.Complete(Synced{ticket});
}

// The process runs while time passes, or it does not.
void World::PassTime() {
  if (Happens(odds_.stand_still))
    StandStill(draws_.Between(kStandstillMs, 40'000), false);
  else if (Happens(odds_.freeze))
    Freeze();
  else
    Live(draws_.Between(0, draws_.Chance(60) ? 5 : draws_.Chance(80) ? 200 : 1'500));
  if (died_ || oracle_->failed() || !Happens(odds_.clock_step)) return;
  // Never farther off than two hours, and mostly by little.
  const int64_t far_ms = draws_.Chance(70) ? 5'000 : 7'200'000;
  const int64_t true_ms = kBegin + clock_.MonotonicMs();
  clock_.Step(true_ms + draws_.Between(-far_ms, far_ms));
  oracle_->ClockStepped();
  Note(fmt::format("clock steps to {} ms off", clock_.NowMs() - true_ms));
}

// ---- After the faults.

bool World::AllRead() const {
  for (size_t i = 0; i < consumers_.size(); ++i)
    if (!consumers_[i].ReadUpTo(std::numeric_limits<uint64_t>::max())) return false;
  return true;
}

// Liveness: everything is read and fires.
void World::RunQuietly() {
  odds_ = Odds();
  odds_.again = 300;
  quiet_ = true;
  io_countdown_ = 0;
  SetFree(kPlentyBytes);
  max_payload_ = SIZE_MAX;
  Crash(draws_.Chance(50));
  if (oracle_->failed()) return;
  SetLink(true);
  for (int turn = 0; turn < kQuietTurnsMax && !oracle_->failed(); ++turn) {
    Process& process = *process_;
    Admit();
    Deliver();
    CarryAcks();
    AnswerAttempts();
    Read();
    Sync();
    Step();
    if (!process.inbox.empty() || process.committer.wanted() != process.synced) continue;
    const bool rests = AllRead() && wires_.empty() && process.scheduler.Drained();
    if (rests && process.scheduler.pending() == 0) {
      oracle_->Ended(*process.store);
      return;
    }
    const int64_t next_ms = process.scheduler.next_work_ms();
    if (next_ms > clock_.NowMs())
      Pass(std::min(next_ms - clock_.NowMs(), AllRead() ? kQuietLeapMs : 1));
  }
  oracle_->Fail(fmt::format("liveness: {} jobs are pending, {} in flight, streams {}read",
                            process_->scheduler.pending(),
                            process_->scheduler.in_flight(), AllRead() ? "" : "not "));
}

}  // namespace expirer::sim
