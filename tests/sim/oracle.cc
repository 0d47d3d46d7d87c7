#include "sim/oracle.h"

#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>

#include "base/coding.h"
#include "sim/world.h"
#include "store/meta.h"

namespace expirer::sim {

Oracle::Oracle(const std::vector<Rule>* rules, const SchedulerOptions* options)
    : rules_(*rules),
      options_(*options),
      queues_(*rules),
      in_step_(rules->size(), false),
      sent_last_(queues_.size()),
      sent_at_(rules->size()) {
  Renamed();
}

void Oracle::Renamed() {
  queues_ = Queues(rules_);
  ids_.Named(rules_);
}

void Oracle::Without(std::optional<RuleIndex> rule, std::optional<QueueIndex> entry,
                     Orphans orphans) {
  absent_ = rule;
  absent_entry_ = entry;
  orphans_fired_ = orphans_fired_ || ((rule || entry) && orphans == Orphans::kFire);
}

void Oracle::StoreReplaced() {
  replaced_ = true;
  ids_.StoreReplaced();
  for (Event& event : events_) {
    event.durable = event.answered = event.termed = false;
    event.purged = event.dropped = false;
  }
  for (Ask& ask : asks_) ask.forgotten = true;
  late_.clear();
  taken_back_.clear();
  downs_.clear();
  last_step_.reset();
  durable_sign_ms_ = sign_ms_ = 0;
  stored_before_ = stored_;
}

void Oracle::RebuildBegins(Instant now) {
  began_ = {now.wall_ms, by_time_.empty() ? 0 : by_time_.rbegin()->first, clock_steps_};
}

void Oracle::Fail(const std::string& why) {
  if (!failed()) why_ = why;
}

Event* Oracle::Published(Event event) {
  event.number = events_.size() + 1;
  event.clock_steps = clock_steps_;
  Event* const kept = &events_.emplace_back(std::move(event));
  by_time_[kept->time_ns] = kept;
  by_key_[{kept->rule, kept->key}].push_back(kept);
  return kept;
}

const std::vector<Event*>& Oracle::EventsOf(RuleIndex rule, const std::string& key) {
  return by_key_[{rule, key}];
}

Event* Oracle::ByTime(int64_t time_ns) const {
  const auto found = by_time_.find(time_ns);
  return found == by_time_.end() ? nullptr : found->second;
}

std::optional<Register> Oracle::Read(const Store& store, QueueIndex queue,
                                     const std::string& key) {
  const auto known = store.GetRegister(MakeId(queues_[queue].name, key));
  if (known.ok()) return *known;
  Fail("the store cannot be read: " + Message(known.status()));
  return std::nullopt;
}

void Oracle::NoteDurable(const Store& store, RuleIndex rule, const std::string& key) {
  const Queues::Range entries = queues_.Entries(rule);
  auto& registers = durable_[{rule, key}];
  registers.resize(entries.count);
  for (size_t i = 0; i < entries.count; ++i)
    registers[i] = Read(store, static_cast<QueueIndex>(entries.first + i), key);
}

bool Oracle::IsDurable(const Event& event) const {
  if (event.kind == Event::Kind::kReject) return false;  // judged by CheckDead
  const auto known = durable_.find({event.rule, event.key});
  if (known == durable_.end()) return false;
  const QueueIndex first = queues_.Entries(event.rule).first;
  for (size_t i = 0; i < known->second.size(); ++i)
    if (!Misses(event, static_cast<QueueIndex>(first + i)) &&
        !Covers(known->second[i], event, rules_[event.rule].reopen))
      return false;
  return true;
}

// It came without the queue, or is older than one that did.
bool Oracle::Misses(const Event& event, QueueIndex queue) const {
  const Queues::Range entries = queues_.Entries(event.rule);
  if (event.kind != Event::Kind::kSchedule || queue + 1 != entries.first + entries.count)
    return false;
  const auto& events = by_key_.at({event.rule, event.key});
  return event.partial ||
         std::any_of(events.begin(), events.end(), [&](const Event* other) {
           return other->partial && Known(*other) && Newer(Of(*other), Of(event));
         });
}

void Oracle::Count(Report* report) const {
  report->sent = sent_;
  report->acked = acked_;
  report->fired = stored_ids_.size();
  report->doubled = doubled_;
}

// ---- What happens to the process.

void Oracle::Started(const Store& store, Instant now, bool dead_roomy) {
  ++starts_;
  dead_roomy_ = dead_roomy;
  NoteDropped(store);
  again_.clear();
  touched_.clear();
  maybe_late_.clear();
  too_late_.clear();
  if (last_step_ && last_step_->second == clock_steps_)
    downs_.push_back({durable_sign_ms_, last_step_->first, now.wall_ms});
  waiting_.clear();
  sent_dues_.clear();
  unsynced_.clear();
  on_their_way_.clear();
  open_asks_.clear();
  look_at_times_ = true;
  NoteSyncedRows(store);
  in_step_.assign(rules_.size(), false);
  sent_at_.assign(rules_.size(), {});
  for (const auto& [key, events] : by_key_) NoteDurable(store, key.first, key.second);
  for (Event& event : events_) {
    event.handed = false;
    if (rules_[event.rule].source == Transport::kCore) event.in_stream = false;
    if (event.kind == Event::Kind::kReject && event.taken && IsNamed(store, event)) {
      event.kind = Event::Kind::kSchedule;  // in the older copy it was taken back
      event.requeued = true;
    }
    event.durable = event.durable || (event.lives > 0 && IsDurable(event));
  }
  RevertRequeues(store);
  std::erase_if(late_, [](const LateCancel& late) { return !late.cancel->durable; });
  CheckStore(store);
  for (const auto& [key, events] : by_key_) {
    const Queues::Range entries = queues_.Entries(key.first);
    for (size_t i = 0; i < entries.count; ++i) {
      const auto queue = static_cast<QueueIndex>(entries.first + i);
      const auto reg = Read(store, queue, key.second);
      if (!reg || reg->state != JobState::kPending) continue;
      const Event* const event = ByTime(reg->schedule->position.time_ns);
      if (event != nullptr) waiting_.insert({DueOf(*event, i), event->number, queue});
      if (IsTooLate(queue, reg->schedule->due_ms, now))
        too_late_.insert({queue, key.second, reg->schedule->due_ms});
    }
  }
}

// The process drops a message if the dead store is full, and terminates it. If the
// message comes again when there is room, it is kept, and a crash before the sync loses
// it: that is no loss beyond the drop, which the process has counted.
void Oracle::NoteDropped(const Store& store) {
  const std::set<int64_t> kept = DeadTimes(store);
  for (Event& event : events_) {
    if (dropped_ >= told_dropped_) break;
    if (event.kind != Event::Kind::kReject || !event.answered || event.purged ||
        event.dropped || kept.contains(event.time_ns))
      continue;
    event.dropped = true;
    ++dropped_;
  }
  dropped_ = told_dropped_ = 0;
}

// By the register of an entry, as its newest schedule.
bool Oracle::IsNamed(const Store& store, const Event& event) {
  const Queues::Range entries = queues_.Entries(event.rule);
  for (size_t i = 0; i < entries.count; ++i) {
    const auto queue = static_cast<QueueIndex>(entries.first + i);
    const auto reg = Read(store, queue, event.key);
    if (reg && reg->schedule && reg->schedule->position.time_ns == event.time_ns)
      return true;
  }
  return false;
}

// Due while no process ran, and found later than its rule allows.
bool Oracle::IsTooLate(QueueIndex queue, int64_t due_ms, Instant now) const {
  const LatePolicy& late = queues_[queue].late;
  if (clock_steps_ > 0 || downs_.empty() || queues_[queue].rule == absent_ ||
      queue == absent_entry_ || late.action == LateAction::kFire ||
      (late.action == LateAction::kDead && !dead_roomy_))
    return false;
  return downs_.back().from_ms < due_ms && due_ms < now.wall_ms &&
         now.wall_ms - due_ms > late.after_ms;
}

// What was taken back and is not in the store is in the dead store again.
void Oracle::RevertRequeues(const Store& store) {
  const std::set<int64_t> dead = DeadTimes(store);
  for (Event& event : events_) {
    if (!event.requeued || event.durable || event.forgotten) continue;
    if (event.termed && !dead.contains(event.time_ns) && !event.purged)
      Fail("P4: requeued and lost: " + Tell(event));
    event.kind = Event::Kind::kReject;
    event.requeued = false;
    event.answered = event.termed;
  }
}

// Of expirer's clock and the server's, what it has shown.
int64_t Oracle::LatestNs(Instant now) const {
  return std::max(now.wall_ms * 1'000'000,
                  by_time_.empty() ? 0 : by_time_.rbegin()->first);
}

Oracle::Ask* Oracle::AskedToClose(const std::string& reply, QueueIndex queue,
                                  const std::string& key, Instant now) {
  Ask* const ask = &asks_.emplace_back();
  ask->reply = reply;
  ask->queue = queue;
  ask->key = key;
  ask->order = order_;
  ask->time_ns = LatestNs(now);
  open_asks_.push_back(ask);
  asks_of_[{queue, key}].push_back(ask);
  ++touched_[{queues_[queue].rule, key}];
  return ask;
}

void Oracle::HandedCancelRequest(const JobCommand& request, Instant now) {
  Ask* const ask = AskedToClose(request.caller.reply, *queues_.Find(request.job.rule),
                                request.job.key, now);
  for (const Event* event : EventsOf(queues_[ask->queue].rule, ask->key)) {
    if (event->kind != Event::Kind::kSchedule || !Known(*event)) continue;
    if (ask->newest == nullptr || Newer(Of(*event), Of(*ask->newest)))
      ask->newest = event;
  }
  cancels_by_reply_[ask->reply] = ask;
}

void Oracle::HandedDead(const DeadCommand& request, Instant now, const Store& store) {
  for (const DeadCommand::Entry& entry : request.entries) {
    const std::optional<DeadName> name = SplitDeadKey(entry.key);
    std::string value;
    const auto found = store.GetDead(entry.key, &value);
    if (!name || !found.ok() || !*found) continue;
    if (name->job) {
      const QueueIndex queue = *queues_.Find(name->rule);
      const std::string key(name->key);
      if (request.purge) AskedToClose(request.caller.reply, queue, key, now);
      ++touched_[{queues_[queue].rule, key}];
      std::erase_if(too_late_, [&](const Due& due) {
        return std::get<0>(due) == queue && std::get<1>(due) == key;
      });
      taken_back_.emplace(queue, key);
      continue;
    }
    const auto dead = DecodeDead(value);
    Event* const event = dead.ok() ? ByTime(dead->source.time_ns) : nullptr;
    if (event == nullptr) continue;
    event->purged = event->purged || request.purge;
    if (!request.purge && event->kind == Event::Kind::kReject &&
        std::holds_alternative<ScheduleIntent>(*entry.intent))
      again_[request.caller.reply].push_back({entry.key, event, false});
    ++touched_[{event->rule, event->key}];
  }
}

// Its entry is gone from the dead store, so its rule took it.
void Oracle::Accept(Again* again, Instant now) {
  again->accepted = true;
  Event* const event = again->event;
  event->kind = Event::Kind::kSchedule;
  event->requeued = event->taken = true;
  event->termed = event->answered;
  event->answered = false;  // as a schedule
  event->handed_at_ms = std::max(event->handed_at_ms, now.wall_ms);
  HandedEvent(event);
}

// All that the key had has fired: the cancel must publish that it was too late, if
// nothing else comes about the key in this Step.
void Oracle::HandedCancel(const Event& event, const Store& store) {
  if (rules_[event.rule].cancel.empty() || LateInTrouble(event)) return;
  const Queues::Range entries = queues_.Entries(event.rule);
  int64_t fire_ms = 0;
  for (size_t i = 0; i < entries.count; ++i) {
    const auto reg = Read(store, static_cast<QueueIndex>(entries.first + i), event.key);
    if (!reg || reg->state != JobState::kFired ||
        !Newer(Of(event), Of(reg->schedule->position)))
      return;
    fire_ms = std::max(fire_ms, reg->schedule->due_ms);
  }
  maybe_late_.push_back({&event, fire_ms});
}

void Oracle::Handed(const Request& request, Instant now, const Store& store) {
  ++order_;
  if (const auto* command = std::get_if<std::unique_ptr<Command>>(&request)) {
    if (const auto* cancel = dynamic_cast<const JobCommand*>(command->get()))
      return HandedCancelRequest(*cancel, now);
    return HandedDead(dynamic_cast<const DeadCommand&>(**command), now, store);
  }
  const auto& message = std::get<MessageRequest>(request);
  Event* const event = ByTime(message.time_ns);
  event->handed_at_ms = std::max(event->handed_at_ms, now.wall_ms);
  ++touched_[{event->rule, event->key}];
  if (event->handed) return;
  HandedEvent(event);
  if (event->kind == Event::Kind::kCancel && !event->durable) HandedCancel(*event, store);
}

void Oracle::Waits(const Request& request, Instant now) {
  const auto* message = std::get_if<MessageRequest>(&request);
  if (message != nullptr) ByTime(message->time_ns)->handed_at_ms = now.wall_ms;
}

void Oracle::HandedEvent(Event* event) {
  event->handed = true;
  event->order = order_;
  ++event->lives;
  // Changes nothing when what is durable tells as much.
  event->durable = event->durable || IsDurable(*event);
  if (event->durable) return;
  unsynced_.push_back(event);
  if (event->kind != Event::Kind::kSchedule) return;
  if (absent_entry_ && queues_[*absent_entry_].rule == event->rule) {
    event->partial = true;
  }
  const Queues::Range entries = queues_.Entries(event->rule);
  for (size_t i = 0; i < entries.count; ++i) {
    const auto queue = static_cast<QueueIndex>(entries.first + i);
    if (!Misses(*event, queue)) waiting_.insert({DueOf(*event, i), event->number, queue});
  }
}

void Oracle::NoteSyncedRows(const Store& store) {
  std::string value;
  const auto found = store.GetMeta(kMetaNextSeq, &value);
  if (!found.ok()) Fail("the store cannot be read: " + Message(found.status()));
  if (found.ok() && *found) synced_seq_ = Reader(value).Varint();
}

void Oracle::Synced(const Store& store) {
  durable_sign_ms_ = sign_ms_;
  NoteSyncedRows(store);
  std::vector<Event*> rest;
  for (Event* event : unsynced_) {
    NoteDurable(store, event->rule, event->key);
    event->durable = IsDurable(*event);
    if (!event->durable) rest.push_back(event);
  }
  unsynced_ = std::move(rest);
  for (const Ask* ask : open_asks_)
    NoteDurable(store, queues_[ask->queue].rule, ask->key);
  for (auto key = on_their_way_.begin(); key != on_their_way_.end();) {
    NoteDurable(store, key->first, key->second);
    const auto& registers = durable_[*key];
    const bool closed =
        std::all_of(registers.begin(), registers.end(),
                    [](const auto& r) { return !r || IsClosed(r->state); });
    key = closed ? on_their_way_.erase(key) : std::next(key);
  }
}

// ---- P1: acks.

// Its key was closed and given up before the answer left.
bool Oracle::IsForgotten(Event& event, const Store& store) {
  if (event.forgotten) return true;  // perhaps the answer is that to the time before
  if (!ForgetsEarly() || event.durable || event.kind == Event::Kind::kReject ||
      Read(store, queues_.Entries(event.rule).first, event.key))
    return false;
  event.forgotten = true;
  event.handed = false;
  std::erase(unsynced_, &event);
  return true;
}

void Oracle::Acked(const std::string& reply, const Store& store) {
  Event& event = events_[std::strtoull(reply.c_str(), nullptr, 10) - 1];
  acked_ += event.answered ? 0 : 1;
  if (IsForgotten(event, store)) return;
  event.answered = true;
  if (!event.handed) Fail("P1: acked, but never handed over: " + Tell(event));
  if (event.kind == Event::Kind::kReject)
    Fail("P4: acked though rejected: " + Tell(event));
  if (!event.durable) Fail("P1: acked before a sync that covers it: " + Tell(event));
  CheckKey(store, event.rule, event.key);
}

void Oracle::Termed(const std::string& reply, const Store& store, uint64_t dropped) {
  Event& event = events_[std::strtoull(reply.c_str(), nullptr, 10) - 1];
  acked_ += event.answered ? 0 : 1;
  told_dropped_ = dropped;
  if (event.requeued) {  // it came again before that
    event.termed = true;
    return;
  }
  event.answered = true;
  if (event.kind != Event::Kind::kReject)
    Fail("P4: terminated though it is good: " + Tell(event));
  if (event.purged || DeadTimes(store).contains(event.time_ns)) return;
  event.dropped = true;
  if (++dropped_ > dropped)
    Fail("P4: terminated, neither kept nor told as dropped: " + Tell(event));
}

// The event whose job the answer is about. A late cancel's stands in its register: a
// later one of the key is not sent before this answer has left.
const Event* Oracle::AskedAbout(const Ask& ask, const Store& store) {
  if (!queues_[ask.queue].late_cancels) return ask.newest;
  const auto reg = Read(store, ask.queue, ask.key);
  return reg && reg->schedule ? ByTime(reg->schedule->position.time_ns) : nullptr;
}

void Oracle::Replied(const MemoryBus::Replied& reply, const Store& store) {
  std::erase_if(open_asks_, [&](const Ask* ask) { return ask->reply == reply.to; });
  for (const Again& one : again_[reply.to]) {
    if (!one.accepted) continue;
    if (IsForgotten(*one.event, store)) continue;
    one.event->answered = true;
    if (!one.event->durable)
      Fail("P1: requeued before a sync that covers it: " + Tell(*one.event));
  }
  again_.erase(reply.to);
  const auto found = cancels_by_reply_.find(reply.to);
  if (found == cancels_by_reply_.end()) return;
  Ask& ask = *found->second;
  if (reply.body.find("unknown") != std::string::npos) return;
  ask.answered = true;
  const bool cancelled = reply.body.find(R"("cancelled")") != std::string::npos;
  const Event* const about = AskedAbout(ask, store);
  if (cancelled && about != nullptr && !about->forgotten &&
      stored_.contains({ask.queue, about->number}) &&
      !stored_before_.contains({ask.queue, about->number}))
    Fail("P3: `cancelled` was said, but it had fired: " + Tell(*about));
}

// A core that waits for space applies what was handed over in a later Step.
void Oracle::Stepped(const Store& store, Instant now, bool roomy, bool applied) {
  for (Ask* ask : open_asks_) ask->time_ns = std::max(ask->time_ns, LatestNs(now));
  last_step_ = {now.wall_ms, clock_steps_};
  if (roomy) sign_ms_ = now.wall_ms;
  for (auto& [reply, entries] : again_) {
    for (Again& again : entries) {
      std::string value;
      const auto found = store.GetDead(again.dead_key, &value);
      if (!again.accepted && found.ok() && !*found) Accept(&again, now);
    }
  }
  NoteForgotten(store, applied);  // also what was accepted in this Step
  for (const LateCancel& late : maybe_late_)
    if (touched_[{late.cancel->rule, late.cancel->key}] == 1) late_.push_back(late);
  maybe_late_.clear();
  touched_.clear();
}

}  // namespace expirer::sim
