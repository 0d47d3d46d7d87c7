#include "sched/commands.h"

#include <string>
#include <utility>

#include "sched/core.h"

namespace expirer {
namespace {

void AddId(const Command& command, Command::Kind kind, std::vector<std::string>* ids) {
  if (command.kind() != kind) return;
  if (std::string id = command.id(); !id.empty()) ids->push_back(std::move(id));
}

}  // namespace

absl::Status Commands::ReadAhead(const std::vector<Request>& requests) {
  std::vector<std::string> ids;
  for (const Request& request : requests)
    if (const auto* command = std::get_if<std::unique_ptr<Command>>(&request))
      AddId(**command, Command::Kind::kChanges, &ids);
  return core_.turn.ReadAhead(std::move(ids));
}

absl::Status Commands::Take(std::unique_ptr<Command> command) {
  const Command::Kind kind = command->kind();
  if (kind == Command::Kind::kChanges)
    RETURN_IF_ERROR(command->Apply(core_, nullptr).status());
  if (kind == Command::Kind::kChangesInPieces)
    unfinished_.push_back(std::move(command));
  else
    applied_.push_back(std::move(command));
  return absl::OkStatus();
}

absl::Status Commands::ApplyPieces() {
  for (Piece piece; !unfinished_.empty(); unfinished_.pop_front()) {
    ASSIGN_OR_RETURN(const bool done, unfinished_.front()->Apply(core_, &piece));
    if (!done) break;
    applied_.push_back(std::move(unfinished_.front()));
  }
  return absl::OkStatus();
}

absl::Status Commands::Answer() {
  std::vector<std::string> ids;
  for (const auto& command : applied_) AddId(*command, Command::Kind::kReads, &ids);
  RETURN_IF_ERROR(core_.turn.ReadAhead(std::move(ids)));
  for (const auto& command : applied_) {
    ASSIGN_OR_RETURN(Reply reply, command->Answer(core_));
    core_.ledger.OnceDurable(
        [this, caller = std::move(command->caller), reply = std::move(reply)] {
          core_.inbound.Reply(caller, reply.code, reply.body);
        });
  }
  applied_.clear();
  core_.turn.EndReadAhead();
  return core_.ledger.Write(&core_.turn, core_.now.mono_ms);  // nothing but the replies
}

}  // namespace expirer
