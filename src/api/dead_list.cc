// `dead.list`: a page of the dead store, read beside the core like those of `list`.
#include <algorithm>

#include "api/dead.h"
#include "api/verb.h"
#include "base/rfc3339.h"
#include "json/writer.h"

namespace expirer {
namespace {

// The longest that stands around the entries of a page: the cursor is the hex form of a
// key.
constexpr size_t kDeadPageEndBytes = 2 * (kKeyBytesMax + 64) + kPageEndBytes;

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

struct DeadListCommand : Command {
  absl::Status Read(const Store& store) override;
  absl::StatusOr<Reply> Answer(Core&) override { return reply; }

  DeadQuery query;
  Reply reply;
};

absl::StatusOr<std::unique_ptr<Command>> Make(Query query, const ApiContext&) {
  auto command = std::make_unique<DeadListCommand>();
  ASSIGN_OR_RETURN(command->query, DeadQueryOf(std::move(query)));
  return command;
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

size_t DeadPageBytes(size_t bytes_max) {
  bytes_max = std::min(bytes_max, kPageBytesMax);
  return bytes_max - std::min(bytes_max / 2, kDeadPageEndBytes);
}

absl::Status DeadListCommand::Read(const Store& store) {
  ASSIGN_OR_RETURN(const StreamNames streams, NamesOfStreams(store));
  const size_t bytes_max = DeadPageBytes(caller.bytes_max);
  std::string out;
  JsonWriter page(&out);
  page.Object().Array("entries");
  bool first = true;
  std::string cursor;
  RETURN_IF_ERROR(ReadDead(
      store, query,
      [&](std::string_view key, const Dead& dead) {
        const Json entry{FormatDeadEntry(key, dead, streams, bytes_max)};
        if (!std::exchange(first, false) &&
            out.size() + 1 + entry.text.size() > bytes_max)
          return false;
        page.Item(entry);
        return true;
      },
      &cursor));
  page.End().Add("cursor", IfAny(cursor)).End();
  reply.body = std::move(out);
  return absl::OkStatus();
}

extern const Verb kDeadList{
    .name = "dead.list",
    .about = "list the dead store",
    .members = "rule prefix limit cursor",
    .make = &Make,
    .cold = true,
    .client = {.command = "dead ls",
               .items = "entries",
               .columns = "id rule kind job at stream seq reason"}};

}  // namespace expirer
