// TimerHeap beside std::priority_queue, 16-byte entries, ns an operation: push
// of ascending and of random dues, pop of all, hold (pop one, push a later one
// at constant size). Each line is the least of several runs: the least
// disturbed one.
#include <algorithm>
#include <functional>
#include <queue>
#include <random>
#include <vector>

#include "benchmark/benchmark.h"
#include "sched/timer_heap.h"

namespace expirer {
namespace {

constexpr int64_t kNowMs = 1'800'000'000'000;
constexpr int64_t kDayMs = 24 * 3'600'000;

// std::priority_queue under TimerHeap's names.
class StdHeap {
 public:
  [[nodiscard]] bool empty() const { return queue_.empty(); }
  [[nodiscard]] const TimerEntry& top() const { return queue_.top(); }
  void Push(TimerEntry entry) { queue_.push(entry); }
  void Pop() { queue_.pop(); }

 private:
  std::priority_queue<TimerEntry, std::vector<TimerEntry>, std::greater<>> queue_;
};

enum Order : int64_t { kAscending, kRandom };

std::vector<TimerEntry> Entries(size_t count, Order order) {
  std::mt19937_64 random(7);
  std::vector<TimerEntry> entries(count);
  for (size_t i = 0; i < count; ++i) {
    const auto at = order == kAscending
                        ? static_cast<int64_t>(i)
                        : static_cast<int64_t>(random() % static_cast<uint64_t>(kDayMs));
    entries[i] = {kNowMs + at, i + 1};
  }
  return entries;
}

void ReportNs(benchmark::State& state, int64_t operations) {
  state.SetItemsProcessed(operations);
  state.counters["ns"] =
      benchmark::Counter(static_cast<double>(operations) / 1e9,
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

template <typename Heap>
Heap Filled(const std::vector<TimerEntry>& entries) {
  Heap heap;
  for (const TimerEntry& entry : entries) heap.Push(entry);
  return heap;
}

template <typename Heap>
void FillOnce(const std::vector<TimerEntry>& entries) {
  TimerEntry top = Filled<Heap>(entries).top();
  benchmark::DoNotOptimize(top);
}

template <typename Heap>
void Push(benchmark::State& state) {
  const auto count = static_cast<size_t>(state.range(0));
  const auto entries = Entries(count, static_cast<Order>(state.range(1)));
  // Twice unmeasured: whoever runs first would pay for the fresh memory.
  for (int i = 0; i < 2; ++i) FillOnce<Heap>(entries);
  for (auto _ : state) FillOnce<Heap>(entries);
  ReportNs(state, state.iterations() * state.range(0));
}

template <typename Heap>
void Pop(benchmark::State& state) {
  const auto entries = Entries(static_cast<size_t>(state.range(0)), kRandom);
  for (auto _ : state) {
    state.PauseTiming();
    Heap heap = Filled<Heap>(entries);
    state.ResumeTiming();
    for (; !heap.empty(); heap.Pop()) {
      TimerEntry top = heap.top();
      benchmark::DoNotOptimize(top);
    }
  }
  ReportNs(state, state.iterations() * state.range(0));
}

template <typename Heap>
void Hold(benchmark::State& state) {
  const auto entries = Entries(static_cast<size_t>(state.range(0)), kRandom);
  Heap heap = Filled<Heap>(entries);
  std::mt19937_64 random(11);
  uint64_t seq = entries.size();
  constexpr int64_t kOperations = 1'000'000;
  for (auto _ : state) {
    for (int64_t i = 0; i < kOperations; ++i) {
      TimerEntry entry = heap.top();
      heap.Pop();
      entry.key_ms += static_cast<int64_t>(random() % static_cast<uint64_t>(kDayMs));
      entry.seq = ++seq;
      heap.Push(entry);
    }
  }
  ReportNs(state, state.iterations() * kOperations);
}

double Least(const std::vector<double>& values) {
  return *std::min_element(values.begin(), values.end());
}

void Sizes(benchmark::internal::Benchmark* bench) {
  bench->Arg(100'000)->Arg(1'000'000)->Arg(10'000'000);
}
void SizesAndOrders(benchmark::internal::Benchmark* bench) {
  bench->ArgsProduct({{100'000, 1'000'000, 10'000'000}, {kAscending, kRandom}});
}
void Repeat(benchmark::internal::Benchmark* bench) {
  bench->Unit(benchmark::kMillisecond)
      ->Iterations(1)
      ->Repetitions(5)
      ->ComputeStatistics("least", Least)
      ->ReportAggregatesOnly();
}

BENCHMARK(Push<TimerHeap>)->Apply(SizesAndOrders)->Apply(Repeat);
BENCHMARK(Push<StdHeap>)->Apply(SizesAndOrders)->Apply(Repeat);
BENCHMARK(Pop<TimerHeap>)->Apply(Sizes)->Apply(Repeat);
BENCHMARK(Pop<StdHeap>)->Apply(Sizes)->Apply(Repeat);
BENCHMARK(Hold<TimerHeap>)->Apply(Sizes)->Apply(Repeat);
BENCHMARK(Hold<StdHeap>)->Apply(Sizes)->Apply(Repeat);

}  // namespace
}  // namespace expirer
