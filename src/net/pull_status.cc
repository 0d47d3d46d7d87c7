#include "net/pull_status.h"

#include <algorithm>
#include <charconv>

#include "base/duration.h"

namespace expirer {
namespace {

bool Contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// What follows `name` in `words`; "" when it is not there.
std::string_view Behind(std::string_view words, std::string_view name) {
  const size_t at = words.find(name);
  return at == std::string_view::npos ? "" : words.substr(at + name.size());
}

bool Lower(std::string_view digits, size_t* limit) {
  size_t told = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), told);
  if (error != std::errc() || told == 0 || told >= *limit) return false;
  *limit = told;
  return true;
}

}  // namespace

PullStatus ReadPullStatus(const Delivery::Status& status) {
  const std::string_view text = status.description;
  switch (status.code) {
    case 100: return PullStatus::kHeartbeat;
    case 404:  // No Messages: only to a pull that would not wait
      return PullStatus::kPause;
    case 408:  // Request Timeout, Interest Expired, Requests Pending
      return PullStatus::kEnded;
    case 409:
      // Where the leader steps down nobody sends what the stream takes meanwhile: the
      // gate closes until the next leader says how far the rule is read.
      if (Contains(text, "Consumer Deleted") || Contains(text, "push based") ||
          Contains(text, "Leadership Change") || Contains(text, "Server Shutdown")) {
        return PullStatus::kBroken;
      }
      if (Contains(text, "Exceeded MaxRequest")) return PullStatus::kLimited;
      if (Contains(text, "Exceeds MaxBytes")) return PullStatus::kTooLarge;
      if (Contains(text, "Batch Completed")) return PullStatus::kEnded;
      // Exceeded MaxWaiting.
      return PullStatus::kPause;
    case 400:
    case 412:
    case 423:
    case 503:  // nobody answers pulls: the consumer is not there
      return PullStatus::kBroken;
    default: return PullStatus::kUnknown;
  }
}

bool PullLimits::Learn(std::string_view words) {
  if (Lower(Behind(words, "MaxRequestBatch of "), &batch)) return true;
  if (Lower(Behind(words, "MaxRequestMaxBytes of "), &bytes)) return true;
  const auto told = ParseDuration(Behind(words, "MaxRequestExpires of "));
  if (!told.ok() || *told < 10 || *told >= expires_ms) return false;
  expires_ms = *told;
  return true;
}

}  // namespace expirer
