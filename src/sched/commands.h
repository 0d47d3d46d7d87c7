// Runs commands (sched/command.h): takes them in, applies them in their turns, and
// answers them once everything is durable that they may be based on.
//
// A command's position is stream 0, the next number of Turn::TakeSeq and this host's
// time, raised above everything known of the key if that is later. Its version is the
// highest known of the key. So an older schedule that comes again, or late, does not
// revive the job, and one with a later JetStream time opens it anew.
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "base/status.h"
#include "sched/command.h"
#include "sched/events.h"

namespace expirer {

// Core thread only. Errors are the disk's.
class Commands {
 public:
  explicit Commands(Core* core) : core_(*core) {}

  // Reads at once the registers that the commands among these will ask for. End the
  // reading with Turn::EndReadAhead.
  absl::Status ReadAhead(const std::vector<Request>& requests);
  // Takes a command in. One of Kind::kChanges is applied.
  absl::Status Take(std::unique_ptr<Command> command);
  // Applies those of Kind::kChangesInPieces, as much of them as a turn may.
  absl::Status ApplyPieces();
  // Answers all that were applied. Call it after the write.
  absl::Status Answer();
  // Whether a later turn has to go on with one.
  [[nodiscard]] bool unfinished() const { return !unfinished_.empty(); }

 private:
  Core& core_;
  std::vector<std::unique_ptr<Command>> applied_;  // answered after the write
  // Not done yet, in order of arrival; they keep their places in the inbox.
  std::deque<std::unique_ptr<Command>> unfinished_;
};

}  // namespace expirer
