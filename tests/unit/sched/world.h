// A small world around the real Scheduler and the real Store: virtual time, a
// bus in memory, a committer that syncs when told to.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "sched/audit.h"
#include "sched/rename.h"
#include "sched/scheduler.h"
#include "support/memory_bus.h"
#include "support/temp_dir.h"

namespace expirer {

inline constexpr int64_t kNow = 1'800'000'000'000;  // 2027-01-15

// The ticketing rule without its event parsing: events enter as intents.
inline Rule TestRule(const std::string& name) {
  Rule rule;
  rule.name = name;
  return rule;
}

class World {
 public:
  explicit World(std::vector<Rule> rules = {TestRule("r")}, SchedulerOptions options = {})
      : rules_(std::move(rules)), options_(options) {
    Start();
  }
  // Whatever a test did, what it leaves is of one mind.
  ~World() {
    if (store_ == nullptr || !audited_) return;
    Audit(*store_, [](const std::string& what) { ADD_FAILURE() << "audit: " << what; });
  }

  // A process begins: opens the store, connects, lets every rule catch up.
  void Start(bool catch_up = true) {
    Begin();
    inbox_->Complete(EgressChanged{true});
    if (catch_up) CatchUp();
    Run();
  }
  // A process begins, and finds no server.
  void StartApart() {
    Begin();
    bus_->SetConnected(false);
    Run();
  }
  void Begin() {
    auto store = Store::Open({.path = dir_.path() + "/store"});
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
    const absl::Status renamed = TakeOverRenamed(rules_, store_.get());
    ASSERT_TRUE(renamed.ok()) << renamed;
    committer_ = std::make_unique<ManualCommitter>();
    synced_ = 0;
    inbox_ = std::make_unique<Inbox>(10'000, [] {});
    bus_ = std::make_unique<MemoryBus>(inbox_.get(), MemoryBus::Answers::kByHand);
    scheduler_ = std::make_unique<Scheduler>(options_, rules_, store_.get(),
                                             committer_.get(), bus_.get(), bus_.get());
    const absl::Status loaded = scheduler_->Load(Now());
    ASSERT_TRUE(loaded.ok()) << loaded;
  }
  // The process ends without a word; the store is closed as a crash after the
  // last sync would leave it (unsynced writes may survive, as they may then).
  void Stop() {
    scheduler_.reset();
    bus_.reset();
    inbox_.reset();
    committer_.reset();
    store_.reset();
  }
  // What the ingress says of a rule now.
  void Read(RuleIndex rule, RuleRead::State state) {
    inbox_->Complete(RuleRead{rule, state, Now()});
  }
  void CatchUp() {
    for (RuleIndex i = 0; i < rules_.size(); ++i) Read(i, RuleRead::State::kCaughtUp);
  }
  void FallBehind() {
    for (RuleIndex i = 0; i < rules_.size(); ++i) Read(i, RuleRead::State::kAway);
  }

  // One Step at the present time.
  int64_t Step() {
    inbox_->Drain(1'000, &completions_, &requests_);
    auto wake = scheduler_->Step(Now(), &completions_, &requests_);
    EXPECT_TRUE(wake.ok()) << wake.status();
    return wake.ok() ? *wake : 0;
  }
  void Sync() { inbox_->Complete(Synced{committer_->wanted()}); }
  // Steps and syncs until nothing more happens at this moment.
  void Run() {
    for (int i = 0; i < 50; ++i) {
      const int64_t wake = Step();
      clock_.Advance(0);
      if (committer_->wanted() > synced_) {
        synced_ = committer_->wanted();
        Sync();
        continue;
      }
      if (inbox_->empty() && wake > clock_.NowMs()) return;
    }
  }
  void Advance(int64_t ms) {
    clock_.Advance(ms);
    Run();
  }
  void AdvanceTo(int64_t wall_ms) { Advance(wall_ms - clock_.NowMs()); }
  // Confirms what is in flight, as a stream would.
  void Confirm() {
    bus_->ConfirmAll();
    Run();
  }

  struct At {
    uint64_t seq;
    int64_t time_ms = kNow;
    std::string stream = "S";
    RuleIndex rule = 0;
    std::optional<int64_t> version = {};
  };
  void Schedule(const std::string& key, int64_t due_ms, const At& at,
                const std::string& body = "{}", const std::string& target = "out") {
    Job job;
    job.key = key;
    job.due_ms = due_ms;
    job.target = target;
    job.body = body;
    job.source.version = at.version;
    Push(ScheduleIntent{std::move(job)}, at);
  }
  void Cancel(const std::string& key, const At& at) {
    Push(CancelIntent{key, at.version}, at);
  }
  void Reject(const std::string& reason, const At& at) { Push(RejectIntent{reason}, at); }
  void Push(Intent intent, const At& at) {
    MessageRequest m;
    m.rule = at.rule;
    m.stream = &*names_.insert(at.stream).first;
    m.stream_seq = at.seq;
    m.time_ns = at.time_ms * 1'000'000;
    m.received_ms = clock_.NowMs();
    m.reply = "ack." + at.stream + "." + std::to_string(at.seq);
    if (std::holds_alternative<RejectIntent>(intent)) {
      m.raw = std::make_unique<RawMessage>();
      m.raw->subject = "in";
      m.raw->payload = bad_bytes_;
    }
    m.intent = std::move(intent);
    ASSERT_TRUE(inbox_->Reserve(1));
    inbox_->Push(std::move(m));
  }

  [[nodiscard]] Instant Now() const { return {clock_.NowMs(), clock_.MonotonicMs()}; }
  [[nodiscard]] std::optional<Register> Known(const std::string& key, size_t rule = 0) {
    auto found = store_->GetRegister(MakeId(rules_[rule].name, key));
    EXPECT_TRUE(found.ok()) << found.status();
    return found.ok() ? *found : std::nullopt;
  }
  [[nodiscard]] std::optional<JobState> State(const std::string& key, size_t rule = 0) {
    const auto known = Known(key, rule);
    return known ? std::optional(known->state) : std::nullopt;
  }
  // "<rule>/<key>/<due ms>" in the order in which they were handed to the socket.
  [[nodiscard]] std::vector<std::string> Fires() const {
    std::vector<std::string> fires;
    for (const auto& p : bus_->published()) {
      std::string id = p.MsgId();  // <service>/<rule>/<key>/<due ms>/<source>
      id.erase(0, id.find('/') + 1).erase(id.rfind('/'));
      fires.push_back(std::move(id));
    }
    return fires;
  }
  [[nodiscard]] Stats stats() const { return scheduler_->Snapshot(clock_.NowMs()); }
  [[nodiscard]] uint64_t LastAttempt() const { return bus_->published().back().attempt; }

  TempDir dir_;
  VirtualClock clock_{kNow};
  std::vector<Rule> rules_;
  SchedulerOptions options_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<ManualCommitter> committer_;
  std::unique_ptr<Inbox> inbox_;
  std::unique_ptr<MemoryBus> bus_;
  std::unique_ptr<Scheduler> scheduler_;
  std::string bad_bytes_ = "bad bytes";  // of what Reject hands over
  std::set<std::string> names_;          // of streams, stable
  std::vector<Completion> completions_;
  std::vector<Request> requests_;
  uint64_t synced_ = 0;
  bool audited_ = true;
};

}  // namespace expirer
