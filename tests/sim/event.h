// What producers publish, and how two events stand to each other.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <fmt/format.h>

#include "job/job.h"
#include "sched/events.h"

namespace expirer::sim {

// What a producer published, and what has become of it.
struct Event {
  enum class Kind { kSchedule, kCancel, kReject };
  Kind kind = Kind::kSchedule;
  uint64_t number = 0;  // over the whole run, from 1
  // Number of the first event with the same job; 0 = this one. Told by its body.
  uint64_t same_as = 0;
  const std::string* stream = nullptr;  // its name
  RuleIndex rule = 0;
  std::string key;
  int64_t due_ms = 0;
  std::optional<int64_t> version;
  int64_t published_ms = 0;  // by our host's clock, and how often that had stepped
  uint64_t clock_steps = 0;
  int64_t time_ns = 0;    // the server's; unique, and rising over all streams
  uint64_t seq = 0;       // in its stream
  bool in_stream = true;  // of core NATS: nobody lost it

  // The oracle's notes.
  bool handed = false;   // to the process that runs now
  bool durable = false;  // seen in the store before a sync that succeeded
  bool answered = false;
  uint64_t order = 0;        // when it was handed first to this process
  uint64_t lives = 0;        // processes it was handed to
  int64_t handed_at_ms = 0;  // latest wall time of that
  bool requeued = false;     // was rejected, and is a schedule since
  bool taken = false;        // so in some store, ever
  bool termed = false;       // before that
  bool purged = false;       // from the dead store, or may be
  bool dropped = false;      // rejected when the dead store could hold no more
  bool forgotten = false;    // its key was closed, and history had no place for it
  // Of a schedule: it came while its rule's last publish entry was not configured.
  bool partial = false;
};

inline uint64_t ContentOf(const Event& event) {
  return event.same_as != 0 ? event.same_as : event.number;
}

// When the job of the rule's publish entry number `entry` is due.
inline int64_t DueOf(const Event& event, size_t entry) {
  return event.due_ms + 1'500 * static_cast<int64_t>(entry);
}

// Of a cancel: what it would publish when it came too late cannot be made.
inline bool LateInTrouble(const Event& event) { return event.number % 10 == 7; }

// Where a queue's jobs go, whatever its rule is named.
inline std::string TargetOf(size_t queue) { return "out." + std::to_string(queue); }

struct Place {
  std::optional<int64_t> version;
  int64_t time_ns = 0;
};
inline Place Of(const Event& event) { return {event.version, event.time_ns}; }
inline Place Of(const Position& position) { return {position.version, position.time_ns}; }

inline bool Newer(Place a, Place b) {
  if (a.version && b.version && *a.version != *b.version) return *a.version > *b.version;
  return a.time_ns > b.time_ns;
}

// The register knows the event, or one that is newer. Without `reopen` any cancel
// closes for good, so of one an open register does not tell.
inline bool Covers(const std::optional<Register>& reg, const Event& event, bool reopen) {
  if (!reg) return false;
  const bool told = reopen || event.kind != Event::Kind::kCancel || IsClosed(reg->state);
  if (told && reg->schedule && !Newer(Of(event), Of(reg->schedule->position)))
    return true;
  return reg->cancel && !Newer(Of(event), Of(*reg->cancel));
}

inline std::string Tell(const Event& event) {
  const char* const kinds[] = {"schedule", "cancel", "reject"};
  return fmt::format("{} {} of rule {} key {}", kinds[static_cast<int>(event.kind)],
                     event.number, event.rule, event.key);
}

// What the process that runs now can know.
inline bool Known(const Event& event) { return event.handed || event.durable; }

}  // namespace expirer::sim
