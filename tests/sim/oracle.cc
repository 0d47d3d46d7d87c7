#include "sim/oracle.h"

#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>

#include "base/coding.h"
#include "base/rfc3339.h"
#include "job/fired.h"
#include "sched/audit.h"
#include "sched/pace.h"
#include "sched/pages.h"
#include "sim/world.h"
#include "store/meta.h"

namespace expirer::sim {
namespace {

struct Place {
  std::optional<int64_t> version;
  int64_t time_ns = 0;
};
Place Of(const Event& event) { return {event.version, event.time_ns}; }
Place Of(const Position& position) { return {position.version, position.time_ns}; }

bool Newer(Place a, Place b) {
  if (a.version && b.version && *a.version != *b.version) return *a.version > *b.version;
  return a.time_ns > b.time_ns;
}

// The register knows the event, or one that is newer. Without `reopen` any cancel
// closes for good, so of one an open register does not tell.
bool Covers(const std::optional<Register>& reg, const Event& event, bool reopen) {
  if (!reg) return false;
  const bool told = reopen || event.kind != Event::Kind::kCancel || IsClosed(reg->state);
  if (told && reg->schedule && !Newer(Of(event), Of(reg->schedule->position)))
    return true;
  return reg->cancel && !Newer(Of(event), Of(*reg->cancel));
}

// Longest time without a sign of life in the store, and some more.
constexpr int64_t kAliveMs = 12'000;

// Of SchedulerOptions, which the worlds leave as it is.
constexpr std::string_view kServiceName = "expirer";
// What a clock steps back by less is not made up for.
constexpr int64_t kStepLeastMs = 1'000;

std::string Tell(const Event& event) {
  const char* const kinds[] = {"schedule", "cancel", "reject"};
  return fmt::format("{} {} of rule {} key {}", kinds[static_cast<int>(event.kind)],
                     event.number, event.rule, event.key);
}

// What the process that runs now can know.
bool Known(const Event& event) { return event.handed || event.durable; }

}  // namespace

Oracle::Oracle(const std::vector<Rule>* rules)
    : rules_(*rules),
      outlets_(*rules),
      names_(rules->size()),
      first_name_(rules->size()),
      in_step_(rules->size(), false),
      sent_last_(outlets_.size()),
      sent_at_(rules->size()) {
  Renamed();
}

void Oracle::Renamed() {
  outlets_ = Outlets(rules_);
  for (size_t i = 0; i < rules_.size(); ++i)
    if (names_[i].empty() || names_[i].back() != rules_[i].name)
      names_[i].push_back(rules_[i].name);
}

void Oracle::Without(std::optional<RuleIndex> rule, Orphans orphans) {
  absent_ = rule;
  orphans_fired_ = orphans_fired_ || (rule && orphans == Orphans::kFire);
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

std::optional<Register> Oracle::Read(const Store& store, OutletIndex outlet,
                                     const std::string& key) {
  const auto known = store.GetRegister(MakeId(outlets_[outlet].name, key));
  if (known.ok()) return *known;
  Fail("the store cannot be read: " + Message(known.status()));
  return std::nullopt;
}

void Oracle::NoteDurable(const Store& store, RuleIndex rule, const std::string& key) {
  const Outlets::Range entries = outlets_.Entries(rule);
  auto& registers = durable_[{rule, key}];
  registers.resize(entries.count);
  for (size_t i = 0; i < entries.count; ++i)
    registers[i] = Read(store, static_cast<OutletIndex>(entries.first + i), key);
}

bool Oracle::IsDurable(const Event& event) const {
  if (event.kind == Event::Kind::kReject) return false;  // judged by CheckDead
  const auto known = durable_.find({event.rule, event.key});
  return known != durable_.end() &&
         std::all_of(known->second.begin(), known->second.end(), [&](const auto& reg) {
           return Covers(reg, event, rules_[event.rule].reopen);
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
  dropped_ = 0;
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
    event.durable = event.durable || (event.lives > 0 && IsDurable(event));
  }
  RevertRequeues(store);
  std::erase_if(late_, [](const LateCancel& late) { return !late.cancel->durable; });
  CheckStore(store);
  for (const auto& [key, events] : by_key_) {
    const Outlets::Range entries = outlets_.Entries(key.first);
    for (size_t i = 0; i < entries.count; ++i) {
      const auto outlet = static_cast<OutletIndex>(entries.first + i);
      const auto reg = Read(store, outlet, key.second);
      if (!reg || reg->state != JobState::kPending) continue;
      const Event* const event = ByTime(reg->schedule->position.time_ns);
      if (event != nullptr) waiting_.insert({DueOf(*event, i), event->number, outlet});
      if (IsTooLate(outlet, reg->schedule->due_ms, now))
        too_late_.insert({outlet, key.second, reg->schedule->due_ms});
    }
  }
}

// Due while no process ran, and found later than its rule allows.
bool Oracle::IsTooLate(OutletIndex outlet, int64_t due_ms, Instant now) const {
  const LatePolicy& late = outlets_[outlet].late;
  if (clock_steps_ > 0 || downs_.empty() || outlets_[outlet].rule == absent_ ||
      late.action == LateAction::kFire ||
      (late.action == LateAction::kDead && !dead_roomy_))
    return false;
  return downs_.back().from_ms < due_ms && due_ms < now.wall_ms &&
         now.wall_ms - due_ms > late.after_ms;
}

// What was taken back and is not in the store is in the dead store again.
void Oracle::RevertRequeues(const Store& store) {
  const std::set<int64_t> dead = DeadTimes(store);
  for (Event& event : events_) {
    if (!event.requeued || event.durable) continue;
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

Oracle::Ask* Oracle::AskedToClose(const std::string& reply, OutletIndex outlet,
                                  const std::string& key, Instant now) {
  Ask* const ask = &asks_.emplace_back();
  ask->reply = reply;
  ask->outlet = outlet;
  ask->key = key;
  ask->order = order_;
  ask->time_ns = LatestNs(now);
  open_asks_.push_back(ask);
  asks_of_[{outlet, key}].push_back(ask);
  ++touched_[{outlets_[outlet].rule, key}];
  return ask;
}

void Oracle::HandedCancelRequest(const CancelRequest& request, Instant now) {
  Ask* const ask = AskedToClose(request.caller.reply, *outlets_.Find(request.job.rule),
                                request.job.key, now);
  for (const Event* event : EventsOf(outlets_[ask->outlet].rule, ask->key)) {
    if (event->kind != Event::Kind::kSchedule || !Known(*event)) continue;
    if (ask->newest == nullptr || Newer(Of(*event), Of(*ask->newest)))
      ask->newest = event;
  }
  cancels_by_reply_[ask->reply] = ask;
}

void Oracle::HandedDead(const DeadRequest& request, Instant now, const Store& store) {
  for (const DeadRequest::Entry& entry : request.entries) {
    const std::optional<DeadName> name = SplitDeadKey(entry.key);
    std::string value;
    const auto found = store.GetDead(entry.key, &value);
    if (!name || !found.ok() || !*found) continue;
    if (name->job) {
      const OutletIndex outlet = *outlets_.Find(name->rule);
      const std::string key(name->key);
      if (request.purge) AskedToClose(request.caller.reply, outlet, key, now);
      ++touched_[{outlets_[outlet].rule, key}];
      std::erase_if(too_late_, [&](const Due& due) {
        return std::get<0>(due) == outlet && std::get<1>(due) == key;
      });
      taken_back_.emplace(outlet, key);
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
  event->requeued = true;
  event->termed = event->answered;
  event->answered = false;  // as a schedule
  event->handed_at_ms = std::max(event->handed_at_ms, now.wall_ms);
  HandedEvent(event);
}

// All that the key had has fired: the cancel must publish that it was too late, if
// nothing else comes about the key in this Step.
void Oracle::HandedCancel(const Event& event, const Store& store) {
  if (rules_[event.rule].cancel.empty() || LateInTrouble(event)) return;
  const Outlets::Range entries = outlets_.Entries(event.rule);
  int64_t fire_ms = 0;
  for (size_t i = 0; i < entries.count; ++i) {
    const auto reg = Read(store, static_cast<OutletIndex>(entries.first + i), event.key);
    if (!reg || reg->state != JobState::kFired ||
        !Newer(Of(event), Of(reg->schedule->position)))
      return;
    fire_ms = std::max(fire_ms, reg->schedule->due_ms);
  }
  maybe_late_.push_back({&event, fire_ms});
}

void Oracle::Handed(const Request& request, Instant now, const Store& store) {
  ++order_;
  if (const auto* cancel = std::get_if<CancelRequest>(&request))
    return HandedCancelRequest(*cancel, now);
  if (const auto* dead = std::get_if<DeadRequest>(&request))
    return HandedDead(*dead, now, store);
  const auto& message = std::get<MessageRequest>(request);
  Event* const event = ByTime(message.time_ns);
  event->handed_at_ms = std::max(event->handed_at_ms, now.wall_ms);
  ++touched_[{event->rule, event->key}];
  if (event->handed) return;
  HandedEvent(event);
  if (event->kind == Event::Kind::kCancel && !event->durable) HandedCancel(*event, store);
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
  const Outlets::Range entries = outlets_.Entries(event->rule);
  for (size_t i = 0; i < entries.count; ++i)
    waiting_.insert(
        {DueOf(*event, i), event->number, static_cast<OutletIndex>(entries.first + i)});
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
    NoteDurable(store, outlets_[ask->outlet].rule, ask->key);
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

void Oracle::Acked(const std::string& reply, const Store& store) {
  Event& event = events_[std::strtoull(reply.c_str(), nullptr, 10) - 1];
  acked_ += event.answered ? 0 : 1;
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

void Oracle::Replied(const MemoryBus::Replied& reply) {
  std::erase_if(open_asks_, [&](const Ask* ask) { return ask->reply == reply.to; });
  for (const Again& one : again_[reply.to]) {
    if (!one.accepted) continue;
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
  if (cancelled && ask.newest != nullptr &&
      stored_.contains({ask.outlet, ask.newest->number}))
    Fail("P3: `cancelled` was said, but it had fired: " + Tell(*ask.newest));
}

// ---- P2, P3: attempts.

std::string Oracle::IdOf(OutletIndex outlet, const Event& event,
                         const std::string& first_name) const {
  const std::string name =
      first_name + outlets_[outlet].name.substr(rules_[event.rule].name.size());
  JobView job;
  job.key = event.key;
  job.due_ms = DueOf(event, outlet - outlets_.Entries(event.rule).first);
  job.source.seq = event.seq;
  job.source.time_ns = event.time_ns;
  return MsgId({kServiceName, name, name}, *event.stream, job);
}

// Of the event it was made of; 0 = none.
uint64_t Oracle::NumberIn(const MemoryBus::Published& message) {
  const size_t at = message.body.find(':');
  return at == std::string::npos
             ? 0
             : std::strtoull(message.body.c_str() + at + 1, nullptr, 10);
}

std::optional<OutletIndex> Oracle::OutletOf(const MemoryBus::Published& message) const {
  for (size_t i = 0; i < outlets_.size(); ++i)
    if (message.target == TargetOf(static_cast<OutletIndex>(i)))
      return static_cast<OutletIndex>(i);
  return std::nullopt;
}

// The events that ask for this message, oldest first, and its outlet.
std::vector<const Event*> Oracle::Find(const MemoryBus::Published& message,
                                       OutletIndex* outlet) const {
  const uint64_t number = NumberIn(message);
  const auto found = OutletOf(message);
  if (number == 0 || number > events_.size() || !found) return {};
  *outlet = *found;
  const Event& first = events_[number - 1];
  std::vector<const Event*> events;
  for (const Event* event : by_key_.at({first.rule, first.key}))
    if (event->kind == Event::Kind::kSchedule && ContentOf(*event) == number &&
        event->due_ms == first.due_ms)
      events.push_back(event);
  return events;
}

// Whether an event of the key with this due time has its message in the stream.
bool Oracle::HasFired(OutletIndex outlet, const std::string& key, int64_t due_ms) const {
  const RuleIndex rule = outlets_[outlet].rule;
  const size_t entry = outlet - outlets_.Entries(rule).first;
  const auto& events = by_key_.at({rule, key});
  return std::any_of(events.begin(), events.end(), [&](const Event* event) {
    return DueOf(*event, entry) == due_ms && stored_.contains({outlet, event->number});
  });
}

// One message, one id: that of an event which asks for it, and no other message's.
void Oracle::CheckId(const MemoryBus::Published& message,
                     const std::vector<const Event*>& of, OutletIndex outlet) {
  const std::string id = message.MsgId();
  const RuleIndex rule = outlets_[outlet].rule;
  // A store that lost its power soon may know none of the names before.
  const auto has = [&](const std::string& first_name) {
    return std::any_of(of.begin(), of.end(), [&](const Event* event) {
      return IdOf(outlet, *event, first_name) == id;
    });
  };
  const auto& names = names_[rule];
  const auto found = first_name_[rule].empty()
                         ? std::find_if(names.begin(), names.end(), has)
                         : std::find(names.begin(), names.end(), first_name_[rule]);
  // Messages of core NATS have a number that only the store knows.
  if (rules_[rule].source != Transport::kCore) {
    if (found == names.end() || !has(*found))
      Fail("P2: sent with Nats-Msg-Id " + id + ": " + Tell(*of.back()));
    else
      first_name_[rule] = *found;
  }
  CheckSameMessage(message);
}

void Oracle::CheckSameMessage(const MemoryBus::Published& message) {
  const std::string id = message.MsgId();
  std::string all = message.target + "\n" + message.body;
  for (const auto& [name, value] : message.headers)
    if (name != "Expirer-Attempt" && name != "Expirer-Job")
      all += "\n" + name + ":" + value;
  if (message_of_id_.try_emplace(id, all).first->second != all)
    Fail("P2: another message was sent with Nats-Msg-Id " + id);
}

void Oracle::Sent(const MemoryBus::Published& message, Instant now) {
  ++sent_;
  OutletIndex outlet = 0;
  if (const auto late = OutletOf(message); late && outlets_[*late].late_cancels)
    return SentLateCancel(message, *late, now);
  const std::vector<const Event*> found = Find(message, &outlet);
  const Event* newest = nullptr;
  for (const Event* event : found)
    if (event->lives > 0 && Known(*event) &&
        (newest == nullptr || Newer(Of(*event), Of(*newest))))
      newest = event;
  if (newest == nullptr) return Fail("P2: sent what nobody scheduled: " + message.body);
  const Event& event = *newest;
  const size_t entry = outlet - outlets_.Entries(event.rule).first;
  on_their_way_.insert({event.rule, event.key});
  waiting_.erase({DueOf(event, entry), event.number, outlet});
  CheckId(message, found, outlet);
  if (now.wall_ms < DueOf(event, entry)) Fail("P3: sent early: " + Tell(event));
  if (std::none_of(found.begin(), found.end(), [](const Event* e) { return e->durable; }))
    Fail("I8: sent before it was durable: " + Tell(event));
  sent_ever_.insert({outlet, event.key, DueOf(event, entry)});
  if (too_late_.contains({outlet, event.key, DueOf(event, entry)}))
    Fail("P3: sent though its rule's `late` takes it away: " + Tell(event));
  CheckRate(event.rule, now.mono_ms);
  CheckSupersedes(event);
  CheckAsks(event, outlet);
  CheckInStep(event, outlet);
  // One that waited for an attempt at its due time is late by that.
  const bool first = sent_dues_.emplace(outlet, event.key, DueOf(event, entry)).second;
  // Nor does one that came late the first time stand at its due time.
  const bool in_time = std::none_of(found.begin(), found.end(), [&](const Event* e) {
    return e->handed_at_ms > DueOf(event, entry);
  });
  // Nor does a dead job that was taken back.
  if (first && in_time && message.Header("Expirer-Attempt") == "1" &&
      !taken_back_.contains({outlet, event.key}))
    CheckOrder(event, outlet);
}

void Oracle::SentLateCancel(const MemoryBus::Published& message, OutletIndex outlet,
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
  const Outlets::Range entries = outlets_.Entries(cancel.rule);
  bool fired = starts_ > 1;  // in doubt a process before did
  for (size_t i = 0; i < entries.count; ++i)
    fired = fired || sent_ever_.contains({static_cast<OutletIndex>(entries.first + i),
                                          cancel.key, *due_ms});
  if (!fired) Fail("P3: told as late, but nothing was sent before: " + Tell(cancel));
  CheckRate(outlets_[outlet].rule, now.mono_ms);
  CheckSameMessage(message);
}

// Nothing that the process knows of the key outranks the event.
void Oracle::CheckSupersedes(const Event& event) {
  const bool reopen = rules_[event.rule].reopen;
  for (const Event* other : EventsOf(event.rule, event.key)) {
    if (other == &event || !Known(*other) || other->kind == Event::Kind::kReject)
      continue;
    const bool cancel = other->kind == Event::Kind::kCancel;
    if (!Newer(Of(*other), Of(event)) && (!cancel || reopen)) continue;
    Fail(fmt::format("P3: sent {} after {}", Tell(event), Tell(*other)));
  }
}

void Oracle::CheckAsks(const Event& event, OutletIndex outlet) {
  const auto asks = asks_of_.find({outlet, event.key});
  if (asks == asks_of_.end()) return;
  for (const Ask* ask : asks->second)
    if (ask->answered && event.order < ask->order)
      Fail("P3: sent after a cancel of the API: " + Tell(event));
}

// What was published before the job was due, while it may be unread.
void Oracle::CheckInStep(const Event& event, OutletIndex outlet) {
  if (in_step_[event.rule] || event.rule == absent_) return;
  const size_t entry = outlet - outlets_.Entries(event.rule).first;
  for (const Event* other : EventsOf(event.rule, event.key)) {
    if (other->kind == Event::Kind::kReject || !other->in_stream || Known(*other))
      continue;
    if (!Newer(Of(*other), Of(event)) || other->clock_steps != clock_steps_ ||
        other->published_ms >= DueOf(event, entry))
      continue;
    Fail(fmt::format("P3: sent {} while {} waited in its stream", Tell(event),
                     Tell(*other)));
  }
}

// Within one Step, of jobs that came before they were due.
void Oracle::CheckOrder(const Event& event, OutletIndex outlet) {
  const size_t entry = outlet - outlets_.Entries(event.rule).first;
  const int64_t due_ms = DueOf(event, entry);
  SentLast& last = sent_last_[outlet];
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
  OutletIndex outlet = 0;
  if (const auto late = OutletOf(message); late && outlets_[*late].late_cancels) {
    const auto due_ms = ParseRfc3339(message.Header("Expirer-Due"));
    stored_late_.insert({*late, events_[NumberIn(message) - 1].key, due_ms.value_or(0)});
  }
  for (const Event* event : Find(message, &outlet))
    if (Known(*event)) stored_.insert({outlet, event->number});
  if (!stored_ids_.insert(message.MsgId()).second) ++doubled_;
}

// ---- I3, and that nothing stands before another's jobs.

// A job that could be sent. `*gone`: it is no longer to be expected.
bool Oracle::IsDue(const Store& store, const Event& event, OutletIndex outlet,
                   Instant now, bool* gone, bool* durable) {
  const auto reg = Read(store, outlet, event.key);
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
    const Outlets::Range entries = outlets_.Entries(key.first);
    for (size_t i = 0; i < entries.count; ++i) {
      const auto outlet = static_cast<OutletIndex>(entries.first + i);
      const auto reg = Read(store, outlet, key.second);
      if (!reg || !IsLive(reg->state)) continue;
      const Event* const event = ByTime(reg->schedule->position.time_ns);
      if (event == nullptr) continue;  // told by CheckState
      if (attempts.contains({outlet, key.second, event->due_ms})) {
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
                         outlets_[outlet].name));
    }
  }
}

// A dead job that was taken back stands before the event's, and is not durable yet.
bool Oracle::HeldByRow(const Store& store, const Event& event, OutletIndex outlet,
                       Instant now) {
  const Lane lane = Read(store, outlet, event.key)->job->lane;
  const auto scan = store.ScanDue(lane);
  for (scan->Seek({lane, 0, 0}); scan->Valid(); scan->Next())
    if (scan->key().key_ms <= now.wall_ms && scan->key().seq >= synced_seq_) return true;
  return false;
}

// A core that waits for space applies what was handed over in a later Step.
void Oracle::Stepped(const Store& store, Instant now, bool roomy) {
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
  for (const LateCancel& late : maybe_late_)
    if (touched_[{late.cancel->rule, late.cancel->key}] == 1) late_.push_back(late);
  maybe_late_.clear();
  touched_.clear();
}

void Oracle::AtRest(const Store& store, Instant now, const Ready& ready,
                    const std::map<uint64_t, MemoryBus::Published>& in_flight) {
  // A newer schedule of the same due time waits for the attempt at an older one.
  Attempts attempts;
  for (const auto& [number, message] : in_flight) {
    OutletIndex outlet = 0;
    for (const Event* event : Find(message, &outlet))
      attempts.emplace(outlet, event->key, event->due_ms);
  }
  if (look_at_times_) CheckTimes(store, now, attempts);
  std::map<OutletIndex, const Event*> late;
  std::set<OutletIndex> held;  // by a job that is not durable yet
  for (auto at = waiting_.begin();
       at != waiting_.end() && std::get<0>(*at) <= now.wall_ms;) {
    const OutletIndex outlet = std::get<2>(*at);
    const Event& event = events_[std::get<1>(*at) - 1];
    if (!ready(outlet)) {
      ++at;
      continue;
    }
    bool gone = false;
    bool durable = false;
    const bool due = IsDue(store, event, outlet, now, &gone, &durable);
    const bool waits = attempts.contains({outlet, event.key, event.due_ms});
    if (due && !waits) late.emplace(outlet, &event);
    // Also one that was taken away since: the core finds that when it is durable.
    if (!durable) held.insert(outlet);
    at = gone && durable ? waiting_.erase(at) : std::next(at);
  }
  for (const auto& [outlet, event] : late)
    if (!held.contains(outlet) && !HeldByRow(store, *event, outlet, now))
      Fail(fmt::format("I3: due and free to go, but not sent by {}: {} at {}",
                       now.wall_ms, Tell(*event), outlets_[outlet].name));
}

// ---- The store as a whole.

void Oracle::CheckStore(const Store& store) {
  for (const auto& [key, events] : by_key_) CheckKey(store, key.first, key.second);
  CheckRows(store);
  CheckDead(store);
}

void Oracle::CheckKey(const Store& store, RuleIndex rule, const std::string& key) {
  const Outlets::Range entries = outlets_.Entries(rule);
  for (size_t i = 0; i < entries.count; ++i) {
    const auto outlet = static_cast<OutletIndex>(entries.first + i);
    const auto reg = Read(store, outlet, key);
    bool closed = false;  // for good
    for (const Event* event : EventsOf(rule, key)) {
      if (event->kind == Event::Kind::kReject) continue;
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
    CheckState(store, outlet, key, *reg);
  }
}

void Oracle::CheckState(const Store& store, OutletIndex outlet, const std::string& key,
                        const Register& reg) {
  const std::string name = outlets_[outlet].name;
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
  if (reg.state == JobState::kSkipped && !MaySkip(outlet, key, reg.schedule->due_ms))
    Fail("P2: skipped, but found in time: " + job);
  if (reg.state == JobState::kFired && !HasFired(outlet, key, reg.schedule->due_ms))
    Fail("P2: closed as fired, but the target's stream never had it: " + job);
}

// Its rule takes away what is late by so much, and it was: no process ran when it was
// due, or it came only then.
bool Oracle::MaySkip(OutletIndex outlet, const std::string& key, int64_t due_ms) const {
  const LatePolicy& late = outlets_[outlet].late;
  if (late.action != LateAction::kSkip) return false;
  if (clock_steps_ > 0) return true;  // when was that?
  if (std::any_of(downs_.begin(), downs_.end(), [&](const Down& down) {
        return down.sign_ms - kAliveMs < due_ms && due_ms < down.until_ms &&
               down.until_ms - due_ms > late.after_ms;
      }))
    return true;
  const RuleIndex rule = outlets_[outlet].rule;
  const size_t entry = outlet - outlets_.Entries(rule).first;
  const auto& events = by_key_.at({rule, key});
  return std::any_of(events.begin(), events.end(), [&](const Event* event) {
    return DueOf(*event, entry) == due_ms && event->handed_at_ms - due_ms > late.after_ms;
  });
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
  // Lanes are numbered from 1, two an outlet.
  for (size_t lane = 1; lane <= 2 * outlets_.size(); ++lane) {
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
    const OutletIndex outlet = outlets_.LateCancels(late.cancel->rule);
    const auto reg = Read(store, outlet, late.cancel->key);
    // One of a later fire takes the place of one that is not out yet.
    const bool replaced = reg && reg->schedule && reg->schedule->due_ms != late.fire_ms;
    const bool closed = reg && (reg->state == JobState::kDead ||
                                asks_of_.contains({outlet, late.cancel->key}));
    if (!replaced && !closed &&
        !stored_late_.contains({outlet, late.cancel->key, late.fire_ms}))
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
  const Outlets::Range entries = outlets_.Entries(rule);
  for (size_t i = 0; i < entries.count; ++i) {
    const auto outlet = static_cast<OutletIndex>(entries.first + i);
    const auto asks = asks_of_.find({outlet, key});
    const bool asked =
        asks != asks_of_.end() &&
        std::any_of(asks->second.begin(), asks->second.end(), [&](const Ask* ask) {
          return !rules_[rule].reopen || newest->time_ns <= ask->time_ns + 1'000'000;
        });
    const auto reg = Read(store, outlet, key);
    if (asked || !reg || reg->state == JobState::kDead ||
        reg->state == JobState::kSkipped)
      continue;
    // Without `reopen` an earlier one that fired closed the key for good.
    const bool fired = rules_[rule].reopen || reg->state != JobState::kFired
                           ? HasFired(outlet, key, DueOf(*newest, i))
                           : HasFired(outlet, key, reg->schedule->due_ms);
    if (!fired)
      Fail(fmt::format("P2: never fired, but {}: {}", Name(reg->state), Tell(*newest)));
  }
}

}  // namespace expirer::sim
