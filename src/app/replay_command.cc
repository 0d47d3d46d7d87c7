#include "app/commands.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "app/config.h"
#include "app/out_file.h"
#include "app/output.h"
#include "app/progress.h"
#include "app/signals.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/rfc3339.h"
#include "base/visible.h"
#include "replay/diff.h"
#include "replay/explain.h"
#include "replay/replayer.h"
#include "replay/report.h"

namespace expirer {
namespace {

// How many rejected lines are printed one by one.
constexpr size_t kRejectsTold = 10;

struct ReplayFlags {
  std::string config, trace, store, until, out, report, diff;
  std::vector<std::string> event;  // SUBJECT JSON
};

// A directory for a store that nobody needs afterwards.
class TempStore {
 public:
  TempStore() {
    std::error_code failed;
    std::string name = std::filesystem::temp_directory_path(failed).string();
    name = (failed ? "/tmp" : name) + "/expirer-replay-XXXXXX";
    if (mkdtemp(name.data()) != nullptr) path_ = name;
  }
  ~TempStore() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  TempStore(const TempStore&) = delete;
  TempStore& operator=(const TempStore&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;  // "" = there is none
};

ReplayOptions OptionsFor(const Config& config, const std::string& store) {
  ReplayOptions options;
  options.store = store;
  options.scheduler = config.core;
  options.job_limits = config.job_limits();
  options.stopped = Interrupted;
  return options;
}

std::string SummaryText(const ReplaySummary& summary) {
  struct Line {
    std::string_view name;
    uint64_t count;
    bool shown = true;
  };
  const Line lines[] = {{"events", summary.events},
                        {"scheduled", summary.scheduled},
                        {"moved", summary.moved},
                        {"cancelled", summary.cancelled},
                        {"too late", summary.too_late, summary.too_late > 0},
                        {"fired", summary.fired},
                        {"attempts", summary.attempts, summary.attempts != summary.fired},
                        {"skipped", summary.skipped},
                        {"dead", summary.dead, summary.dead > 0},
                        {"rejected", summary.rejected},
                        {"ignored", summary.ignored},
                        {"crashes", summary.crashes, summary.crashes > 0},
                        {"pending", summary.pending}};
  std::string text;
  for (const Line& line : lines)
    if (line.shown) text += fmt::format("{:<10}{}\n", line.name, line.count);
  if (summary.first_ms == 0) return text;
  return text + fmt::format("{:<10}{}\n{:<10}{}\n", "first",
                            FormatRfc3339Ms(summary.first_ms), "last",
                            FormatRfc3339Ms(summary.last_ms));
}

// The end of a run, as ReplayOptions has it.
struct Until {
  int64_t ms = kNoEnd;
  int64_t ns_of_ms = kNsInMs - 1;
};

// Never rounded up, as due times are: nothing after the end is run.
absl::StatusOr<Until> ReadUntil(const std::string& text) {
  if (text.empty()) return Until();
  const auto ns = ParseRfc3339Ns(text);
  if (ns.ok()) return Until{*ns / kNsInMs, *ns % kNsInMs};
  ASSIGN_OR_RETURN(const int64_t ms, ParseRfc3339(text));
  // Behind all nanoseconds there are no lines, but jobs may be due.
  if (ms <= std::numeric_limits<int64_t>::max() / kNsInMs) return ns.status();
  return Until{ms, kNsInMs - 1};
}

// One run of a trace, or two side by side.
class TraceRun {
 public:
  TraceRun(const ReplayFlags& flags, Until until)
      : flags_(flags), until_(until), out_(flags.out), report_file_(flags.report) {}

  // The rules that count, and with --diff those beside them.
  void Add(const std::string& name, const Config& config) {
    const auto side = static_cast<FireDiff::Side>(halves_.size());
    auto half = std::make_unique<Half>();
    half->name = name;
    ReplayOptions options = OptionsFor(
        config, flags_.store.empty() || side != 0 ? half->temp.path() : flags_.store);
    options.until_ms = until_.ms;
    options.until_ns_of_ms = until_.ns_of_ms;
    if (side == FireDiff::kBefore) Watch(&options);
    const bool diff = !flags_.diff.empty();
    options.on_fire = [this, side, diff](const Fire& fire) {
      if (side == FireDiff::kBefore && !flags_.report.empty()) report_.AddFire(fire);
      if (diff)
        diff_.Add(side, fire);
      else
        WriteFire(fire);
    };
    if (diff)
      options.on_pending = [this, side](const std::string& job, int64_t due_ms) {
        diff_.AddPending(side, job, due_ms);
      };
    half->replayer = std::make_unique<Replayer>(std::move(options), config.rules);
    halves_.push_back(std::move(half));
  }

  absl::Status Run() {
    RETURN_IF_ERROR(out_.Open());
    if (!flags_.report.empty()) RETURN_IF_ERROR(report_file_.Open());
    RETURN_IF_ERROR(Read());
    for (const auto& half : halves_) RETURN_IF_ERROR(half->replayer->Finish());
    if (!flags_.diff.empty()) out_.Write(diff_.Lines());
    if (!flags_.report.empty()) {
      report_file_.Write(report_.Html(halves_[0]->replayer->summary(),
                                      FileName(flags_.trace), halves_[0]->name));
      RETURN_IF_ERROR(report_file_.Commit());
    }
    RETURN_IF_ERROR(out_.Commit());
    Tell();
    return absl::OkStatus();
  }

 private:
  struct Half {
    std::string name;
    TempStore temp;
    std::unique_ptr<Replayer> replayer;
  };

  static std::string FileName(const std::string& path) {
    return std::filesystem::path(path).filename().string();
  }

  void Watch(ReplayOptions* options) {
    options->on_intent = [this](const TraceLine& line, const Rule& rule,
                                const Intent& intent) {
      const auto* reject = std::get_if<RejectIntent>(&intent);
      if (reject == nullptr || ++rejects_ > kRejectsTold) return;
      told_ += Visible(fmt::format("{}:{}: {} rejects it: {}", flags_.trace, line.number,
                                   rule.name, reject->reason)) +
               "\n";
    };
    if (!flags_.report.empty())
      options->on_passed = [this](int64_t now_ms, uint64_t pending) {
        report_.AddPending(now_ms, pending);
      };
  }

  void WriteFire(const Fire& fire) {
    text_.clear();
    AppendFire(fire, &text_);
    text_ += '\n';
    out_.Write(text_);
  }

  absl::Status Read() {
    ASSIGN_OR_RETURN(const std::unique_ptr<TraceReader> reader,
                     TraceReader::Open(flags_.trace));
    Progress progress(reader->bytes());
    TraceLine line;
    bool more = true;
    while (more) {
      ASSIGN_OR_RETURN(more, reader->Next(&line));
      if (!more) break;
      for (const auto& half : halves_) {
        ASSIGN_OR_RETURN(const bool taken, half->replayer->Take(line));
        more = more && taken;
      }
      progress.At(reader->bytes_read(), line.number);
    }
    return absl::OkStatus();
  }

  void Tell() {
    PrintErr(told_);
    if (rejects_ > kRejectsTold) Say(fmt::format("… {} in all", rejects_));
    for (const auto& half : halves_) {
      if (halves_.size() > 1) Say(half->name + ":");
      PrintErr(SummaryText(half->replayer->summary()));
    }
    if (!flags_.diff.empty()) Say(fmt::format("jobs that differ: {}", diff_.size()));
  }

  const ReplayFlags& flags_;
  const Until until_;
  OutFile out_;
  OutFile report_file_;
  std::vector<std::unique_ptr<Half>> halves_;
  FireDiff diff_;
  Report report_;
  std::string told_;  // of rejected lines
  size_t rejects_ = 0;
  std::string text_;
};

// Checks that the flags go together.
absl::Status CheckFlags(const ReplayFlags& flags) {
  const bool whole_trace = !flags.store.empty() || !flags.until.empty() ||
                           !flags.out.empty() || !flags.report.empty() ||
                           !flags.diff.empty();
  if (flags.event.empty() == flags.trace.empty())
    return Invalid("replay: expected either --trace FILE or --event SUBJECT JSON");
  if (!flags.event.empty() && whole_trace)
    return Invalid("replay: --event can only be combined with --config");
  if (!flags.out.empty() && flags.out == flags.report)
    return Invalid("replay: --out and --report name the same file");
  return absl::OkStatus();
}

bool IsEmptyOrAbsent(const std::string& path) {
  std::error_code failed;
  if (!std::filesystem::exists(path, failed)) return true;
  return std::filesystem::is_directory(path, failed) &&
         std::filesystem::is_empty(path, failed);
}

int RunEvent(const ReplayFlags& flags, const Config& config) {
  TraceLine line;
  line.at_ns = SystemClock().NowMs() * kNsInMs;
  line.number = 1;
  line.subject = flags.event[0];
  line.payload = flags.event[1];
  line.stream = kFileStream;
  line.seq = 1;
  if (const absl::Status fits = CheckMessageSubject(line.subject); !fits.ok())
    return Fail(Annotate(fits, "--event"), kUsage);
  if (config.rules.empty()) return Fail(Invalid("the config has no rule"), kUsage);
  const TempStore temp;
  const auto text = ExplainEvent(OptionsFor(config, temp.path()), config.rules, line);
  if (!text.ok()) return Fail(text.status());
  PrintOut(*text);
  return kDone;
}

int RunTrace(const ReplayFlags& flags, const Config& config, const Config& other) {
  const auto until = ReadUntil(flags.until);
  if (!until.ok()) return Fail(Annotate(until.status(), "--until"), kUsage);
  if (!flags.store.empty() && !IsEmptyOrAbsent(flags.store))
    return Fail(Invalid("--store " + flags.store + ": expected an empty directory"),
                kUsage);
  TraceRun run(flags, *until);
  run.Add(flags.config.empty() ? "the built-in configuration" : flags.config, config);
  if (!flags.diff.empty()) run.Add(flags.diff, other);
  const absl::Status status = run.Run();
  return status.ok() ? kDone : Fail(status);
}

int RunReplay(const ReplayFlags& flags, const ConfigLoader& load) {
  if (const absl::Status fits = CheckFlags(flags); !fits.ok()) return Fail(fits, kUsage);
  // The summary says what the scheduler would log.
  SetLog(Level::kError, LogFormat::kText);
  Config config;
  Config other;
  if (const int code = load(flags.config, &config); code != kDone) return code;
  if (!flags.diff.empty())
    if (const int code = load(flags.diff, &other); code != kDone) return code;
  // So that nothing half-written and no store is left behind.
  CatchInterrupts();
  return flags.event.empty() ? RunTrace(flags, config, other) : RunEvent(flags, config);
}

}  // namespace

void AddReplayCommand(CLI::App* app, const ConfigLoader& load, int* code) {
  // Lives as long as the callback.
  const auto flags = std::make_shared<ReplayFlags>();
  CLI::App* replay = app->add_subcommand(
      "replay",
      "run a trace, or one message, through the rules: offline, in virtual time");
  replay->add_option("--config", flags->config,
                     "config file (EXPIRER_CONFIG); default: the built-in rule of the "
                     "ticketing example");
  replay->add_option("--trace", flags->trace, "the trace, JSON lines");
  replay
      ->add_option("--event", flags->event,
                   "SUBJECT JSON: one message, as if it arrived now; prints what would "
                   "fire, when and where, or why nothing would")
      ->expected(2)
      ->allow_extra_args(false);  // which would take [1] for a list of values
  replay->add_option("--store", flags->store,
                     "an empty directory for the store, which stays there; default: the "
                     "store is removed at the end");
  replay->add_option("--until", flags->until,
                     "the latest time to run, RFC 3339; default: until nothing is "
                     "pending");
  replay->add_option("--out", flags->out,
                     "file for the fires, JSON lines; default: stdout");
  replay->add_option("--report", flags->report,
                     "file for an HTML page with charts of the run");
  replay->add_option("--diff", flags->diff,
                     "another config file: prints the jobs that it treats differently, "
                     "instead of the fires");
  replay->callback([flags, load, code] { *code = RunReplay(*flags, load); });
}

}  // namespace expirer
