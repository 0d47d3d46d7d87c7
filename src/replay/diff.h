// Finds the jobs that two runs of one trace treat differently.
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

// Gets the fires of two runs side by side. It holds the differences, and the fires that
// the other run has not made yet.
class FireDiff {
 public:
  enum Side : size_t { kBefore, kAfter };
  void Add(Side side, const Fire& fire);
  // Adds a job that has not fired when the run ends.
  void AddPending(Side side, const std::string& job, int64_t due_ms);

  // The jobs that differ.
  [[nodiscard]] size_t size() const { return jobs_.size(); }
  // One line per job that differs, by name: {"job":…,"before":[…],"after":[…]} with the
  // fires that only one run has, as AppendFire writes them, and {"pending":true,"due":…}
  // if the job has not fired.
  [[nodiscard]] std::string Lines() const;

 private:
  using Unmatched = std::array<std::vector<Json>, 2>;
  void Add(Side side, const std::string& job, Json what);

  std::map<std::string, Unmatched> jobs_;
};

}  // namespace expirer
