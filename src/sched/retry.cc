#include "sched/retry.h"

#include <algorithm>

namespace expirer {
namespace {

// FNV-1a, 64 bits (Fowler, Noll, Vo): fixed for all time, unlike absl::Hash.
uint64_t Hash(std::string_view bytes, uint64_t salt) {
  uint64_t hash = 14695981039346656037u;
  const auto mix = [&hash](uint8_t byte) { hash = (hash ^ byte) * 1099511628211u; };
  for (const char byte : bytes) mix(static_cast<uint8_t>(byte));
  for (int i = 0; i < 8; ++i) mix(static_cast<uint8_t>(salt >> (8 * i)));
  return hash ^ (hash >> 32);
}

// `retry` for a job whose stream did not answer.
RetryPolicy Patient(const RetryPolicy& retry, uint64_t waiting) {
  const auto each = static_cast<uint64_t>(kUnansweredEachMs);
  const int64_t all_ms =
      static_cast<int64_t>(std::min<uint64_t>(waiting, INT64_MAX / each) * each);
  const int64_t most_ms = std::max({kUnansweredMaxMs, retry.initial_ms, all_ms});
  return {retry.initial_ms, std::min(retry.max_ms, most_ms), retry.attempts};
}

}  // namespace

int64_t BackoffMs(const RetryPolicy& retry, std::string_view id, uint64_t sends) {
  int64_t wait = std::max<int64_t>(retry.initial_ms, 1);
  for (uint64_t i = 1; i < sends && wait < retry.max_ms; ++i) wait *= 2;
  wait = std::min(wait, std::max<int64_t>(retry.max_ms, 1));
  const auto spread = static_cast<uint64_t>(wait / 4) + 1;
  return wait - static_cast<int64_t>(Hash(id, sends) % spread);
}

Decision Decide(const RetryPolicy& retry, const Attempt& attempt, AttemptEnd end,
                std::string_view why, int64_t now_ms) {
  if (end == AttemptEnd::kAck) return Done{};
  if (end == AttemptEnd::kNever)
    return MoveToDead{"can never be delivered: " + std::string(why)};
  const bool counted = end == AttemptEnd::kRefused;
  if (counted && retry.attempts > 0 && attempt.counted_attempts + 1 >= retry.attempts)
    return MoveToDead{"refused " + std::to_string(attempt.counted_attempts + 1) +
                      " times, last: " + std::string(why)};
  const bool unanswered = end == AttemptEnd::kNoLeader || end == AttemptEnd::kRetry ||
                          end == AttemptEnd::kTimedOut;
  const RetryPolicy policy = unanswered ? Patient(retry, attempt.waiting) : retry;
  return RetryAt{now_ms + BackoffMs(policy, attempt.id, attempt.sends + 1), counted};
}

}  // namespace expirer
