#include "replay/diff.h"

#include <algorithm>
#include <utility>

#include "base/rfc3339.h"

namespace expirer {
void FireDiff::Add(Side side, const Fire& fire) {
  Json what;
  AppendFire(fire, &what.text);
  Add(side, fire.job, std::move(what));
}

void FireDiff::AddPending(Side side, const std::string& job, int64_t due_ms) {
  Add(side, job, JsonObject("pending", true, "due", FormatRfc3339Ms(due_ms)));
}

void FireDiff::Add(Side side, const std::string& job, Json what) {
  Unmatched& both = jobs_[job];
  std::vector<Json>& other = both[1 - side];
  const auto same = std::find(other.begin(), other.end(), what);
  if (same == other.end()) {
    both[side].push_back(std::move(what));
    return;
  }
  other.erase(same);
  if (both[kBefore].empty() && both[kAfter].empty()) jobs_.erase(job);
}

std::string FireDiff::Lines() const {
  std::string out;
  for (const auto& [job, both] : jobs_) {
    JsonWriter(&out)
        .Object()
        .Add("job", job, "before", both[kBefore], "after", both[kAfter])
        .End();
    out += '\n';
  }
  return out;
}

}  // namespace expirer
