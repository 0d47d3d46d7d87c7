// What the store costs: writes with their sync by batch, reads of keys that
// are and are not there, a scan of due rows, opening.
//   store_bench [--benchmark_filter=...]     EXPIRER_BENCH_DIR=/var/tmp/x
// Rows are 200 bytes, registers 40, ids 36-character UUIDs (random) or counts
// (ascending). Due times are random over 24 h.
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <random>
#include <string>

#include <fmt/format.h>

#include "base/check.h"
#include "benchmark/benchmark.h"
#include "job/job.h"
#include "store/store.h"

namespace expirer {
namespace {

constexpr int64_t kNowMs = 1'800'000'000'000;
constexpr int64_t kDayMs = 24 * 60 * 60 * 1000;

std::string BenchDir() {
  const char* dir = std::getenv("EXPIRER_BENCH_DIR");
  return dir == nullptr ? "/var/tmp/expirer_store_bench" : dir;
}

std::unique_ptr<Store> OpenStore(const std::string& path) {
  StoreOptions options;
  options.path = path;
  if (const char* mb = std::getenv("EXPIRER_BENCH_MEMTABLE_MB"))
    options.memtable_bytes = std::strtoull(mb, nullptr, 10) << 20;
  auto store = Store::Open(options);
  if (!store.ok()) std::fprintf(stderr, "%s\n", Message(store.status()).c_str());
  CHECK(store.ok());
  (*store)->SetNow(kNowMs);
  return *std::move(store);
}

std::unique_ptr<Store> FreshStore() {
  std::filesystem::remove_all(BenchDir());
  return OpenStore(BenchDir());
}

std::string Uuid(std::mt19937_64* random) {
  const uint64_t a = (*random)();
  const uint64_t b = (*random)();
  return fmt::format("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", a >> 32, (a >> 16) & 0xffff,
                     a & 0xffff, b >> 48, b & 0xffffffffffff);
}

// Ids of store entry n, the same on every call.
std::string RandomKey(uint64_t n) {
  std::mt19937_64 random(n);
  return Uuid(&random);
}

class Feed {
 public:
  explicit Feed(bool random_ids) : random_ids_(random_ids) {
    reg_.schedule.emplace();
    reg_.schedule->position = {1, 1, 0, kNowMs * 1000000, {}};
    reg_.job.emplace();
    row_.assign(200, '\0');
    for (char& c : row_) c = static_cast<char>(random_() % 64 + 32);
  }
  void Add(WriteSet* set) {
    ++n_;
    const int64_t due_ms = kNowMs + static_cast<int64_t>(random_() % kDayMs);
    const JobKey key{1, due_ms, n_};
    reg_.schedule->position.seq = n_;
    reg_.schedule->due_ms = due_ms;
    reg_.job = key;
    set->PutJob(key, row_);
    const std::string name =
        random_ids_ ? Uuid(&random_) : fmt::format("order-{:030}", n_);
    set->PutRegister(MakeId("orders", name), EncodeRegister(reg_));
  }

 private:
  const bool random_ids_;
  std::mt19937_64 random_{1};
  Register reg_;
  std::string row_;
  uint64_t n_ = 0;
};

// Args: batch, random ids. Runs long enough for compactions to take part.
void WriteAndSync(benchmark::State& state) {
  auto store = FreshStore();
  Feed feed(state.range(1) != 0);
  WriteSet set;
  for (auto _ : state) {
    set.Clear();
    for (int64_t i = 0; i < state.range(0); ++i) feed.Add(&set);
    CHECK(store->Write(&set).ok());
    CHECK(store->Sync().ok());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
  state.counters["MB"] = static_cast<double>(store->Sizes().disk_bytes) / 1e6;
}
BENCHMARK(WriteAndSync)
    ->ArgNames({"batch", "random"})
    ->ArgsProduct({{1, 16, 128, 512, 2048}, {0, 1}})
    ->UseRealTime()
    ->MinTime(4);

// The writes alone, as the core thread sees them beside a syncing thread.
void FeedOnly(benchmark::State& state) {
  Feed feed(state.range(0) != 0);
  WriteSet set;
  for (auto _ : state) {
    set.Clear();
    for (int i = 0; i < 512; ++i) feed.Add(&set);
  }
  state.SetItemsProcessed(state.iterations() * 512);
}
BENCHMARK(FeedOnly)->ArgName("random")->Arg(0)->Arg(1);

constexpr uint64_t kFilled = 1'000'000;

// A store of kFilled jobs, made once.
Store* FilledStore() {
  static const std::string path = BenchDir() + "_filled";
  static std::unique_ptr<Store> store = [] {
    std::filesystem::remove_all(path);
    auto made = OpenStore(path);
    std::mt19937_64 random(7);
    WriteSet set;
    Register reg;
    reg.schedule.emplace();
    std::string row(200, '\0');
    for (uint64_t n = 0; n < kFilled; ++n) {
      for (char& c : row) c = static_cast<char>(random() % 64 + 32);
      reg.job = JobKey{1, kNowMs + static_cast<int64_t>(random() % kDayMs), n};
      set.PutJob(*reg.job, row);
      set.PutRegister(MakeId("orders", RandomKey(n)), EncodeRegister(reg));
      if (n % 512 != 511) continue;
      CHECK(made->Write(&set).ok());
      set.Clear();
    }
    CHECK(made->Sync().ok());
    return made;
  }();
  return store.get();
}

void GetRegisterAbsent(benchmark::State& state) {
  Store* store = FilledStore();
  std::mt19937_64 random(kFilled + 1);  // no RandomKey's
  for (auto _ : state) {
    auto reg = store->GetRegister(MakeId("orders", Uuid(&random)));
    CHECK(reg.ok() && !reg->has_value());
  }
}
BENCHMARK(GetRegisterAbsent);

void GetRegisterPresent(benchmark::State& state) {
  Store* store = FilledStore();
  std::mt19937_64 random(99);
  for (auto _ : state) {
    auto reg =
        store->GetRegister(MakeId("orders", RandomKey(random() % (kFilled - 512))));
    CHECK(reg.ok() && reg->has_value());
  }
}
BENCHMARK(GetRegisterPresent);

void ScanDueRow(benchmark::State& state) {
  Store* store = FilledStore();
  auto scan = store->ScanDue(1);
  scan->Seek({1, 0, 0});
  for (auto _ : state) {
    if (!scan->Valid()) scan->Seek({1, 0, 0});
    benchmark::DoNotOptimize(scan->key());
    benchmark::DoNotOptimize(scan->value().data());
    scan->Next();
  }
  CHECK(scan->status().ok());
}
BENCHMARK(ScanDueRow);

void SeekDue(benchmark::State& state) {
  Store* store = FilledStore();
  std::mt19937_64 random(3);
  for (auto _ : state) {
    auto scan = store->ScanDue(1);
    scan->Seek({1, kNowMs + static_cast<int64_t>(random() % kDayMs), 0});
    CHECK(scan->Valid());
  }
}
BENCHMARK(SeekDue);

// Arg: millions of jobs. The store is made once and kept between runs.
void OpenTime(benchmark::State& state) {
  const auto jobs = static_cast<uint64_t>(state.range(0)) * 1'000'000;
  const std::string path = fmt::format("{}_open{}", BenchDir(), state.range(0));
  if (!std::filesystem::exists(path + "/CURRENT")) {
    auto store = OpenStore(path);
    Feed feed(true);
    WriteSet set;
    for (uint64_t n = 0; n < jobs; n += 512) {
      set.Clear();
      for (int i = 0; i < 512; ++i) feed.Add(&set);
      CHECK(store->Write(&set).ok());
    }
  }
  for (auto _ : state) {
    auto store = OpenStore(path);
    state.PauseTiming();
    store.reset();
    state.ResumeTiming();
  }
}
BENCHMARK(OpenTime)
    ->ArgName("million")
    ->Arg(1)
    ->Arg(10)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime()
    ->Iterations(3);

}  // namespace
}  // namespace expirer
