// One seed for random tests: printed, and taken from EXPIRER_SEED to run a failure
// again.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>

namespace expirer {

inline uint64_t TestSeed() {
  static const uint64_t seed = [] {
    const char* given = std::getenv("EXPIRER_SEED");
    const uint64_t drawn =
        given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device()();
    std::printf("EXPIRER_SEED=%llu\n", static_cast<unsigned long long>(drawn));
    std::fflush(stdout);
    return drawn;
  }();
  return seed;
}

// Draws of one test: the same for the same seed, whichever tests ran before.
class Draws {
 public:
  explicit Draws(uint64_t seed = TestSeed()) : engine_(seed) {}
  // 0 .. bound-1.
  uint64_t Below(uint64_t bound) { return engine_() % bound; }
  int64_t Between(int64_t least, int64_t most) {
    return least + static_cast<int64_t>(Below(static_cast<uint64_t>(most - least + 1)));
  }
  bool Chance(uint64_t percent) { return Below(100) < percent; }
  std::mt19937_64& engine() { return engine_; }

 private:
  std::mt19937_64 engine_;
};

}  // namespace expirer
