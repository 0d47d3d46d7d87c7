// What the core costs, without NATS: Step over the real store.
//   EXPIRER_BENCH_DIR=/var/tmp/x scheduler_bench
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <thread>

#include <fmt/format.h>

#include "base/check.h"
#include "base/clock.h"
#include "benchmark/benchmark.h"
#include "net/memory_bus.h"
#include "sched/scheduler.h"
#include "store/committer.h"

namespace expirer {
namespace {

constexpr int64_t kNowMs = 1'800'000'000'000;
constexpr int64_t kDayMs = 24 * 3'600'000;
constexpr size_t kBatch = 1'024;
constexpr uint64_t kJobs = 100 * kBatch;

std::string BenchDir() {
  const char* dir = std::getenv("EXPIRER_BENCH_DIR");
  return dir == nullptr ? "/var/tmp/expirer_scheduler_bench" : dir;
}

std::vector<Rule> OneRule() {
  std::vector<Rule> rules(1);
  rules[0].name = "bench";
  return rules;
}

// A scheduler over a fresh store, its own syncing thread and a bus that
// confirms everything at once, or never.
class Core {
 public:
  explicit Core(MemoryBus::Answers answers, size_t in_flight = 4'096) {
    std::filesystem::remove_all(BenchDir());
    auto store = Store::Open({.path = BenchDir()});
    CHECK(store.ok());
    store_ = *std::move(store);
    bus_.SetAnswers(answers);
    bus_.SetRecording(false);
    committer_ = std::make_unique<SyncThread>(
        store_.get(), [this](uint64_t ticket) { inbox_.Complete(Synced{ticket}); },
        [](const absl::Status&) { CHECK(false); });
    SchedulerOptions options;
    options.in_flight = in_flight;
    options.disk_free = 0;
    scheduler_ = std::make_unique<Scheduler>(options, rules_, store_.get(),
                                             committer_.get(), &bus_, &bus_);
    CHECK(scheduler_->Load(Now()).ok());
    inbox_.Complete(EgressChanged{true});
    inbox_.Complete(RuleRead{0, RuleRead::State::kCaughtUp, Now()});
    Step();
  }
  ~Core() {
    committer_.reset();
    scheduler_.reset();
    store_.reset();
    std::filesystem::remove_all(BenchDir());
  }

  void Step() {
    inbox_.Drain(0, &completions_, &requests_);
    CHECK(scheduler_->Step(Now(), &completions_, &requests_).ok());
  }
  // One more batch of new jobs, due within a day, or all at `due_ms`.
  void Ingest(bool random_ids, int64_t due_ms = 0) {
    for (size_t i = 0; i < kBatch; ++i)
      requests_.emplace_back(Message(random_ids, due_ms));
    Step();
  }
  // `count` requests of the API for jobs drawn from those ingested with
  // ascending ids, in one turn.
  template <typename AnyRequest>
  void Ask(size_t count) {
    for (size_t i = 0; i < count; ++i) {
      CHECK(inbox_.TakePlace());
      const std::string key = fmt::format("order-{:030}", 1 + random_() % n_);
      requests_.emplace_back(AnyRequest{{}, {"bench", key}});
    }
    Step();
  }
  void AwaitDurable() {
    while (!scheduler_->Drained()) {
      if (inbox_.empty()) std::this_thread::yield();
      Step();
    }
  }
  void AdvanceTo(int64_t wall_ms) { clock_.Advance(wall_ms - clock_.NowMs()); }
  [[nodiscard]] uint64_t published() const { return bus_.publishes(); }
  [[nodiscard]] Store& store() { return *store_; }
  [[nodiscard]] Stats stats() const { return scheduler_->Snapshot(clock_.NowMs()); }

 private:
  [[nodiscard]] Instant Now() const {
    // Wall time stands still so that dues are exact; monotonic time runs, for
    // housekeeping and unsynced limits.
    return {clock_.NowMs(), host_.MonotonicMs()};
  }
  MessageRequest Message(bool random_ids, int64_t due_ms) {
    ++n_;
    Job job;
    job.key = random_ids ? fmt::format("{:016x}{:016x}-id", random_(), random_())
                         : fmt::format("order-{:030}", n_);
    job.due_ms =
        due_ms != 0 ? due_ms
                    : kNowMs + 60'000 +
                          static_cast<int64_t>(random_() % static_cast<uint64_t>(kDayMs));
    job.target = "expiration.complete";
    job.body.assign(200, 'x');
    for (char& c : job.body) c = static_cast<char>('0' + random_() % 64);
    MessageRequest message;
    message.stream = &stream_;
    message.stream_seq = n_;
    message.time_ns = kNowMs * 1'000'000;
    message.received_ms = kNowMs;
    message.reply = "$JS.ACK.IN.expirer.1.1.1.1.1";
    message.intent = ScheduleIntent{std::move(job)};
    return message;
  }

  const std::string stream_ = "IN";
  const std::vector<Rule> rules_ = OneRule();
  VirtualClock clock_{kNowMs};
  const SystemClock host_;
  std::mt19937_64 random_{1};
  uint64_t n_ = 0;
  Inbox inbox_{1, [] {}};
  MemoryBus bus_{&inbox_};
  std::unique_ptr<Store> store_;
  std::unique_ptr<SyncThread> committer_;
  std::unique_ptr<Scheduler> scheduler_;
  std::vector<Completion> completions_;
  std::vector<Request> requests_;
};

// Only `measured` counts.
template <typename Measured>
void Measure(benchmark::State& state, const Measured& measured) {
  const auto start = std::chrono::steady_clock::now();
  measured();
  state.SetIterationTime(
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
}

void Prepare(Core* core) {
  for (uint64_t n = 0; n < kJobs; n += kBatch) core->Ingest(true, kNowMs + 1'000);
  core->AwaitDurable();
  core->AdvanceTo(kNowMs + 1'000);
}

void Jobs(benchmark::internal::Benchmark* bench) {
  bench->UseManualTime()->Unit(benchmark::kMillisecond)->Iterations(5);
}

// Jobs a second, written and durable. Arg: random ids.
void Ingest(benchmark::State& state) {
  for (auto _ : state) {
    Core core(MemoryBus::Answers::kAtOnce);
    Measure(state, [&] {
      for (uint64_t n = 0; n < kJobs; n += kBatch) core.Ingest(state.range(0) != 0);
      core.AwaitDurable();
    });
    CHECK(core.stats().scheduled == kJobs);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kJobs));
}
BENCHMARK(Ingest)->ArgName("random")->Arg(0)->Arg(1)->Apply(Jobs);

// Jobs a second from due to durably closed.
void Storm(benchmark::State& state) {
  for (auto _ : state) {
    Core core(MemoryBus::Answers::kAtOnce);
    Prepare(&core);
    Measure(state, [&] {
      while (core.stats().fired < kJobs) core.Step();
      core.AwaitDurable();
    });
    CHECK(core.published() == kJobs);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kJobs));
}
BENCHMARK(Storm)->Apply(Jobs);

// The sending half alone: rows read by the scan, headers built, handed to an
// egress that only keeps them.
void Dispatch(benchmark::State& state) {
  for (auto _ : state) {
    Core core(MemoryBus::Answers::kByHand, kJobs);
    Prepare(&core);
    Measure(state, [&] {
      while (core.published() < kJobs) core.Step();
    });
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kJobs));
}
BENCHMARK(Dispatch)->Apply(Jobs);

// Of it, the reading: the store's own scan over the same rows.
void ScanAndDecode(benchmark::State& state) {
  for (auto _ : state) {
    Core core(MemoryBus::Answers::kByHand, kJobs);
    Prepare(&core);
    Measure(state, [&] {
      const auto scan = core.store().ScanDue(1);
      JobView view;
      uint64_t rows = 0;
      for (scan->Seek({1, kNowMs, 0}); scan->Valid(); scan->Next()) {
        CHECK(DecodeJob(scan->value(), &view).ok());
        ++rows;
      }
      CHECK(rows == kJobs);
    });
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kJobs));
}
BENCHMARK(ScanAndDecode)->Apply(Jobs);

// A turn of the core with 64 requests of the API; its sync is awaited apart.
// Arg: jobs pending. What many cost beside few is what the store's size costs.
template <typename AnyRequest>
void Ask(benchmark::State& state) {
  constexpr size_t kAsks = Inbox::kAsksPerDrain;
  Core core(MemoryBus::Answers::kByHand);
  for (int64_t n = 0; n < state.range(0); n += kBatch) core.Ingest(/*random_ids=*/false);
  core.AwaitDurable();
  for (auto _ : state) {
    Measure(state, [&] { core.Ask<AnyRequest>(kAsks); });
    core.AwaitDurable();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kAsks));
}
void Pending(benchmark::internal::Benchmark* bench) {
  bench->ArgName("pending")->Arg(10'000)->Arg(1'000'000)->Arg(10'000'000);
  bench->Unit(benchmark::kMicrosecond)->UseManualTime()->Iterations(200);
}
BENCHMARK(Ask<GetRequest>)->Apply(Pending);
BENCHMARK(Ask<CancelRequest>)->Apply(Pending);

// To the next due row after a million fires: from the lane's low bound, as a
// start does, not through the tombstones of what was fired.
void SeekAfterFires(benchmark::State& state) {
  constexpr int64_t kFired = 1'000'000;
  std::filesystem::remove_all(BenchDir());
  auto store = Store::Open({.path = BenchDir()});
  CHECK(store.ok());
  WriteSet set;
  const std::string row(200, 'x');
  const auto each = [&](auto change) {
    for (int64_t n = 1; n <= kFired + 1'000; ++n) {
      change(JobKey{1, kNowMs + n, static_cast<uint64_t>(n)});
      if (n % 1'000 != 0) continue;
      CHECK((*store)->Write(&set).ok());
      set.Clear();
    }
  };
  each([&](const JobKey& key) { set.PutJob(key, row); });
  each([&](const JobKey& key) {
    if (key.key_ms <= kNowMs + kFired) set.DeleteJob(key);
  });
  for (auto _ : state) {
    const auto scan = (*store)->ScanDue(1);
    scan->Seek({1, kNowMs + kFired, 0});
    CHECK(scan->Valid() && scan->key().key_ms == kNowMs + kFired + 1);
  }
  store->reset();
  std::filesystem::remove_all(BenchDir());
}
BENCHMARK(SeekAfterFires)->Unit(benchmark::kMicrosecond)->Iterations(1'000);

}  // namespace
}  // namespace expirer
