#include "app/config_table.h"

#include <algorithm>
#include <iterator>

#include "app/config.h"
#include "store/space.h"

namespace expirer {
namespace {

constexpr int64_t kSecond = 1'000;
constexpr int64_t kHour = 3'600 * kSecond;
constexpr int64_t kTenYears = 87'600 * kHour;
constexpr int64_t kMillennia = 70'000'000 * kHour;  // 7,985 years: up to the year 9999
constexpr int64_t kMega = 1'000'000;

// A field, by the members that lead to it from the struct of its section.
template <typename Owner, typename Type>
Owner OwnerOf(Type Owner::*);
template <auto First, auto... More>
struct At {
  using Owner = decltype(OwnerOf(First));
  static KeyField FieldOf(void* object) {
    return &((static_cast<Owner*>(object)->*First).*....*More);
  }
  static std::string Fresh(const Key& key) {
    Owner fresh;
    return Spelled(key, FieldOf(&fresh));
  }
};
template <auto... Members>
constexpr Binding Of = {&kOwner<typename At<Members...>::Owner>, At<Members...>::FieldOf,
                        At<Members...>::Fresh};
using C = ConnectionOptions;
using S = SchedulerOptions;
template <auto Member>
constexpr Binding Nats = Of<&Config::nats, Member>;
template <auto Member>
constexpr Binding Core = Of<&Config::core, Member>;

// Rows; `more` is what else is true of the key. `kByCode`: the code of its section
// reads it.
constexpr Binding kByCode = {};
constexpr Key Row(std::string_view path, KeyType type, Binding at, std::string_view doc,
                  Key more) {
  more.path = path;
  more.type = type;
  more.at = at;
  more.doc = doc;
  return more;
}
constexpr Key Map(std::string_view path, std::string_view doc) {
  return Row(path, KeyType::kMap, kByCode, doc, {});
}
constexpr Key Text(std::string_view path, Binding at, std::string_view doc,
                   Key more = {}) {
  return Row(path, KeyType::kText, at, doc, more);
}
constexpr Key Integer(std::string_view path, Binding at, int64_t min, int64_t max,
                      std::string_view doc) {
  return Row(path, KeyType::kInteger, at, doc, {.min = min, .max = max});
}
constexpr Key Duration(std::string_view path, Binding at, int64_t min_ms, int64_t max_ms,
                       std::string_view doc, bool required = false) {
  return Row(path, KeyType::kDuration, at, doc,
             {.min = min_ms, .max = max_ms, .required = required});
}
constexpr Key Bytes(std::string_view path, Binding at, int64_t min, int64_t max,
                    std::string_view doc) {
  return Row(path, KeyType::kBytes, at, doc, {.min = min, .max = max});
}
constexpr Key Choice(std::string_view path, Binding at, std::string_view choices,
                     std::string_view doc, Key more = {}) {
  more.choices = choices;
  return Row(path, KeyType::kChoice, at, doc, more);
}

constexpr Key kKeys[] = {
    Text("name", Of<&Config::name>,
         "Prefixes durables, queue groups, service and API subjects.",
         {.max = 24, .wrong = WrongName}),

    Map("nats", "The connection to NATS."),
    Text("nats.url", Nats<&C::servers>, "Servers to connect to, separated by commas.",
         {.variable = "NATS_URL", .wrong = WrongServers}),
    Text("nats.creds", Nats<&C::creds>, "Credentials file (JWT and seed).",
         {.variable = "NATS_CREDS"}),
    Text("nats.nkey", Nats<&C::nkey>, "File with an NKey seed.",
         {.variable = "NATS_NKEY"}),
    Text("nats.user", Nats<&C::user>, "User name.",
         {.variable = "NATS_USER", .wrong = WrongLogin}),
    Text("nats.password", Nats<&C::password>, "The user's password.",
         {.secret = true, .variable = "NATS_PASSWORD", .wrong = WrongLogin}),
    Text("nats.token", Nats<&C::token>, "Authentication token.",
         {.secret = true, .variable = "NATS_TOKEN", .wrong = WrongLogin}),
    Map("nats.tls", "TLS; any key in it turns TLS on."),
    Text("nats.tls.ca", Nats<&C::tls_ca>,
         "File with the certificates of the authorities to trust.",
         {.variable = "NATS_CA"}),
    Text("nats.tls.cert", Nats<&C::tls_cert>, "File with our own certificate.",
         {.variable = "NATS_CERT"}),
    Text("nats.tls.key", Nats<&C::tls_key>, "File with the key of our own certificate.",
         {.variable = "NATS_KEY"}),
    Text("nats.domain", Nats<&C::domain>, "JetStream domain.", {.wrong = WrongName}),
    Text("nats.inbox_prefix", Nats<&C::inbox_prefix>,
         "Prefix of the subjects that answers come to.", {.wrong = WrongInboxPrefix}),
    Duration("nats.connect_timeout", Nats<&C::connect_timeout_ms>, 10, 600 * kSecond,
             "How long one attempt to connect may take."),

    Map("nats.stan", "NATS Streaming, for rules that read or publish over it."),
    Text("nats.stan.cluster", Of<&Config::stan, &StanConfig::cluster>,
         "The streaming server's cluster id.", {.variable = "NATS_CLUSTER_ID"}),
    Text("nats.stan.client", Of<&Config::stan, &StanConfig::client>,
         "Our client id, unique in the cluster and the same after a restart; by default "
         "the service's name.",
         {.max = 64, .variable = "NATS_CLIENT_ID"}),

    Map("store", "The jobs on disk."),
    Text("store.path", Of<&Config::store, &StoreConfig::path>,
         "Directory of the store; it is made when missing.",
         {.variable = "EXPIRER_STORE"}),
    Duration("store.history", Core<&S::history_ms>, 0, kTenYears,
             "How long a closed key is remembered, from the later of closing and due."),

    Row("streams", KeyType::kList, kByCode,
        "Streams made where no stream covers any of their subjects; never altered, never "
        "deleted.",
        {}),
    Text("streams[].name", Of<&StreamSpec::name>, "The stream's name.",
         {.max = 255, .required = true, .wrong = WrongName}),
    Row("streams[].subjects", KeyType::kTexts, kByCode, "Subjects the stream keeps.",
        {.required = true}),
    Integer("streams[].replicas", Of<&StreamSpec::replicas>, 1, 5,
            "Copies in the cluster."),
    Choice("streams[].storage", Of<&StreamSpec::memory>, "file|memory",
           "Where the stream is kept."),
    Duration("streams[].max_age", Of<&StreamSpec::max_age_ms>, 0, kTenYears,
             "How long messages are kept; 0s = for ever."),
    Duration("streams[].duplicates", Of<&StreamSpec::duplicates_ms>, 100, kTenYears,
             "How long message ids are remembered."),

    Map("limits", "Bounds of everything that can grow."),
    Integer("limits.window", Core<&S::window>, 1, 1'000 * kMega,
            "Jobs whose due times are kept in memory."),
    Integer(
        "limits.inflight", Core<&S::in_flight>, 1, kMega,
        "Jobs published and not confirmed. Of several rules kByCode may hold more than "
        "seven for each place it leaves free."),
    Integer("limits.inbox", Of<&Config::limits, &Limits::inbox>, 16, 16 * kMega,
            "Messages waiting to be applied."),
    Integer("limits.ack_pending", Of<&Config::limits, &Limits::ack_pending>, 1, kMega,
            "Messages a new consumer brings without an ack; fewer where the account "
            "allows no more."),
    Integer("limits.requests", Of<&Config::limits, &Limits::requests>, 1, 65'536,
            "Requests of the API under way; further ones are answered 429."),
    Integer("limits.batch", Core<&S::batch>, 1, 65'536, "Requests applied in one write."),
    Bytes("limits.payload", Of<&Config::limits, &Limits::payload_bytes>, 256, 64 * kMega,
          "Bytes of one job's body and headers, with those that firing adds."),
    Duration("limits.horizon", Of<&Config::limits, &Limits::horizon_ms>, kSecond,
             kMillennia, "How far ahead a job may be due."),
    Integer("limits.dead", Core<&S::dead>, 1, 1'000 * kMega,
            "Rejected messages and undeliverable jobs kept whole."),
    Bytes("limits.dead_bytes", Core<&S::dead_bytes>, kMega, 1'000'000 * kMega,
          "Bytes that these take; beyond, only references are kept."),
    Integer("limits.history", Core<&S::history_keys>, 1, 10'000 * kMega,
            "Closed keys remembered; beyond, the oldest of the rule that has the most "
            "are forgotten early."),
    Duration("limits.unsynced", Core<&S::unsynced_ms>, 1, 10 * kSecond,
             "How long a write may wait for its sync."),
    // No less than what a store that was full needs to be written again.
    Bytes("limits.disk_free", Core<&S::disk_free>, int64_t{kResumeBytes},
          1'000'000 * kMega, "Free bytes of the volume below which no input is taken."),
    Duration("limits.settle", Core<&S::settle_ms>, 0, kHour,
             "How long overdue jobs wait at start for cancels still unread."),

    Text("status_file", Of<&Config::status_file>,
         "File for `health`, by default status.json in the store."),
    Map("log", "What is logged, to stderr."),
    Choice("log.level", Of<&Config::log, &LogConfig::level>, "debug|info|warn|error",
           "The least important level logged.", {.variable = "EXPIRER_LOG_LEVEL"}),
    Choice("log.format", Of<&Config::log, &LogConfig::format>, "text|json",
           "logfmt for people, or JSON lines.", {.variable = "EXPIRER_LOG_FORMAT"}),
    Map("metrics", "Numbers for Prometheus, and probes, over HTTP."),
    Text("metrics.listen", Of<&Config::metrics, &MetricsConfig::listen>,
         "HOST:PORT to serve /metrics, /healthz and /readyz at, such as 127.0.0.1:9464; "
         "by default nothing listens."),

    Row("rules", KeyType::kList, kByCode, "How events become jobs.", {}),
    Text("rules[].name", Of<&Rule::name>, "Names the rule's jobs: <rule>/<key>.",
         {.max = 24, .required = true}),
    Row("rules[].reopen", KeyType::kBool, Of<&Rule::reopen>,
        "Whether a key once fired or cancelled may be scheduled again.", {}),
    Choice("rules[].source", Of<&Rule::source>, "jetstream|core|stan",
           "core: events without a stream, in the queue group <name>-<rule>; what "
           "comes while nobody listens is lost. stan: channels of NATS Streaming."),
    Text("rules[].durable", Of<&Rule::durable>,
         "With source: stan, the queue group and durable; by default <name>-<rule>.",
         {.max = 64}),
    Row("rules[].schedule", KeyType::kEntries, kByCode, "Events that schedule a job.",
        {.required = true}),
    Text("rules[].schedule[].subject", Of<&Entry::subject>,
         "Filter of the events' subjects.", {.required = true}),
    Text("rules[].schedule[].stream", Of<&Entry::stream>,
         "The stream to read, where its subjects do not tell (mirrors, sources, "
         "transforms): `subject` is then as stored. By default those that carry it.",
         {.max = 255}),
    Row("rules[].schedule[].key", KeyType::kTexts, kByCode,
        "The user's own id: JSON pointer, subject:N, header:Name, or a list of them.",
        {.required = true}),
    Text("rules[].schedule[].due", kByCode,
         "JSON pointer or header:Name of the absolute time: RFC 3339, or a number."),
    Duration("rules[].schedule[].delay", kByCode, 0, kMillennia,
             "Instead of due: counted from the event's JetStream time; a duration (90s, "
             "PT15M), or a JSON pointer or header:Name of one or of a number. A negative "
             "one in the event means now."),
    Choice("rules[].schedule[].unit", kByCode, "ms|s",
           "What numbers in due and delay count.", {.fallback = "ms"}),
    Text("rules[].schedule[].version", kByCode,
         "JSON pointer to an integer that orders events."),
    Row("rules[].schedule[].match", KeyType::kMatch, kByCode,
        "JSON pointers and header:Names with a value, a list of values or null; other "
        "events are ignored.",
        {}),
    Row("rules[].cancel", KeyType::kEntries, kByCode, "Events that cancel a job.", {}),
    Text("rules[].cancel[].subject", Of<&Entry::subject>,
         "Filter of the events' subjects.", {.required = true}),
    Text("rules[].cancel[].stream", Of<&Entry::stream>, "As in schedule.", {.max = 255}),
    Row("rules[].cancel[].key", KeyType::kTexts, kByCode, "As in schedule.",
        {.required = true}),
    Text("rules[].cancel[].version", kByCode, "As in schedule."),
    Row("rules[].cancel[].match", KeyType::kMatch, kByCode, "As in schedule.", {}),
    Map("rules[].cancel[].late",
        "What is published, once per fire, for a cancel that came after the fire."),
    Text("rules[].cancel[].late.subject", kByCode, "Target subject; a template.",
         {.required = true}),
    Text("rules[].cancel[].late.body", kByCode,
         "Payload, a template; by default the cancel's own bytes.",
         {.min = 0, .max = kYamlText}),
    Row("rules[].publish", KeyType::kEntries, kByCode,
        "What is published when a job is due: one entry, or a list of named ones.",
        {.required = true}),
    Text("rules[].publish[].name", Of<&Publish::name>,
         "In a list: names the entry's jobs, <rule>.<name>/<key>.", {.max = 24}),
    Text("rules[].publish[].subject", kByCode, "Target subject; a template.",
         {.required = true}),
    Text("rules[].publish[].body", kByCode,
         "Payload, a template; by default the event's own bytes.",
         {.min = 0, .max = kYamlText}),
    Row("rules[].publish[].headers", KeyType::kTextMap, kByCode,
        "Headers by name, templates; the event's own pass through beside them.",
        {.min = 0}),
    Duration("rules[].publish[].offset", Of<&Publish::offset_ms>, -kMillennia, kMillennia,
             "Added to the due time; -72h is three days before it."),
    Map("rules[].publish[].late", "What to do with a job that comes late."),
    Duration("rules[].publish[].late.after", Of<&Publish::late, &LatePolicy::after_ms>, 0,
             kTenYears, "From which lateness on.", /*required=*/true),
    Choice("rules[].publish[].late.action", Of<&Publish::late, &LatePolicy::action>,
           "fire|skip|dead", "What is done then.", {.required = true}),
    Choice("rules[].publish[].via", Of<&Publish::via>, "jetstream|core|stan",
           "core: to whoever listens, no stream needed; confirmed by the server alone. "
           "stan: to a channel of NATS Streaming, which carries no headers."),
    Map("rules[].retry", "How a refused job is tried again."),
    Duration("rules[].retry.initial", Of<&Rule::retry, &RetryPolicy::initial_ms>, 1,
             kHour, "The first pause."),
    Duration("rules[].retry.max", Of<&Rule::retry, &RetryPolicy::max_ms>, 1, 168 * kHour,
             "The longest pause; 4 s (or 4 ms for each job that waits) where the stream "
             "is there and does not answer."),
    Integer("rules[].retry.attempts", Of<&Rule::retry, &RetryPolicy::attempts>, 0, kMega,
            "Refusals after which a job is dead; 0 = no limit."),
    Row("rules[].loop", KeyType::kBool, Of<&Rule::loop>,
        "Allows a target that one of our own filters matches.", {}),
    Integer("rules[].rate", Of<&Rule::rate>, 0, kMega,
            "Attempts a second to publish for this rule; 0 = no limit."),
    Text("rules[].deliver", kByCode,
         "Where a new consumer of the rule starts: all, new or an RFC 3339 time.",
         {.fallback = "all"}),
    Text("rules[].was", Of<&Rule::was>,
         "The rule's name before: its jobs and consumers are taken over.", {.max = 24}),

    Row("api", KeyType::kLater, kByCode, "", {}),
};

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

}  // namespace expirer
