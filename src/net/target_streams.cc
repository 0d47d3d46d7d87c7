#include "net/target_streams.h"

#include <algorithm>

#include "base/log.h"

namespace expirer {
namespace {

constexpr int64_t kLookEveryMs = 60'000;
constexpr int64_t kRetryMs = 5'000;

}  // namespace

int64_t TargetStreams::Keep(int64_t mono_ms) {
  if (mono_ms < next_ms_) return next_ms_;
  int64_t wait_ms = kLookEveryMs;
  for (const StreamSpec& spec : specs_) {
    const auto wait = MaintainOne(spec, mono_ms);
    wait_ms = std::min(wait_ms, wait.ok() ? *wait : kRetryMs);
    if (wait.ok()) continue;
    LogGathered(Level::kWarn, "cannot make a stream, trying again", "",
                Message(wait.status()), {{"stream", spec.name}});
  }
  next_ms_ = mono_ms + wait_ms;
  return next_ms_;
}

absl::StatusOr<int64_t> TargetStreams::MaintainOne(const StreamSpec& spec,
                                                   int64_t mono_ms) {
  for (const std::string& subject : spec.subjects) {
    ASSIGN_OR_RETURN(const std::vector<std::string> names, js_->StreamNames(subject));
    if (names.empty()) continue;
    gone_since_ms_[spec.name] = 0;
    return kLookEveryMs;
  }
  if (const auto was = gone_since_ms_.find(spec.name); was != gone_since_ms_.end()) {
    if (was->second == 0) was->second = mono_ms;
    const int64_t left_ms = was->second + kRemakeAfterMs - mono_ms;
    if (left_ms > 0) return left_ms;
  }
  RETURN_IF_ERROR(js_->CreateStream(spec));
  gone_since_ms_[spec.name] = 0;
  Log(Level::kInfo, "created a stream", {{"stream", spec.name}});
  return kLookEveryMs;
}

}  // namespace expirer
