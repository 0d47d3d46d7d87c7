// The configuration: the values from file, environment and flags, and the defaults of all
// other keys. The keys are in app/config_table.h.
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

// NATS Streaming, for rules that use it.
struct StanConfig {
  std::string cluster = "test-cluster";
  std::string client;  // "" = the service's name
};

struct StoreConfig {
  std::string path = "data";
};

// Limits that do not belong to the core.
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
  std::vector<StreamSpec> streams;  // made if no stream has any of their subjects
  Limits limits;
  SchedulerOptions core;  // limits and history of the core, and the name
  std::vector<Rule> rules;
  std::string status_file;  // as configured; empty = in the store
  LogConfig log;
  MetricsConfig metrics;
  // The origins of all values that are not defaults: "limits.window" ->
  // "expirer.yaml:12", "nats.url" -> "NATS_URL".
  std::map<std::string, std::string> origins;

  // The store's absolute path.
  [[nodiscard]] std::string StorePath() const;
  // The status file in effect; by default `<store.path>/status.json`.
  [[nodiscard]] std::string StatusFile() const;
  [[nodiscard]] JobLimits job_limits() const;
};

struct ConfigResult {
  Config config;  // complete only if there are no errors
  // "FILE:line:col: path: what, and what was expected", in the file's order.
  std::vector<std::string> errors;
  std::vector<std::string> warnings;  // likewise
};

// Reads a whole config file and reports all errors at once. Keys that the file leaves out
// have their defaults; there are no default rules or streams. If the file is `alone`, a
// certificate without its key, or the reverse, is an error; if other values override the
// file, call CheckTls after them.
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

// A value that did not come from the file. `origin` is a variable, a flag or a member of
// a context of the `nats` CLI. An empty `value` removes earlier values, including the
// file's; if there are none it has no effect.
struct ConfigOverride {
  std::string path;
  std::string value;
  std::string origin;
};

// The overrides from the environment, valid or not. `getenv` returns null or "" if a
// variable is not set. The variables: NATS_URL, NATS_CREDS, NATS_NKEY, NATS_USER,
// NATS_PASSWORD, NATS_TOKEN, NATS_CA, NATS_CERT, NATS_KEY, NATS_CLUSTER_ID,
// NATS_CLIENT_ID, EXPIRER_STORE, EXPIRER_LOG_LEVEL and EXPIRER_LOG_FORMAT.
using Environment = std::function<const char*(const char* name)>;
[[nodiscard]] std::vector<ConfigOverride> EnvironmentOverrides(const Environment& getenv);
// Applies the overrides to `config` in their order. Returns the errors, "ORIGIN: what".
[[nodiscard]] std::vector<std::string> ApplyOverrides(
    Config* config, const std::vector<ConfigOverride>& overrides);
// Checks that certificate and key are both set or both not, wherever they came from.
absl::Status CheckTls(const Config& config);

// A comma-separated list of servers: host[:port] with nats://, tls:// or
// no scheme; http:// is treated as nats://. An error's message says what was
// expected.
absl::StatusOr<std::vector<std::string>> ParseServers(std::string_view text);

}  // namespace expirer
