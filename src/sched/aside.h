// Rows of jobs that are due while their target is being resolved. They are not in their
// lane's window, so that other rows can pass them. They are in LaneState::out, so that
// the lane's low bound does not pass them.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "job/job.h"

namespace expirer {

// Core thread only.
class Aside {
 public:
  // For all lanes together; MayTake shares it among them. At most so many targets are
  // being resolved at once. ~100 bytes per row, plus its target, at most 1 KB.
  static constexpr size_t kRowsMax = 4'096;

  [[nodiscard]] size_t size() const { return size_; }
  // Whether rows wait for this target. Later ones must then wait behind them.
  [[nodiscard]] bool Holds(std::string_view target) const {
    return size_ > 0 && rows_.find(target) != rows_.end();
  }
  void Add(std::string_view target, const JobKey& row) {
    auto at = rows_.find(target);
    if (at == rows_.end()) at = rows_.try_emplace(std::string(target)).first;
    at->second.push_back(row);
    ++size_;
  }
  // Removes and returns the rows that wait for the target; "" = all rows.
  [[nodiscard]] std::vector<JobKey> Take(std::string_view target) {
    std::vector<JobKey> taken;
    for (auto at = rows_.lower_bound(target);
         at != rows_.end() && (target.empty() || at->first == target);
         at = rows_.erase(at))
      taken.insert(taken.end(), at->second.begin(), at->second.end());
    size_ -= taken.size();
    return taken;
  }

 private:
  size_t size_ = 0;
  std::map<std::string, std::vector<JobKey>, std::less<>> rows_;  // by target
};

}  // namespace expirer
