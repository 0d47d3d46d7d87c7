#include "sched/audit.h"

#include <map>
#include <set>
#include <string_view>

#include <fmt/format.h>

#include "base/coding.h"
#include "job/job.h"
#include "json/writer.h"
#include "sched/ahead.h"
#include "sched/counts.h"
#include "sched/possibly_sent.h"
#include "sched/process_gaps.h"
#include "sched/rebuild.h"
#include "sched/streams.h"
#include "store/meta.h"

namespace expirer {
namespace {

// Scheduler::Quarantine: the row of such a job is an entry of the dead store.
constexpr std::string_view kMalformed = "malformed-";

struct LaneOf {
  std::string queue;
  bool retry = false;
  int64_t bound_ms = 0;
};

class Auditor {
 public:
  Auditor(const Store& store, const std::function<void(const std::string&)>& found)
      : store_(store), found_(found), counts_(UINT64_MAX) {}

  AuditTotals Run() {
    Check(store_.VerifyTables());
    Check(ReadMeta());
    // First: what was quarantined has no row.
    Check(store_.VisitDead("", [this](std::string_view key, std::string_view value) {
      CheckDead(key, value);
      return absl::OkStatus();
    }));
    Check(store_.VisitJobs([this](std::string_view key, std::string_view value) {
      return CheckRow(key, value);
    }));
    Check(store_.VisitRegisters("", [this](std::string_view id, std::string_view value) {
      return CheckRegister(id, value);
    }));
    if (!totals_.renaming) CompareCounts();
    return totals_;
  }

 private:
  void Check(const absl::Status& status) {
    if (!status.ok()) found_(Message(status));
  }
  template <typename... Parts>
  void Found(fmt::format_string<Parts...> text, Parts&&... parts) {
    found_(fmt::format(text, std::forward<Parts>(parts)...));
  }

  absl::Status ReadVarint(std::string_view key, uint64_t* value) {
    std::string bytes;
    ASSIGN_OR_RETURN(const bool known, store_.GetMeta(key, &bytes));
    if (!known) return absl::OkStatus();
    Reader in(bytes);
    *value = in.Varint();
    return in.AtEnd() ? absl::OkStatus()
                      : Corrupt(fmt::format("the entry {} of meta is malformed", key));
  }

  absl::Status ReadMeta() {
    RETURN_IF_ERROR(ReadVarint(kMetaNextSeq, &next_seq_));
    RETURN_IF_ERROR(ReadVarint(kMetaNextLane, &next_lane_));
    RETURN_IF_ERROR(
        store_.VisitMeta(kMetaLane, [this](std::string_view key, std::string_view value) {
          return AddLanes(key, value);
        }));
    RETURN_IF_ERROR(
        store_.VisitMeta(kMetaRename, [this](std::string_view, std::string_view) {
          totals_.renaming = true;
          return absl::OkStatus();
        }));
    // Each reads its own entries, as a start does.
    WriteSet unused;
    RETURN_IF_ERROR(counts_.Load(store_));
    RETURN_IF_ERROR(Streams::Names(store_).status());
    RETURN_IF_ERROR(Streams::Marks(store_).status());
    RETURN_IF_ERROR(PossiblySent().Load(store_, 0, 0, 0, &unused));
    RETURN_IF_ERROR(AheadRows().Load(store_, 0, 0, &unused));
    RETURN_IF_ERROR(Rebuild::Load(store_).status());
    return ProcessGaps().Load(store_, 0, &unused);
  }

  absl::Status AddLanes(std::string_view key, std::string_view value) {
    Reader in(value);
    const uint64_t lane = in.Varint();
    if (!in.AtEnd() || lane == 0 || lane + 1 >= next_lane_)
      return Corrupt(fmt::format("the entry {} of meta is malformed", key));
    key.remove_prefix(kMetaLane.size());
    RETURN_IF_ERROR(AddLane(static_cast<Lane>(lane), key, false));
    return AddLane(static_cast<Lane>(lane + 1), key, true);
  }

  absl::Status AddLane(Lane number, std::string_view queue, bool retry) {
    std::string key(kMetaBound);
    PutBig16(&key, number);
    uint64_t bound = 0;
    RETURN_IF_ERROR(ReadVarint(key, &bound));
    const LaneOf lane{std::string(queue), retry, static_cast<int64_t>(bound)};
    if (!lanes_.emplace(number, lane).second)
      return Corrupt(fmt::format("lane {} was given twice", number));
    return absl::OkStatus();
  }

  void CheckDead(std::string_view key, std::string_view value) {
    ++totals_.dead;
    dead_bytes_ += value.size();
    const std::optional<DeadName> name = SplitDeadKey(key);
    const std::string rule(key.substr(0, key.find('\0')));
    if (!name)
      return Found("a dead entry of rule {} has a malformed key", JsonQuoted(rule));
    const absl::StatusOr<Dead> dead = DecodeDead(value);
    if (!dead.ok())
      return Found("a dead entry of rule {}: {}", rule, Message(dead.status()));
    if (IsStale(*dead)) ++stale_;
    RuleCounts& seen = seen_[rule];
    if (!name->job) {
      ++seen.rejected;
      return;
    }
    ++seen.dead_jobs;
    // Its job_row is empty: the row is the payload.
    if (dead->job_row.empty() && name->key.starts_with(kMalformed))
      quarantined_.insert(std::string(name->key.substr(kMalformed.size())));
  }

  absl::Status CheckRow(std::string_view key, std::string_view value) {
    ++totals_.jobs;
    ASSIGN_OR_RETURN(const JobKey row, DecodeJobKey(key));
    const absl::StatusOr<Job> job = DecodeJob(value);
    const std::string place = fmt::format("the row at lane {}, {} ms, number {}",
                                          row.lane, row.key_ms, row.seq);
    if (!job.ok()) {
      Found("{}: {}", place, Message(job.status()));
      return absl::OkStatus();
    }
    if (row.seq >= next_seq_)
      Found("{} is not below the next number to be given, {}", place, next_seq_);
    const auto lane = lanes_.find(row.lane);
    if (lane == lanes_.end()) {
      Found("{} is in a lane of no rule", place);
      return absl::OkStatus();
    }
    if (row.key_ms < lane->second.bound_ms)
      Found("{} is below its lane's low bound {}, so it would never fire", place,
            lane->second.bound_ms);
    if (totals_.renaming) return absl::OkStatus();
    const std::string id = MakeId(lane->second.queue, job->key);
    // One that cannot be read is found again below, by itself.
    const absl::StatusOr<std::optional<Register>> known = store_.GetRegister(id);
    const Register* reg = known.ok() && known->has_value() ? &**known : nullptr;
    const JobState state = lane->second.retry ? JobState::kRetrying : JobState::kPending;
    if (reg == nullptr || !reg->job || *reg->job != row || reg->state != state)
      Found("{} has the job {}, but its key's register names another row or none", place,
            JobName(lane->second.queue, job->key));
    return absl::OkStatus();
  }

  absl::Status CheckRegister(std::string_view id, std::string_view value) {
    ++totals_.registers;
    const absl::StatusOr<Register> reg = DecodeRegister(value);
    const size_t end = id.find('\0');
    const std::string_view rule = id.substr(0, end);
    const std::string name = end == std::string_view::npos
                                 ? std::string(id)
                                 : JobName(rule, id.substr(end + 1));
    if (!reg.ok() || end == std::string_view::npos) {
      Found("the register of {}: {}", name,
            reg.ok() ? "its key names no rule" : Message(reg.status()));
      return absl::OkStatus();
    }
    RuleCounts& seen = seen_[std::string(rule)];
    if (reg->state == JobState::kPending) ++seen.pending;
    if (reg->state == JobState::kRetrying) ++seen.retrying;
    if (IsLive(reg->state)) {
      std::string row;
      ASSIGN_OR_RETURN(const bool there, store_.GetJob(*reg->job, &row));
      if (!there && quarantined_.count(std::to_string(reg->job->seq)) == 0)
        Found("{} is {} and has no row: it would never fire", name, Name(reg->state));
    }
    if (reg->state != JobState::kDead || totals_.renaming) return absl::OkStatus();
    std::string entry;
    ASSIGN_OR_RETURN(const bool there,
                     store_.GetDead(DeadJobKey(rule, id.substr(end + 1)), &entry));
    if (!there) Found("{} is dead and has no entry in the dead store", name);
    return absl::OkStatus();
  }

  void CompareCounts() {
    if (stale_ != counts_.stale())
      Found("{} stale ones counted, {} there: start with serve --recover=counts",
            counts_.stale(), stale_);
    if (dead_bytes_ != counts_.dead_bytes())
      Found(
          "{} bytes of dead entries counted, {} there: start with serve "
          "--recover=counts",
          counts_.dead_bytes(), dead_bytes_);
    for (const auto& [name, counted] : counts_.rules()) {
      const std::string& rule = name;
      const RuleCounts seen = seen_[rule];
      const auto compare = [&](std::string_view what, uint64_t is, uint64_t count) {
        if (is != count)
          Found("{}: {} {} counted, {} there: start with serve --recover=counts", rule,
                count, what, is);
      };
      compare("pending", seen.pending, counted.pending);
      compare("retrying", seen.retrying, counted.retrying);
      compare("dead jobs", seen.dead_jobs, counted.dead_jobs);
      compare("rejected", seen.rejected, counted.rejected);
    }
    for (const auto& [rule, seen] : seen_)
      if (seen != RuleCounts() && counts_.rules().count(rule) == 0)
        Found("{}: it has entries and no counts: start with serve --recover=counts",
              rule);
  }

  const Store& store_;
  const std::function<void(const std::string&)>& found_;
  AuditTotals totals_;
  uint64_t next_seq_ = 0;
  uint64_t next_lane_ = 1;
  std::map<Lane, LaneOf> lanes_;
  Counts counts_;
  std::map<std::string, RuleCounts> seen_;
  uint64_t stale_ = 0;
  uint64_t dead_bytes_ = 0;
  std::set<std::string> quarantined_;  // numbers of rows
};

}  // namespace

AuditTotals Audit(const Store& store,
                  const std::function<void(const std::string&)>& found) {
  return Auditor(store, found).Run();
}

}  // namespace expirer
