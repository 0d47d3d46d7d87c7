#include "sched/counts.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/coding.h"
#include "base/log.h"
#include "store/meta.h"

namespace expirer {
namespace {

constexpr uint8_t kVersion = 1;
constexpr std::string_view kRulePrefix = kMetaRuleCount;
constexpr std::string_view kSpanPrefix = "count/h/";
constexpr std::string_view kFloorKey = "count/floor";
constexpr std::string_view kStaleKey = "count/stale";
constexpr std::string_view kDeadBytesKey = "count/dead_bytes";
constexpr std::string_view kRecountKey = "count/recount";
constexpr uint64_t RuleCounts::*kAll[] = {&RuleCounts::pending, &RuleCounts::retrying,
                                          &RuleCounts::dead_jobs, &RuleCounts::rejected};

std::string SpanKey(int64_t span) {
  std::string key(kSpanPrefix);
  PutBig64(&key, static_cast<uint64_t>(span));
  return key;
}

std::string Encode(const RuleCounts& counts) {
  std::string out(1, static_cast<char>(kVersion));
  PutVarint(&out, counts.pending);
  PutVarint(&out, counts.retrying);
  PutVarint(&out, counts.dead_jobs);
  PutVarint(&out, counts.rejected);
  return out;
}

absl::StatusOr<RuleCounts> Decode(std::string_view bytes) {
  Reader in(bytes);
  const uint8_t version = in.Byte();
  RuleCounts counts;
  counts.pending = in.Varint();
  counts.retrying = in.Varint();
  counts.dead_jobs = in.Varint();
  counts.rejected = in.Varint();
  if (version != kVersion || !in.AtEnd())
    return Corrupt("rule counts malformed: expected version 1");
  return counts;
}

// Where a register of this state is counted; null for closed ones.
uint64_t RuleCounts::*Counter(JobState state) {
  switch (state) {
    case JobState::kPending: return &RuleCounts::pending;
    case JobState::kRetrying: return &RuleCounts::retrying;
    case JobState::kDead: return &RuleCounts::dead_jobs;
    default: return nullptr;
  }
}

std::string Words(const RuleCounts& counts) {
  return fmt::format("{} pending, {} retrying, {} dead, {} rejected", counts.pending,
                     counts.retrying, counts.dead_jobs, counts.rejected);
}

}  // namespace

absl::Status Counts::Load(const Store& store) {
  RETURN_IF_ERROR(store.VisitMeta(
      kRulePrefix, [this](std::string_view key, std::string_view value) -> absl::Status {
        ASSIGN_OR_RETURN(const RuleCounts counts, Decode(value));
        rules_[std::string(key.substr(kRulePrefix.size()))] = counts;
        return absl::OkStatus();
      }));
  RETURN_IF_ERROR(store.VisitMeta(
      kSpanPrefix, [this](std::string_view key, std::string_view value) -> absl::Status {
        if (key.size() != kSpanPrefix.size() + 8)
          return Corrupt("history count malformed");
        const auto span = static_cast<int64_t>(Big64(key.data() + kSpanPrefix.size()));
        spans_[span].keys = Reader(value).Varint();
        closed_ += spans_[span].keys;
        return absl::OkStatus();
      }));
  std::string floor;
  ASSIGN_OR_RETURN(const bool found, store.GetMeta(kFloorKey, &floor));
  if (found) forget_floor_ms_ = static_cast<int64_t>(Reader(floor).Varint());
  std::string unused;
  ASSIGN_OR_RETURN(recount_wished_, store.GetMeta(kRecountKey, &unused));
  return LoadTotals(store);
}

absl::Status Counts::LoadTotals(const Store& store) {
  std::string stale;
  std::string bytes;
  ASSIGN_OR_RETURN(const bool has_stale, store.GetMeta(kStaleKey, &stale));
  ASSIGN_OR_RETURN(const bool has_bytes, store.GetMeta(kDeadBytesKey, &bytes));
  if (has_stale && has_bytes) {
    stale_.value = Reader(stale).Varint();
    dead_bytes_.value = Reader(bytes).Varint();
    return absl::OkStatus();
  }
  stale_.dirty = true;
  dead_bytes_.dirty = true;
  return store.VisitDead("", [this](std::string_view, std::string_view entry) {
    const absl::StatusOr<Dead> dead = DecodeDead(entry);
    if (dead.ok() && IsStale(*dead)) ++stale_.value;
    dead_bytes_.value += entry.size();
    return absl::OkStatus();
  });
}

void Counts::Total::Add(int64_t change) {
  since += change;
  value =
      static_cast<uint64_t>(std::max<int64_t>(static_cast<int64_t>(value) + change, 0));
  dirty = true;
}

void Counts::Total::Recounted(uint64_t seen) {
  value = seen;
  Add(std::exchange(since, 0));
}

void Counts::Total::Stage(std::string_view key, WriteSet* set) {
  if (!dirty) return;
  std::string bytes;
  PutVarint(&bytes, value);
  set->PutMeta(key, bytes);
  dirty = false;
}

RuleCounts& Counts::Change(std::string_view rule) {
  auto it = rules_.find(rule);
  if (it == rules_.end()) it = rules_.emplace(std::string(rule), RuleCounts{}).first;
  auto dirty = dirty_rules_.find(rule);
  if (dirty == dirty_rules_.end())
    dirty_rules_.emplace(std::string(rule), true);
  else
    dirty->second = true;
  return it->second;
}

uint64_t Counts::dead() const {
  uint64_t sum = 0;
  for (const auto& [name, counts] : rules_) sum += counts.dead_jobs + counts.rejected;
  return sum;
}

void Counts::Move(std::string_view rule, const Register* from, const Register* to) {
  if (from != nullptr) {
    if (uint64_t RuleCounts::*counter = Counter(from->state)) Add(rule, counter, -1);
    if (IsClosed(from->state)) Close(from->expires_ms, -1);
  }
  if (to != nullptr) {
    if (uint64_t RuleCounts::*counter = Counter(to->state)) Add(rule, counter, +1);
    if (IsClosed(to->state)) Close(to->expires_ms, +1);
  }
}

void Counts::Add(std::string_view rule, uint64_t RuleCounts::*count, int64_t change) {
  if (since_) (*since_)[std::string(rule)].*count += static_cast<uint64_t>(change);
  uint64_t& value = Change(rule).*count;
  if (change >= 0 || value >= static_cast<uint64_t>(-change)) {
    value += static_cast<uint64_t>(change);
    return;
  }
  value = 0;
  ++miscounts_;
  if (recount_wished_) return;  // told already
  Log(Level::kError,
      "a count of jobs does not agree with the store: all are counted anew from it",
      {{"rule", rule}});
  WishRecount();
}

void Counts::WishRecount() {
  recount_wished_ = true;
  recount_dirty_ = true;
}

void Counts::BeginRecount() {
  since_.emplace();
  stale_.since = 0;
  dead_bytes_.since = 0;
}

void Counts::EndRecount(const CountsByRule& seen, uint64_t stale, uint64_t dead_bytes) {
  stale_.Recounted(stale);
  dead_bytes_.Recounted(dead_bytes);
  CountsByRule right = seen;
  for (const auto& [rule, change] : *since_) {
    for (uint64_t RuleCounts::*count : kAll) {
      uint64_t& value = right[rule].*count;
      value += change.*count;
      if (value > INT64_MAX) value = 0;  // of rows that no register names
    }
  }
  for (const auto& [rule, counts] : rules_) right.try_emplace(rule);
  for (const auto& [rule, counts] : right) {
    const auto found = rules_.find(rule);
    const RuleCounts before = found == rules_.end() ? RuleCounts() : found->second;
    if (before == counts) continue;
    Log(Level::kWarn, "a rule's jobs were counted anew",
        {{"rule", rule}, {"before", Words(before)}, {"now", Words(counts)}});
    Change(rule) = counts;
  }
  since_.reset();
  recount_wished_ = false;
  recount_dirty_ = true;
}

void Counts::GiveUpRecount() {
  since_.reset();
  recount_wished_ = false;
}

void Counts::Close(int64_t expires_ms, int64_t change) {
  const int64_t number = expires_ms / kSpanMs;
  auto it = spans_.find(number);
  if (it == spans_.end()) {
    // Of a span dropped meanwhile: its keys are counted no more.
    if (change < 0) return;
    it = spans_.emplace(number, Span{}).first;
  }
  Span& span = it->second;
  if (change < 0 && span.keys == 0) return;
  span.keys += static_cast<uint64_t>(change);
  if (!span.dirty) dirty_spans_.push_back(number);
  span.dirty = true;
  closed_ += static_cast<uint64_t>(change);
}

uint64_t Counts::Expire(int64_t now_ms) {
  uint64_t early = 0;
  while (!spans_.empty()) {
    const auto first = spans_.begin();
    const int64_t end_ms = (first->first + 1) * kSpanMs;
    const bool expired = end_ms <= now_ms;
    if (!expired && closed_ <= history_max_) break;
    if (!expired) {
      early += first->second.keys;
      forget_floor_ms_ = end_ms - 1;
      floor_dirty_ = true;
    }
    closed_ -= first->second.keys;
    dropped_spans_.push_back(first->first);
    spans_.erase(first);
  }
  return early;
}

void Counts::Stage(WriteSet* set) {
  for (auto& [rule, dirty] : dirty_rules_) {
    if (!dirty) continue;
    set->PutMeta(std::string(kRulePrefix) + rule, Encode(rules_.find(rule)->second));
    dirty = false;
  }
  // Dropped first: a span that came back since is put after.
  for (const int64_t span : dropped_spans_) set->DeleteMeta(SpanKey(span));
  dropped_spans_.clear();
  for (const int64_t number : dirty_spans_) {
    const auto it = spans_.find(number);
    if (it == spans_.end()) continue;  // dropped since
    std::string value;
    PutVarint(&value, it->second.keys);
    set->PutMeta(SpanKey(number), value);
    it->second.dirty = false;
  }
  dirty_spans_.clear();
  if (recount_dirty_ && recount_wished_) set->PutMeta(kRecountKey, "1");
  if (recount_dirty_ && !recount_wished_) set->DeleteMeta(kRecountKey);
  recount_dirty_ = false;
  stale_.Stage(kStaleKey, set);
  dead_bytes_.Stage(kDeadBytesKey, set);
  if (floor_dirty_) {
    std::string value;
    PutVarint(&value, static_cast<uint64_t>(forget_floor_ms_));
    set->PutMeta(kFloorKey, value);
    floor_dirty_ = false;
  }
}

}  // namespace expirer
