#include "app/command_line.h"

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdlib>
#include <string>

#include "app/commands.h"
#include "app/config.h"
#include "app/config_limits.h"
#include "app/config_show.h"
#include "app/context.h"
#include "app/output.h"
#include "app/server.h"
#include "app/status.h"
#include "app/version.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/read_file.h"
#include "base/visible.h"

namespace expirer {
namespace {

// What the flags of all subcommands say; empty = not given.
struct Flags {
  std::string config;
  std::string store;
  ClientFlags connection;
  std::string orphans;
  std::string recover;
  std::string adopt;
  bool fire_overdue = false;
  bool round_trip = false;
  std::string status_file;
  std::string file;            // of `config check`
  std::string timeout = "5s";  // of `doctor`
  bool live = false;
  bool ready = false;
};

std::string FromEnvironment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

int Report(const std::vector<std::string>& errors) {
  FlushLog();  // warnings come first
  for (const std::string& error : errors) Say(error);
  return kUsage;
}

// Without a file: the ticketing example's rule, over NATS Streaming where the
// environment names a streaming cluster, as that app's manifests do.
std::string_view BuiltInText() {
  return FromEnvironment("NATS_CLUSTER_ID").empty() ? DefaultConfigText()
                                                    : StanConfigText();
}

// How a command uses the config. Those without a connection know neither its flags nor
// contexts, and do not check it: a probe must not fail because of a file that it does not
// need.
enum class Purpose { kConnect, kLocal };

// A config, and what it was made from.
struct Loaded {
  Config config;
  std::string file;  // "" = built in
  std::string text;
  std::vector<ConfigOverride> overrides;
};

// Defaults < file < context < environment < flags. On an error prints it and
// returns the exit code.
int LoadConfig(const Flags& flags, Purpose purpose, Loaded* loaded) {
  const Environment getenv = [](const char* name) { return std::getenv(name); };
  loaded->file = flags.config.empty() ? FromEnvironment("EXPIRER_CONFIG") : flags.config;
  const bool built_in = loaded->file.empty();
  absl::StatusOr<std::string> text(BuiltInText());
  if (!built_in) text = ReadFile(loaded->file);
  if (!text.ok()) return Report({Message(text.status())});
  loaded->text = *std::move(text);
  ConfigResult result =
      ParseConfig(loaded->text, built_in ? "(built-in)" : loaded->file, /*alone=*/false);
  for (const std::string& warning : result.warnings)
    Log(Level::kWarn, "config", {{"warning", warning}});
  if (!result.errors.empty()) return Report(result.errors);
  loaded->config = std::move(result.config);
  if (built_in) loaded->config.origins.clear();
  absl::StatusOr<std::vector<ConfigOverride>> overrides = EnvironmentOverrides(getenv);
  if (purpose == Purpose::kConnect) overrides = Overrides(flags.connection, getenv);
  if (!overrides.ok()) return Report({Message(overrides.status())});
  loaded->overrides = *std::move(overrides);
  if (!flags.store.empty())
    loaded->overrides.push_back({"store.path", flags.store, "--store"});
  std::vector<std::string> errors = ApplyOverrides(&loaded->config, loaded->overrides);
  if (purpose == Purpose::kConnect)
    if (const absl::Status tls = CheckTls(loaded->config); !tls.ok())
      errors.push_back(Message(tls));
  return errors.empty() ? kDone : Report(errors);
}

int RunServe(const Flags& flags) {
  LogInBackground();
  Loaded loaded;
  if (const int code = LoadConfig(flags, Purpose::kConnect, &loaded); code != kDone)
    return code;
  ServeOptions options;
  options.config = std::move(loaded.config);
  options.built_in = loaded.file.empty();
  Level level = Level::kInfo;
  CHECK(ParseLevel(options.config.log.level, &level));  // by the table of keys
  SetLog(level,
         options.config.log.format == "json" ? LogFormat::kJson : LogFormat::kText);
  options.recover_point_in_time = flags.recover == "point-in-time";
  SchedulerOptions& core = options.config.core;
  core.recount = flags.recover == "counts";
  core.fire_overdue = flags.fire_overdue;
  core.wait_for_admission = true;
  const Config& config = options.config;
  const std::string volume = WarnOfVolume(config, VolumeBytes(config.store.path));
  if (!volume.empty()) Log(Level::kWarn, "config", {{"warning", volume}});
  if (flags.orphans == "hold") core.orphans = Orphans::kHold;
  if (flags.orphans == "fire") core.orphans = Orphans::kFire;
  if (flags.adopt == "new") options.adopt = Adopt::kNew;
  if (flags.adopt == "rebuild") options.adopt = Adopt::kRebuild;
  return Serve(options);
}

int RunConfigCheck(const Flags& flags) {
  const std::string path =
      flags.file.empty() ? FromEnvironment("EXPIRER_CONFIG") : flags.file;
  if (path.empty())
    return Report({"config check: no file given, and EXPIRER_CONFIG is not set"});
  const auto text = ReadFile(path);
  if (!text.ok()) return Report({Message(text.status())});
  ConfigResult result = ParseConfig(*text, path);
  const Config& config = result.config;
  const std::string volume =
      result.errors.empty() ? WarnOfVolume(config, VolumeBytes(config.store.path)) : "";
  if (!volume.empty()) result.warnings.push_back(volume);
  for (const std::string& warning : result.warnings) Say("warning: " + warning);
  if (!result.errors.empty()) return Report(result.errors);
  PrintOut(Visible(path) + ": ok, " + std::to_string(result.config.rules.size()) +
           " rules\n");
  return kDone;
}

int RunConfigShow(const Flags& flags) {
  Loaded loaded;
  if (const int code = LoadConfig(flags, Purpose::kConnect, &loaded); code != kDone)
    return code;
  PrintOut(ShowConfig(loaded.text, loaded.file.empty() ? "built-in" : loaded.file,
                      loaded.overrides));
  return kDone;
}

int RunHealth(const Flags& flags) {
  std::string path = flags.status_file;
  if (path.empty()) {
    Loaded loaded;
    if (const int code = LoadConfig(flags, Purpose::kLocal, &loaded); code != kDone)
      return code;
    path = loaded.config.StatusFile();
  }
  const Health health = ReadHealth(path, SystemClock().MonotonicMs());
  const bool good = flags.ready ? health.ready : health.live;
  if (!good) Say(health.why);
  return good ? kDone : kFailed;
}

void AddServeCommand(CLI::App* app, Flags* flags, int* code) {
  CLI::App* serve = app->add_subcommand("serve", "run the service until SIGTERM");
  serve->add_option(
      "--config", flags->config,
      "config file (EXPIRER_CONFIG); default: the built-in rule of the ticketing "
      "example, over NATS Streaming if NATS_CLUSTER_ID is set");
  serve->add_option("--store", flags->store, "directory of the store (EXPIRER_STORE)");
  serve
      ->add_option("--orphans", flags->orphans,
                   "start even if a removed rule still has jobs; hold: leave them "
                   "untouched, fire: send them when they are due")
      ->check(CLI::IsMember({"hold", "fire"}));
  serve
      ->add_option(
          "--adopt", flags->adopt,
          "start even if the consumers belong to another store, cannot be used as they "
          "are, or have acked events that this store has not read; rebuild: replace "
          "them, "
          "and fire nothing until the streams are read again; new: go on from their "
          "position, without the jobs of earlier events, and without streams that are "
          "gone")
      ->check(CLI::IsMember({"rebuild", "new"}));
  serve->add_flag("--fire-overdue", flags->fire_overdue,
                  "with --adopt=rebuild: also fire jobs that were due before, which may "
                  "have fired already, instead of keeping them in the dead store");
  serve
      ->add_option("--recover", flags->recover,
                   "point-in-time: open a damaged store and drop everything after the "
                   "damage; counts: count the jobs of each rule again")
      ->check(CLI::IsMember({"point-in-time", "counts"}));
  AddClientFlags(serve, &flags->connection);
  serve->callback([flags, code] { *code = RunServe(*flags); });
}

void AddConfigCommands(CLI::App* app, Flags* flags, int* code) {
  CLI::App* config = app->add_subcommand("config", "check or print a configuration");
  config->require_subcommand(1);
  CLI::App* check =
      config->add_subcommand("check", "report every error of a config file");
  check->add_option("FILE", flags->file, "the file (EXPIRER_CONFIG)");
  check->callback([flags, code] { *code = RunConfigCheck(*flags); });
  config->add_subcommand("default", "print the built-in configuration, commented")
      ->callback([] { PrintOut(DefaultConfigText()); });

  CLI::App* show = config->add_subcommand(
      "show", "print every value in effect and its origin; secrets are hidden");
  show->add_option("FILE", flags->config,
                   "the file (EXPIRER_CONFIG); default: the built-in configuration");
  show->add_option("--store", flags->store, "directory of the store (EXPIRER_STORE)");
  AddClientFlags(show, &flags->connection);
  show->callback([flags, code] { *code = RunConfigShow(*flags); });
}

int RunDoctorCommand(const Flags& flags) {
  Loaded loaded;
  if (const int code = LoadConfig(flags, Purpose::kConnect, &loaded); code != kDone)
    return code;
  const auto timeout_ms = ParseTimeout(flags.timeout);
  if (!timeout_ms.ok()) return Report({Message(timeout_ms.status())});
  return RunDoctor(loaded.config, *timeout_ms, flags.round_trip);
}

// An empty path is a script's variable that was not set: there is no default for it.
void RefuseEmptyPaths(CLI::App* app) {
  for (const char* name : {"--config", "--store", "--status-file", "--out", "--trace",
                           "--report", "--diff", "FILE"})
    if (CLI::Option* option = app->get_option_no_throw(name); option != nullptr)
      option->check([](const std::string& text) {
        return std::string(text.empty() ? "expected a path, found nothing" : "");
      });
  for (CLI::App* command : app->get_subcommands({})) RefuseEmptyPaths(command);
}

}  // namespace

int RunCommandLine(int argc, char** argv) {
  // Over the limit of a file's size a write fails with a sentence instead. SIGUSR1 asks
  // for nothing, and would end the process.
  for (const int ignored : {SIGXFSZ, SIGUSR1}) std::signal(ignored, SIG_IGN);
  CLI::App app{"expirer: durable delayed messages for NATS", "expirer"};
  app.require_subcommand(1);
  app.footer("Exit codes: 0 done, 1 failed at run time, 2 bad usage or config.");
  Flags flags;
  int code = kDone;

  AddServeCommand(&app, &flags, &code);
  AddConfigCommands(&app, &flags, &code);

  CLI::App* health = app.add_subcommand(
      "health", "exec probe: reads the status file, no network; default: --live");
  health->add_flag("--live", flags.live,
                   "the process is alive, whatever the state of NATS or the disk");
  health->add_flag("--ready", flags.ready,
                   "it is connected, reads every rule and can write its store");
  health->add_option("--config", flags.config, "config file (EXPIRER_CONFIG)");
  health->add_option("--store", flags.store, "directory of the store (EXPIRER_STORE)");
  health->add_option("--status-file", flags.status_file, "path of the status file");
  health->callback([&] { code = RunHealth(flags); });

  AddClientCommands(&app, &code);
  const ConfigLoader load = [](const std::string& file, Config* config) {
    Flags of_file;
    of_file.config = file;
    Loaded loaded;
    const int result = LoadConfig(of_file, Purpose::kLocal, &loaded);
    *config = std::move(loaded.config);
    return result;
  };
  AddReplayCommand(&app, load, &code);
  AddRecordCommand(&app, &code);
  AddStoreCommands(&app, load, &code);

  CLI::App* doctor = app.add_subcommand(
      "doctor", "check connection, streams, consumers, clock, service and store");
  doctor->add_option("--config", flags.config, "config file (EXPIRER_CONFIG)");
  doctor->add_option("--store", flags.store, "directory of the store (EXPIRER_STORE)");
  doctor->add_option("--timeout", flags.timeout, "how long to wait for each answer (5s)");
  doctor->add_flag("--round-trip", flags.round_trip,
                   "send a test job through the running service and wait for it");
  AddClientFlags(doctor, &flags.connection);
  doctor->callback([&] { code = RunDoctorCommand(flags); });

  app.add_subcommand("version", "version, commit and linked libraries")->callback([] {
    PrintOut(VersionText());
  });

  RefuseEmptyPaths(&app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    code = app.exit(error) == 0 ? kDone : kUsage;
  }
  FlushLog();
  return code;
}

}  // namespace expirer
