#include "app/config_table.h"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include "base/duration.h"
#include "store/space.h"

namespace expirer {
namespace {

constexpr int64_t kSecond = 1'000;
constexpr int64_t kHour = 3'600 * kSecond;
constexpr int64_t kTenYears = 87'600 * kHour;
constexpr int64_t kMillennia = 70'000'000 * kHour;  // 7,985 years: up to the year 9999
constexpr int64_t kMega = 1'000'000;
constexpr int64_t kTextMax = 4096;
constexpr int64_t kYamlText = 1 << 20;  // as long as the file

constexpr Key Map(std::string_view path, std::string_view doc, bool required = false) {
  return {path, KeyType::kMap, "", 0, 0, doc, {}, required};
}
constexpr Key Text(std::string_view path, std::string_view fallback,
                   std::string_view doc) {
  return {path, KeyType::kText, fallback, 1, kTextMax, doc};
}
constexpr Key Secret(std::string_view path, std::string_view doc) {
  return {path, KeyType::kText, "", 1, kTextMax, doc, {}, false, true};
}
constexpr Key Must(std::string_view path, KeyType type, std::string_view doc) {
  return {path, type, "", 1, kTextMax, doc, {}, true};
}
constexpr Key Choice(std::string_view path, std::string_view fallback,
                     std::string_view choices, std::string_view doc) {
  return {path, KeyType::kChoice, fallback, 0, 0, doc, choices, fallback.empty()};
}
constexpr Key Later(std::string_view path) {
  return {path, KeyType::kLater, "", 0, 0, ""};
}

constexpr Key kKeys[] = {
    {"name", KeyType::kText, "expirer", 1, 24,
     "Prefixes durables, queue groups, service and API subjects."},

    Map("nats", "The connection to NATS."),
    Text("nats.url", "nats://127.0.0.1:4222",
         "Servers to connect to, separated by commas."),
    Text("nats.creds", "", "Credentials file (JWT and seed)."),
    Text("nats.nkey", "", "File with an NKey seed."),
    Text("nats.user", "", "User name."),
    Secret("nats.password", "The user's password."),
    Secret("nats.token", "Authentication token."),
    Map("nats.tls", "TLS; any key in it turns TLS on."),
    Text("nats.tls.ca", "", "File with the certificates of the authorities to trust."),
    Text("nats.tls.cert", "", "File with our own certificate."),
    Text("nats.tls.key", "", "File with the key of our own certificate."),
    Text("nats.domain", "", "JetStream domain."),
    Text("nats.inbox_prefix", "_INBOX", "Prefix of the subjects that answers come to."),
    {"nats.connect_timeout", KeyType::kDuration, "2s", 10, 600 * kSecond,
     "How long one attempt to connect may take."},

    Map("nats.stan", "NATS Streaming, for rules that read or publish over it."),
    Text("nats.stan.cluster", "test-cluster", "The streaming server's cluster id."),
    {"nats.stan.client", KeyType::kText, "", 1, 64,
     "Our client id, unique in the cluster and the same after a restart; by default "
     "the service's name."},

    Map("store", "The jobs on disk."),
    Text("store.path", "data", "Directory of the store; it is made when missing."),
    {"store.history", KeyType::kDuration, "168h", 0, kTenYears,
     "How long a closed key is remembered, from the later of closing and due."},

    {"streams", KeyType::kList, "", 0, 0,
     "Streams made where no stream covers any of their subjects; never altered, never "
     "deleted."},
    {"streams[].name", KeyType::kText, "", 1, 255, "The stream's name.", {}, true},
    Must("streams[].subjects", KeyType::kTexts, "Subjects the stream keeps."),
    {"streams[].replicas", KeyType::kInteger, "1", 1, 5, "Copies in the cluster."},
    Choice("streams[].storage", "file", "file|memory", "Where the stream is kept."),
    {"streams[].max_age", KeyType::kDuration, "168h", 0, kTenYears,
     "How long messages are kept; 0s = for ever."},
    {"streams[].duplicates", KeyType::kDuration, "2m", 100, kTenYears,
     "How long message ids are remembered."},

    Map("limits", "Bounds of everything that can grow."),
    {"limits.window", KeyType::kInteger, "1000000", 1, 1'000 * kMega,
     "Jobs whose due times are kept in memory."},
    {"limits.inflight", KeyType::kInteger, "4096", 1, kMega,
     "Jobs published and not confirmed. Of several rules none may hold more than seven "
     "for each place it leaves free."},
    {"limits.inbox", KeyType::kInteger, "16384", 16, 16 * kMega,
     "Messages waiting to be applied."},
    {"limits.ack_pending", KeyType::kInteger, "20000", 1, kMega,
     "Messages a new consumer brings without an ack; fewer where the account allows "
     "no more."},
    {"limits.requests", KeyType::kInteger, "256", 1, 65'536,
     "Requests of the API under way; further ones are answered 429."},
    {"limits.batch", KeyType::kInteger, "1024", 1, 65'536,
     "Requests applied in one write."},
    {"limits.payload", KeyType::kBytes, "1MB", 256, 64 * kMega,
     "Bytes of one job's body and headers, with those that firing adds."},
    {"limits.horizon", KeyType::kDuration, "87600h", kSecond, kMillennia,
     "How far ahead a job may be due."},
    {"limits.dead", KeyType::kInteger, "100000", 1, 1'000 * kMega,
     "Rejected messages and undeliverable jobs kept whole."},
    {"limits.dead_bytes", KeyType::kBytes, "1GB", kMega, 1'000'000 * kMega,
     "Bytes that these take; beyond, only references are kept."},
    {"limits.history", KeyType::kInteger, "10000000", 1, 10'000 * kMega,
     "Closed keys remembered; beyond, the oldest of the rule that has the most are "
     "forgotten early."},
    {"limits.unsynced", KeyType::kDuration, "50ms", 1, 10 * kSecond,
     "How long a write may wait for its sync."},
    // No less than what a store that was full needs to be written again.
    {"limits.disk_free", KeyType::kBytes, "512MB", int64_t{kResumeBytes},
     1'000'000 * kMega, "Free bytes of the volume below which no input is taken."},
    {"limits.settle", KeyType::kDuration, "30s", 0, kHour,
     "How long overdue jobs wait at start for cancels still unread."},

    Text("status_file", "", "File for `health`, by default status.json in the store."),
    Map("log", "What is logged, to stderr."),
    Choice("log.level", "info", "debug|info|warn|error",
           "The least important level logged."),
    Choice("log.format", "text", "text|json", "logfmt for people, or JSON lines."),
    Map("metrics", "Numbers for Prometheus, and probes, over HTTP."),
    Text("metrics.listen", "",
         "HOST:PORT to serve /metrics, /healthz and /readyz at, such as 127.0.0.1:9464; "
         "by default nothing listens."),

    {"rules", KeyType::kList, "", 0, 0, "How events become jobs."},
    {"rules[].name",
     KeyType::kText,
     "",
     1,
     24,
     "Names the rule's jobs: <rule>/<key>.",
     {},
     true},
    {"rules[].reopen", KeyType::kBool, "true", 0, 0,
     "Whether a key once fired or cancelled may be scheduled again."},
    Choice("rules[].source", "jetstream", "jetstream|core|stan",
           "core: events without a stream, in the queue group <name>-<rule>; what "
           "comes while nobody listens is lost. stan: channels of NATS Streaming."),
    {"rules[].durable", KeyType::kText, "", 1, 64,
     "With source: stan, the queue group and durable; by default <name>-<rule>."},
    {"rules[].schedule",
     KeyType::kEntries,
     "",
     0,
     0,
     "Events that schedule a job.",
     {},
     true},
    Must("rules[].schedule[].subject", KeyType::kText, "Filter of the events' subjects."),
    {"rules[].schedule[].stream", KeyType::kText, "", 1, 255,
     "The stream to read, where its subjects do not tell (mirrors, sources, "
     "transforms): `subject` is then as stored. By default those that carry it."},
    Must("rules[].schedule[].key", KeyType::kTexts,
         "The user's own id: JSON pointer, subject:N, header:Name, or a list of them."),
    Text("rules[].schedule[].due", "",
         "JSON pointer or header:Name of the absolute time: RFC 3339, or a number."),
    {"rules[].schedule[].delay", KeyType::kDuration, "", 0, kMillennia,
     "Instead of due: counted from the event's JetStream time; a duration (90s, PT15M), "
     "or a JSON pointer or header:Name of one or of a number. A negative one in the "
     "event "
     "means now."},
    Choice("rules[].schedule[].unit", "ms", "ms|s",
           "What numbers in due and delay count."),
    Text("rules[].schedule[].version", "",
         "JSON pointer to an integer that orders events."),
    {"rules[].schedule[].match", KeyType::kMatch, "", 0, kTextMax,
     "JSON pointers and header:Names with a value, a list of values or null; other "
     "events "
     "are ignored."},
    {"rules[].cancel", KeyType::kEntries, "", 0, 0, "Events that cancel a job."},
    Must("rules[].cancel[].subject", KeyType::kText, "Filter of the events' subjects."),
    {"rules[].cancel[].stream", KeyType::kText, "", 1, 255, "As in schedule."},
    Must("rules[].cancel[].key", KeyType::kTexts, "As in schedule."),
    Text("rules[].cancel[].version", "", "As in schedule."),
    {"rules[].cancel[].match", KeyType::kMatch, "", 0, kTextMax, "As in schedule."},
    Map("rules[].cancel[].late",
        "What is published, once per fire, for a cancel that came after the fire."),
    Must("rules[].cancel[].late.subject", KeyType::kText, "Target subject; a template."),
    {"rules[].cancel[].late.body", KeyType::kText, "", 0, kYamlText,
     "Payload, a template; by default the cancel's own bytes."},
    {"rules[].publish",
     KeyType::kEntries,
     "",
     0,
     0,
     "What is published when a job is due: one entry, or a list of named ones.",
     {},
     true},
    {"rules[].publish[].name", KeyType::kText, "", 1, 24,
     "In a list: names the entry's jobs, <rule>.<name>/<key>."},
    Must("rules[].publish[].subject", KeyType::kText, "Target subject; a template."),
    {"rules[].publish[].body", KeyType::kText, "", 0, kYamlText,
     "Payload, a template; by default the event's own bytes."},
    {"rules[].publish[].headers", KeyType::kTextMap, "", 0, kTextMax,
     "Headers by name, templates; the event's own pass through beside them."},
    {"rules[].publish[].offset", KeyType::kDuration, "0s", -kMillennia, kMillennia,
     "Added to the due time; -72h is three days before it."},
    Map("rules[].publish[].late", "What to do with a job that comes late."),
    {"rules[].publish[].late.after",
     KeyType::kDuration,
     "",
     0,
     kTenYears,
     "From which lateness on.",
     {},
     true},
    Choice("rules[].publish[].late.action", "", "fire|skip|dead", "What is done then."),
    Choice("rules[].publish[].via", "jetstream", "jetstream|core|stan",
           "core: to whoever listens, no stream needed; confirmed by the server alone. "
           "stan: to a channel of NATS Streaming, which carries no headers."),
    Map("rules[].retry", "How a refused job is tried again."),
    {"rules[].retry.initial", KeyType::kDuration, "1s", 1, kHour, "The first pause."},
    {"rules[].retry.max", KeyType::kDuration, "5m", 1, 168 * kHour,
     "The longest pause; 4 s (or 4 ms for each job that waits) where the stream is there "
     "and does not answer."},
    {"rules[].retry.attempts", KeyType::kInteger, "0", 0, kMega,
     "Refusals after which a job is dead; 0 = no limit."},
    {"rules[].loop", KeyType::kBool, "false", 0, 0,
     "Allows a target that one of our own filters matches."},
    {"rules[].rate", KeyType::kInteger, "0", 0, kMega,
     "Attempts a second to publish for this rule; 0 = no limit."},
    Text("rules[].deliver", "all",
         "Where a new consumer of the rule starts: all, new or an RFC 3339 time."),
    {"rules[].was", KeyType::kText, "", 1, 24,
     "The rule's name before: its jobs and consumers are taken over."},

    Later("api"),
};

size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row;
  for (size_t j = 0; j <= b.size(); ++j) row.push_back(j);
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min(
          {row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row.back();
}

std::string ExpectedText(const Key& key) {
  if (key.max == kTextMax || key.max == kYamlText) return "expected a text";
  return fmt::format("expected a text of {} to {} bytes", key.min, key.max);
}

std::string Signed(int64_t ms) {
  return ms < 0 ? "-" + FormatDuration(-ms) : FormatDuration(ms);
}

}  // namespace

std::span<const Key> ConfigKeys() { return kKeys; }

const Key* FindKey(std::string_view path) {
  const auto* found = std::find_if(std::begin(kKeys), std::end(kKeys),
                                   [path](const Key& key) { return key.path == path; });
  return found == std::end(kKeys) ? nullptr : found;
}

std::vector<std::string_view> KeysUnder(std::string_view parent) {
  const size_t skip = parent.empty() ? 0 : parent.size() + 1;
  std::vector<std::string_view> names;
  for (const Key& key : kKeys) {
    if (key.type == KeyType::kLater || key.path.size() <= skip) continue;
    if (skip > 0 && (!key.path.starts_with(parent) || key.path[parent.size()] != '.'))
      continue;
    const std::string_view name = key.path.substr(skip);
    if (name.find_first_of(".[") == name.npos) names.push_back(name);
  }
  return names;
}

std::string Expected(const Key& key) {
  switch (key.type) {
    case KeyType::kMap: return "expected a map of keys";
    case KeyType::kList: return "expected a list of maps (lines that begin with -)";
    case KeyType::kEntries: return "expected a map or a list of maps";
    case KeyType::kTexts: return "expected a text or a list of texts";
    case KeyType::kTextMap: return "expected a map of texts";
    case KeyType::kMatch:
      return "expected a map of JSON pointers or header:Names with the value, list of "
             "values or null that each must be";
    case KeyType::kText: return ExpectedText(key);
    case KeyType::kBool: return "expected true or false";
    case KeyType::kInteger:
      return fmt::format("expected a whole number from {} to {}", key.min, key.max);
    case KeyType::kDuration:
      return fmt::format("expected a duration from {} to {}, such as 90s, 15m or 168h",
                         Signed(key.min), FormatDuration(key.max));
    case KeyType::kBytes:
      return fmt::format("expected a size from {} to {}, such as 512MB or 64MiB",
                         FormatBytes(key.min), FormatBytes(key.max));
    case KeyType::kChoice: {
      std::string words(key.choices);
      std::replace(words.begin(), words.end(), '|', ' ');
      for (size_t at = words.find(' '); at != words.npos; at = words.find(' ', at + 4))
        words.replace(at, 1, " or ");
      return "expected " + words;
    }
    case KeyType::kLater: return "expected nothing, it is not in this release";
  }
  return "";
}

std::string_view Nearest(std::string_view name,
                         const std::vector<std::string_view>& known) {
  std::string_view nearest;
  size_t least = std::max<size_t>(2, name.size() / 3) + 1;
  for (const std::string_view candidate : known) {
    // A slip changes less than the whole word.
    const size_t distance = EditDistance(name, candidate);
    if (distance < least && distance < candidate.size()) {
      least = distance;
      nearest = candidate;
    }
  }
  return nearest;
}

}  // namespace expirer
