#include "load/events.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/check.h"
#include "base/rfc3339.h"
#include "job/fired.h"

namespace expirer::load {
namespace {

constexpr size_t kPayloadBytes = 200;

// The part <rule>/<key>/<due ms> of an id. Its service has a name of its own in each
// run, and its source is decided by the place at which the event is stored.
std::string JobPart(std::string_view msg_id) {
  const size_t begin = std::min(msg_id.find('/'), msg_id.size());
  const size_t end = std::max(msg_id.rfind('/'), begin);
  return std::string(msg_id.substr(begin, end - begin));
}

// SplitMix64 (Steele, Lea, Flood): a good mix of a counter.
uint64_t Mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

}  // namespace

std::string_view Name(Ids ids) { return ids == Ids::kAscending ? "ascending" : "random"; }

Jobs::Jobs(Ids ids, uint64_t count, int64_t first_due_ms, int64_t span_ms, uint64_t seed,
           std::string_view rule)
    : ids_(ids),
      count_(count),
      first_due_ms_(first_due_ms),
      span_ms_(span_ms),
      salt_(seed & 0xffffffff),
      rule_(rule) {}

std::string Jobs::Key(uint64_t n) const {
  if (ids_ == Ids::kAscending) return fmt::format("order-{:08x}-{:021}", salt_, n);
  const uint64_t a = Mix(salt_ << 32 | n);
  const uint64_t b = Mix(a);
  return fmt::format("{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}", a >> 32, (a >> 16) & 0xffff,
                     a & 0xfff, b >> 48, b & 0xffffffffffff);
}

int64_t Jobs::DueMs(uint64_t n) const {
  return first_due_ms_ +
         span_ms_ * static_cast<int64_t>(n) / static_cast<int64_t>(count_);
}

std::string Jobs::Payload(uint64_t n, int64_t earlier_ms) const {
  std::string out = fmt::format(
      R"({{"id":"{}","status":"created","version":0,"userId":"64f1c0ffee{:014}",)"
      R"("expiresAt":"{}","note":")",
      Key(n), n, FormatRfc3339Ms(DueMs(n) - earlier_ms));
  constexpr std::string_view kEnd = "\"}";
  CHECK(out.size() + kEnd.size() <= kPayloadBytes);
  // Digits as random as ids are: padding must not make the disk look better.
  for (uint64_t i = 0; out.size() < kPayloadBytes - kEnd.size(); ++i)
    out += fmt::format("{:016x}", Mix(Mix(salt_ << 32 | n) + i));
  out.resize(kPayloadBytes - kEnd.size());
  return out.append(kEnd);
}

std::string Jobs::MsgId(uint64_t n) const {
  JobView job;
  const std::string key = Key(n);
  job.key = key;
  job.due_ms = DueMs(n);
  return expirer::MsgId({"load", rule_, rule_}, "", job);
}

FireCheck::FireCheck(const Jobs& jobs) : jobs_(jobs), seen_(jobs.count(), 0) {
  numbers_.reserve(jobs.count());
  for (uint64_t n = 0; n < jobs.count(); ++n) numbers_.emplace(JobPart(jobs.MsgId(n)), n);
}

std::optional<uint64_t> FireCheck::Add(std::string_view msg_id, std::string_view body,
                                       int64_t time_ns) {
  last_ns_ = std::max(last_ns_, time_ns);
  const auto found = numbers_.find(JobPart(msg_id));
  if (found == numbers_.end()) {
    ++unknown_;
    return std::nullopt;
  }
  const uint64_t n = found->second;
  if (body != jobs_.Payload(n)) ++wrong_;
  if (seen_[n]++ != 0) {
    ++doubled_;
    return std::nullopt;
  }
  const int64_t late_ns = time_ns - jobs_.DueMs(n) * 1'000'000;
  if (late_ns < 0) ++early_;
  late_ns_.push_back(late_ns);
  return n;
}

void FireCheck::Conclude(Report* report) const {
  const auto fail = [&](uint64_t count, std::string_view what) {
    if (count > 0) report->Fail(fmt::format("{} {}", count, what));
  };
  fail(jobs_.count() - late_ns_.size(), "jobs are missing in the target stream");
  fail(doubled_, "messages are in the target stream twice");
  fail(early_, "jobs fired before they were due");
  fail(unknown_, "messages in the target stream are of no job");
  fail(wrong_, "messages have another body than their event");
  const auto missing = std::find(seen_.begin(), seen_.end(), 0);
  if (missing != seen_.end()) {
    report->Fail("the first missing job is " +
                 jobs_.MsgId(static_cast<uint64_t>(missing - seen_.begin())));
  }
}

double QuantileMs(std::vector<int64_t>* ns, double quantile) {
  if (ns->empty()) return 0;
  const auto last = static_cast<double>(ns->size() - 1);
  const auto nth = ns->begin() + static_cast<ptrdiff_t>(quantile * last + 0.5);
  std::nth_element(ns->begin(), nth, ns->end());
  return static_cast<double>(*nth) / 1e6;
}

}  // namespace expirer::load
