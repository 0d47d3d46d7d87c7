// The store as a whole: between two Steps, after a start and at the end.
#include <algorithm>

#include <fmt/format.h>

#include "base/coding.h"
#include "sched/audit.h"
#include "sim/oracle.h"

namespace expirer::sim {
namespace {

// Longest time without a sign of life in the store, and some more.
constexpr int64_t kAliveMs = 12'000;

}  // namespace

void Oracle::CheckStore(const Store& store) {
  for (const auto& [key, events] : by_key_) CheckKey(store, key.first, key.second);
  CheckRows(store);
  CheckDead(store);
}

void Oracle::CheckKey(const Store& store, RuleIndex rule, const std::string& key) {
  const Queues::Range entries = queues_.Entries(rule);
  for (size_t i = 0; i < entries.count; ++i) {
    const auto queue = static_cast<QueueIndex>(entries.first + i);
    const auto reg = Read(store, queue, key);
    bool closed = false;  // for good
    for (const Event* event : EventsOf(rule, key)) {
      if (event->kind == Event::Kind::kReject || Misses(*event, queue)) continue;
      if (event->answered && !Covers(reg, *event, rules_[rule].reopen))
        Fail("P1: acked and lost: " + Tell(*event));
      if (event->durable && !Covers(reg, *event, rules_[rule].reopen))
        Fail("P1: synced and lost: " + Tell(*event));
      if (!event->answered) continue;
      closed |= event->kind == Event::Kind::kCancel && !rules_[rule].reopen;
    }
    if (!reg) continue;
    if (closed && !IsClosed(reg->state))
      Fail(fmt::format("P3: {}/{} is open after a cancel for good", rule, key));
    CheckState(store, queue, key, *reg);
  }
}

void Oracle::CheckState(const Store& store, QueueIndex queue, const std::string& key,
                        const Register& reg) {
  const std::string name = queues_[queue].name;
  const std::string job = JobName(name, key);
  if (reg.schedule) {
    const Event* const event = ByTime(reg.schedule->position.time_ns);
    if (event == nullptr || event->key != key || !event->lives)
      Fail("P1: the store knows a schedule that nobody made: " + job);
  }
  if (IsLive(reg.state)) {
    std::string row;
    const auto found = store.GetJob(*reg.job, &row);
    const bool there = found.ok() && *found;
    const absl::StatusOr<Job> decoded =
        there ? DecodeJob(row) : absl::StatusOr<Job>(Job());
    if (!decoded.ok() || decoded->key != key || decoded->due_ms != reg.schedule->due_ms)
      Fail("P2: its row is not what its register says: " + job);
  }
  if (reg.state == JobState::kDead) {
    std::string value;
    const auto found = store.GetDead(DeadJobKey(name, key), &value);
    if (!found.ok() || !*found) Fail("P4: dead, and not in the dead store: " + job);
  }
  if (reg.state == JobState::kSkipped && !MaySkip(queue, key, reg.schedule->due_ms))
    Fail("P2: skipped, but found in time: " + job);
  if (reg.state == JobState::kFired && !HasFired(queue, key, reg.schedule->due_ms))
    Fail("P2: closed as fired, but the target's stream never had it: " + job);
}

// Its rule takes away what is late by so much, and it was: no process ran when it was
// due, or it came only then.
bool Oracle::MaySkip(QueueIndex queue, const std::string& key, int64_t due_ms) const {
  const LatePolicy& late = queues_[queue].late;
  if (late.action != LateAction::kSkip) return false;
  if (clock_steps_ > 0 || replaced_) return true;  // when was that?
  if (std::any_of(downs_.begin(), downs_.end(), [&](const Down& down) {
        return down.sign_ms - kAliveMs < due_ms && due_ms < down.until_ms &&
               down.until_ms - due_ms > late.after_ms;
      }))
    return true;
  const RuleIndex rule = queues_[queue].rule;
  const size_t entry = queue - queues_.Entries(rule).first;
  const auto& events = by_key_.at({rule, key});
  return std::any_of(events.begin(), events.end(), [&](const Event* event) {
    return DueOf(*event, entry) == due_ms && event->handed_at_ms - due_ms > late.after_ms;
  });
}

// History had no place for closed keys: of those nothing is known any more, and
// whatever of them comes again is news.
void Oracle::NoteForgotten(const Store& store, bool applied) {
  const auto was_there = [applied](const Event& event) {
    return event.durable || (applied && event.handed);
  };
  if (!ForgetsEarly()) return;
  for (const auto& [key, events] : by_key_) {
    if (Read(store, queues_.Entries(key.first).first, key.second)) continue;
    // Of what was handed over some may have been worked off.
    if (!MayBeClosed(key, was_there) && !MayBeClosed(key, Known))
      Fail(fmt::format("P2: {}/{} is not in the store, and never fired", key.first,
                       key.second));
    for (Event* event : events) {
      if (event->kind == Event::Kind::kReject || !Known(*event)) continue;
      event->forgotten = true;
      if (!was_there(*event)) continue;
      event->handed = event->durable = event->answered = event->termed = false;
      std::erase(unsynced_, event);
    }
    NoteDurable(store, key.first, key.second);
  }
}

// Of a rule with one publish entry.
bool Oracle::MayBeClosed(const Key& key,
                         const std::function<bool(const Event&)>& knows) const {
  const auto& [rule, name] = key;
  const QueueIndex queue = queues_.Entries(rule).first;
  const Event* newest = nullptr;
  bool closed =
      asks_of_.contains({queue, name}) || queues_[queue].late.action == LateAction::kSkip;
  for (const Event* event : by_key_.at(key)) {
    if (event->kind == Event::Kind::kReject) continue;
    const bool ended = (event->kind == Event::Kind::kCancel && event->lives > 0) ||
                       HasFired(queue, name, event->due_ms);
    closed = closed || (ended && !rules_[rule].reopen);
    if (knows(*event) && (newest == nullptr || Newer(Of(*event), Of(*newest))))
      newest = event;
  }
  return closed || newest == nullptr || newest->kind == Event::Kind::kCancel ||
         HasFired(queue, name, newest->due_ms);
}

// Each row is its register's.
void Oracle::CheckRows(const Store& store) {
  std::set<JobKey> live;
  const auto visited =
      store.VisitRegisters("", [&live](std::string_view, std::string_view value) {
        const auto reg = DecodeRegister(value);
        if (reg.ok() && IsLive(reg->state)) live.insert(*reg->job);
        return reg.status();
      });
  if (!visited.ok()) Fail("the store's registers cannot be read");
  // Lanes are numbered from 1, two a queue.
  for (size_t lane = 1; lane <= 2 * queues_.size(); ++lane) {
    const auto scan = store.ScanDue(static_cast<Lane>(lane));
    for (scan->Seek({static_cast<Lane>(lane), 0, 0}); scan->Valid(); scan->Next()) {
      if (live.erase(scan->key()) == 0)
        Fail(fmt::format("P3: the row {} of lane {} is no register's", scan->key().seq,
                         lane));
    }
    if (!scan->status().ok()) Fail("the store's rows cannot be read");
  }
  if (!live.empty()) Fail("P2: a live register has no row");
}

// Of the messages whose entries are there.
std::set<int64_t> Oracle::DeadTimes(const Store& store) {
  std::set<int64_t> kept;
  const auto visited =
      store.VisitDead("", [&kept](std::string_view, std::string_view value) {
        const auto dead = DecodeDead(value);
        if (dead.ok()) kept.insert(dead->source.time_ns);
        return dead.status();
      });
  if (!visited.ok()) Fail("the dead store cannot be read");
  return kept;
}

// What was rejected is kept.
void Oracle::CheckDead(const Store& store) {
  const std::set<int64_t> kept = DeadTimes(store);
  for (const Event& event : events_)
    if (event.kind == Event::Kind::kReject && event.answered && !event.purged &&
        !event.dropped && !kept.contains(event.time_ns))
      Fail("P4: terminated, and not in the dead store: " + Tell(event));
}

// ---- The end.

void Oracle::Ended(const Store& store) {
  CheckStore(store);
  (void)Audit(store, [this](const std::string& wrong) {
    Fail("P5: the store is not of one mind: " + wrong);
  });
  for (const auto& [key, events] : by_key_) CheckFired(store, key.first, key.second);
  for (const LateCancel& late : late_) {
    const QueueIndex queue = queues_.LateCancels(late.cancel->rule);
    const auto reg = Read(store, queue, late.cancel->key);
    // One of a later fire takes the place of one that is not out yet.
    const bool replaced = reg && reg->schedule && reg->schedule->due_ms != late.fire_ms;
    const bool closed = reg && (reg->state == JobState::kDead ||
                                asks_of_.contains({queue, late.cancel->key}));
    if (!replaced && !closed &&
        !stored_late_.contains({queue, late.cancel->key, late.fire_ms}))
      Fail("P2: nobody was told that it came too late: " + Tell(*late.cancel));
  }
}

// P2: what stood last has fired, or is listed as dead.
void Oracle::CheckFired(const Store& store, RuleIndex rule, const std::string& key) {
  const Event* newest = nullptr;
  bool cancelled = false;
  for (const Event* event : EventsOf(rule, key)) {
    if (event->kind == Event::Kind::kReject || !event->durable) continue;
    cancelled |= event->kind == Event::Kind::kCancel;
    if (newest == nullptr || Newer(Of(*event), Of(*newest))) newest = event;
  }
  if (newest == nullptr || newest->kind != Event::Kind::kSchedule) return;
  if (cancelled && !rules_[rule].reopen) return;
  const Queues::Range entries = queues_.Entries(rule);
  for (size_t i = 0; i < entries.count; ++i) {
    const auto queue = static_cast<QueueIndex>(entries.first + i);
    // Or when it came its entry was closed for good, by one that it missed.
    const bool missed_one =
        std::any_of(EventsOf(rule, key).begin(), EventsOf(rule, key).end(),
                    [&](const Event* event) { return Misses(*event, queue); });
    if (Misses(*newest, queue) || (missed_one && !rules_[rule].reopen)) continue;
    const auto asks = asks_of_.find({queue, key});
    const bool asked =
        asks != asks_of_.end() &&
        std::any_of(asks->second.begin(), asks->second.end(), [&](const Ask* ask) {
          return !rules_[rule].reopen || newest->time_ns <= ask->time_ns + 1'000'000;
        });
    const auto reg = Read(store, queue, key);
    if (asked || !reg || reg->state == JobState::kDead ||
        reg->state == JobState::kSkipped)
      continue;
    // Without `reopen` an earlier one that fired closed the key for good.
    const bool fired = rules_[rule].reopen || reg->state != JobState::kFired
                           ? HasFired(queue, key, DueOf(*newest, i))
                           : HasFired(queue, key, reg->schedule->due_ms);
    if (!fired)
      Fail(fmt::format("P2: never fired, but {}: {}", Name(reg->state), Tell(*newest)));
  }
}

}  // namespace expirer::sim
