// Writes a replay as one page of HTML, without network or script: pending jobs over time,
// fires per span of time, lateness, and how the jobs of each rule ended.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "replay/fires.h"
#include "replay/replayer.h"
#include "replay/timeline.h"

namespace expirer {

class Report {
 public:
  // Call these in the order of time.
  void AddFire(const Fire& fire);
  void AddPending(int64_t now_ms, uint64_t pending) { line_.AddPending(now_ms, pending); }

  // The page. Its head names `trace` and `config`.
  [[nodiscard]] std::string Html(const ReplaySummary& summary, std::string_view trace,
                                 std::string_view config) const;

 private:
  struct Late {
    int64_t below_ms;
    std::string_view name;
  };
  static constexpr std::array<Late, 9> kLate = {{{1, "0 ms"},
                                                 {10, "1–9 ms"},
                                                 {100, "10–99 ms"},
                                                 {1'000, "100–999 ms"},
                                                 {10'000, "1–10 s"},
                                                 {60'000, "10–60 s"},
                                                 {3'600'000, "1–60 min"},
                                                 {86'400'000, "1–24 h"},
                                                 {INT64_MAX, "1 day on"}}};
  [[nodiscard]] std::string PendingChart() const;
  [[nodiscard]] std::string FiresChart() const;
  [[nodiscard]] std::string LatenessChart() const;

  Timeline line_;
  std::array<uint64_t, kLate.size()> late_{};
};

}  // namespace expirer
