// P2, P3: each attempt as it leaves, and what is due and did not leave.
#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>

#include "base/rfc3339.h"
#include "sched/pace.h"
#include "sim/oracle.h"

namespace expirer::sim {
namespace {

// What a clock steps back by less is not made up for.
constexpr int64_t kStepLeastMs = 1'000;

}  // namespace

// Of the event it was made of; 0 = none.
uint64_t Oracle::NumberIn(const MemoryBus::Published& message) {
  const size_t at = message.body.find(':');
  return at == std::string::npos
             ? 0
             : std::strtoull(message.body.c_str() + at + 1, nullptr, 10);
}

std::optional<QueueIndex> Oracle::QueueOf(const MemoryBus::Published& message) const {
  for (size_t i = 0; i < queues_.size(); ++i)
    if (message.target == TargetOf(static_cast<QueueIndex>(i)))
      return static_cast<QueueIndex>(i);
  return std::nullopt;
}

// The schedules that ask for this message, oldest first, and its queue. None asks for a
// late cancel's, also one with the body of that cancel.
std::vector<const Event*> Oracle::Find(const MemoryBus::Published& message,
                                       QueueIndex* queue) const {
  const uint64_t number = NumberIn(message);
  const auto found = QueueOf(message);
  if (number == 0 || number > events_.size() || !found) return {};
  if (queues_[*found].late_cancels) return {};
  *queue = *found;
  const Event& first = events_[number - 1];
  std::vector<const Event*> events;
  for (const Event* event : by_key_.at({first.rule, first.key}))
    if (event->kind == Event::Kind::kSchedule && ContentOf(*event) == number &&
        event->due_ms == first.due_ms)
      events.push_back(event);
  return events;
}

// Whether an event of the key with this due time has its message in the stream.
bool Oracle::HasFired(QueueIndex queue, const std::string& key, int64_t due_ms) const {
  const RuleIndex rule = queues_[queue].rule;
  const size_t entry = queue - queues_.Entries(rule).first;
  const auto& events = by_key_.at({rule, key});
  return std::any_of(events.begin(), events.end(), [&](const Event* event) {
    return DueOf(*event, entry) == due_ms && stored_.contains({queue, event->number});
  });
}

void Oracle::Sent(const MemoryBus::Published& message, Instant now) {
  ++sent_;
  QueueIndex queue = 0;
  if (const auto late = QueueOf(message); late && queues_[*late].late_cancels)
    return SentLateCancel(message, *late, now);
  const std::vector<const Event*> found = Find(message, &queue);
  const Event* newest = nullptr;
  for (const Event* event : found)
    if (event->lives > 0 && Known(*event) &&
        (newest == nullptr || Newer(Of(*event), Of(*newest))))
      newest = event;
  if (newest == nullptr) return Fail("P2: sent what nobody scheduled: " + message.body);
  const Event& event = *newest;
  const size_t entry = queue - queues_.Entries(event.rule).first;
  on_their_way_.insert({event.rule, event.key});
  waiting_.erase({DueOf(event, entry), event.number, queue});
  if (const std::string wrong = ids_.Check(message, found, queues_[queue], entry);
      !wrong.empty())
    Fail("P2: " + wrong + ": " + Tell(event));
  if (now.wall_ms < DueOf(event, entry)) Fail("P3: sent early: " + Tell(event));
  if (std::none_of(found.begin(), found.end(), [](const Event* e) { return e->durable; }))
    Fail("I8: sent before it was durable: " + Tell(event));
  sent_ever_.insert({queue, event.key, DueOf(event, entry)});
  if (too_late_.contains({queue, event.key, DueOf(event, entry)}))
    Fail("P3: sent though its rule's `late` takes it away: " + Tell(event));
  CheckRate(event.rule, now.mono_ms);
  CheckSupersedes(event);
  CheckAsks(event, queue);
  CheckRebuilt(event, queue);
  CheckInStep(event, queue);
  // One that waited for an attempt at its due time is late by that.
  const bool first = sent_dues_.emplace(queue, event.key, DueOf(event, entry)).second;
  // Nor does one that came late the first time stand at its due time.
  const bool in_time = std::none_of(found.begin(), found.end(), [&](const Event* e) {
    return e->handed_at_ms > DueOf(event, entry);
  });
  // Nor does a dead job that was taken back.
  if (first && in_time && message.Header("Expirer-Attempt") == "1" &&
      !taken_back_.contains({queue, event.key}))
    CheckOrder(event, queue);
}

void Oracle::SentLateCancel(const MemoryBus::Published& message, QueueIndex queue,
                            Instant now) {
  const uint64_t number = NumberIn(message);
  if (number == 0 || number > events_.size() ||
      events_[number - 1].kind != Event::Kind::kCancel || !Known(events_[number - 1]))
    return Fail("P2: a late cancel was sent that nobody made: " + message.body);
  const Event& cancel = events_[number - 1];
  const auto due_ms = ParseRfc3339(message.Header("Expirer-Due"));
  if (!due_ms.ok()) return Fail("P2: sent without its due time: " + message.body);
  if (now.wall_ms < *due_ms) Fail("P3: a late cancel was sent early: " + Tell(cancel));
  if (!cancel.durable) Fail("I8: sent before it was durable: " + Tell(cancel));
  const Queues::Range entries = queues_.Entries(cancel.rule);
  bool fired = starts_ > 1;  // in doubt a process before did
  for (size_t i = 0; i < entries.count; ++i)
    fired = fired || sent_ever_.contains({static_cast<QueueIndex>(entries.first + i),
                                          cancel.key, *due_ms});
  if (!fired) Fail("P3: told as late, but nothing was sent before: " + Tell(cancel));
  CheckRate(queues_[queue].rule, now.mono_ms);
  if (const std::string wrong = ids_.CheckSame(message); !wrong.empty())
    Fail("P2: " + wrong);
}

// Nothing that the process knows of the key outranks the event.
void Oracle::CheckSupersedes(const Event& event) {
  const bool reopen = rules_[event.rule].reopen;
  for (const Event* other : EventsOf(event.rule, event.key)) {
    if (other == &event || !Known(*other) || other->kind == Event::Kind::kReject ||
        other->forgotten)
      continue;
    const bool cancel = other->kind == Event::Kind::kCancel;
    if (!Newer(Of(*other), Of(event)) && (!cancel || reopen)) continue;
    Fail(fmt::format("P3: sent {} after {}", Tell(event), Tell(*other)));
  }
}

void Oracle::CheckAsks(const Event& event, QueueIndex queue) {
  const auto asks = asks_of_.find({queue, event.key});
  if (asks == asks_of_.end()) return;
  for (const Ask* ask : asks->second)
    if (ask->answered && !ask->forgotten && event.order < ask->order)
      Fail("P3: sent after a cancel of the API: " + Tell(event));
}

// What was due before the rebuild began and read in it may have fired before.
void Oracle::CheckRebuilt(const Event& event, QueueIndex queue) {
  const size_t entry = queue - queues_.Entries(event.rule).first;
  const bool told =
      event.requeued || event.forgotten || taken_back_.contains({queue, event.key});
  if (!began_ || options_.fire_overdue || told || !event.in_stream) return;
  if (began_->clock_steps == clock_steps_ && event.time_ns <= began_->time_ns &&
      DueOf(event, entry) <= began_->wall_ms)
    Fail("P3: sent though it may have fired before the rebuild: " + Tell(event));
}

// What was published before the job was due, while it may be unread.
void Oracle::CheckInStep(const Event& event, QueueIndex queue) {
  if (in_step_[event.rule] || event.rule == absent_) return;
  const size_t entry = queue - queues_.Entries(event.rule).first;
  for (const Event* other : EventsOf(event.rule, event.key)) {
    if (other->kind == Event::Kind::kReject || !other->in_stream || Known(*other) ||
        other->forgotten)
      continue;
    if (!Newer(Of(*other), Of(event)) || other->clock_steps != clock_steps_ ||
        other->published_ms >= DueOf(event, entry))
      continue;
    Fail(fmt::format("P3: sent {} while {} waited in its stream", Tell(event),
                     Tell(*other)));
  }
}

// Within one Step, of jobs that came before they were due.
void Oracle::CheckOrder(const Event& event, QueueIndex queue) {
  const size_t entry = queue - queues_.Entries(event.rule).first;
  const int64_t due_ms = DueOf(event, entry);
  SentLast& last = sent_last_[queue];
  if (last.event != nullptr) {
    // One whose content was asked for twice stands where it was asked for first.
    const bool once = event.lives == 1 && last.event->lives == 1 && event.same_as == 0 &&
                      last.event->same_as == 0;
    const bool tie = due_ms == last.due_ms && once && event.order < last.event->order;
    if (due_ms < last.due_ms || tie)
      Fail(fmt::format("P3: sent {} after {}, out of order", Tell(event),
                       Tell(*last.event)));
  }
  last = {&event, due_ms};
}

bool Oracle::RateAllows(RuleIndex rule, int64_t mono_ms) const {
  const int64_t rate = rules_[rule].rate;
  const std::deque<int64_t>& at = sent_at_[rule];
  return rate == 0 || at.empty() || mono_ms >= at.back() + 1'000 / rate + 1;
}

// No span of time holds more attempts than it has gaps, and the one at its begin;
// a turn may come late by Pace::kSlackMs, and no rate is lower for that.
void Oracle::CheckRate(RuleIndex rule, int64_t mono_ms) {
  constexpr size_t kLast = 50;
  const int64_t rate = rules_[rule].rate;
  if (rate == 0 || rule == absent_) return;
  std::deque<int64_t>& at = sent_at_[rule];
  at.push_back(mono_ms);
  if (at.size() > kLast) at.pop_front();
  for (size_t i = 0; i < at.size(); ++i) {
    const auto gaps = static_cast<int64_t>(at.size() - 1 - i);
    if (gaps * 1'000 > (mono_ms - at[i] + Pace::kSlackMs) * rate)
      Fail(fmt::format("P3: {} attempts of rule {} in {} ms, rate {}", gaps + 1, rule,
                       mono_ms - at[i], rate));
  }
}

void Oracle::Stored(const MemoryBus::Published& message) {
  QueueIndex queue = 0;
  if (const auto late = QueueOf(message); late && queues_[*late].late_cancels) {
    const auto due_ms = ParseRfc3339(message.Header("Expirer-Due"));
    const Event& cancel = events_[NumberIn(message) - 1];
    stored_late_.insert({*late, cancel.key, due_ms.value_or(0)});
    if (Known(cancel)) stored_.insert({*late, cancel.number});
  }
  for (const Event* event : Find(message, &queue))
    if (Known(*event)) stored_.insert({queue, event->number});
  if (!stored_ids_.insert(message.MsgId()).second) ++doubled_;
}

// ---- I3, and that nothing stands before another's jobs.

// A job that could be sent. `*gone`: it is no longer to be expected.
bool Oracle::IsDue(const Store& store, const Event& event, QueueIndex queue, Instant now,
                   bool* gone, bool* durable) {
  const auto reg = Read(store, queue, event.key);
  *gone = !reg || reg->state != JobState::kPending ||
          reg->schedule->position.time_ns != event.time_ns;
  // A look of the core may have moved its row since the last sync.
  *durable = event.durable && (*gone || reg->job->seq < synced_seq_);
  return !*gone && *durable && reg->job->key_ms <= now.wall_ms;
}

// No row waits for a time of ours that the clock had shown before it stepped back:
// not an overdue one, and a further attempt no longer than its rule's `retry` says.
void Oracle::CheckTimes(const Store& store, Instant now, const Attempts& attempts) {
  look_at_times_ = false;
  for (const auto& [key, events] : by_key_) {
    if (key.first == absent_) continue;
    const Queues::Range entries = queues_.Entries(key.first);
    for (size_t i = 0; i < entries.count; ++i) {
      const auto queue = static_cast<QueueIndex>(entries.first + i);
      if (queue == absent_entry_) continue;
      const auto reg = Read(store, queue, key.second);
      if (!reg || !IsLive(reg->state)) continue;
      const Event* const event = ByTime(reg->schedule->position.time_ns);
      if (event == nullptr) continue;  // told by CheckState
      if (attempts.contains({queue, key.second, event->due_ms})) {
        look_at_times_ = true;  // until that has ended
        continue;
      }
      int64_t latest_ms = now.wall_ms + kStepLeastMs;
      if (reg->state == JobState::kRetrying) {
        const RetryPolicy& retry = rules_[key.first].retry;
        const uint64_t doubled = std::min<uint64_t>(reg->brief->sends - 1, 20);
        // What should be dead and finds no room there is tried on, seldom.
        latest_ms += dead_roomy_ ? std::min(retry.max_ms, retry.initial_ms << doubled)
                                 : retry.max_ms;
        if (orphans_fired_) latest_ms += RetryPolicy().max_ms;
      }
      // One that may have been sent does not stand at its due time.
      if (reg->job->key_ms > std::max(reg->schedule->due_ms + 1, latest_ms))
        Fail(fmt::format("I3: waits for a clock that was ahead, by {} ms: {} at {}",
                         reg->job->key_ms - now.wall_ms, Tell(*event),
                         queues_[queue].name));
    }
  }
}

// A dead job that was taken back stands before the event's, and is not durable yet.
bool Oracle::HeldByRow(const Store& store, const Event& event, QueueIndex queue,
                       Instant now) {
  const Lane lane = Read(store, queue, event.key)->job->lane;
  const auto scan = store.ScanDue(lane);
  for (scan->Seek({lane, 0, 0}); scan->Valid(); scan->Next())
    if (scan->key().key_ms <= now.wall_ms && scan->key().seq >= synced_seq_) return true;
  return false;
}

void Oracle::AtRest(const Store& store, Instant now, const Ready& ready,
                    const std::map<uint64_t, MemoryBus::Published>& in_flight) {
  // A newer schedule of the same due time waits for the attempt at an older one.
  Attempts attempts;
  for (const auto& [number, message] : in_flight) {
    QueueIndex queue = 0;
    for (const Event* event : Find(message, &queue))
      attempts.emplace(queue, event->key, event->due_ms);
  }
  if (look_at_times_) CheckTimes(store, now, attempts);
  std::map<QueueIndex, const Event*> late;
  std::set<QueueIndex> held;  // by a job that is not durable yet
  for (auto at = waiting_.begin();
       at != waiting_.end() && std::get<0>(*at) <= now.wall_ms;) {
    const QueueIndex queue = std::get<2>(*at);
    const Event& event = events_[std::get<1>(*at) - 1];
    if (!ready(queue)) {
      ++at;
      continue;
    }
    bool gone = false;
    bool durable = false;
    const bool due = IsDue(store, event, queue, now, &gone, &durable);
    const bool waits = attempts.contains({queue, event.key, event.due_ms});
    if (due && !waits) late.emplace(queue, &event);
    // Also one that was taken away since: the core finds that when it is durable.
    if (!durable) held.insert(queue);
    at = gone && durable ? waiting_.erase(at) : std::next(at);
  }
  for (const auto& [queue, event] : late)
    if (!held.contains(queue) && !HeldByRow(store, *event, queue, now))
      Fail(fmt::format("I3: due and free to go, but not sent by {}: {} at {}",
                       now.wall_ms, Tell(*event), queues_[queue].name));
}

}  // namespace expirer::sim
