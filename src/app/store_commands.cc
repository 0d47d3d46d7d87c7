#include "app/commands.h"

#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "app/config.h"
#include "app/out_file.h"
#include "app/output.h"
#include "app/signals.h"
#include "app/store_dump.h"
#include "app/table.h"
#include "base/check.h"
#include "base/coding.h"
#include "base/log.h"
#include "base/rfc3339.h"
#include "base/visible.h"
#include "json/view.h"
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

struct StoreFlags {
  std::string config, store, out, file;
  bool json = false;
};

template <typename... Args>
void Print(fmt::format_string<Args...> format, Args&&... args) {
  PrintOut(fmt::format(format, std::forward<Args>(args)...));
}

// The directory that the flags name, or else the config.
int FindStore(const StoreFlags& flags, const ConfigLoader& load, std::string* path) {
  // The commands report themselves what they find.
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

// Says what a start would leave out too, because it was never promised.
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
  // The store is in use, or there is none.
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

std::optional<std::string> TimeOrNothing(int64_t ms) {
  return ms < 0 ? std::nullopt : std::optional(FormatRfc3339Ms(ms));
}

void AddCounts(const RuleCounts& counts, JsonWriter* out) {
  out->Add("pending", counts.pending, "retrying", counts.retrying, "dead",
           counts.dead_jobs, "rejected", counts.rejected);
}

// One queue: its counts, and when its first job has its turn.
Json QueueJson(std::string_view name, const RuleCounts& counts, int64_t next_ms) {
  JsonWriter out;
  AddCounts(counts, &out.Object().Add("rule", name));
  return {out.Add("next", TimeOrNothing(next_ms)).Take()};
}

// How far a rule has read a stream. `source` is a SourceKey.
Json ReadJson(const std::string& source, const ReadMark& mark) {
  const size_t end = std::min(source.find('\0'), source.size());
  return JsonObject("rule", source.substr(0, end), "stream",
                    source.substr(std::min(end + 1, source.size())), "epoch", mark.epoch,
                    "seq", mark.high_seq, "time", FormatRfc3339Ns(mark.high_time_ns));
}

absl::StatusOr<std::string> StatsJson(const Store& store, const std::string& path) {
  Counts counts(UINT64_MAX);
  RETURN_IF_ERROR(counts.Load(store));
  ASSIGN_OR_RETURN(const uint64_t format, MetaNumber(store, kMetaFormat));
  ASSIGN_OR_RETURN(const uint64_t alive_ms, MetaNumber(store, kMetaAlive));
  ASSIGN_OR_RETURN(const auto marks, Streams::Marks(store));
  std::vector<Json> queues;
  RuleCounts sum;
  int64_t first_ms = -1;
  RETURN_IF_ERROR(store.VisitMeta(
      kMetaLane, [&](std::string_view key, std::string_view value) -> absl::Status {
        const std::string_view name = key.substr(kMetaLane.size());
        const auto known = counts.rules().find(name);
        const RuleCounts of =
            known == counts.rules().end() ? RuleCounts() : known->second;
        ASSIGN_OR_RETURN(const int64_t next_ms, NextOf(store, Reader(value).Varint()));
        queues.push_back(QueueJson(name, of, next_ms));
        for (const auto count : {&RuleCounts::pending, &RuleCounts::retrying,
                                 &RuleCounts::dead_jobs, &RuleCounts::rejected})
          sum.*count += of.*count;
        if (next_ms >= 0 && (first_ms < 0 || next_ms < first_ms)) first_ms = next_ms;
        return absl::OkStatus();
      }));
  std::vector<Json> read;
  for (const auto& [source, mark] : marks) read.push_back(ReadJson(source, mark));
  JsonWriter out;
  out.Object().Add("id", store.id(), "format", format, "bytes", BytesIn(path), "alive",
                   FormatRfc3339Ms(static_cast<int64_t>(alive_ms)));
  AddCounts(sum, &out);
  return out
      .Add("closed", counts.closed(), "next", TimeOrNothing(first_ms), "rules", queues,
           "read", read)
      .Take();
}

// The same for people.
void PrintText(const std::string& json) {
  const auto members = JsonMembers(json);
  CHECK(members.ok());
  const auto print_table = [](const JsonValue& rows, std::vector<std::string> head,
                              const std::vector<std::string>& columns) {
    Table table(std::move(head));
    const auto items = JsonItems(rows.raw);
    CHECK(items.ok());
    for (const JsonValue& row : *items) table.AddMembers(row.raw, columns);
    if (!table.empty()) Print("\n{}", table.Format(TerminalColumns()));
  };
  const std::vector<std::string> counts = {"rule", "pending",  "retrying",
                                           "dead", "rejected", "next"};
  for (const auto& [name, value] : *members) {
    if (name == "rules")
      print_table(value, counts, counts);
    else if (name == "read")
      print_table(value, {"rule", "has read", "epoch", "seq", "time"},
                  {"rule", "stream", "epoch", "seq", "time"});
    else
      Print("{:<10}{}\n", name, JsonTextOr(value));
  }
}

int RunStats(const StoreFlags& flags, const std::string& path) {
  const auto store = OpenStopped(path);
  if (!store.ok()) return Fail(store.status());
  TellNote(**store);
  const auto json = StatsJson(**store, path);
  if (!json.ok()) return Fail(json.status());
  if (flags.json)
    Print("{}\n", *json);
  else
    PrintText(*json);
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
  CatchInterrupts();
  LoadOptions options;
  options.file = flags.file;
  options.dir = path;
  options.stopped = Interrupted;
  const auto counts = LoadStore(options);
  if (!counts.ok())
    return Fail(counts.status(),
                absl::IsFailedPrecondition(counts.status()) ? kUsage : kFailed);
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
