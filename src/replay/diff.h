// The jobs that two runs of one trace treat differently.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "json/writer.h"
#include "replay/fires.h"

namespace expirer {

// Fed with the fires of two runs side by side. Keeps what differs, and of what
// is the same only what the other run has yet to fire.
class FireDiff {
 public:
  enum Side : size_t { kBefore, kAfter };
  void Add(Side side, const Fire& fire);
  // A job that has not fired at the end, and never will in this run.
  void AddPending(Side side, const std::string& job, int64_t due_ms);

  // The jobs that differ.
  [[nodiscard]] size_t size() const { return jobs_.size(); }
  // A line for each, by name: {"job":…,"before":[…],"after":[…]} with the fires
  // that only one of the runs has, as AppendFire writes them, and
  // {"pending":true,"due":…} for a job that has not fired.
  [[nodiscard]] std::string Lines() const;

 private:
  using Unmatched = std::array<std::vector<Json>, 2>;
  void Add(Side side, const std::string& job, Json what);

  std::map<std::string, Unmatched> jobs_;
};

}  // namespace expirer
