#include "sched/rename.h"

#include <string>
#include <string_view>
#include <utility>

#include "base/log.h"
#include "store/meta.h"

namespace expirer {
namespace {

// Entries moved in one write.
constexpr size_t kChunk = 10'000;

// The name that takes `from`'s place, or "" for one that is not concerned:
// <was> and <was>.<entry>.
std::string Renamed(const Rule& rule, std::string_view from) {
  if (!from.starts_with(rule.was)) return "";
  const std::string_view rest = from.substr(rule.was.size());
  return rest.empty() || rest[0] == '.' ? rule.name + std::string(rest) : "";
}

// Moves the entries of one name, each below "<name> 0x00", chunk by chunk.
class Mover {
 public:
  explicit Mover(Store* store) : store_(store) {}

  absl::Status Registers(std::string_view from, std::string_view to) {
    RETURN_IF_ERROR(store_->VisitRegisters(
        MakeId(from, ""), [&](std::string_view id, std::string_view value) {
          set_.PutRegister(MakeId(to, id.substr(from.size() + 1)), value);
          set_.DeleteRegister(id);
          return Moved();
        }));
    return Flush();
  }
  absl::Status DeadEntries(std::string_view from, std::string_view to) {
    RETURN_IF_ERROR(store_->VisitDead(
        MakeId(from, ""), [&](std::string_view key, std::string_view value) {
          set_.PutDead(MakeId(to, key.substr(from.size() + 1)), value);
          set_.DeleteDead(key);
          return Moved();
        }));
    return Flush();
  }

 private:
  absl::Status Moved() { return ++count_ % kChunk == 0 ? Flush() : absl::OkStatus(); }
  absl::Status Flush() {
    absl::Status status = set_.empty() ? absl::OkStatus() : store_->Write(&set_);
    set_.Clear();
    return status;
  }

  Store* const store_;
  WriteSet set_;
  size_t count_ = 0;
};

// The names of the store's lanes that the rule takes over, each with its value.
absl::StatusOr<std::vector<std::pair<std::string, std::string>>> OldLanes(
    const Store& store, const Rule& rule) {
  std::vector<std::pair<std::string, std::string>> lanes;
  RETURN_IF_ERROR(
      store.VisitMeta(kMetaLane, [&](std::string_view key, std::string_view value) {
        key.remove_prefix(kMetaLane.size());
        if (!Renamed(rule, key).empty()) lanes.emplace_back(key, value);
        return absl::OkStatus();
      }));
  return lanes;
}

// Small entries of `meta` whose key goes on with a name and, perhaps, 0x00 and
// more: into the last write, with the lanes.
absl::Status MoveMeta(const Store& store, const Rule& rule, std::string_view prefix,
                      WriteSet* set) {
  return store.VisitMeta(prefix, [&](std::string_view key, std::string_view value) {
    const std::string_view full = key.substr(prefix.size());
    const std::string_view name = full.substr(0, full.find('\0'));
    const std::string to = Renamed(rule, name);
    if (to.empty()) return absl::OkStatus();
    set->PutMeta(std::string(prefix) + to + std::string(full.substr(name.size())), value);
    set->DeleteMeta(key);
    return absl::OkStatus();
  });
}

// The new name goes on under the first one, which ids are made of.
absl::Status MoveFirstName(const Store& store, const Rule& rule, WriteSet* set) {
  const std::string old_key = std::string(kMetaFirstName) + rule.was;
  std::string first;
  ASSIGN_OR_RETURN(const bool known, store.GetMeta(old_key, &first));
  set->DeleteMeta(old_key);
  set->PutMeta(std::string(kMetaFirstName) + rule.name, known ? first : rule.was);
  return absl::OkStatus();
}

absl::Status TakeOver(const Rule& rule, Store* store) {
  ASSIGN_OR_RETURN(const auto lanes, OldLanes(*store, rule));
  if (lanes.empty()) return absl::OkStatus();
  for (const auto& [from, lane] : lanes) {
    std::string value;
    ASSIGN_OR_RETURN(
        const bool known,
        store->GetMeta(std::string(kMetaLane) + Renamed(rule, from), &value));
    if (known)
      return Refused("the store knows both rule \"" + rule.was + "\" and rule \"" +
                     rule.name + "\", so one cannot take over the other: take `was` out");
  }
  Log(Level::kInfo, "a renamed rule's jobs are taken over",
      {{"was", rule.was}, {"rule", rule.name}});
  WriteSet set;
  set.PutMeta(std::string(kMetaRename) + rule.was, rule.name);
  RETURN_IF_ERROR(store->Write(&set));
  Mover mover(store);
  for (const auto& [from, lane] : lanes) {
    RETURN_IF_ERROR(mover.Registers(from, Renamed(rule, from)));
    RETURN_IF_ERROR(mover.DeadEntries(from, Renamed(rule, from)));
  }
  // Rejected events of a rule with named entries have no lane.
  RETURN_IF_ERROR(mover.DeadEntries(rule.was, rule.name));
  set.Clear();
  for (const std::string_view prefix : {kMetaLane, kMetaRuleCount, kMetaRuleHistory,
                                        kMetaRuleFloor, kMetaConsumer, kMetaRead})
    RETURN_IF_ERROR(MoveMeta(*store, rule, prefix, &set));
  RETURN_IF_ERROR(MoveFirstName(*store, rule, &set));
  set.DeleteMeta(std::string(kMetaRename) + rule.was);
  RETURN_IF_ERROR(store->Write(&set));
  return store->Sync();
}

// A rename that began must be finished before anything else reads the store.
absl::Status CheckMarks(const Store& store, const std::vector<Rule>& rules) {
  return store.VisitMeta(
      kMetaRename, [&](std::string_view key, std::string_view value) -> absl::Status {
        const std::string_view was = key.substr(kMetaRename.size());
        for (const Rule& rule : rules)
          if (rule.was == was && rule.name == value) return absl::OkStatus();
        return Refused("the store was left while rule \"" + std::string(was) +
                       "\" was renamed: start once more with rule \"" +
                       std::string(value) + "\" and was: " + std::string(was));
      });
}

}  // namespace

absl::Status TakeOverRenamed(const std::vector<Rule>& rules, Store* store) {
  RETURN_IF_ERROR(CheckMarks(*store, rules));
  for (const Rule& rule : rules)
    if (!rule.was.empty()) RETURN_IF_ERROR(TakeOver(rule, store));
  return absl::OkStatus();
}

}  // namespace expirer
