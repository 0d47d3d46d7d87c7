#include "api/list.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "api/verb.h"
#include "base/coding.h"
#include "json/writer.h"
#include "sched/core.h"
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

size_t BytesOf(const ListCommand::Row& row) {
  return row.head.size() + row.tail.size() + kRowMoreBytes;
}

ListCommand::Row MakeRow(const LaneScan& lane, const JobView& job,
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
  return {.seq = lane.scan->key().seq,
          .retrying = lane.retry,
          .held = lane.held,
          .head = text.substr(0, at),
          .tail = text.substr(at + 1)};
}

absl::StatusOr<std::unique_ptr<Command>> Make(Query query, const ApiContext& context) {
  auto command = std::make_unique<ListCommand>();
  ASSIGN_OR_RETURN(command->query, ListQueryOf(std::move(query)));
  command->queues = context.queues;
  command->clock = context.clock;
  return command;
}

}  // namespace

absl::StatusOr<ListQuery> ListQueryOf(Query common) {
  ListQuery query{std::move(common), {}};
  constexpr std::string_view kStates[] = {"", "pending", "in_flight", "retrying", "held"};
  if (std::find(std::begin(kStates), std::end(kStates), query.state) == std::end(kStates))
    return Invalid(
        "state: expected pending, in_flight, retrying or held; dead.list lists the dead, "
        "and what is closed is told by get");
  if (query.cursor.value_or("").empty()) return query;
  const std::optional<std::string> bytes = FromHex(*query.cursor);
  if (!bytes || bytes->size() != 16 || ((*bytes)[0] & 0x80) != 0)
    return Invalid("cursor: expected one that list gave");
  query.after =
      ListPlace{static_cast<int64_t>(Big64(bytes->data())), Big64(bytes->data() + 8)};
  return query;
}

std::string FormatListPlace(const ListPlace& place) {
  std::string bytes;
  PutBig64(&bytes, static_cast<uint64_t>(place.key_ms));
  PutBig64(&bytes, place.seq);
  return ToHex(bytes);
}

absl::Status ListCommand::Read(const Store& store) {
  ASSIGN_OR_RETURN(std::vector<LaneScan> lanes, OpenLanes(store, *queues, query));
  ASSIGN_OR_RETURN(const StreamNames streams, NamesOfStreams(store));
  // First attempts stand at their due time, or at that of their writing: from
  // here on none is due earlier.
  const int64_t end_ms = std::max(query.due_before_ms, clock->NowMs() + kClockSlackMs);
  size_t bytes_max = std::min(kPageBytesMax, caller.bytes_max);
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
                jobs.size() >= query.limit;
    JobView job;
    // A row nobody can read is the core's to put aside, at its turn.
    if (!full && DecodeJob(least->scan->value(), &job).ok() &&
        job.key.starts_with(query.prefix) && job.due_ms < query.due_before_ms &&
        (query.state != "held" || least->held)) {
      Row row = MakeRow(*least, job, streams, bytes_max);
      full = !jobs.empty() && bytes + BytesOf(row) > bytes_max;
      if (!full) {
        bytes += BytesOf(row);
        jobs.push_back(std::move(row));
      }
    }
    if (full) {
      cursor = FormatListPlace(last);
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

absl::StatusOr<Reply> ListCommand::Answer(Core& core) {
  JsonWriter out;
  out.Object().Array("jobs");
  for (const Row& row : jobs) {
    const std::string_view state = core.jobs.HasAttempt(row.seq) ? "in_flight"
                                   : row.held                    ? "held"
                                   : row.retrying                ? "retrying"
                                                                 : "pending";
    if (!query.state.empty() && query.state != state) continue;
    out.Item(Json{row.head + std::string(state) + row.tail});
  }
  out.End().Add("cursor", IfAny(cursor));
  return Reply{0, out.Take()};
}

extern const Verb kList{
    .name = "list",
    .about = "list the jobs to come, in due order",
    .members = "rule prefix state due_before limit cursor",
    .make = &Make,
    .cold = true,
    .client = {.command = "ls",
               .items = "jobs",
               .columns = "job state due target attempts last_error"}};

}  // namespace expirer
