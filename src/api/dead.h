// What `dead.list`, `dead.requeue` and `dead.purge` have in common, the command of the
// last two, and the entries that the first one tells.
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "api/request.h"
#include "job/rules.h"

namespace expirer {

struct ApiContext;

struct DeadQuery : Query {  // prefix: of a dead job's key; leaves out what has none
  std::string entry;        // the key that `id` is the hex form of
  std::string after;        // key of the last entry of the page before; "" = none
  bool one = false;         // job or id names it: what cannot be done is an error
};
absl::StatusOr<DeadQuery> DeadQueryOf(Query query);
// Dead entries are named to users by the hex form of their key.
[[nodiscard]] inline std::string FormatDeadId(std::string_view key) { return ToHex(key); }

// Any thread. Calls `visit` for the dead entries of the page, in the order of
// their keys, and sets `*cursor`, "" on the last page. False from `visit` ends the
// page before this entry; it must take the first.
using VisitDead = std::function<bool(std::string_view key, const Dead& dead)>;
absl::Status ReadDead(const Store& store, const DeadQuery& query, const VisitDead& visit,
                      std::string* cursor);

// What the items of a page of dead entries may take of a reply of `bytes_max`. Where
// a server takes so little that the longest cursor would leave no room, the reply
// may be too long when one comes, which is then told as an error.
[[nodiscard]] size_t DeadPageBytes(size_t bytes_max);
// The JSON of one dead entry. If it would be longer than `bytes_max`, its longest members
// are left out and it has "shortened":true.
[[nodiscard]] std::string FormatDeadEntry(std::string_view key, const Dead& dead,
                                          const StreamNames& streams, size_t bytes_max);

// Takes dead entries back, or removes them. Read collects the entries; Apply reads each
// again before it changes it.
struct DeadCommand : Command {
  struct Entry {
    std::string key;               // of the dead family
    std::optional<Intent> intent;  // requeue: what the rules make of it now
    Position source;               // and its original position
    std::string refusal;           // why it cannot be taken back; "" = it can
  };
  enum class End { kDone, kStill, kGone, kConflicts };
  struct Outcome {
    End end = End::kDone;
    std::string why;
  };

  [[nodiscard]] Kind kind() const override { return Kind::kChangesInPieces; }
  absl::Status Read(const Store& store) override;
  absl::StatusOr<bool> Apply(Core& core, Piece* piece) override;
  absl::StatusOr<Reply> Answer(Core& core) override;

  DeadQuery query;
  const ApiContext* context = nullptr;  // for Read
  bool purge = false;
  std::vector<Entry> entries;
  std::string cursor;

 private:
  absl::StatusOr<Outcome> ApplyEntry(Core& core, Entry* entry, Piece* piece);

  size_t next_ = 0;  // of the entries
  uint64_t done_ = 0;
  uint64_t still_ = 0;
  uint64_t conflicts_ = 0;
  Reply error_;  // with a code: the whole answer
};

// Verb::make of dead.requeue and dead.purge.
template <bool purge>
absl::StatusOr<std::unique_ptr<Command>> MakeDead(Query query,
                                                  const ApiContext& context) {
  auto command = std::make_unique<DeadCommand>();
  ASSIGN_OR_RETURN(command->query, DeadQueryOf(std::move(query)));
  command->context = &context;
  command->purge = purge;
  return command;
}

// Requeue: what the rules make now of rejected messages, each the entry at its place.
absl::Status RunThroughRules(const Store& store, const ApiContext& context,
                             const std::vector<Dead>& rejected,
                             std::vector<DeadCommand::Entry>* entries);
// One entry, in the core's turn.
absl::StatusOr<DeadCommand::Outcome> RequeueEntry(Core& core, DeadCommand::Entry* entry,
                                                  const DeadName& name, const Dead& dead,
                                                  bool stale);
absl::Status PurgeEntry(Core& core, const std::string& dead_key, const DeadName& name,
                        const Dead& dead);
// Removes a rejected message.
void DropReject(Core& core, const std::string& dead_key, std::string_view rule,
                const Dead& dead);

}  // namespace expirer
