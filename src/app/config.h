// The configuration (contract section 3): what a file, the environment and
// flags say, with every default filled in. The keys themselves stand in
// app/config_table.h.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "job/rules.h"

namespace expirer {

struct TlsConfig {
  std::string ca;
  std::string cert;
  std::string key;
  // As good as `tls://` in a URL.
  [[nodiscard]] bool enabled() const { return !ca.empty() || !cert.empty(); }
};

// NATS Streaming, of rules that use it.
struct StanConfig {
  std::string cluster;
  std::string client;  // "" = the service's name
};

struct NatsConfig {
  std::vector<std::string> urls;
  std::string creds;
  std::string nkey;
  std::string user;
  std::string password;
  std::string token;
  TlsConfig tls;
  std::string domain;
  std::string inbox_prefix;
  int64_t connect_timeout_ms = 0;
  StanConfig stan;
};

struct StoreConfig {
  std::string path;
  int64_t history_ms = 0;
};

// A stream to make where no stream covers any of its subjects.
struct StreamConfig {
  std::string name;
  std::vector<std::string> subjects;
  int64_t replicas = 1;
  bool in_memory = false;
  int64_t max_age_ms = 0;  // 0 = for ever
  int64_t duplicates_ms = 0;
};

// Bounds of everything that can grow.
struct Limits {
  int64_t window = 0;
  int64_t inflight = 0;
  int64_t inbox = 0;
  int64_t ack_pending = 0;
  int64_t requests = 0;
  int64_t batch = 0;
  int64_t payload_bytes = 0;
  int64_t horizon_ms = 0;
  int64_t dead = 0;
  int64_t dead_bytes = 0;
  int64_t history = 0;
  int64_t unsynced_ms = 0;
  int64_t disk_free_bytes = 0;
  int64_t settle_ms = 0;
};

struct LogConfig {
  std::string level;   // debug, info, warn, error
  std::string format;  // text, json
};

struct MetricsConfig {
  std::string listen;  // net/listen_address.h; "" = nowhere
};

struct Config {
  std::string name;
  NatsConfig nats;
  StoreConfig store;
  std::vector<StreamConfig> streams;
  Limits limits;
  std::vector<Rule> rules;
  std::string status_file;  // as configured; empty = in the store
  LogConfig log;
  MetricsConfig metrics;
  // Where values came from that are no defaults: "limits.window" ->
  // "expirer.yaml:12", "nats.url" -> "NATS_URL".
  std::map<std::string, std::string> origins;

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
