// What expirer promised, judged from outside: by what producers published, what
// was handed to the core, what came out of it and what the target's stream holds.
// The store is read through its public verbs and compared with that.
//
// One event is newer than another by its version where the rule has them, else
// by the server's time: positions, epochs and rewinds are the core's to get right.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "api/dead.h"
#include "sched/queues.h"
#include "sched/scheduler.h"
#include "sim/ids.h"
#include "support/memory_bus.h"

namespace expirer::sim {

struct Report;

// The first failure is kept; what is noticed after it tells nothing more.
class Oracle {
 public:
  // Both outlive it.
  Oracle(const std::vector<Rule>* rules, const SchedulerOptions* options);

  [[nodiscard]] bool failed() const { return !why_.empty(); }
  // "P1: ...".
  [[nodiscard]] const std::string& why() const { return why_; }
  void Fail(const std::string& why);

  // A producer published `event`, whose number is given here.
  Event* Published(Event event);
  // The event with this time of the server; null = none.
  [[nodiscard]] Event* ByTime(int64_t time_ns) const;
  // What producers know of a key: its events, oldest first.
  [[nodiscard]] const std::vector<Event*>& EventsOf(RuleIndex rule,
                                                    const std::string& key);

  // A process begins on this store: what was unsynced is there or not, what was
  // answered must be. `dead_roomy`: a job that came too late has a place there.
  void Started(const Store& store, Instant now, bool dead_roomy);
  // Closed keys may be gone, as history had no place for them; `applied`: all that was
  // handed over was worked off. Also when the process has just begun.
  void NoteForgotten(const Store& store, bool applied);
  // The rules have other names now.
  void Renamed();
  // The process that is about to start goes without a rule, or without the last
  // publish entry of one, and holds its jobs or fires them by the defaults.
  void Without(std::optional<RuleIndex> rule, std::optional<QueueIndex> entry,
               Orphans orphans);
  // The next process begins with an empty store, or with an older copy: nothing is
  // known of what it knows. What was due by the time at which its rebuild begins may
  // have fired before.
  void StoreReplaced();
  void RebuildBegins(Instant now);
  // Of what is in the rule's stream it is not known how much was read: no job may
  // fire before all that was published before its due time was handed over.
  void OutOfStep(RuleIndex rule) { in_step_[rule] = false; }
  // It is read as it comes, or limits.settle is over.
  void InStep(RuleIndex rule) { in_step_[rule] = true; }
  // Due times of before are no moments of the clock any more.
  void ClockStepped() {
    ++clock_steps_;
    look_at_times_ = true;
  }
  // Another Step begins.
  void BeginStep() { sent_last_.assign(queues_.size(), {}); }
  // About to be passed to it.
  void Handed(const Request& request, Instant now, const Store& store);
  // It still waits for space in the store: as if it came only now.
  void Waits(const Request& request, Instant now);
  // An attempt begins.
  void Sent(const MemoryBus::Published& message, Instant now);
  // The target's stream has it.
  void Stored(const MemoryBus::Published& message);
  void Acked(const std::string& reply, const Store& store);
  // `dropped`: rejected messages of which this process told that it keeps nothing.
  void Termed(const std::string& reply, const Store& store, uint64_t dropped);
  void Replied(const MemoryBus::Replied& reply, const Store& store);
  // A sync of the store succeeded.
  void Synced(const Store& store);

  // A Step was taken at this time. `roomy`: what it staged could be written; `applied`:
  // and what was handed over was.
  void Stepped(const Store& store, Instant now, bool roomy, bool applied);
  // Whether the rule's `rate` lets another attempt begin, for all that was sent.
  [[nodiscard]] bool RateAllows(RuleIndex rule, int64_t mono_ms) const;
  // Whether nothing outside keeps the queue's jobs from being sent.
  using Ready = std::function<bool(QueueIndex queue)>;
  // A Step is over and nothing more is to be done at this time.
  void AtRest(const Store& store, Instant now, const Ready& ready,
              const std::map<uint64_t, MemoryBus::Published>& in_flight);
  // Everything was read, and nothing is pending.
  void Ended(const Store& store);
  // Everything that must hold at any time between two Steps.
  void CheckStore(const Store& store);

  [[nodiscard]] const Queues& queues() const { return queues_; }
  // Nothing where no queue has such a target.
  [[nodiscard]] std::optional<QueueIndex> QueueOf(
      const MemoryBus::Published& message) const;
  // What was sent, acked, fired and doubled.
  void Count(Report* report) const;

 private:
  using Key = std::pair<RuleIndex, std::string>;
  using Attempts = std::set<std::tuple<QueueIndex, std::string, int64_t>>;  // by due
  // That a key be closed: a cancel of the API, or a dead job's purge.
  struct Ask {
    std::string reply;
    QueueIndex queue = 0;
    std::string key;
    uint64_t order = 0;
    int64_t time_ns = 0;            // neither clock was later when it was applied
    const Event* newest = nullptr;  // schedule that was known by then
    bool answered = false;
    bool forgotten = false;  // as its store is gone
  };
  // Of the queue's key, for the job with this due time.
  using Due = std::tuple<QueueIndex, std::string, int64_t>;
  // A cancel handed over when all that its key had had fired.
  struct LateCancel {
    const Event* cancel = nullptr;
    int64_t fire_ms = 0;
  };
  // A rejected message that is to be run through its rule again.
  struct Again {
    std::string dead_key;
    Event* event = nullptr;
    bool accepted = false;
  };
  // When no process ran; no clock stepped meanwhile.
  struct Down {
    int64_t sign_ms = 0;  // of the last Step that could leave a durable sign of life
    int64_t from_ms = 0;
    int64_t until_ms = 0;
  };
  struct SentLast {
    const Event* event = nullptr;
    int64_t due_ms = 0;
  };

  void HandedEvent(Event* event);
  // Whether the queue need not know of the event.
  [[nodiscard]] bool Misses(const Event& event, QueueIndex queue) const;
  void HandedCancel(const Event& event, const Store& store);
  void HandedCancelRequest(const JobCommand& request, Instant now);
  [[nodiscard]] const Event* AskedAbout(const Ask& ask, const Store& store);
  void HandedDead(const DeadCommand& request, Instant now, const Store& store);
  Ask* AskedToClose(const std::string& reply, QueueIndex queue, const std::string& key,
                    Instant now);
  void Accept(Again* again, Instant now);
  [[nodiscard]] bool IsNamed(const Store& store, const Event& event);
  void RevertRequeues(const Store& store);
  void NoteDropped(const Store& store);
  [[nodiscard]] bool IsTooLate(QueueIndex queue, int64_t due_ms, Instant now) const;
  [[nodiscard]] bool HeldByRow(const Store& store, const Event& event, QueueIndex queue,
                               Instant now);
  void SentLateCancel(const MemoryBus::Published& message, QueueIndex queue, Instant now);
  [[nodiscard]] static uint64_t NumberIn(const MemoryBus::Published& message);
  [[nodiscard]] bool MaySkip(QueueIndex queue, const std::string& key,
                             int64_t due_ms) const;
  [[nodiscard]] std::vector<const Event*> Find(const MemoryBus::Published& message,
                                               QueueIndex* queue) const;
  [[nodiscard]] bool HasFired(QueueIndex queue, const std::string& key,
                              int64_t due_ms) const;
  [[nodiscard]] int64_t LatestNs(Instant now) const;
  void CheckSupersedes(const Event& event);
  void CheckAsks(const Event& event, QueueIndex queue);
  void CheckRebuilt(const Event& event, QueueIndex queue);
  void CheckInStep(const Event& event, QueueIndex queue);
  void CheckOrder(const Event& event, QueueIndex queue);
  void CheckRate(RuleIndex rule, int64_t mono_ms);
  void CheckKey(const Store& store, RuleIndex rule, const std::string& key);
  void CheckState(const Store& store, QueueIndex queue, const std::string& key,
                  const Register& reg);
  [[nodiscard]] bool ForgetsEarly() const {
    return options_.history_keys < SchedulerOptions().history_keys;
  }
  [[nodiscard]] bool IsForgotten(Event& event, const Store& store);
  [[nodiscard]] bool MayBeClosed(const Key& key,
                                 const std::function<bool(const Event&)>& knows) const;
  void CheckRows(const Store& store);
  [[nodiscard]] std::set<int64_t> DeadTimes(const Store& store);
  void CheckDead(const Store& store);
  void CheckFired(const Store& store, RuleIndex rule, const std::string& key);
  void NoteSyncedRows(const Store& store);
  void NoteDurable(const Store& store, RuleIndex rule, const std::string& key);
  [[nodiscard]] bool IsDurable(const Event& event) const;
  [[nodiscard]] std::optional<Register> Read(const Store& store, QueueIndex queue,
                                             const std::string& key);
  [[nodiscard]] bool IsDue(const Store& store, const Event& event, QueueIndex queue,
                           Instant now, bool* gone, bool* durable);
  void CheckTimes(const Store& store, Instant now, const Attempts& attempts);

  const std::vector<Rule>& rules_;
  const SchedulerOptions& options_;
  Queues queues_;
  Ids ids_;
  std::optional<RuleIndex> absent_;
  std::optional<QueueIndex> absent_entry_;
  bool orphans_fired_ = false;
  std::string why_;

  std::deque<Event> events_;
  std::map<int64_t, Event*> by_time_;
  std::map<Key, std::vector<Event*>> by_key_;
  std::deque<Ask> asks_;
  std::map<std::string, Ask*> cancels_by_reply_;
  std::vector<Ask*> open_asks_;  // not applied yet, for all that is known
  std::map<std::pair<QueueIndex, std::string>, std::vector<const Ask*>> asks_of_;
  std::vector<bool> in_step_;  // by rule
  uint64_t clock_steps_ = 0;
  bool look_at_times_ = false;  // since a start or a step of the clock
  uint64_t synced_seq_ = 0;     // rows with a lower number are durable
  uint64_t order_ = 0;
  uint64_t sent_ = 0;
  uint64_t acked_ = 0;
  uint64_t doubled_ = 0;

  // Registers as of a sync, by entry; no older than the last one that told of
  // an event of the key.
  std::map<Key, std::vector<std::optional<Register>>> durable_;
  std::vector<Event*> unsynced_;  // handed and not durable yet
  // Whose fire the store may come to know without an event for the key.
  std::set<Key> on_their_way_;
  // First attempts to come, by due time; (due, event's number, queue).
  std::set<std::tuple<int64_t, uint64_t, QueueIndex>> waiting_;
  std::vector<SentLast> sent_last_;
  std::vector<std::deque<int64_t>> sent_at_;  // by rule: newest attempts, monotonic
  std::set<Due> sent_dues_;                   // in this life
  std::set<Due> too_late_;  // found so at the start, and no job to be sent
  std::set<std::pair<QueueIndex, std::string>> taken_back_;  // dead jobs, ever
  std::vector<Down> downs_;
  std::optional<std::pair<int64_t, uint64_t>> last_step_;  // wall, clock_steps_
  int64_t sign_ms_ = 0;          // of the last Step, in the store
  int64_t durable_sign_ms_ = 0;  // and durable
  uint64_t starts_ = 0;
  bool dead_roomy_ = true;
  std::map<Key, uint64_t> touched_;     // requests of this Step, by key
  std::vector<LateCancel> maybe_late_;  // of this Step
  std::vector<LateCancel> late_;        // that must be sent in the end
  std::set<Due> sent_ever_;
  std::set<Due> stored_late_;                                // messages of late cancels
  std::map<std::string, std::vector<Again>> again_;          // by reply subject
  uint64_t dropped_ = 0;                                     // by this process
  uint64_t told_dropped_ = 0;                                // by the process
  std::set<std::pair<QueueIndex, uint64_t>> stored_;         // by event
  std::set<std::pair<QueueIndex, uint64_t>> stored_before_;  // the store was replaced
  bool replaced_ = false;                                    // ever
  // Of the last rebuild.
  struct Began {
    int64_t wall_ms = 0;
    int64_t time_ns = 0;  // of the newest event
    uint64_t clock_steps = 0;
  };
  std::optional<Began> began_;
  std::set<std::string> stored_ids_;  // by Nats-Msg-Id
};

}  // namespace expirer::sim
