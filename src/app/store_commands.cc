#include "app/store_commands.h"

#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <csignal>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "app/config.h"
#include "app/out_file.h"
#include "app/output.h"
#include "app/store_dump.h"
#include "app/table.h"
#include "base/coding.h"
#include "base/exit_code.h"
#include "base/log.h"
#include "base/rfc3339.h"
#include "base/visible.h"
#include "json/writer.h"
#include "sched/audit.h"
#include "sched/counts.h"
#include "sched/streams.h"
#include "store/meta.h"
#include "store/store.h"

namespace expirer {
namespace {

// How many findings of `verify` are printed one by one.
constexpr uint64_t kFindingsTold = 20;

std::atomic<bool> interrupted{false};

struct StoreFlags {
  std::string config, store, out, file;
  bool json = false;
};

template <typename... Args>
void Print(fmt::format_string<Args...> format, Args&&... args) {
  PrintOut(fmt::format(format, std::forward<Args>(args)...));
}

int Fail(const absl::Status& status) {
  Say(Message(status));
  return kFailed;
}

// The directory the flags name, else that of the config.
int FindStore(const StoreFlags& flags, const ConfigLoader& load, std::string* path) {
  // What comes of it the commands tell themselves.
  SetLog(Level::kError, LogFormat::kText);
  *path = flags.store;
  if (!path->empty()) return kDone;
  Config config;
  if (const int code = load(flags.config, &config); code != kDone) return code;
  *path = config.store.path;
  return kDone;
}

absl::StatusOr<std::unique_ptr<Store>> OpenStopped(const std::string& path) {
  StoreOptions options;
  options.path = path;
  options.read_only = true;
  options.stopped = true;
  return Store::Open(options);
}

// What a start would leave out too: it was never promised.
void TellNote(const Store& store) {
  if (!store.recovery_note().empty()) Say("note: " + store.recovery_note());
}

int RunVerify(const StoreFlags& flags, const std::string& path) {
  uint64_t findings = 0;
  const auto found = [&](const std::string& what) {
    if (++findings > kFindingsTold) return;
    if (flags.json)
      Print("{}\n", JsonObject("error", what).text);
    else
      Say(fmt::format("{}: {}", path, what));
  };
  const auto store = OpenStopped(path);
  AuditTotals totals;
  // Of a store that is in use or none at all there is nothing to say but that.
  if (!store.ok() && !absl::IsDataLoss(store.status())) return Fail(store.status());
  if (store.ok()) {
    TellNote(**store);
    totals = Audit(**store, found);
  } else {
    found(Message(store.status()));
  }
  if (findings > kFindingsTold) Say(fmt::format("… {} in all", findings));
  if (totals.renaming)
    Say("note: a rule is being renamed, so names and counts were not compared; start the "
        "service with the same rules to finish the rename");
  if (flags.json)
    Print("{}\n", JsonObject("ok", findings == 0, "errors", findings, "jobs", totals.jobs,
                             "registers", totals.registers, "dead", totals.dead)
                      .text);
  else if (findings == 0)
    Print("{}: ok, {} jobs, {} keys, {} dead\n", Visible(path), totals.jobs,
          totals.registers, totals.dead);
  else
    Print("{}: not whole\n", Visible(path));
  return findings == 0 ? kDone : kFailed;
}

// ---- stats

struct RuleRow {
  std::string name;
  RuleCounts counts;
  int64_t next_ms = -1;  // of its first row; -1 = there is none
};

struct Numbers {
  uint64_t format = 0;
  int64_t alive_ms = 0;
  uint64_t bytes = 0;
  uint64_t closed = 0;
  std::vector<RuleRow> rules;
  std::map<std::string, ReadMark> read;  // by SourceKey
};

absl::StatusOr<uint64_t> MetaNumber(const Store& store, std::string_view key) {
  std::string value;
  ASSIGN_OR_RETURN(const bool known, store.GetMeta(key, &value));
  return known ? Reader(value).Varint() : 0;
}

// When the first job of a queue's two lanes has its turn.
absl::StatusOr<int64_t> NextOf(const Store& store, uint64_t first_lane) {
  int64_t next_ms = -1;
  for (const uint64_t number : {first_lane, first_lane + 1}) {
    const auto lane = static_cast<Lane>(number);
    std::string key(kMetaBound);
    PutBig16(&key, lane);
    ASSIGN_OR_RETURN(const uint64_t bound, MetaNumber(store, key));
    auto scan = store.ScanDue(lane);
    scan->Seek({lane, static_cast<int64_t>(bound), 0});
    if (scan->Valid() && (next_ms < 0 || scan->key().key_ms < next_ms))
      next_ms = scan->key().key_ms;
    RETURN_IF_ERROR(scan->status());
  }
  return next_ms;
}

uint64_t BytesIn(const std::string& path) {
  uint64_t bytes = 0;
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(path, failed)) {
    const bool file = entry.is_regular_file(failed);
    const uint64_t size = file ? entry.file_size(failed) : 0;
    bytes += failed ? 0 : size;
  }
  return bytes;
}

absl::StatusOr<Numbers> ReadNumbers(const Store& store, const std::string& path) {
  Numbers numbers;
  Counts counts(UINT64_MAX);
  RETURN_IF_ERROR(counts.Load(store));
  numbers.closed = counts.closed();
  numbers.bytes = BytesIn(path);
  ASSIGN_OR_RETURN(numbers.format, MetaNumber(store, kMetaFormat));
  ASSIGN_OR_RETURN(const uint64_t alive, MetaNumber(store, kMetaAlive));
  numbers.alive_ms = static_cast<int64_t>(alive);
  ASSIGN_OR_RETURN(numbers.read, Streams::Marks(store));
  RETURN_IF_ERROR(store.VisitMeta(
      kMetaLane, [&](std::string_view key, std::string_view value) -> absl::Status {
        RuleRow row;
        row.name = key.substr(kMetaLane.size());
        const auto counted = counts.rules().find(row.name);
        if (counted != counts.rules().end()) row.counts = counted->second;
        ASSIGN_OR_RETURN(row.next_ms, NextOf(store, Reader(value).Varint()));
        numbers.rules.push_back(std::move(row));
        return absl::OkStatus();
      }));
  return numbers;
}

std::string TimeOrNothing(int64_t ms) { return ms < 0 ? "" : FormatRfc3339Ms(ms); }

// The rules' rows added up.
RuleRow SumOf(const Numbers& numbers) {
  RuleRow sum;
  for (const RuleRow& row : numbers.rules) {
    sum.counts.pending += row.counts.pending;
    sum.counts.retrying += row.counts.retrying;
    sum.counts.dead_jobs += row.counts.dead_jobs;
    sum.counts.rejected += row.counts.rejected;
    if (row.next_ms >= 0 && (sum.next_ms < 0 || row.next_ms < sum.next_ms))
      sum.next_ms = row.next_ms;
  }
  return sum;
}

// Rule and stream of a SourceKey.
std::pair<std::string, std::string> SplitSource(const std::string& source) {
  const size_t end = source.find('\0');
  if (end == source.npos) return {source, ""};
  return {source.substr(0, end), source.substr(end + 1)};
}

void AddCounts(const RuleRow& row, JsonWriter* out) {
  out->Add("pending", row.counts.pending, "retrying", row.counts.retrying, "dead",
           row.counts.dead_jobs, "rejected", row.counts.rejected);
  if (row.next_ms >= 0) out->Add("next", FormatRfc3339Ms(row.next_ms));
}

void PrintJson(const Store& store, const Numbers& numbers) {
  JsonWriter out;
  out.Object().Add("id", store.id(), "format", numbers.format, "bytes", numbers.bytes,
                   "alive", FormatRfc3339Ms(numbers.alive_ms));
  AddCounts(SumOf(numbers), &out);
  out.Add("closed", numbers.closed).Array("rules");
  for (const RuleRow& row : numbers.rules) {
    AddCounts(row, &out.Object().Add("rule", row.name));
    out.End();
  }
  out.End().Array("read");
  for (const auto& [source, mark] : numbers.read) {
    const auto [rule, stream] = SplitSource(source);
    out.Item(JsonObject("rule", rule, "stream", stream, "epoch", mark.epoch, "seq",
                        mark.high_seq, "time", FormatRfc3339Ns(mark.high_time_ns)));
  }
  Print("{}\n", out.Take());
}

void PrintText(const Store& store, const Numbers& numbers) {
  const auto line = [](std::string_view name, const auto& value) {
    Print("{:<10}{}\n", name, value);
  };
  const RuleRow sum = SumOf(numbers);
  line("id", store.id());
  line("format", numbers.format);
  line("bytes", numbers.bytes);
  line("alive", FormatRfc3339Ms(numbers.alive_ms));
  line("pending", sum.counts.pending);
  line("retrying", sum.counts.retrying);
  line("dead", sum.counts.dead_jobs);
  line("rejected", sum.counts.rejected);
  line("closed", numbers.closed);
  if (sum.next_ms >= 0) line("next", FormatRfc3339Ms(sum.next_ms));
  Table rules({"rule", "pending", "retrying", "dead", "rejected", "next"});
  for (const RuleRow& row : numbers.rules)
    rules.Add({row.name, std::to_string(row.counts.pending),
               std::to_string(row.counts.retrying), std::to_string(row.counts.dead_jobs),
               std::to_string(row.counts.rejected), TimeOrNothing(row.next_ms)});
  if (!rules.empty()) Print("\n{}", rules.Format(TerminalColumns()));
  Table read({"rule", "has read", "epoch", "seq", "time"});
  for (const auto& [source, mark] : numbers.read) {
    const auto [rule, stream] = SplitSource(source);
    read.Add({rule, stream, std::to_string(mark.epoch), std::to_string(mark.high_seq),
              FormatRfc3339Ns(mark.high_time_ns)});
  }
  if (!read.empty()) Print("\n{}", read.Format(TerminalColumns()));
}

int RunStats(const StoreFlags& flags, const std::string& path) {
  const auto store = OpenStopped(path);
  if (!store.ok()) return Fail(store.status());
  TellNote(**store);
  const auto numbers = ReadNumbers(**store, path);
  if (!numbers.ok()) return Fail(numbers.status());
  if (flags.json)
    PrintJson(**store, *numbers);
  else
    PrintText(**store, *numbers);
  return kDone;
}

// ---- dump and load

void TellCounts(const DumpCounts& counts, bool json) {
  if (json)
    Print("{}\n", JsonObject("jobs", counts.jobs, "registers", counts.registers, "dead",
                             counts.dead)
                      .text);
  else
    Say(fmt::format("{} jobs, {} keys, {} dead", counts.jobs, counts.registers,
                    counts.dead));
}

int RunDump(const StoreFlags& flags, const std::string& path) {
  const auto store = OpenStopped(path);
  if (!store.ok()) return Fail(store.status());
  TellNote(**store);
  OutFile out(flags.out, FileAccess::kPrivate);
  if (const absl::Status opened = out.Open(); !opened.ok()) return Fail(opened);
  const auto counts =
      DumpStore(**store, [&out](std::string_view piece) { out.Write(piece); });
  if (!counts.ok()) return Fail(counts.status());
  if (const absl::Status written = out.Commit(); !written.ok()) return Fail(written);
  TellCounts(*counts, false);
  return kDone;
}

int RunLoad(const StoreFlags& flags, const std::string& path) {
  umask(0077);  // the store is its owner's alone
  for (const int signal : {SIGINT, SIGTERM})
    std::signal(signal, [](int) { interrupted = true; });
  LoadOptions options;
  options.file = flags.file;
  options.dir = path;
  options.stopped = [] { return interrupted.load(); };
  const auto counts = LoadStore(options);
  if (!counts.ok()) {
    Say(Message(counts.status()));
    return absl::IsFailedPrecondition(counts.status()) ? kUsage : kFailed;
  }
  TellCounts(*counts, flags.json);
  return kDone;
}

}  // namespace

void AddStoreCommands(CLI::App* app, const ConfigLoader& load, int* code) {
  // Lives as long as the callbacks.
  const auto flags = std::make_shared<StoreFlags>();
  CLI::App* group = app->add_subcommand("store", "check, read or load a stopped store");
  group->require_subcommand(1);
  const auto add = [&](const std::string& name, const std::string& what,
                       int (*run)(const StoreFlags&, const std::string&)) {
    CLI::App* command = group->add_subcommand(name, what);
    command->add_option("--config", flags->config,
                        "config file that names the store (EXPIRER_CONFIG)");
    command->add_option("--store", flags->store,
                        "directory of the store (EXPIRER_STORE)");
    command->callback([flags, load, code, run] {
      std::string path;
      *code = FindStore(*flags, load, &path);
      if (*code == kDone) *code = run(*flags, path);
    });
    return command;
  };
  CLI::App* verify =
      add("verify", "read everything and report damage and contradictions", RunVerify);
  verify->add_flag("--json", flags->json, "JSON lines: one per error, then the totals");
  CLI::App* stats = add("stats", "numbers of a stopped store", RunStats);
  stats->add_flag("--json", flags->json, "one JSON object");
  CLI::App* dump = add("dump", "print the whole store as JSON lines", RunDump);
  dump->add_option("--out", flags->out, "file for the lines; default: stdout");
  CLI::App* of_file =
      add("load", "make a store from a dump, in an empty directory", RunLoad);
  of_file->add_option("FILE", flags->file, "the dump; - is stdin")->required();
  of_file->add_flag("--json", flags->json, "print the counts as a JSON object");
}

}  // namespace expirer
