#include "replay/diff.h"

#include <algorithm>
#include <utility>

#include "base/rfc3339.h"
#include "json/writer.h"

namespace expirer {
namespace {

std::string List(const std::vector<std::string>& items) {
  std::string out = "[";
  for (const std::string& item : items) out += (out.size() == 1 ? "" : ",") + item;
  return out + "]";
}

}  // namespace

void FireDiff::Add(Side side, const Fire& fire) {
  std::string what;
  AppendFire(fire, &what);
  Add(side, fire.job, std::move(what));
}

void FireDiff::AddPending(Side side, const std::string& job, int64_t due_ms) {
  Add(side, job, "{\"pending\":true,\"due\":\"" + FormatRfc3339Ms(due_ms) + "\"}");
}

void FireDiff::Add(Side side, const std::string& job, std::string what) {
  Unmatched& both = jobs_[job];
  std::vector<std::string>& other = both[1 - side];
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
    out += "{\"job\":" + JsonQuoted(job) + ",\"before\":" + List(both[kBefore]) +
           ",\"after\":" + List(both[kAfter]) + "}\n";
  }
  return out;
}

}  // namespace expirer
