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
         {.has_logins = true, .variable = "NATS_URL", .wrong = WrongServers}),
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
         "Prefix of the subjects at which we receive answers.",
         {.wrong = WrongInboxPrefix}),
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
    Duration(
        "store.history", Core<&S::history_ms>, 0, kTenYears,
        "How long a closed key is remembered, counted from its closing or its due time, "
        "whichever is later."),

    Row("streams", KeyType::kList, kByCode,
        "Streams to create, each if no stream has any of its subjects. Existing streams "
        "are never altered or deleted.",
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
        "Jobs published but not confirmed yet. If there are several rules, none may take "
        "more than seven places for each one that is free."),
    Integer("limits.inbox", Of<&Config::limits, &Limits::inbox>, 16, 16 * kMega,
            "Messages waiting to be applied."),
    Integer(
        "limits.ack_pending", Of<&Config::limits, &Limits::ack_pending>, 1, kMega,
        "Messages that a new consumer may deliver before the first is acked; fewer if "
        "the account's limit is lower."),
    Integer("limits.requests", Of<&Config::limits, &Limits::requests>, 1, 65'536,
            "API requests in progress at a time; further ones are answered 429."),
    Integer("limits.batch", Core<&S::batch>, 1, 65'536,
            "Messages and API requests applied in one write."),
    Bytes("limits.payload", Of<&Config::limits, &Limits::payload_bytes>, 256, 64 * kMega,
          "Bytes of one job's body and headers, including the headers that expirer adds "
          "when it fires."),
    Duration("limits.horizon", Of<&Config::limits, &Limits::horizon_ms>, kSecond,
             kMillennia, "How far ahead a job may be due."),
    Integer("limits.dead", Core<&S::dead>, 1, 1'000 * kMega,
            "Rejected messages and undeliverable jobs that are kept whole."),
    Bytes("limits.dead_bytes", Core<&S::dead_bytes>, kMega, 1'000'000 * kMega,
          "Bytes that these may take; above that, only references are kept."),
    Integer("limits.history", Core<&S::history_keys>, 1, 10'000 * kMega,
            "Closed keys to remember; above that, the rule with the most forgets its "
            "oldest early."),
    Duration("limits.unsynced", Core<&S::unsynced_ms>, 1, 10 * kSecond,
             "How long a write may wait for its sync."),
    // No less than what a store that was full needs to be written again.
    Bytes("limits.disk_free", Core<&S::disk_free>, int64_t{kResumeBytes},
          1'000'000 * kMega, "No input is taken while the volume has fewer free bytes."),
    Duration(
        "limits.settle", Core<&S::settle_ms>, 0, kHour,
        "How long overdue jobs wait for cancels that are not read yet, after a start or "
        "an outage."),

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
         {.max = 24, .required = true, .wrong = WrongRuleName}),
    Row("rules[].reopen", KeyType::kBool, Of<&Rule::reopen>,
        "Whether a key once fired or cancelled may be scheduled again.", {}),
    Choice(
        "rules[].source", Of<&Rule::source>, "jetstream|core|stan",
        "jetstream: events of streams. core: events without a stream, in the queue "
        "group <name>-<rule>; those published while expirer is not connected are lost. "
        "stan: channels of NATS Streaming."),
    Text("rules[].durable", Of<&Rule::durable>,
         "With source: stan, the queue group and durable; by default <name>-<rule>.",
         {.max = 64}),
    Row("rules[].schedule", KeyType::kEntries, kByCode, "Events that schedule a job.",
        {.required = true}),
    Text("rules[].schedule[].subject", Of<&Entry::subject>,
         "Filter of the events' subjects.", {.required = true}),
    Text(
        "rules[].schedule[].stream", Of<&Entry::stream>,
        "The stream to read, if its subjects do not show that it has the events (a "
        "mirror, a stream with sources or a transform). `subject` is then the subject as "
        "stored. By default every stream that has the subject is read.",
        {.max = 255, .wrong = WrongStreamName}),
    Row("rules[].schedule[].key", KeyType::kTexts, kByCode,
        "Your own id in the event: a JSON pointer, subject:N, header:Name, or a list of "
        "them.",
        {.required = true}),
    Text("rules[].schedule[].due", kByCode,
         "JSON pointer or header:Name of the absolute time, which is RFC 3339 or a "
         "number."),
    Duration(
        "rules[].schedule[].delay", kByCode, 0, kMillennia,
        "Instead of due: how long after the event's JetStream time. A duration (90s, "
        "PT15M), or a JSON pointer or header:Name of a duration or number in the "
        "event; if that is negative, the job is due at once."),
    Choice("rules[].schedule[].unit", kByCode, "ms|s",
           "The unit of numbers that due and delay read from the event.",
           {.fallback = "ms"}),
    Text("rules[].schedule[].version", kByCode,
         "JSON pointer to an integer: of two events of a key, the one with the higher "
         "version is newer."),
    Row("rules[].schedule[].match", KeyType::kMatch, kByCode,
        "JSON pointers and header:Names with a value, a list of values or null; other "
        "events are ignored.",
        {}),
    Row("rules[].cancel", KeyType::kEntries, kByCode, "Events that cancel a job.", {}),
    Text("rules[].cancel[].subject", Of<&Entry::subject>,
         "Filter of the events' subjects.", {.required = true}),
    Text("rules[].cancel[].stream", Of<&Entry::stream>, "As in schedule.",
         {.max = 255, .wrong = WrongStreamName}),
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
         "In a list: names the entry's jobs, <rule>.<name>/<key>.",
         {.max = 24, .wrong = WrongPublishName}),
    Text("rules[].publish[].subject", kByCode, "Target subject; a template.",
         {.required = true}),
    Text("rules[].publish[].body", kByCode,
         "Payload, a template; by default the event's own bytes.",
         {.min = 0, .max = kYamlText}),
    Row("rules[].publish[].headers", KeyType::kTextMap, kByCode,
        "Headers to set, by name; the values are templates. The event's other headers "
        "are passed on.",
        {.min = 0}),
    Duration("rules[].publish[].offset", Of<&Publish::offset_ms>, -kMillennia, kMillennia,
             "Added to the due time; -72h is three days before it."),
    Map("rules[].publish[].late", "What to do with a job that fires late."),
    Duration("rules[].publish[].late.after", Of<&Publish::late, &LatePolicy::after_ms>, 0,
             kTenYears, "How late a job must be for the action to apply.",
             /*required=*/true),
    Choice("rules[].publish[].late.action", Of<&Publish::late, &LatePolicy::action>,
           "fire|skip|dead", "What happens to such a job.", {.required = true}),
    Choice("rules[].publish[].via", Of<&Publish::via>, "jetstream|core|stan",
           "jetstream: to a stream, which confirms it. core: to present subscribers, "
           "without a stream; only the server confirms it. stan: to a channel of NATS "
           "Streaming, which carries no headers."),
    Map("rules[].retry", "How a job is retried that the broker refused."),
    Duration("rules[].retry.initial", Of<&Rule::retry, &RetryPolicy::initial_ms>, 1,
             kHour, "The first pause."),
    Duration(
        "rules[].retry.max", Of<&Rule::retry, &RetryPolicy::max_ms>, 1, 168 * kHour,
        "The longest pause; if the stream exists but does not answer, 4 s (or 4 ms for "
        "each job that waits)."),
    Integer("rules[].retry.attempts", Of<&Rule::retry, &RetryPolicy::attempts>, 0, kMega,
            "Refusals after which a job is dead; 0 = no limit."),
    Row("rules[].loop", KeyType::kBool, Of<&Rule::loop>,
        "Allows a target that a filter of this config matches.", {}),
    Integer("rules[].rate", Of<&Rule::rate>, 0, kMega,
            "Attempts a second to publish for this rule; 0 = no limit."),
    Row("rules[].events", KeyType::kTexts, kByCode,
        "What is announced of the rule's jobs: scheduled, moved, cancelled, fired, late, "
        "dead, skipped.",
        {}),
    Text("rules[].deliver", kByCode,
         "Where a new consumer of the rule starts to read: all, new or an RFC 3339 time.",
         {.fallback = "all"}),
    Text("rules[].was", Of<&Rule::was>,
         "The rule's former name, whose jobs and consumers it takes over.",
         {.max = 24, .wrong = WrongFormerName}),

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
