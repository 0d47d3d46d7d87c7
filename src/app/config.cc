#include "app/config.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "app/config_limits.h"
#include "app/config_rules.h"
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

constexpr std::string_view kNameLetters = "expected letters, digits, - and _ only";
constexpr std::string_view kInboxPrefix =
    "expected a subject without wildcards, such as _INBOX_mine";
constexpr std::string_view kNoControl =
    "expected no line break or other control character, at its end neither";

bool IsName(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '-' || c == '_';
  });
}

// Users, passwords and tokens hold no control character: the protocol could not
// carry it, and a Secret made with echo ends in one.
bool HasControl(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
  });
}

// A subject without wildcards.
bool IsInboxPrefix(const std::string& text) {
  return CheckSubjectFilter(text).ok() && text.find_first_of("*>") == text.npos;
}

// host or host:port, perhaps after a login.
bool IsHostAndPort(std::string_view server) {
  server.remove_prefix(server.rfind('@') + 1);
  const size_t colon = server.rfind(':');
  if (colon == server.npos || server.ends_with(']')) return !server.empty();
  const std::string_view port = server.substr(colon + 1);
  int number = 0;
  const auto [end, error] =
      std::from_chars(port.data(), port.data() + port.size(), number);
  return colon > 0 && error == std::errc() && end == port.data() + port.size() &&
         number >= 1 && number <= 65'535;
}

NatsConfig ReadNats(const Section& section, bool alone) {
  NatsConfig nats;
  absl::StatusOr<std::vector<std::string>> servers = ParseServers(section.Text("url"));
  if (servers.ok()) {
    nats.urls = *std::move(servers);
  } else {
    section.Fail("url", Message(servers.status()));
  }
  nats.creds = section.Text("creds");
  nats.nkey = section.Text("nkey");
  nats.user = section.Text("user");
  nats.password = section.Text("password");
  nats.token = section.Text("token");
  for (const auto& [key, text] :
       {std::pair("user", nats.user), {"password", nats.password}, {"token", nats.token}})
    if (HasControl(text)) section.Fail(key, std::string(kNoControl));
  const Section tls = section.Map("tls");
  nats.tls = {tls.Text("ca"), tls.Text("cert"), tls.Text("key")};
  if (alone && nats.tls.cert.empty() != nats.tls.key.empty())
    section.Fail("tls", "expected cert and key together, found one of them");
  nats.domain = section.Text("domain");
  if (section.Has("domain") && !IsName(nats.domain))
    section.Fail("domain", std::string(kNameLetters));
  nats.inbox_prefix = section.Text("inbox_prefix");
  if (!IsInboxPrefix(nats.inbox_prefix))
    section.Fail("inbox_prefix", std::string(kInboxPrefix));
  nats.connect_timeout_ms = section.DurationMs("connect_timeout");
  const Section stan = section.Map("stan");
  nats.stan = {stan.Text("cluster"), stan.Text("client")};
  return nats;
}

StreamConfig ReadStream(const Section& section) {
  StreamConfig stream;
  stream.name = section.Text("name");
  if (!stream.name.empty() && !IsName(stream.name))
    section.Fail("name", std::string(kNameLetters));
  stream.subjects = section.Texts("subjects");
  for (const std::string& subject : stream.subjects) {
    absl::Status status = CheckSubjectFilter(subject);
    if (!status.ok())
      section.Fail("subjects",
                   fmt::format("{}, found {}", Message(status), Quote(subject)));
  }
  stream.replicas = section.Integer("replicas");
  stream.in_memory = section.Choice("storage") == "memory";
  stream.max_age_ms = section.DurationMs("max_age");
  stream.duplicates_ms = section.DurationMs("duplicates");
  if (stream.max_age_ms > 0 && stream.duplicates_ms > stream.max_age_ms)
    section.Fail("duplicates", "expected at most as long as max_age");
  return stream;
}

Limits ReadLimits(const Section& section) {
  Limits limits;
  limits.window = section.Integer("window");
  limits.inflight = section.Integer("inflight");
  limits.inbox = section.Integer("inbox");
  limits.ack_pending = section.Integer("ack_pending");
  limits.requests = section.Integer("requests");
  limits.batch = section.Integer("batch");
  limits.payload_bytes = section.Bytes("payload");
  limits.horizon_ms = section.DurationMs("horizon");
  limits.dead = section.Integer("dead");
  limits.dead_bytes = section.Bytes("dead_bytes");
  limits.history = section.Integer("history");
  limits.unsynced_ms = section.DurationMs("unsynced");
  limits.disk_free_bytes = section.Bytes("disk_free");
  limits.settle_ms = section.DurationMs("settle");
  return limits;
}

MetricsConfig ReadMetrics(const Section& section) {
  MetricsConfig metrics{section.Text("listen")};
  if (metrics.listen.empty()) return metrics;
#ifndef EXPIRER_HTTP
  section.Fail("listen", "expected it left out: this binary is built without HTTP");
  return metrics;
#endif
  const absl::StatusOr<ListenAddress> address = ParseListenAddress(metrics.listen);
  if (!address.ok())
    section.Fail("listen", fmt::format("{}, found {}", Message(address.status()),
                                       Quote(metrics.listen)));
  return metrics;
}

// Streams of one file must not overlap: NATS would refuse the second.
void CheckStreams(const Config& config, const std::vector<Section>& sections) {
  for (size_t i = 0; i < sections.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (!config.streams[i].name.empty() &&
          config.streams[i].name == config.streams[j].name)
        sections[i].Fail("name",
                         fmt::format("streams[{}] has this name; expected another", j));
      for (const std::string& subject : config.streams[i].subjects) {
        for (const std::string& other : config.streams[j].subjects) {
          if (!SubjectsOverlap(subject, other)) continue;
          sections[i].Fail("subjects",
                           fmt::format("streams[{}] keeps {} already; expected "
                                       "subjects that no other stream keeps",
                                       j, Quote(other)));
        }
      }
    }
  }
}

// A key forgotten before the stream forgets its event could be scheduled by
// reading that event again.
void WarnOfHistory(const Config& config, const std::vector<Section>& streams,
                   std::vector<YamlIssue>* warnings) {
  for (size_t i = 0; i < streams.size(); ++i) {
    const int64_t max_age_ms = config.streams[i].max_age_ms;
    if (max_age_ms > 0 && config.store.history_ms >= max_age_ms) continue;
    warnings->push_back(streams[i].Issue(
        "max_age",
        "store.history is shorter than this stream keeps its events, so an event read "
        "again could schedule a job that was closed; expected history to be longer"));
  }
}

Config ReadConfig(const Section& root, bool alone, std::vector<YamlIssue>* warnings) {
  Config config;
  config.name = root.Text("name");
  if (!IsName(config.name)) root.Fail("name", std::string(kNameLetters));
  config.nats = ReadNats(root.Map("nats"), alone);
  const Section store = root.Map("store");
  config.store = {store.Text("path"), store.DurationMs("history")};
  const std::vector<Section> streams = root.List("streams");
  for (const Section& section : streams) config.streams.push_back(ReadStream(section));
  CheckStreams(config, streams);
  const Section limits = root.Map("limits");
  config.limits = ReadLimits(limits);
  CheckMemory(config.limits, limits, MemoryBytes());
  config.status_file = root.Text("status_file");
  const Section log = root.Map("log");
  config.log = {log.Choice("level"), log.Choice("format")};
  config.metrics = ReadMetrics(root.Map("metrics"));
  const std::vector<Section> rules = root.List("rules");
  for (const Section& section : rules) config.rules.push_back(ReadRule(section));
  *warnings = CheckRules(config, rules);
  for (YamlIssue& issue : CheckReach(config, rules))
    warnings->push_back(std::move(issue));
  WarnOfHistory(config, streams, warnings);
  return config;
}

// As messages, in the file's order and each once (sections are read twice
// where rules are checked against each other).
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

// What each variable overrides.
constexpr std::pair<const char*, const char*> kVariables[] = {
    {"NATS_URL", "nats.url"},
    {"NATS_CREDS", "nats.creds"},
    {"NATS_NKEY", "nats.nkey"},
    {"NATS_USER", "nats.user"},
    {"NATS_PASSWORD", "nats.password"},
    {"NATS_TOKEN", "nats.token"},
    {"NATS_CA", "nats.tls.ca"},
    {"NATS_CERT", "nats.tls.cert"},
    {"NATS_KEY", "nats.tls.key"},
    {"NATS_CLUSTER_ID", "nats.stan.cluster"},
    {"NATS_CLIENT_ID", "nats.stan.client"},
    {"EXPIRER_STORE", "store.path"},
    {"EXPIRER_LOG_LEVEL", "log.level"},
    {"EXPIRER_LOG_FORMAT", "log.format"},
};

// The text at `path`, which a variable, flag or context overrides.
std::string* TextAt(Config* config, std::string_view path) {
  NatsConfig& nats = config->nats;
  const std::pair<std::string_view, std::string*> texts[] = {
      {"nats.creds", &nats.creds},
      {"nats.nkey", &nats.nkey},
      {"nats.user", &nats.user},
      {"nats.password", &nats.password},
      {"nats.token", &nats.token},
      {"nats.tls.ca", &nats.tls.ca},
      {"nats.tls.cert", &nats.tls.cert},
      {"nats.tls.key", &nats.tls.key},
      {"nats.domain", &nats.domain},
      {"nats.inbox_prefix", &nats.inbox_prefix},
      {"nats.stan.cluster", &nats.stan.cluster},
      {"nats.stan.client", &nats.stan.client},
      {"store.path", &config->store.path},
      {"log.level", &config->log.level},
      {"log.format", &config->log.format},
  };
  for (const auto& [name, text] : texts)
    if (name == path) return text;
  CHECK(false);
  return nullptr;
}

// What is wrong with the value of `one`; "" = nothing.
std::string WrongWith(const ConfigOverride& one) {
  const Key* key = FindKey(one.path);
  CHECK(key != nullptr);
  if (one.path == "nats.url") return Message(ParseServers(one.value).status());
  const std::string words = fmt::format("|{}|", key->choices);
  if (key->type == KeyType::kChoice && (one.value.find('|') != one.value.npos ||
                                        words.find("|" + one.value + "|") == words.npos))
    return fmt::format("{}, found {}", Expected(*key), Quote(one.value));
  if (HasControl(one.value)) return std::string(kNoControl);
  if (one.path == "nats.inbox_prefix" && !IsInboxPrefix(one.value))
    return std::string(kInboxPrefix);
  if (one.path == "nats.domain" && !IsName(one.value)) return std::string(kNameLetters);
  return "";
}

}  // namespace

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
  std::vector<YamlIssue> warnings;
  const Yaml tree = ParseYaml(text, &report.issues);
  const Section root(&tree, "", &tree, &report);
  result.config = ReadConfig(root, alone, &warnings);
  // Of a file that could not be read right it might not be true.
  if (report.issues.empty() && result.config.rules.empty())
    warnings.push_back(root.Issue("rules", "there are none, so nothing is scheduled"));
  for (const auto& [path, line] : report.lines)
    result.config.origins[path] = fmt::format("{}:{}", file_name, line);
  result.errors = Format(std::move(report.issues), file_name);
  result.warnings = Format(std::move(warnings), file_name);
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

absl::StatusOr<std::vector<std::string>> ParseServers(std::string_view text) {
  std::vector<std::string> servers;
  for (size_t at = 0; at <= text.size();) {
    const size_t comma = std::min(text.find(',', at), text.size());
    std::string_view server = text.substr(at, comma - at);
    at = comma + 1;
    while (server.starts_with(' ')) server.remove_prefix(1);
    while (server.ends_with(' ')) server.remove_suffix(1);
    std::string_view scheme = "nats";
    if (const size_t end = server.find("://"); end != server.npos) {
      scheme = server.substr(0, end);
      server.remove_prefix(end + 3);
    }
    if (scheme == "http") scheme = "nats";
    while (server.ends_with('/')) server.remove_suffix(1);
    const bool plain =
        !server.empty() && std::none_of(server.begin(), server.end(), [](char c) {
          return static_cast<unsigned char>(c) <= 0x20 || c == 0x7F || c == '/';
        });
    if (!plain || !IsHostAndPort(server) || (scheme != "nats" && scheme != "tls")) {
      return Invalid(
          "expected servers such as nats://host:4222 or tls://host, separated by commas");
    }
    servers.push_back(fmt::format("{}://{}", scheme, server));
  }
  return servers;
}

std::vector<ConfigOverride> EnvironmentOverrides(const Environment& getenv) {
  std::vector<ConfigOverride> overrides;
  for (const auto& [name, path] : kVariables) {
    const char* value = getenv(name);
    if (value != nullptr && *value != '\0') overrides.push_back({path, value, name});
  }
  return overrides;
}

std::vector<std::string> ApplyOverrides(Config* config,
                                        const std::vector<ConfigOverride>& overrides) {
  std::vector<std::string> errors;
  for (const ConfigOverride& one : overrides) {
    if (const std::string wrong = WrongWith(one); !wrong.empty()) {
      errors.push_back(one.origin + ": " + wrong);
      continue;
    }
    if (one.path == "nats.url") {
      config->nats.urls = ParseServers(one.value).value();
    } else {
      std::string* const text = TextAt(config, one.path);
      if (one.value.empty() && text->empty()) continue;
      *text = one.value;
    }
    config->origins[one.path] = one.origin;
  }
  return errors;
}

absl::Status CheckTls(const Config& config) {
  const TlsConfig& tls = config.nats.tls;
  if (tls.cert.empty() == tls.key.empty()) return absl::OkStatus();
  const std::string found = tls.cert.empty() ? "key" : "cert";
  const auto origin = config.origins.find("nats.tls." + found);
  CHECK(origin != config.origins.end());
  return Invalid(
      fmt::format("nats.tls: expected cert and key together, found only {} (by {})",
                  found, origin->second));
}

}  // namespace expirer
