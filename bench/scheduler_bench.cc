// What the core costs, without NATS: Step over the real store.
//   EXPIRER_BENCH_DIR=/var/tmp/x scheduler_bench
#include <time.h>

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
#include "sched/scheduler.h"
#include "store/committer.h"
#include "support/commands.h"
#include "support/memory_bus.h"

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
  void Ask(std::string_view verb, size_t count) {
    for (size_t i = 0; i < count; ++i) {
      CHECK(inbox_.TakePlace());
      const std::string key = fmt::format("order-{:030}", 1 + random_() % n_);
      requests_.emplace_back(MakeJobCommand(verb, "bench", key));
    }
    Step();
  }
  // In one turn, a message of each device: its job is to fire in `delay_ms`, unless
  // moved again. `but_each`: those at its multiples are left out.
  void Move(uint64_t from, uint64_t to, int64_t delay_ms, uint64_t but_each = 0) {
    for (uint64_t key = from; key < to; ++key) {
      if (but_each != 0 && key % but_each == 0) continue;
      requests_.emplace_back(
          Message(fmt::format("device-{:07}", key), clock_.NowMs() + delay_ms));
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
    return Message(random_ids ? fmt::format("{:016x}{:016x}-id", random_(), random_())
                              : fmt::format("order-{:030}", n_ + 1),
                   due_ms);
  }
  MessageRequest Message(std::string key, int64_t due_ms) {
    ++n_;
    Job job;
    job.key = std::move(key);
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

// Processor time of this thread, which is the core's.
double ThreadSeconds() {
  timespec time;
  CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time) == 0);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

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
// egress that only keeps them. Processor time of the core's thread.
void Dispatch(benchmark::State& state) {
  for (auto _ : state) {
    Core core(MemoryBus::Answers::kByHand, kJobs);
    Prepare(&core);
    const double before = ThreadSeconds();
    while (core.published() < kJobs) core.Step();
    state.SetIterationTime(ThreadSeconds() - before);
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

// Devices that each report once a second and are to be told of as gone 30 s after
// their last report: every report deletes a row that has 29 s to go. `seconds` of
// that from second `from`, a turn of the core each millisecond.
double MoveDevices(Core* core, int from, int seconds) {
  constexpr uint64_t kDevices = 5'000;
  const double before = ThreadSeconds();
  for (int64_t ms = from * 1'000; ms < (from + seconds) * 1'000; ++ms) {
    core->AdvanceTo(kNowMs + ms);
    const auto turn = static_cast<uint64_t>(ms % 1'000);
    core->Move(kDevices * turn / 1'000, kDevices * (turn + 1) / 1'000, 30'000);
  }
  return (ThreadSeconds() - before) / seconds / kDevices * 1e6;
}

// The second minute beside the first half minute, in which nothing falls due.
void MovedKeys(benchmark::State& state) {
  for (auto _ : state) {
    Core core(MemoryBus::Answers::kAtOnce);
    const double first_us = MoveDevices(&core, 0, 30);
    MoveDevices(&core, 30, 30);
    const double second_us = MoveDevices(&core, 60, 60);
    CHECK(core.published() == 0);
    state.counters["first_us"] = first_us;
    state.counters["second_us"] = second_us;
    state.counters["ratio"] = second_us / first_us;
  }
}
BENCHMARK(MovedKeys)->Unit(benchmark::kSecond)->Iterations(1);

// Dispatch where nine of ten rows were moved away, to times that are not reached:
// processor time a job that is sent, sending included.
void DispatchMoved(benchmark::State& state) {
  constexpr uint64_t kRows = 200 * kBatch;
  constexpr uint64_t kKept = kRows / 10;
  for (auto _ : state) {
    Core core(MemoryBus::Answers::kByHand, kKept);
    for (uint64_t n = 0; n < kRows; n += kBatch)
      core.Move(n, n + kBatch, 60'000 + static_cast<int64_t>(n / kBatch));
    for (uint64_t n = 0; n < kRows; n += kBatch) core.Move(n, n + kBatch, 7'200'000, 10);
    core.AwaitDurable();
    core.AdvanceTo(kNowMs + 3'600'000);
    const double before = ThreadSeconds();
    while (core.published() < kKept) core.Step();
    state.SetIterationTime(ThreadSeconds() - before);
    CHECK(core.published() == kKept);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kKept));
}
BENCHMARK(DispatchMoved)->Unit(benchmark::kMillisecond)->UseManualTime()->Iterations(3);

// A turn of the core with 64 requests of the API; its sync is awaited apart.
// Arg: jobs pending. What many cost beside few is what the store's size costs.
void Ask(benchmark::State& state, std::string_view verb) {
  constexpr size_t kAsks = Inbox::kAsksPerDrain;
  Core core(MemoryBus::Answers::kByHand);
  for (int64_t n = 0; n < state.range(0); n += kBatch) core.Ingest(/*random_ids=*/false);
  core.AwaitDurable();
  for (auto _ : state) {
    Measure(state, [&] { core.Ask(verb, kAsks); });
    core.AwaitDurable();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kAsks));
}
void Pending(benchmark::internal::Benchmark* bench) {
  bench->ArgName("pending")->Arg(10'000)->Arg(1'000'000)->Arg(10'000'000);
  bench->Unit(benchmark::kMicrosecond)->UseManualTime()->Iterations(200);
}
BENCHMARK_CAPTURE(Ask, get, "get")->Apply(Pending);
BENCHMARK_CAPTURE(Ask, cancel, "cancel")->Apply(Pending);

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
