#include "api/dead.h"

#include <algorithm>

#include <fmt/format.h>

#include "json/writer.h"
#include "sched/core.h"

namespace expirer {

// Of what requeue takes from the dead store at a time.
constexpr size_t kRequeueBytesMax = 4 << 20;

absl::StatusOr<DeadQuery> DeadQueryOf(Query common) {
  DeadQuery query{std::move(common), {}, {}};
  const auto read = [](std::string_view name, const std::optional<std::string>& hex,
                       std::string* key) -> absl::Status {
    const auto bytes = hex ? FromHex(*hex) : std::string();
    if (!bytes) return Invalid(fmt::format("{}: expected one that dead.list gave", name));
    *key = *bytes;
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(read("id", query.id, &query.entry));
  RETURN_IF_ERROR(read("cursor", query.cursor, &query.after));
  query.one = query.job || query.id;
  if (query.one && (!query.rule.empty() || !query.prefix.empty() || query.cursor ||
                    (query.job && query.id)))
    return Invalid("job and id name one entry: no filter goes with them");
  return query;
}

absl::Status ReadDead(const Store& store, const DeadQuery& query, const VisitDead& visit,
                      std::string* cursor) {
  std::string from;
  if (!query.rule.empty()) {
    from = query.rule + '\0';
    if (!query.prefix.empty()) from += "j" + query.prefix;
  }
  if (!query.after.empty()) from = std::max(from, query.after + '\0');
  const auto scan = store.ScanDead();
  size_t rows = 0;
  size_t scanned = 0;
  uint64_t found = 0;
  std::string last;
  for (scan->Seek(from); scan->Valid(); scan->Next()) {
    const std::optional<DeadName> name = SplitDeadKey(scan->key());
    if (!query.rule.empty() && (!name || name->rule != query.rule)) break;
    bool full =
        rows >= kPageRowsMax || scanned >= kPageScanBytesMax || found >= query.limit;
    const bool asked = name && (query.prefix.empty() ||
                                (name->job && name->key.starts_with(query.prefix)));
    if (!full && asked) {
      absl::StatusOr<Dead> dead = DecodeDead(scan->value());
      if (!dead.ok()) {  // listed, and purged: it must not stand before all others
        const std::string why = Message(dead.status());
        dead.emplace().reference_only = true;
        dead->reason = why;
      }
      full = !visit(scan->key(), *dead);
    }
    if (full) {
      *cursor = FormatDeadId(last);
      break;
    }
    ++rows;
    scanned += scan->value().size();
    last = scan->key();
    found += asked ? 1 : 0;
  }
  return scan->status();
}

absl::Status DeadCommand::Read(const Store& store) {
  std::vector<Dead> read;
  size_t bytes = 0;
  const auto add = [&](std::string_view key, const Dead& dead) {
    if (bytes >= kRequeueBytesMax) return false;
    bytes += dead.payload.size() + key.size();
    entries.emplace_back().key = key;
    if (!purge) read.push_back(dead);
    return true;
  };
  if (!query.one) {
    RETURN_IF_ERROR(ReadDead(store, query, add, &cursor));
  } else {
    const std::string key =
        query.id ? query.entry : DeadJobKey(query.job->rule, query.job->key);
    std::string value;
    ASSIGN_OR_RETURN(const bool found, store.GetDead(key, &value));
    const absl::StatusOr<Dead> dead = found ? DecodeDead(value) : Dead();
    (void)add(key, dead.ok() ? *dead : Dead());  // the core says what is wrong
  }
  return read.empty() ? absl::OkStatus()
                      : RunThroughRules(store, *context, read, &entries);
}

// A piece a turn: each entry is read whole, and there may be hundreds of pages of them.
absl::StatusOr<bool> DeadCommand::Apply(Core& core, Piece* piece) {
  if (next_ == 0 && !purge && !core.intake_open) {
    error_ = {kAtLimit,
              "too little disk space: nothing is taken back until there is more"};
    return true;
  }
  while (next_ < entries.size()) {
    if (piece->full()) return false;
    ++piece->entries;
    ASSIGN_OR_RETURN(Outcome outcome, ApplyEntry(core, &entries[next_++], piece));
    done_ += outcome.end == End::kDone ? 1 : 0;
    still_ += outcome.end == End::kStill ? 1 : 0;
    conflicts_ += outcome.end == End::kConflicts ? 1 : 0;
    if (query.one && outcome.end != End::kDone) {
      error_ = {outcome.end == End::kGone ? kNotFound : kConflict,
                std::move(outcome.why)};
      return true;
    }
  }
  return true;
}

absl::StatusOr<Reply> DeadCommand::Answer(Core&) {
  if (error_.code != 0) return error_;
  const auto next = IfAny(cursor);
  return Reply{
      0, (purge ? JsonObject("purged", done_, "dry_run", query.dry_run, "cursor", next)
                : JsonObject("requeued", done_, "still_rejected", still_, "conflicts",
                             conflicts_, "cursor", next))
             .text};
}

absl::StatusOr<DeadCommand::Outcome> DeadCommand::ApplyEntry(Core& core, Entry* entry,
                                                             Piece* piece) {
  const std::optional<DeadName> name = SplitDeadKey(entry->key);
  if (!name) return Outcome{End::kGone, "no such dead entry"};
  std::string value;
  ASSIGN_OR_RETURN(const bool found, core.turn.FindDead(entry->key, &value));
  piece->bytes += value.size();
  if (!found) {
    if (!name->job) return Outcome{End::kGone, "no such dead entry"};
    const std::string job = JobName(name->rule, name->key);
    ASSIGN_OR_RETURN(const std::optional<Register> known,
                     core.turn.Known(MakeId(name->rule, name->key)));
    if (!known) return Outcome{End::kGone, "no job is known as " + job};
    return Outcome{End::kConflicts,
                   job + " is not dead: it is " + std::string(Name(known->state))};
  }
  if (query.dry_run) return Outcome();
  const absl::StatusOr<Dead> dead = DecodeDead(value);
  if (purge) {
    RETURN_IF_ERROR(PurgeEntry(core, entry->key, *name, dead.ok() ? *dead : Dead()));
    return Outcome();
  }
  if (!dead.ok()) return Outcome{End::kConflicts, Message(dead.status())};
  return RequeueEntry(core, entry, *name, *dead, query.one || query.stale);
}

void DropReject(Core& core, const std::string& dead_key, std::string_view rule,
                const Dead& dead) {
  core.turn.DropDead(dead_key);
  core.counts.Add(rule, &RuleCounts::rejected, -1);
  if (IsStale(dead)) core.counts.AddStale(-1);
}

}  // namespace expirer
