#include "sched/pages.h"

#include <algorithm>
#include <memory>

#include "base/coding.h"
#include "base/mutant.h"
#include "base/rfc3339.h"
#include "json/writer.h"
#include "sched/streams.h"
#include "store/meta.h"

namespace expirer {
namespace {

// How far the clock of whoever wrote a row may have been ahead of ours.
constexpr int64_t kClockSlackMs = 60'000;

struct LaneScan {
  std::string rule;
  bool retry = false;
  bool held = false;
  std::unique_ptr<DueScan> scan;

  [[nodiscard]] ListPlace place() const { return {scan->key().key_ms, scan->key().seq}; }
};

// Whether `name` is the rule asked for, one of its entries, or nothing is.
bool OfRule(std::string_view name, std::string_view rule) {
  if (rule.empty() || name == rule) return true;
  return name.size() > rule.size() && name.starts_with(rule) && name[rule.size()] == '.';
}

// Scans of the query's lanes, each at its first row after the cursor.
absl::StatusOr<std::vector<LaneScan>> OpenLanes(const Store& store, const Queues& queues,
                                                const ListQuery& query) {
  std::vector<LaneScan> lanes;
  const auto open = [&](std::string_view rule, Lane number, bool retry) -> absl::Status {
    std::string key(kMetaBound);
    PutBig16(&key, number);
    std::string value;
    ASSIGN_OR_RETURN(const bool bounded, store.GetMeta(key, &value));
    ListPlace from{bounded ? static_cast<int64_t>(Reader(value).Varint()) : 0, 0};
    if (query.after) from = std::max(from, {query.after->key_ms, query.after->seq + 1});
    LaneScan lane;
    lane.rule = rule;
    lane.retry = retry;
    lane.held = !queues.Find(rule).has_value();
    lane.scan = store.ScanDue(number);
    lane.scan->Seek({number, from.key_ms, from.seq});
    RETURN_IF_ERROR(lane.scan->status());
    if (lane.scan->Valid()) lanes.push_back(std::move(lane));
    return absl::OkStatus();
  };
  const absl::Status visited = store.VisitMeta(
      kMetaLane, [&](std::string_view key, std::string_view value) -> absl::Status {
        const std::string_view rule = key.substr(kMetaLane.size());
        if (!OfRule(rule, query.rule)) return absl::OkStatus();
        const auto first = static_cast<Lane>(Reader(value).Varint());
        if (query.state != "retrying") RETURN_IF_ERROR(open(rule, first, false));
        if (query.state != "pending")
          RETURN_IF_ERROR(open(rule, static_cast<Lane>(first + 1), true));
        return absl::OkStatus();
      });
  if (!visited.ok()) return visited;
  return lanes;
}

// The longest state, and the comma before the next row.
constexpr size_t kRowMoreBytes = std::string_view("in_flight").size() + 1;

size_t BytesOf(const ListRequest::Row& row) {
  return row.head.size() + row.tail.size() + kRowMoreBytes;
}

ListRequest::Row MakeRow(const LaneScan& lane, const JobView& job,
                         const StreamNames& streams, size_t bytes_max) {
  JobInfo info;
  info.rule = lane.rule;
  info.key = job.key;
  info.state = "?";  // where the core writes it
  info.due_ms = job.due_ms;
  if (lane.scan->key().key_ms != job.due_ms) info.next_ms = lane.scan->key().key_ms;
  info.target = job.target;
  info.attempts = job.sends;
  info.last_error = job.last_error;
  info.source = job.source;
  const std::string stream = streams(job.source.stream);
  info.stream = stream;
  const std::string text =
      FormatJobInfo(info, bytes_max - std::min(bytes_max, kRowMoreBytes));
  // No name before it is just that: a job's has a slash.
  const size_t at = text.find("\"?\"") + 1;
  return {lane.scan->key().seq, lane.retry, lane.held, text.substr(0, at),
          text.substr(at + 1)};
}

}  // namespace

absl::StatusOr<StreamNames> NamesOfStreams(const Store& store) {
  ASSIGN_OR_RETURN(auto names, Streams::Names(store));
  return [names = std::move(names)](uint16_t number) {
    for (const auto& [known, name] : names)
      if (known == number) return name;
    return std::string();
  };
}

absl::Status ReadJobs(const Store& store, const Queues& queues, const ListQuery& query,
                      int64_t now_ms, ListRequest* page) {
  ASSIGN_OR_RETURN(std::vector<LaneScan> lanes, OpenLanes(store, queues, query));
  ASSIGN_OR_RETURN(const StreamNames streams, NamesOfStreams(store));
  // First attempts stand at their due time, or at that of their writing: from
  // here on none is due earlier.
  const int64_t end_ms = std::max(query.due_before_ms, now_ms + kClockSlackMs);
  size_t bytes_max = std::min(kPageBytesMax, page->caller.bytes_max);
  bytes_max -= std::min(bytes_max, kPageEndBytes);
  size_t rows = 0;
  size_t scanned = 0;
  size_t bytes = 0;
  ListPlace last;
  while (!lanes.empty()) {
    const auto least = std::min_element(
        lanes.begin(), lanes.end(),
        [](const LaneScan& a, const LaneScan& b) { return a.place() < b.place(); });
    if (!least->retry && query.due_before_ms <= kDueMaxMs &&
        least->place().key_ms >= end_ms) {
      lanes.erase(least);
      continue;
    }
    bool full = rows >= kPageRowsMax || scanned >= kPageScanBytesMax ||
                page->jobs.size() >= query.limit;
    JobView job;
    // A row nobody can read is the core's to put aside, at its turn.
    if (!full && DecodeJob(least->scan->value(), &job).ok() &&
        job.key.starts_with(query.prefix) && job.due_ms < query.due_before_ms &&
        (query.state != "held" || least->held)) {
      ListRequest::Row row = MakeRow(*least, job, streams, bytes_max);
      full = !page->jobs.empty() && bytes + BytesOf(row) > bytes_max &&
             !Mutant("pages_unbounded");
      if (!full) {
        bytes += BytesOf(row);
        page->jobs.push_back(std::move(row));
      }
    }
    if (full) {
      page->cursor = FormatListPlace(last);
      return absl::OkStatus();
    }
    ++rows;
    scanned += least->scan->value().size();
    last = least->place();
    least->scan->Next();
    RETURN_IF_ERROR(least->scan->status());
    if (!least->scan->Valid()) lanes.erase(least);
  }
  return absl::OkStatus();
}

std::optional<DeadName> SplitDeadKey(std::string_view key) {
  const size_t zero = key.find('\0');
  if (zero == key.npos || zero + 1 >= key.size()) return std::nullopt;
  const char kind = key[zero + 1];
  if (kind != 'r' && kind != 'j') return std::nullopt;
  return DeadName{key.substr(0, zero), kind == 'j', key.substr(zero + 2)};
}

size_t DeadPageBytes(size_t bytes_max) {
  bytes_max = std::min(bytes_max, kPageBytesMax);
  return bytes_max - std::min(bytes_max / 2, kDeadPageEndBytes);
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
      // Told, and to be purged: it must not stand before all others.
      if (!dead.ok()) dead = Dead{true, Message(dead.status()), 0, {}, "", {}, "", ""};
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

namespace {

// How much of an entry is told: all of it, all but what may be long, or what
// names it alone.
enum class Told { kAll, kShort, kId };

std::string DeadEntryJson(std::string_view key, const Dead& dead,
                          const StreamNames& streams, Told told) {
  constexpr size_t kReasonShort = 100;
  const bool all = told == Told::kAll;
  const DeadName name = SplitDeadKey(key).value_or(DeadName{});
  JsonWriter entry;
  entry.Object().Add("id", FormatDeadId(key), "rule", name.rule, "kind",
                     name.job ? "job" : "rejected");
  if (told == Told::kId) return entry.Add("shortened", true).Take();
  if (name.job) entry.Add("job", JobName(name.rule, name.key));
  const std::string_view reason = dead.reason;
  const std::string stream = streams(dead.source.stream);
  entry.Add("reason", all ? reason : reason.substr(0, kReasonShort), "at",
            FormatRfc3339Ms(dead.at_ms), "stream", IfAny(stream));
  if (!stream.empty()) entry.Add("seq", dead.source.seq);
  if (all) entry.Add("subject", IfAny(dead.subject));
  JobView job;
  const bool row = !dead.job_row.empty() && DecodeJob(dead.job_row, &job).ok();
  if (row) entry.Add("due", FormatRfc3339Ms(job.due_ms));
  if (row && all) entry.Add("target", job.target);
  if (row && name.job) entry.Add("attempts", job.sends);
  entry.Add("bytes", row ? job.body.size() : dead.payload.size(), "reference_only",
            IfAny(dead.reference_only), "shortened", IfAny(!all));
  return entry.Take();
}

}  // namespace

std::string FormatDeadEntry(std::string_view key, const Dead& dead,
                            const StreamNames& streams, size_t bytes_max) {
  for (const Told told : {Told::kAll, Told::kShort}) {
    std::string out = DeadEntryJson(key, dead, streams, told);
    if (out.size() <= bytes_max) return out;
  }
  return DeadEntryJson(key, dead, streams, Told::kId);
}

}  // namespace expirer
