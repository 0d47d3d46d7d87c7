// What becomes of a job and of the register of its key: opened, moved, taken away,
// fired, given up.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "base/status.h"
#include "job/job.h"
#include "job/rules.h"
#include "sched/in_flight.h"
#include "sched/lanes.h"
#include "sched/queues.h"
#include "sched/registers.h"
#include "sched/stats.h"

namespace expirer {

struct Core;

// How a job ends.
struct JobEnd {
  JobState state = JobState::kFired;   // or kSkipped, kDead
  DeadKind kind = DeadKind::kRefused;  // kDead: why, as a count
  std::string row = {};                // kDead: its row, which is kept
  std::string reason = {};             // kDead: why, for a person

  [[nodiscard]] static JobEnd Dead(DeadKind kind, std::string_view row,
                                   std::string_view reason) {
    return {.state = JobState::kDead,
            .kind = kind,
            .row = std::string(row),
            .reason = std::string(reason)};
  }
};

// What is announced of an event, beside its kind and its job.
struct EventDetails {
  std::string_view target = {};  // "" = not known
  std::string_view reason = {};
  std::optional<int64_t> lateness_ms = std::nullopt;  // how long after its due time
};

// Core thread only. Errors are the disk's, or kDataLoss if an entry is malformed.
class Lifecycle {
 public:
  explicit Lifecycle(Core* core) : core_(*core) {}

  // Stores the job of a key as its register `reg` says. `known`: the register so far.
  // Its first attempt begins at its due time, or at `not_before_ms` if that is later.
  void Open(QueueIndex queue, const std::string& id, Job job,
            const std::optional<Register>& known, Register reg,
            int64_t not_before_ms = 0);
  // If the schedule has the due time and content of the key's job, only notes its newer
  // position and returns true; otherwise changes nothing.
  absl::StatusOr<bool> ReuseIfSame(const std::string& id, const Job& job,
                                   const Register& known);
  // Puts a job into a lane, to be sent at `at_ms` at the earliest. `from`: the register
  // of its key so far, null = none; `to`: its new one, whose state and job Place sets.
  // The row gets a number of its own, so that the row itself says whether an earlier
  // process may have sent it.
  JobKey Place(LaneState* lane, int64_t at_ms, const Job& job, const std::string& id,
               const Register* from, Register to);
  // Moves a row that is later than if it were written now. Returns whether it moved it.
  absl::StatusOr<bool> JudgeTimeAnew(const LaneState& of, const JobKey& key,
                                     std::string_view row);

  // Takes away the row or dead entry of a key that is about to get another register.
  // REQUIRES: the key is not closed.
  void TakeAway(std::string_view rule, std::string_view key, const Register& known,
                InFlight::Fate fate);
  // A cancel removes the key's job; `to` is the key's new register. Returns whether an
  // attempt of the job may have been stored.
  absl::StatusOr<bool> CloseCancelled(std::string_view rule, std::string_view key,
                                      const Register& known, Register* to);
  // The position, in the order of events, of a command that changes this key.
  [[nodiscard]] Position PositionNow(const Register& known);
  // A command cancels a key that is known. True: too late, its job may have been sent.
  absl::StatusOr<bool> CancelNow(std::string_view rule, std::string_view key,
                                 const Register& known);

  // Ends the job that `attempt` describes.
  void Close(const InFlight& attempt, JobEnd end);
  // The same where the key has another register than the attempt's own. `from`: the
  // register so far, null = none; `to`: its new one, to which Close adds how the job
  // ended.
  void Close(const InFlight& attempt, const Register* from, Register to, JobEnd end);
  // How a job ends that a rule's `late` takes away. REQUIRES: late.action is not kFire.
  [[nodiscard]] static JobEnd AsLate(const LatePolicy& late, std::string_view row,
                                     std::string_view reason);
  // Keeps a row that no version of expirer wrote in the dead store, so that nothing is
  // lost and nothing else is stopped.
  void Quarantine(const LaneState& lane, const JobKey& key, std::string_view row,
                  const absl::Status& why);
  // The attempt was confirmed: notes in `reg` when its message was received, stored, sent
  // and confirmed.
  void NoteFire(const InFlight& attempt, Register* reg) const;
  // Whether the queue's rule has such events announced (`events`).
  [[nodiscard]] bool Announces(JobEvent what, QueueIndex queue) const;
  // Announces what happened to a job, over core NATS, once it is durable. Does nothing
  // unless the rule asks for it.
  void Announce(JobEvent what, QueueIndex queue, std::string_view key, int64_t due_ms,
                const EventDetails& details) const;

  // A newer schedule of a key may ask for the due time of an attempt that has no
  // answer. Its row then waits for that. If the attempt was confirmed, CloseSuccessor
  // closes the row, since the key has fired; otherwise ReleaseSuccessor lets it fire.
  // Without such a row ReleaseSuccessor does nothing.
  absl::Status CloseSuccessor(const InFlight& attempt);
  void ReleaseSuccessor(const InFlight& attempt);
  // Whether the row with this number waits for an attempt of another row.
  [[nodiscard]] bool Waits(uint64_t seq) const { return waiting_.contains(seq); }
  // Whether an attempt at the row with this number is not answered, or it waits for one.
  [[nodiscard]] bool HasAttempt(uint64_t seq) const;
  // The attempt whose end decides about the row: its own, or the one that it waits for.
  // Null if there is none; valid until the attempt ends.
  [[nodiscard]] InFlight* AttemptOf(const JobKey& row);

  // An attempt at this job that would begin now.
  [[nodiscard]] InFlight Describe(const JobKey& key, const JobView& job) const;
  // The register of an attempt's own generation, as it was when the attempt began.
  [[nodiscard]] Register RegisterOf(const InFlight& attempt);
  [[nodiscard]] std::string IdOf(const InFlight& attempt);

 private:
  // Whether the target's stream may hold the job's message although no PubAck said so,
  // also when the connection or the process went in between: a job is in flight until a
  // PubAck or an explicit refusal.
  absl::StatusOr<bool> MaybeSent(std::string_view rule, std::string_view key,
                                 const Register& known) const;
  void CountDead(QueueIndex queue, DeadKind kind);

  Core& core_;
  // Rows of newer schedules that wait for an attempt at an older one: by seq, each with
  // the seq of that attempt's row.
  absl::flat_hash_map<uint64_t, uint64_t> waiting_;
};

}  // namespace expirer
