// expirer-load: drives a real expirer over a real nats-server and measures it
// beside what the server does by itself in the same run.
//
//   expirer-load ingest|catchup|storm|steady|asking|restart|soak|all [flags]
//   --help tells more
//
// The figures of the request API (one caller, a hundred callers in flight)
// wait for the release that brings it.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <memory>

#include "load/scenario.h"
#include "support/nats_server.h"
#include "support/temp_dir.h"

namespace expirer::load {
namespace {

struct Flags {
  std::string server;
  std::string dir;
  Options options;
  bool json = false;
  bool markdown = false;
  bool must = false;
  uint64_t ingest_jobs = 200'000;
  uint64_t rules = 6;
  uint64_t behind = 200'000;
  uint64_t storm_jobs = 100'000;
  uint64_t pending = 1'000'000;
  uint64_t rate = 0;  // 0 = both
  uint64_t seconds = 10;
  bool feed = false;
  std::string ids;  // "" = both
  SoakSetup soak;
};

// Beside this program, or one directory above it (as CMake builds it).
std::string Beside(const std::string& name) {
  namespace fs = std::filesystem;
  const fs::path here = fs::read_symlink("/proc/self/exe").parent_path();
  const fs::path near = here / name;
  return access(near.c_str(), X_OK) == 0 ? near.string()
                                         : (here.parent_path() / name).string();
}

// Runs scenarios and prints what they found.
class Runner {
 public:
  explicit Runner(const Flags& flags) : flags_(flags) {}

  using Scenario = std::function<absl::Status(Report* report)>;
  void Run(const std::string& name, const Scenario& scenario) {
    if (!flags_.json && !flags_.markdown)
      std::fprintf(stderr, "running %s ...\n", name.c_str());
    Report report(name);
    if (const absl::Status status = scenario(&report); !status.ok())
      report.Fail(Message(status));
    const std::string text = flags_.json       ? report.Json() + "\n"
                             : flags_.markdown ? report.MarkdownRows()
                                               : report.Text() + "\n";
    std::fputs(text.c_str(), stdout);
    std::fflush(stdout);
    if (flags_.markdown && report.failed()) std::fputs(report.Text().c_str(), stderr);
    failed_ = failed_ || report.failed() || (flags_.must && !report.MeetsAll());
  }
  [[nodiscard]] bool failed() const { return failed_; }

 private:
  const Flags& flags_;
  bool failed_ = false;
};

void RunIngest(const Flags& flags, Runner* runner) {
  for (const Ids ids : {Ids::kAscending, Ids::kRandom}) {
    if (!flags.ids.empty() && flags.ids != Name(ids)) continue;
    runner->Run("ingest", [&](Report* report) {
      return Ingest(flags.options, flags.ingest_jobs, ids, report);
    });
  }
}

void RunSteady(const Flags& flags, Runner* runner) {
  for (const uint64_t rate : {2'000, 10'000}) {
    if (flags.rate != 0 && rate != 2'000) continue;
    runner->Run("steady", [&](Report* report) {
      return Steady(flags.options, flags.rate != 0 ? flags.rate : rate, flags.seconds,
                    flags.feed, report);
    });
  }
}

void RunAll(const CLI::App& app, const Flags& flags, Runner* runner) {
  const bool all = app.got_subcommand("all");
  if (all || app.got_subcommand("ingest")) RunIngest(flags, runner);
  if (all || app.got_subcommand("catchup")) {
    runner->Run("catchup", [&](Report* report) {
      return CatchUp(flags.options, flags.rules, flags.behind, report);
    });
  }
  if (all || app.got_subcommand("storm")) {
    runner->Run("storm", [&](Report* report) {
      return Storm(flags.options, flags.storm_jobs, report);
    });
  }
  if (all || app.got_subcommand("steady")) RunSteady(flags, runner);
  if (all || app.got_subcommand("asking")) {
    runner->Run("asking", [&](Report* report) {
      return Asking(flags.options, flags.pending, report);
    });
  }
  if (all || app.got_subcommand("restart")) {
    runner->Run("restart", [&](Report* report) {
      return Restart(flags.options, flags.pending, report);
    });
  }
}

void RunOnlyIfNamed(const CLI::App& app, const Flags& flags, Runner* runner) {
  if (!app.got_subcommand("soak")) return;
  runner->Run("soak",
              [&](Report* report) { return RunSoak(flags.options, flags.soak, report); });
}

void AddFlags(CLI::App* app, Flags* flags) {
  app->add_option(
      "-s,--server", flags->server,
      "use this NATS server (streams load<pid>-… are made and deleted); default: "
      "start a private one (EXPIRER_NATS_SERVER, or nats-server)");
  app->add_option("--expirer", flags->options.expirer, "the binary to measure");
  app->add_option("--fill-tool", flags->options.fill_tool,
                  "the program that fills a store");
  app->add_option("--dir", flags->dir, "where stores are made, on the disk to measure");
  app->add_option("--timeout-ms", flags->options.timeout_ms,
                  "longest wait of a scenario");
  app->add_flag("--json", flags->json, "one JSON object a scenario");
  app->add_flag("--markdown", flags->markdown, "rows of a Markdown table");
  app->add_flag("--must", flags->must, "fail also when a figure is not what it must be");
}

void AddScenarios(CLI::App* app, Flags* flags) {
  app->require_subcommand(1);
  app->fallthrough();  // common flags may follow the scenario
  CLI::App* ingest = app->add_subcommand("ingest", "events into durable, acked jobs");
  ingest->add_option("--jobs", flags->ingest_jobs, "how many");
  ingest->add_option("--ids", flags->ids, "only these")
      ->check(CLI::IsMember({"ascending", "random"}));
  CLI::App* catchup = app->add_subcommand(
      "catchup", "memory while several rules read a long backlog of one stream");
  catchup->add_option("--rules", flags->rules, "how many rules");
  catchup->add_option("--events", flags->behind, "how many events they are behind");
  CLI::App* storm = app->add_subcommand("storm", "jobs all due at one instant");
  storm->add_option("--jobs", flags->storm_jobs, "how many");
  CLI::App* steady = app->add_subcommand("steady", "lateness at a steady rate");
  steady->add_option("--rate", flags->rate, "jobs a second; default: 2000, then 10000");
  steady->add_option("--seconds", flags->seconds, "for how long");
  steady->add_flag("--feed", flags->feed, "publish the events meanwhile, 3 s ahead");
  CLI::App* restart = app->add_subcommand("restart", "kill -9 with many pending jobs");
  restart->add_option("--pending", flags->pending, "how many");
  CLI::App* asking =
      app->add_subcommand("asking", "get and cancel with many pending jobs and with few");
  asking->add_option("--pending", flags->pending, "how many are many");
  CLI::App* soak = app->add_subcommand(
      "soak", "what grows in ten minutes and more of all that keeps a service busy");
  soak->add_option("--rules", flags->soak.rules, "how many rules are behind");
  soak->add_option("--events", flags->soak.events, "how many events they are behind");
  soak->add_option("--minutes", flags->soak.minutes, "for how long after that")
      ->check(CLI::Range(3, 45));
  soak->add_option("--seed", flags->soak.seed, "of the run to repeat; printed by each");
  soak->add_option("--series", flags->soak.series, "gets a line of JSON a second");
  app->add_subcommand("all", "each of them but soak, with its defaults");
}

int Main(int argc, char** argv) {
  Flags flags;
  flags.options.expirer = Beside("expirer");
  flags.options.fill_tool = Beside("fill_tool");
  CLI::App app{"Measures expirer over a real nats-server"};
  AddFlags(&app, &flags);
  AddScenarios(&app, &flags);
  CLI11_PARSE(app, argc, argv);

  if (!flags.dir.empty()) setenv("TMPDIR", flags.dir.c_str(), 1);
  const TempDir dir;
  flags.options.dir = dir.path();
  std::unique_ptr<test::NatsServer> server;
  if (flags.server.empty()) {
    if (test::NatsServerBinary().empty()) {
      std::fputs("no nats-server found: set EXPIRER_NATS_SERVER, or give --server\n",
                 stderr);
      return 1;
    }
    server = std::make_unique<test::NatsServer>();
  }
  flags.options.url = server != nullptr ? server->url() : flags.server;
  Runner runner(flags);
  RunAll(app, flags, &runner);
  RunOnlyIfNamed(app, flags, &runner);
  return runner.failed() ? 1 : 0;
}

}  // namespace
}  // namespace expirer::load

int main(int argc, char** argv) { return expirer::load::Main(argc, argv); }
