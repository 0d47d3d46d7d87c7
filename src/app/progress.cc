#include "app/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>

#include <fmt/format.h>

#include "base/clock.h"

namespace expirer {
namespace {

constexpr uint64_t kBytesMin = 8 << 20;  // about 40,000 lines, a quarter of a second
constexpr int64_t kEveryMs = 100;
constexpr uint64_t kCallsToAClock = 256;
constexpr uint64_t kWidth = 30;

}  // namespace

Progress::Progress(uint64_t bytes)
    : bytes_(bytes),
      shown_(bytes >= kBytesMin && isatty(STDERR_FILENO) != 0),
      began_ms_(SystemClock().MonotonicMs()) {}

Progress::~Progress() {
  if (drawn_ms_ != 0) fmt::print(stderr, "\r\x1b[K");
}

void Progress::At(uint64_t bytes, uint64_t lines) {
  if (!shown_ || ++calls_ % kCallsToAClock != 0) return;
  const int64_t now_ms = SystemClock().MonotonicMs();
  if (now_ms - drawn_ms_ < kEveryMs) return;
  drawn_ms_ = now_ms;
  Draw(bytes, lines);
}

void Progress::Draw(uint64_t bytes, uint64_t lines) {
  const uint64_t share = std::min(bytes, bytes_);
  const std::string bar(share * kWidth / bytes_, '#');
  const auto took_ms =
      std::max<uint64_t>(static_cast<uint64_t>(drawn_ms_ - began_ms_), 1);
  fmt::print(stderr, "\r[{:<{}}] {:>3} %  {} lines, {} a second ", bar, kWidth,
             share * 100 / bytes_, lines, lines * 1'000 / took_ms);
  std::fflush(stderr);
}

}  // namespace expirer
