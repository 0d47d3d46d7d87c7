// How late the alarm wakes its thread, on an idle machine, in microseconds;
// never early.
#include <algorithm>
#include <chrono>
#include <vector>

#include "base/alarm.h"
#include "base/check.h"
#include "benchmark/benchmark.h"

namespace expirer {
namespace {

int64_t WallNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

void WakeUp(benchmark::State& state) {
  Alarm alarm;
  std::vector<int64_t> late_ns;
  for (auto _ : state) {
    const int64_t at_ms = WallNs() / 1'000'000 + 3;
    alarm.WaitUntil(at_ms);
    late_ns.push_back(WallNs() - at_ms * 1'000'000);
    CHECK(late_ns.back() >= 0);
  }
  std::sort(late_ns.begin(), late_ns.end());
  const auto at = [&](double quantile) {
    const auto last = static_cast<double>(late_ns.size() - 1);
    return static_cast<double>(late_ns[static_cast<size_t>(quantile * last)]) / 1e3;
  };
  state.counters["p50_us"] = at(0.5);
  state.counters["p99_us"] = at(0.99);
  state.counters["max_us"] = at(1);
}
BENCHMARK(WakeUp)->Iterations(2'000)->UseRealTime();

}  // namespace
}  // namespace expirer
