#include "sched/counts.h"

#include <algorithm>

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

// Of the sums, where the rule is "".
std::string SpanKey(std::string_view rule, int64_t span) {
  std::string key(rule.empty() ? kSpanPrefix : kMetaRuleHistory);
  if (!rule.empty()) key.append(rule).push_back('\0');
  PutBig64(&key, static_cast<uint64_t>(span));
  return key;
}

std::string FloorKey(std::string_view rule) {
  return rule.empty() ? std::string(kFloorKey) : std::string(kMetaRuleFloor).append(rule);
}

std::string Encode(const RuleCounts& counts) {
  return Varints(kVersion, counts.pending, counts.retrying, counts.dead_jobs,
                 counts.rejected);
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
  RETURN_IF_ERROR(LoadHistory(store));
  std::string unused;
  ASSIGN_OR_RETURN(recount_wished_, store.GetMeta(kRecountKey, &unused));
  return LoadTotals(store);
}

absl::Status Counts::LoadHistory(const Store& store) {
  // The number after `rule_bytes` of the key.
  const auto span_of = [](std::string_view key,
                          size_t rule_bytes) -> absl::StatusOr<int64_t> {
    if (key.size() != rule_bytes + 8) return Corrupt("history count malformed");
    return static_cast<int64_t>(Big64(key.data() + rule_bytes));
  };
  RETURN_IF_ERROR(store.VisitMeta(
      kSpanPrefix, [&](std::string_view key, std::string_view value) -> absl::Status {
        ASSIGN_OR_RETURN(const int64_t span, span_of(key, kSpanPrefix.size()));
        closed_ += spans_[span].keys = Reader(value).Varint();
        return absl::OkStatus();
      }));
  std::map<int64_t, Span> rest = spans_;  // that no rule has
  const auto add = [this](std::string_view rule, int64_t span, uint64_t keys) {
    History& history = histories_[std::string(rule)];
    history.spans[span] = {keys, EndMs(span), false};
    history.keys += keys;
  };
  RETURN_IF_ERROR(store.VisitMeta(
      kMetaRuleHistory,
      [&](std::string_view key, std::string_view value) -> absl::Status {
        key.remove_prefix(kMetaRuleHistory.size());
        const std::string_view rule = key.substr(0, key.find('\0'));
        ASSIGN_OR_RETURN(const int64_t span, span_of(key, rule.size() + 1));
        // An older version may have counted since: it knows the sums only.
        const uint64_t stored = Reader(value).Varint();
        const auto sum = rest.find(span);
        const uint64_t keys = std::min(stored, sum == rest.end() ? 0 : sum->second.keys);
        if (keys != stored) dirty_spans_.emplace_back(rule, span);
        if (keys == 0) return absl::OkStatus();
        sum->second.keys -= keys;
        add(rule, span, keys);
        return absl::OkStatus();
      }));
  for (const auto& [span, of] : rest)
    if (of.keys > 0) add("", span, of.keys);
  std::string floor;
  ASSIGN_OR_RETURN(const bool found, store.GetMeta(kFloorKey, &floor));
  if (found) floors_[""] = static_cast<int64_t>(Reader(floor).Varint());
  return store.VisitMeta(
      kMetaRuleFloor, [this](std::string_view key, std::string_view value) {
        key.remove_prefix(kMetaRuleFloor.size());
        floors_[std::string(key)] = static_cast<int64_t>(Reader(value).Varint());
        return absl::OkStatus();
      });
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
  set->PutMeta(key, Varints(value));
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
    if (IsClosed(from->state)) Close(rule, from->expires_ms, -1);
  }
  if (to != nullptr) {
    if (uint64_t RuleCounts::*counter = Counter(to->state)) Add(rule, counter, +1);
    if (IsClosed(to->state)) Close(rule, to->expires_ms, +1);
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
  Log(Level::kError, "a count of jobs disagrees with the store: counting all jobs again",
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
    Log(Level::kWarn, "the jobs of a rule were counted again",
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

void Counts::Close(std::string_view queue, int64_t expires_ms, int64_t change) {
  const int64_t number = expires_ms / kSpanMs;
  const std::string_view rule = RuleOfName(queue);
  auto at = histories_.find(rule);
  if (change > 0) {
    if (at == histories_.end()) at = histories_.try_emplace(std::string(rule)).first;
    Span& span = at->second.spans[number];
    Span& sum = spans_[number];
    Touch(rule, number, &span);
    Touch("", number, &sum);
    ++span.keys;
    span.last_ms = std::max(span.last_ms, expires_ms);
    ++sum.keys;
    ++at->second.keys;
    ++closed_;
    return;
  }
  if (at == histories_.end() || !at->second.spans.contains(number))
    at = histories_.find(std::string_view());
  // Of a span dropped meanwhile: its keys are counted no more.
  if (at == histories_.end() || !at->second.spans.contains(number)) return;
  TakeOut(at, number, 1);
  if (at->second.keys == 0) histories_.erase(at);
}

// The rule's entry stays, also where it has no keys any more.
void Counts::TakeOut(Histories::iterator rule, int64_t number, uint64_t keys) {
  History& history = rule->second;
  const auto span = history.spans.find(number);
  const auto sum = spans_.find(number);
  Touch(rule->first, number, &span->second);
  Touch("", number, &sum->second);
  history.keys -= keys;
  closed_ -= keys;
  if ((span->second.keys -= keys) == 0) history.spans.erase(span);
  if ((sum->second.keys -= keys) == 0) spans_.erase(sum);
}

int64_t Counts::FloorMs(std::string_view queue) const {
  int64_t floor_ms = 0;
  for (const std::string_view rule : {std::string_view(), RuleOfName(queue)}) {
    const auto floor = floors_.find(rule);
    if (floor != floors_.end()) floor_ms = std::max(floor_ms, floor->second);
  }
  return floor_ms;
}

void Counts::ForgetOldest(std::vector<Forgotten>* forgotten) {
  const auto most = std::max_element(
      histories_.begin(), histories_.end(),
      [](const auto& a, const auto& b) { return a.second.keys < b.second.keys; });
  const std::string rule = most->first;
  const int64_t floor_ms = most->second.spans.begin()->second.last_ms;
  uint64_t keys = 0;
  // Whose the keys of "" are nobody knows, so every rule forgets as much.
  for (auto at = histories_.begin(); at != histories_.end();) {
    std::map<int64_t, Span>& spans = at->second.spans;
    if (rule.empty() || at->first == rule) {
      while (!spans.empty() && spans.begin()->second.last_ms <= floor_ms) {
        keys += spans.begin()->second.keys;
        TakeOut(at, spans.begin()->first, spans.begin()->second.keys);
      }
    }
    at = at->second.keys == 0 ? histories_.erase(at) : std::next(at);
  }
  int64_t& floor = floors_[rule];
  floor = std::max(floor, floor_ms);
  dirty_floors_.insert(rule);
  if (forgotten->empty() || forgotten->back().rule != rule)
    forgotten->push_back({rule, 0, 0});
  forgotten->back().keys += keys;
  forgotten->back().floor_ms = floor;
}

std::vector<Counts::Forgotten> Counts::Expire(int64_t now_ms) {
  while (!spans_.empty() && EndMs(spans_.begin()->first) < now_ms) {
    const int64_t span = spans_.begin()->first;
    for (auto at = histories_.begin(); at != histories_.end();) {
      const auto first = at->second.spans.begin();
      if (first->first == span) TakeOut(at, span, first->second.keys);
      at = at->second.keys == 0 ? histories_.erase(at) : std::next(at);
    }
  }
  std::vector<Forgotten> forgotten;
  while (closed_ > history_max_) ForgetOldest(&forgotten);
  return forgotten;
}

void Counts::Stage(WriteSet* set) {
  for (auto& [rule, dirty] : dirty_rules_) {
    if (!dirty) continue;
    set->PutMeta(std::string(kRulePrefix) + rule, Encode(rules_.find(rule)->second));
    dirty = false;
  }
  for (const auto& [rule, number] : dirty_spans_) {
    std::map<int64_t, Span> none;
    const auto history = rule.empty() ? histories_.end() : histories_.find(rule);
    std::map<int64_t, Span>& spans = rule.empty() ? spans_
                                     : history == histories_.end()
                                         ? none
                                         : history->second.spans;
    const auto span = spans.find(number);
    if (span == spans.end()) {
      set->DeleteMeta(SpanKey(rule, number));
      continue;
    }
    set->PutMeta(SpanKey(rule, number), Varints(span->second.keys));
    span->second.dirty = false;
  }
  dirty_spans_.clear();
  if (recount_dirty_ && recount_wished_) set->PutMeta(kRecountKey, "1");
  if (recount_dirty_ && !recount_wished_) set->DeleteMeta(kRecountKey);
  recount_dirty_ = false;
  stale_.Stage(kStaleKey, set);
  dead_bytes_.Stage(kDeadBytesKey, set);
  for (const std::string& rule : dirty_floors_)
    set->PutMeta(FloorKey(rule), Varints(floors_.find(rule)->second));
  dirty_floors_.clear();
}

}  // namespace expirer
