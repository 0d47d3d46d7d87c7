#include "net/configured_streams.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "net/rule_streams.h"

namespace expirer {
namespace {

constexpr int64_t kLookEveryMs = 60'000;
constexpr int64_t kRetryMs = 5'000;
// A stream that existed and is gone is not made again before this time has passed.
// nats-server 2.9 reports a stream as deleted while it still removes its directory, and
// then also removes the files of a new stream of that name. And the person who deleted
// the stream may want to make it again in another form.
constexpr int64_t kRemakeAfterMs = 2'000;

bool IsRead(const StreamSpec& spec, const std::vector<Rule>& rules) {
  return std::any_of(rules.begin(), rules.end(), [&spec](const Rule& rule) {
    return rule.source == Transport::kJetStream && Serves(spec, FiltersOf(rule));
  });
}

}  // namespace

ConfiguredStreams::ConfiguredStreams(JetStream* js, std::vector<StreamSpec> specs,
                                     const std::vector<Rule>& rules)
    : js_(js), specs_(std::move(specs)) {
  for (const StreamSpec& spec : specs_)
    if (!IsRead(spec, rules)) targets_.push_back(&spec);
}

int64_t ConfiguredStreams::KeepTargets(int64_t mono_ms) {
  if (mono_ms < next_ms_) return next_ms_;
  int64_t wait_ms = kLookEveryMs;
  for (const StreamSpec* spec : targets_) {
    const auto made = Make(*spec, mono_ms);
    if (!made.ok()) {
      LogGathered(Level::kWarn, "cannot make a stream, trying again", "",
                  Message(made.status()), {{"stream", spec->name}});
      wait_ms = std::min(wait_ms, kRetryMs);
    } else if (made->wait_ms > 0) {
      wait_ms = std::min(wait_ms, made->wait_ms);
    } else {
      NoteThere(spec->name);
    }
  }
  next_ms_ = mono_ms + wait_ms;
  return next_ms_;
}

absl::StatusOr<std::string> ConfiguredStreams::MakeFor(const std::string& filter,
                                                       const std::string& name,
                                                       int64_t mono_ms) {
  const auto spec =
      std::find_if(specs_.begin(), specs_.end(), [&](const StreamSpec& one) {
        return name.empty() ? Overlaps(one.subjects, filter) : one.name == name;
      });
  if (spec == specs_.end()) return std::string();
  ASSIGN_OR_RETURN(const Made made, Make(*spec, mono_ms));
  if (!made.carrier.empty())
    return Refused(
        fmt::format("no stream carries {}, and stream {} is not made because {} already "
                    "carries its {}",
                    filter, spec->name, made.carrier, made.subject));
  if (made.wait_ms > 0)
    return Unavailable(fmt::format(
        "stream {} is gone and will be made again in {} ms unless somebody else does",
        spec->name, made.wait_ms));
  return spec->name;
}

absl::StatusOr<ConfiguredStreams::Made> ConfiguredStreams::Make(const StreamSpec& spec,
                                                                int64_t mono_ms) {
  for (const std::string& subject : spec.subjects) {
    ASSIGN_OR_RETURN(const std::vector<std::string> names, js_->StreamNames(subject));
    if (!names.empty()) return Made{.carrier = names.front(), .subject = subject};
  }
  if (const auto was = gone_since_ms_.find(spec.name); was != gone_since_ms_.end()) {
    if (was->second == 0) was->second = mono_ms;
    const int64_t left_ms = was->second + kRemakeAfterMs - mono_ms;
    if (left_ms > 0) return Made{.wait_ms = left_ms};
  }
  RETURN_IF_ERROR(js_->CreateStream(spec));
  NoteThere(spec.name);
  Log(Level::kInfo, "created a stream", {{"stream", spec.name}});
  return Made();
}

}  // namespace expirer
