// The configuration (contract section 3): what a file, the environment and
// flags say, with every default filled in. The keys are in app/config_table.h.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "job/rules.h"
#include "net/connection_options.h"
#include "net/jetstream.h"
#include "sched/scheduler.h"

namespace expirer {

// NATS Streaming, of rules that use it.
struct StanConfig {
  std::string cluster = "test-cluster";
  std::string client;  // "" = the service's name
};

struct StoreConfig {
  std::string path = "data";
};

// Limits beside those of the core.
struct Limits {
  uint64_t inbox = 16'384;
  int64_t ack_pending = 20'000;
  uint64_t requests = 256;
  int64_t payload_bytes = 1'000'000;
  int64_t horizon_ms = int64_t{87'600} * 3'600'000;
};

struct LogConfig {
  std::string level = "info";   // debug, info, warn, error
  std::string format = "text";  // text, json
};

struct MetricsConfig {
  std::string listen;  // net/listen_address.h; "" = nowhere
};

// The initial value of each field is the default of the key that fills it.
struct Config {
  std::string name = "expirer";
  ConnectionOptions nats;
  StanConfig stan;
  StoreConfig store;
  std::vector<StreamSpec> streams;  // made where no stream covers any of their subjects
  Limits limits;
  SchedulerOptions core;  // limits and history of the core, and the name
  std::vector<Rule> rules;
  std::string status_file;  // as configured; empty = in the store
  LogConfig log;
  MetricsConfig metrics;
  // Where values came from that are no defaults: "limits.window" ->
  // "expirer.yaml:12", "nats.url" -> "NATS_URL".
  std::map<std::string, std::string> origins;

  // The store's absolute path.
  [[nodiscard]] std::string StorePath() const;
  // The status file in effect; by default `<store.path>/status.json`.
  [[nodiscard]] std::string StatusFile() const;
  [[nodiscard]] JobLimits job_limits() const;
};

struct ConfigResult {
  Config config;  // complete only when there are no errors
  // "FILE:line:col: path: what, and what was expected", in the file's order.
  std::vector<std::string> errors;
  std::vector<std::string> warnings;  // likewise
};

// Reads a whole config file; reports all that is wrong in it at once. What the
// file leaves out has its default, but no rules and no streams. A certificate
// without its key, or the reverse, is wrong in a file that stands `alone`; where
// values override it, CheckTls says after them.
[[nodiscard]] ConfigResult ParseConfig(std::string_view text, std::string_view file_name,
                                       bool alone = true);

// The commented file that stands for the built-in configuration: the rule of
// the ticketing example. `config default` prints it.
[[nodiscard]] std::string_view DefaultConfigText();
[[nodiscard]] Config DefaultConfig();
// The same rule over NATS Streaming, with the ticketing app's own queue group:
// built in for an environment that names a streaming cluster (NATS_CLUSTER_ID),
// as the app's services do.
[[nodiscard]] std::string_view StanConfigText();

// A value that did not come from the file: `origin` is a variable, a flag or a
// member of a context of the `nats` CLI. An empty `value` makes void what came
// before it, of the file too; where that is nothing, it says nothing.
struct ConfigOverride {
  std::string path;
  std::string value;
  std::string origin;
};

// What the variables that `getenv` knows (null or empty: not set) override, right or
// wrong: NATS_URL, NATS_CREDS, NATS_NKEY, NATS_USER, NATS_PASSWORD, NATS_TOKEN,
// NATS_CA, NATS_CERT, NATS_KEY, NATS_CLUSTER_ID, NATS_CLIENT_ID, EXPIRER_STORE,
// EXPIRER_LOG_LEVEL and EXPIRER_LOG_FORMAT.
using Environment = std::function<const char*(const char* name)>;
[[nodiscard]] std::vector<ConfigOverride> EnvironmentOverrides(const Environment& getenv);
// Overrides `config`, later ones last. Returns what is wrong, "ORIGIN: what".
[[nodiscard]] std::vector<std::string> ApplyOverrides(
    Config* config, const std::vector<ConfigOverride>& overrides);
// Whether certificate and key are there together, wherever each came from.
[[nodiscard]] absl::Status CheckTls(const Config& config);

// A comma-separated list of servers: host[:port] with nats://, tls:// or
// nothing before it; http:// is taken as nats://. On error the message says
// what was expected.
[[nodiscard]] absl::StatusOr<std::vector<std::string>> ParseServers(
    std::string_view text);

}  // namespace expirer
