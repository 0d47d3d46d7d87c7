#include "app/config.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "app/config_limits.h"
#include "app/config_rules.h"
#include "app/config_table.h"
#include "app/section.h"
#include "app/yaml.h"
#include "base/check.h"
#include "net/listen_address.h"

namespace expirer {
namespace {

constexpr std::string_view kDefaultText =
    R"(# expirer's built-in configuration: unpaid orders of the ticketing example
# expire. Every key that is left out has its default; `expirer config show`
# prints them all.
name: expirer                 # prefixes durables, queue groups, service and API subjects
nats: { url: "nats://127.0.0.1:4222" }
store: { path: data, history: 168h }
streams:                      # created only where no stream covers any of the subjects; never altered, never deleted
  - { name: TICKETING, subjects: ["order:created", "order:cancelled", "payment:created", "expiration:complete"] }
rules:
  - name: order-expiration
    reopen: false             # an order once fired or cancelled is never scheduled again
    schedule: { subject: "order:created", key: /id, due: /expiresAt }
    cancel:
      - { subject: "order:cancelled", key: /id }
      - { subject: "payment:created", key: /orderId }
    publish: { subject: "expiration:complete", body: '{"orderId":${/id}}' }
)";

constexpr std::string_view kStanText =
    R"(# expirer's built-in configuration where NATS_CLUSTER_ID is set: it takes the place
# of the ticketing example's expiration service, over NATS Streaming.
name: expirer
nats: { url: "nats://127.0.0.1:4222", stan: { cluster: ticketing } }
store: { path: data, history: 168h }
rules:
  - name: order-expiration
    source: stan
    durable: expiration-service   # queue group and durable of the service it replaces
    reopen: false
    schedule: { subject: "order:created", key: /id, due: /expiresAt }
    cancel:
      - { subject: "order:cancelled", key: /id }
      - { subject: "payment:created", key: /orderId }
    publish: { subject: "expiration:complete", via: stan, body: '{"orderId":${/id}}' }
)";

// Streams of one file must not overlap: NATS would refuse the second.
void CheckOverlap(const StreamSpec& stream, const std::vector<StreamSpec>& before,
                  const Section& section) {
  for (size_t i = 0; i < before.size(); ++i)
    for (const std::string& subject : stream.subjects)
      for (const std::string& other : before[i].subjects)
        if (SubjectsOverlap(subject, other))
          section.Fail("subjects",
                       fmt::format("streams[{}] keeps {} already; expected subjects "
                                   "that no other stream keeps",
                                   i, Quote(other)));
}

// REQUIRED: `config` has the streams before this one, and the limits.
StreamSpec ReadStream(const Section& section, const Config& config) {
  StreamSpec stream;
  section.Fill(&stream);
  stream.subjects = section.Texts("subjects");
  for (const std::string& subject : stream.subjects)
    section.Check("subjects", CheckSubjectFilter(subject), subject);
  if (stream.max_age_ms > 0 && stream.duplicates_ms > stream.max_age_ms)
    section.Fail("duplicates", "expected at most as long as max_age");
  section.CheckNew(stream.name, "streams", config.streams);
  CheckOverlap(stream, config.streams, section);
  // A key forgotten before the stream forgets its event could be scheduled by reading
  // that event again.
  if (stream.max_age_ms == 0 || config.core.history_ms < stream.max_age_ms)
    section.Warn("max_age",
                 "store.history is shorter than the time for which this stream keeps its "
                 "events, so an event that is read again could schedule a job that was "
                 "closed; expected a longer store.history");
  return stream;
}

void CheckMetrics(const MetricsConfig& metrics, const Section& section) {
  if (metrics.listen.empty()) return;
#ifndef EXPIRER_HTTP
  section.Fail("listen", "expected it left out: this binary is built without HTTP");
  return;
#endif
  section.Check("listen", ParseListenAddress(metrics.listen).status(), metrics.listen);
}

Config ReadConfig(const Section& root, bool alone) {
  Config config;
  root.Fill(&config);
  config.core.name = config.name;
  if (alone && config.nats.tls_cert.empty() != config.nats.tls_key.empty())
    root.Map("nats").Fail("tls", "expected cert and key together, found one of them");
  for (const Section& section : root.List("streams"))
    config.streams.push_back(ReadStream(section, config));
  CheckMemory(config, root.Map("limits"), MemoryBytes());
  CheckMetrics(config.metrics, root.Map("metrics"));
  const std::vector<Section> rules = root.List("rules");
  for (const Section& section : rules) config.rules.push_back(ReadRule(section, config));
  CheckRules(config, rules);
  return config;
}

// As messages, in the file's order. Each is reported once, though a section that is read
// several times reports its errors each time.
std::vector<std::string> Format(std::vector<YamlIssue> issues, std::string_view file) {
  std::stable_sort(issues.begin(), issues.end(),
                   [](const YamlIssue& a, const YamlIssue& b) {
                     return std::pair(a.line, a.column) < std::pair(b.line, b.column);
                   });
  std::vector<std::string> messages;
  std::set<std::string> seen;
  for (const YamlIssue& issue : issues) {
    std::string message =
        fmt::format("{}:{}:{}: {}{}{}", file, issue.line, issue.column, issue.path,
                    issue.path.empty() ? "" : ": ", issue.what);
    if (seen.insert(message).second) messages.push_back(std::move(message));
  }
  return messages;
}

}  // namespace

std::string Config::StorePath() const {
  std::error_code ignored;
  const auto absolute = std::filesystem::absolute(store.path, ignored);
  return ignored ? store.path : absolute.lexically_normal().string();
}

std::string Config::StatusFile() const {
  return status_file.empty() ? store.path + "/status.json" : status_file;
}

JobLimits Config::job_limits() const {
  JobLimits bounds;
  bounds.payload_bytes = static_cast<size_t>(limits.payload_bytes);
  bounds.horizon_ms = limits.horizon_ms;
  bounds.service = name;
  return bounds;
}

ConfigResult ParseConfig(std::string_view text, std::string_view file_name, bool alone) {
  ConfigResult result;
  ConfigReport report;
  const Yaml tree = ParseYaml(text, &report.issues);
  const Section root(&tree, "", &tree, &report);
  result.config = ReadConfig(root, alone);
  // If the file has errors this may not be true.
  if (report.issues.empty() && result.config.rules.empty())
    root.Warn("rules", "there are none, so nothing is scheduled");
  for (const auto& [path, line] : report.lines)
    result.config.origins[path] = fmt::format("{}:{}", file_name, line);
  result.errors = Format(std::move(report.issues), file_name);
  result.warnings = Format(std::move(report.warnings), file_name);
  return result;
}

std::string_view DefaultConfigText() { return kDefaultText; }

std::string_view StanConfigText() { return kStanText; }

Config DefaultConfig() {
  ConfigResult result = ParseConfig(kDefaultText, "(built-in)");
  CHECK(result.errors.empty());
  result.config.origins.clear();
  return std::move(result.config);
}

std::vector<ConfigOverride> EnvironmentOverrides(const Environment& getenv) {
  std::vector<ConfigOverride> overrides;
  for (const Key& key : ConfigKeys()) {
    const char* value = key.variable == nullptr ? nullptr : getenv(key.variable);
    if (value != nullptr && *value != '\0')
      overrides.push_back({std::string(key.path), value, key.variable});
  }
  return overrides;
}

std::vector<std::string> ApplyOverrides(Config* config,
                                        const std::vector<ConfigOverride>& overrides) {
  std::vector<std::string> errors;
  for (const ConfigOverride& one : overrides) {
    const Key* key = FindKey(one.path);
    CHECK(key != nullptr && key->at.owner == &kOwner<Config>);
    const KeyField field = key->at.field(config);
    if (const std::string wrong = WrongOverride(*key, one.value); !wrong.empty()) {
      errors.push_back(one.origin + ": " + wrong);
    } else if (!one.value.empty() || !Spelled(*key, field).empty()) {
      Assign(*key, one.value, field);
      config->origins[one.path] = one.origin;
    }
  }
  return errors;
}

absl::Status CheckTls(const Config& config) {
  const ConnectionOptions& nats = config.nats;
  if (nats.tls_cert.empty() == nats.tls_key.empty()) return absl::OkStatus();
  const std::string found = nats.tls_cert.empty() ? "key" : "cert";
  const auto origin = config.origins.find("nats.tls." + found);
  CHECK(origin != config.origins.end());
  return Invalid(
      fmt::format("nats.tls: expected cert and key together, found only {} (by {})",
                  found, origin->second));
}

}  // namespace expirer
