#include "net/routes.h"

#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "job/json_view.h"
#include "job/rules.h"
#include "net/jetstream.h"

namespace expirer {
namespace {

int64_t NowMs() { return SystemClock().MonotonicMs(); }

}  // namespace

Routes::Routes(Requests* requests, std::string api_prefix, std::function<void()> known)
    : requests_(requests), prefix_(std::move(api_prefix)), known_(std::move(known)) {}

bool Routes::Covered(std::string_view target) const {
  return std::any_of(subjects_.begin(), subjects_.end(),
                     [&](const std::string& s) { return SubjectMatches(s, target); });
}

Egress::Target Routes::Look(std::string_view target, std::string* why) {
  uint64_t number = 0;
  {
    MutexLock lock(&mutex_);
    const auto found = routes_.find(target);
    if (found != routes_.end() && NowMs() < found->second.until_ms) {
      if (found->second.state == Egress::Target::kRefused) *why = found->second.why;
      return found->second.state;
    }
    // Full: everything is asked for again, which costs one question a target.
    if (routes_.size() >= kTargetsMax) routes_.clear();
    Route& route = routes_[std::string(target)];
    if (Covered(target)) {
      route = {Egress::Target::kReady, "", INT64_MAX, 0};
      return Egress::Target::kReady;
    }
    number = ++questions_;
    route = {Egress::Target::kLooking, "", INT64_MAX, number};
  }
  Ask(std::string(target), number);
  // The answer may be here already: not connected, for one.
  MutexLock lock(&mutex_);
  const auto found = routes_.find(target);
  if (found == routes_.end()) return Egress::Target::kLooking;
  if (found->second.state == Egress::Target::kRefused) *why = found->second.why;
  return found->second.state;
}

void Routes::Ask(const std::string& target, uint64_t number) {
  requests_->Ask(
      prefix_ + "STREAM.NAMES", "{\"subject\":" + JsonQuoted(target) + "}", kAskMs,
      [this, target, number](const absl::StatusOr<std::string>& reply) {
        const auto names = reply.ok()
                               ? JetStream::ReadStreamNames(*reply)
                               : absl::StatusOr<std::vector<std::string>>(reply.status());
        if (!names.ok()) {
          Answer(target, number, Egress::Target::kRefused,
                 "cannot find out which stream takes it: " + Message(names.status()), {});
          return;
        }
        if (names->empty()) {
          Answer(target, number, Egress::Target::kRefused, "no stream takes " + target,
                 {});
          return;
        }
        // The stream's other subjects spare later targets the question; when
        // they cannot be read this one target is known all the same.
        requests_->Ask(
            prefix_ + "STREAM.INFO." + names->front(), "", kAskMs,
            [this, target, number](const absl::StatusOr<std::string>& info_reply) {
              std::vector<std::string> subjects;
              if (info_reply.ok()) {
                auto info = JetStream::ReadStream(*info_reply);
                if (info.ok()) subjects = std::move(info->subjects);
              }
              Answer(target, number, Egress::Target::kReady, "", std::move(subjects));
            });
      });
}

void Routes::Answer(const std::string& target, uint64_t number, Egress::Target state,
                    std::string why, std::vector<std::string> subjects) {
  {
    MutexLock lock(&mutex_);
    const auto found = routes_.find(target);
    // Forgotten meanwhile, perhaps asked for again: this answer is old.
    if (found == routes_.end() || found->second.asked != number) return;
    const int64_t until_ms =
        state == Egress::Target::kRefused ? NowMs() + kRefusedMs : INT64_MAX;
    found->second = {state, std::move(why), until_ms, 0};
    for (std::string& subject : subjects) {
      if (std::find(subjects_.begin(), subjects_.end(), subject) != subjects_.end())
        continue;
      if (subjects_.size() >= kTargetsMax) subjects_.clear();
      subjects_.push_back(std::move(subject));
    }
  }
  known_();
}

void Routes::Forget(std::string_view target) {
  MutexLock lock(&mutex_);
  if (const auto found = routes_.find(target); found != routes_.end())
    routes_.erase(found);
  subjects_.erase(
      std::remove_if(subjects_.begin(), subjects_.end(),
                     [&](const std::string& s) { return SubjectMatches(s, target); }),
      subjects_.end());
}

void Routes::ForgetAll() {
  MutexLock lock(&mutex_);
  routes_.clear();
  subjects_.clear();
}

void Routes::Deny(std::string_view target, const std::string& why, int64_t for_ms) {
  MutexLock lock(&mutex_);
  if (routes_.size() >= kTargetsMax) routes_.clear();
  routes_[std::string(target)] = {Egress::Target::kRefused, why, NowMs() + for_ms, 0};
}

}  // namespace expirer
