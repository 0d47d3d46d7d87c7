#include "app/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>

#include <fmt/format.h>

#include "base/clock.h"

namespace expirer {
namespace {

constexpr int64_t kMomentMs = 250;
constexpr int64_t kEveryMs = 100;
constexpr uint64_t kCallsToAClock = 256;
constexpr uint64_t kWidth = 30;

}  // namespace

Progress::Progress(uint64_t whole)
    : whole_(whole),
      shown_(whole > 0 && isatty(STDERR_FILENO) != 0),
      began_ms_(SystemClock().MonotonicMs()),
      drawn_ms_(began_ms_ + kMomentMs - kEveryMs) {}

Progress::~Progress() {
  if (drawn_) fmt::print(stderr, "\r\x1b[K");
}

void Progress::At(uint64_t done, uint64_t lines) {
  if (!shown_ || ++calls_ % kCallsToAClock != 0) return;
  const int64_t now_ms = SystemClock().MonotonicMs();
  if (now_ms - drawn_ms_ < kEveryMs) return;
  drawn_ms_ = now_ms;
  drawn_ = true;
  Draw(done, lines);
}

void Progress::Draw(uint64_t done, uint64_t lines) {
  const uint64_t share = std::min(done, whole_);
  const std::string bar(share * kWidth / whole_, '#');
  const auto took_ms =
      std::max<uint64_t>(static_cast<uint64_t>(drawn_ms_ - began_ms_), 1);
  fmt::print(stderr, "\r[{:<{}}] {:>3} %  {} lines, {} a second ", bar, kWidth,
             share * 100 / whole_, lines, lines * 1'000 / took_ms);
  std::fflush(stderr);
}

}  // namespace expirer
