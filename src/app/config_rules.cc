#include "app/config_rules.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "app/config_limits.h"
#include "base/rfc3339.h"
#include "net/stan.h"

namespace expirer {
namespace {

using Filters = std::vector<std::string>;

absl::Status CheckHeaderName(std::string_view name) {
  const bool good = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return c > 0x20 && c < 0x7F && c != ':';
  });
  if (!good) return Invalid("expected header names without spaces and colons");
  if (IsReservedHeader(name))
    return Invalid(
        "expected no Nats-... and Expirer-... headers, which expirer and NATS set");
  return absl::OkStatus();
}

// OK for a well-formed filter that reads no subjects of NATS or of this service.
absl::Status CheckEventFilter(std::string_view filter, std::string_view service) {
  RETURN_IF_ERROR(CheckSubjectFilter(filter));
  if (filter.starts_with('$') || filter.starts_with("_INBOX"))
    return Invalid("expected a subject outside $... and _INBOX..., which belong to NATS");
  if (filter.substr(0, filter.find('.')) == service ||
      SubjectsOverlap(filter, std::string(service) + ".v1.>"))
    return Invalid(fmt::format(
        "expected a filter that leaves out {}.>, which is expirer's own", service));
  return absl::OkStatus();
}

// How many tokens every subject of `filter` surely has.
int Tokens(std::string_view filter) {
  return static_cast<int>(std::count(filter.begin(), filter.end(), '.')) + 1;
}

// Reports a subject:N beyond what the filter promises; `>` promises nothing
// more than its first token.
void CheckToken(const Section& section, std::string_view name, int token,
                const std::string& filter) {
  if (token <= Tokens(filter) || filter.ends_with('>')) return;
  section.Fail(
      name, fmt::format("subject:{} does not exist; expected at most {}, as many tokens "
                        "as {} has",
                        token, Tokens(filter), filter));
}

std::optional<Source> ReadSource(const Section& section, std::string_view name,
                                 const std::string& text) {
  absl::StatusOr<Source> source = Source::Parse(text);
  section.Check(name, source.status(), text);
  return source.ok() ? std::optional(*std::move(source)) : std::nullopt;
}

// A source of due, delay or match. None of them is read from the subject.
std::optional<Source> ReadTimeSource(const Section& section, std::string_view name,
                                     const std::string& text) {
  std::optional<Source> source = ReadSource(section, name, text);
  if (source && source->kind == Source::Kind::kSubjectToken) {
    section.Fail(name, "expected a JSON pointer or header:Name, found subject:N");
    source.reset();
  }
  return source;
}

void ReadDelay(const Section& section, Entry* entry) {
  const Yaml* raw = section.Find("delay");
  if (raw == nullptr) return;
  const bool from_event = raw->text.starts_with('/') ||
                          raw->text.starts_with("header:") ||
                          raw->text.starts_with("subject:");
  if (from_event)
    entry->delay = ReadTimeSource(section, "delay", raw->text);
  else
    entry->delay_ms = section.OptionalDurationMs("delay");
}

void ReadDue(const Section& section, Entry* entry) {
  if (const auto due = section.OptionalText("due"))
    entry->due = ReadTimeSource(section, "due", *due);
  ReadDelay(section, entry);
  entry->unit_ms = section.Text("unit") == "s" ? 1'000 : 1;
  if (section.Has("due") && section.Has("delay"))
    section.Fail("delay", "expected due or delay, found both");
  if (section.Has("unit") && !entry->due && !entry->delay)
    section.Fail("unit",
                 "it applies only to numbers in the event; expected it beside a due, or "
                 "a delay that is read from the event");
}

void ReadVersion(const Section& section, Entry* entry) {
  const auto text = section.OptionalText("version");
  if (!text) return;
  entry->version = ReadSource(section, "version", *text);
  if (entry->version && entry->version->kind != Source::Kind::kPointer)
    section.Fail("version", "expected a JSON pointer such as /version");
}

// `filters` are those of the events that the template's values come from.
std::optional<Template> ReadTemplate(const Section& section, std::string_view name,
                                     std::string_view text, Template::Place place,
                                     const Filters& filters) {
  absl::StatusOr<Template> result = Template::Parse(text, place);
  if (!result.ok()) {
    section.Fail(name, Message(result.status()));
    return std::nullopt;
  }
  for (const std::string& filter : filters)
    CheckToken(section, name, result->subject_tokens(), filter);
  return *std::move(result);
}

void ReadHeaders(const Section& section, const Filters& filters, Publish* publish) {
  for (const auto& [name, text] : section.TextMap("headers")) {
    section.Check("headers", CheckHeaderName(name), name);
    if (auto value =
            ReadTemplate(section, "headers", text, Template::Place::kHeader, filters))
      publish->headers.emplace_back(name, *std::move(value));
  }
}

// The target and body of a publish entry or a late cancel.
void ReadTargetAndBody(const Section& section, const Filters& filters, Publish* publish) {
  if (const auto subject = section.OptionalText("subject")) {
    publish->target =
        ReadTemplate(section, "subject", *subject, Template::Place::kSubject, filters)
            .value_or(Template());
  }
  if (const auto body = section.OptionalText("body"))
    publish->body = ReadTemplate(section, "body", *body, Template::Place::kBody, filters);
}

void ReadLateCancel(const Section& cancel, Entry* entry) {
  const Section section = cancel.Map("late");
  if (!section.present()) return;
  Publish& late = entry->late.emplace();
  late.name = kLateQueue;
  ReadTargetAndBody(section, {entry->subject}, &late);
  for (const auto& [name, text] :
       {std::pair("subject", &late.target),
        std::pair("body", late.body ? &*late.body : nullptr)}) {
    if (text != nullptr && text->uses_due())
      section.Fail(name, "expected no ${due}: a late cancel has no due time");
  }
}

// True when all of `text` is a number as JSON writes it.
bool IsJsonNumber(const std::string& text) {
  const std::string document = "[" + text + "]";
  JsonPointers pointers;
  const size_t slot = pointers.Add("/0");
  JsonReader reader;
  return reader.Read(document, pointers).ok() &&
         reader.value(slot).kind == JsonValue::Kind::kNumber &&
         reader.value(slot).raw == text;
}

std::optional<MatchValue> ReadMatchValue(const Section& section, const Yaml& node) {
  if (node.kind == Yaml::Kind::kNull) return MatchValue{};
  if (node.kind != Yaml::Kind::kScalar) {
    section.Fail("match",
                 "expected texts, numbers, true, false, null, or one list of them for "
                 "each name");
    return std::nullopt;
  }
  MatchValue value{MatchValue::Kind::kString, node.text};
  if (node.plain && (node.text == "true" || node.text == "false"))
    value.kind = MatchValue::Kind::kBool;
  else if (node.plain && IsJsonNumber(node.text))
    value.kind = MatchValue::Kind::kNumber;
  return value;
}

void ReadMatch(const Section& section, Entry* entry) {
  const Yaml* node = section.MapNode("match");
  if (node == nullptr) return;
  for (const YamlMember& member : node->members) {
    auto source = ReadTimeSource(section, "match", member.key.text);
    if (!source) continue;
    Match match{*std::move(source), {}};
    for (const Yaml& item : member.value.Items())
      if (auto value = ReadMatchValue(section, item))
        match.any_of.push_back(*std::move(value));
    if (member.value.Items().empty())
      section.Fail("match", fmt::format("expected at least one value in the list of {}",
                                        Quote(member.key.text)));
    entry->match.push_back(std::move(match));
  }
}

constexpr std::string_view kNoStan =
    "this binary was built without NATS Streaming (see `expirer version`); expected "
    "jetstream or core";
constexpr std::string_view kNoHeaders =
    "NATS Streaming carries no headers; expected none here";

void CheckStanEntry(const Section& section, const Entry& entry) {
  const auto is_header = [](const Source& source) {
    return source.kind == Source::Kind::kHeader;
  };
  const auto refuse_if = [&section](bool reads_header, std::string_view name) {
    if (reads_header) section.Fail(name, std::string(kNoHeaders));
  };
  if (!entry.subject.empty() && !IsStanChannel(entry.subject))
    section.Fail("subject",
                 "a channel of NATS Streaming has an exact name; expected no wildcards "
                 "and no /");
  refuse_if(std::any_of(entry.key.begin(), entry.key.end(), is_header), "key");
  refuse_if(entry.due && is_header(*entry.due), "due");
  refuse_if(entry.delay && is_header(*entry.delay), "delay");
  refuse_if(std::ranges::any_of(entry.match, is_header, &Match::source), "match");
}

Entry ReadEntry(const Section& section, bool schedule, const Rule& rule,
                std::string_view service) {
  Entry entry;
  section.Fill(&entry);
  if (!entry.subject.empty())
    section.Check("subject", CheckEventFilter(entry.subject, service), entry.subject);
  if (rule.source != Transport::kJetStream && section.Has("stream"))
    section.Fail("stream", "only source: jetstream reads streams; expected it left out");
  for (const std::string& text : section.Texts("key")) {
    if (auto source = ReadSource(section, "key", text)) {
      CheckToken(section, "key", source->token, entry.subject);
      entry.key.push_back(*std::move(source));
    }
  }
  ReadMatch(section, &entry);
  if (schedule)
    ReadDue(section, &entry);
  else
    ReadLateCancel(section, &entry);
  ReadVersion(section, &entry);
  if (rule.source == Transport::kStan) CheckStanEntry(section, entry);
  return entry;
}

Publish ReadPublish(const Section& section, const Filters& filters) {
  Publish publish;
  section.Fill(&publish);
  ReadTargetAndBody(section, filters, &publish);
  ReadHeaders(section, filters, &publish);
  if (publish.via == Transport::kStan && !StanCompiledIn())
    section.Fail("via", std::string(kNoStan));
  if (publish.via == Transport::kStan && section.Has("headers"))
    section.Fail("headers", std::string(kNoHeaders));
  return publish;
}

// One entry without a name, or a list of named ones.
void CheckPublishName(const Rule& rule, const Publish& publish, bool list,
                      const Section& section) {
  if (!list && section.Has("name"))
    section.Fail("name",
                 "expected it only in a list, where it distinguishes the entries");
  if (list && !section.Has("name"))
    section.Fail("name", "it is missing; each entry of a list needs one");
  section.CheckNew(publish.name, "publish", rule.publish);
}

void ReadPublishes(const Section& section, const std::vector<Section>& schedules,
                   const Config& config, Rule* rule) {
  Filters filters;
  for (const Entry& entry : rule->schedule) filters.push_back(entry.subject);
  const std::vector<Section> entries = section.List("publish");
  if (entries.empty()) return;
  rule->publish.clear();
  const bool list = section.Find("publish")->kind == Yaml::Kind::kList;
  for (const Section& entry : entries) {
    Publish publish = ReadPublish(entry, filters);
    CheckPublishName(*rule, publish, list, entry);
    CheckPublish(config, publish, entry);
    for (size_t i = 0; i < schedules.size(); ++i)
      CheckReach(config, rule->schedule[i], schedules[i], publish, entry);
    rule->publish.push_back(std::move(publish));
  }
}

void ReadDeliver(const Section& section, Rule* rule) {
  if (rule->source == Transport::kCore && section.Has("deliver"))
    section.Fail("deliver", "core NATS keeps no events; expected it left out");
  const std::string text = section.Text("deliver");
  if (text == "new") rule->deliver.from = Deliver::From::kNew;
  if (text == "new" || text == "all") return;
  const absl::StatusOr<int64_t> time_ms = ParseRfc3339(text);
  if (time_ms.ok())
    rule->deliver = {Deliver::From::kTime, *time_ms};
  else
    section.Fail("deliver",
                 fmt::format("expected all, new or an RFC 3339 time, found {}: {}",
                             Quote(text), Message(time_ms.status())));
}

// Members of one queue group share a channel's messages: each would miss some.
void CheckDurable(const Config& config, const Rule& rule, const Section& section) {
  const auto durable = [&config](const Rule& of) {
    return of.durable.empty() ? config.name + "-" + of.name : of.durable;
  };
  if (durable(rule).find_first_of(": \t") != std::string::npos)
    section.Fail("durable", "expected a name without : and spaces");
  for (size_t i = 0; i < config.rules.size(); ++i)
    if (config.rules[i].source == Transport::kStan &&
        durable(config.rules[i]) == durable(rule))
      section.Fail("durable",
                   fmt::format("rules[{}] has this one, so each would miss what the "
                               "other receives; expected another",
                               i));
}

void CheckStan(const Config& config, const Rule& rule, const Section& section) {
  if (rule.source != Transport::kStan) {
    if (section.Has("durable"))
      section.Fail("durable", "it applies only to source: stan; expected it left out");
    return;
  }
  if (!rule.was.empty() && rule.durable.empty())
    section.Fail("was",
                 "renaming changes the durable and re-reads the channel; expected "
                 "`durable` with the old name");
  if (!StanCompiledIn()) section.Fail("source", std::string(kNoStan));
  CheckDurable(config, rule, section);
}

void CheckVersions(const Section& section, const Rule& rule) {
  const auto versioned = [](const Entry& entry) { return entry.version.has_value(); };
  const auto count =
      std::count_if(rule.schedule.begin(), rule.schedule.end(), versioned) +
      std::count_if(rule.cancel.begin(), rule.cancel.end(), versioned);
  const size_t entries = rule.schedule.size() + rule.cancel.size();
  if (count > 0 && static_cast<size_t>(count) < entries)
    section.Fail("schedule", "expected version on all entries of the rule or on none");
}

void CheckWas(const Config& config, size_t index, const Section& section) {
  const std::string& was = config.rules[index].was;
  if (was.empty()) return;
  for (size_t i = 0; i < config.rules.size(); ++i) {
    if (config.rules[i].name == was || (i < index && config.rules[i].was == was))
      section.Fail("was",
                   fmt::format("rules[{}] has this name or takes it over; expected "
                               "the former name of a rule that no longer exists",
                               i));
  }
}

// Reports a target that belongs to NATS or the service, or that a rule reads.
void CheckTargetOf(const Config& config, const Rule& rule, const Template& target,
                   const Section& section) {
  std::string filter = target.Filter();
  if (filter.empty()) return;
  // A token with values stands as `*` in the filter; for the other checks any
  // plain token will do.
  std::string sample = filter;
  for (size_t i = 0; i < sample.size(); ++i) {
    const bool whole = (i == 0 || sample[i - 1] == '.') &&
                       (i + 1 == sample.size() || sample[i + 1] == '.');
    if (sample[i] == '*' && whole && !target.is_literal()) sample[i] = 'x';
  }
  absl::Status status = CheckTarget(sample);
  if (status.ok() && sample.starts_with(config.name + "."))
    status = Invalid(fmt::format(
        "expected a subject outside {}.>, which is expirer's own", config.name));
  if (!status.ok()) {
    section.Fail("subject", fmt::format("{}, found {}", Message(status), Quote(filter)));
    return;
  }
  if (rule.loop) return;
  for (const Rule& other : config.rules) {
    for (const std::vector<Entry>* entries : {&other.schedule, &other.cancel}) {
      for (const Entry& entry : *entries) {
        if (entry.subject.empty() || !SubjectsOverlap(entry.subject, filter)) continue;
        section.Fail(
            "subject",
            fmt::format(
                "rule {} reads this subject by its filter {}, so fired jobs would come "
                "back as events; expected another subject, or loop: true",
                Quote(other.name), Quote(entry.subject)));
        return;
      }
    }
  }
}

void CheckTargets(const Config& config, const Rule& rule, const Section& section) {
  const std::vector<Section> publishes = section.List("publish");
  for (size_t i = 0; i < publishes.size(); ++i)
    CheckTargetOf(config, rule, rule.publish[i].target, publishes[i]);
  const std::vector<Section> cancels = section.List("cancel");
  for (size_t i = 0; i < cancels.size(); ++i) {
    if (rule.cancel[i].late)
      CheckTargetOf(config, rule, rule.cancel[i].late->target, cancels[i].Map("late"));
  }
}

// Warns of schedule entries whose every event matches a cancel entry.
void WarnOfHidden(const Rule& rule, const Section& section) {
  for (const Entry& schedule : rule.schedule) {
    for (const Entry& cancel : rule.cancel) {
      if (!schedule.subject.empty() && !cancel.subject.empty() && cancel.match.empty() &&
          cancel.stream == schedule.stream &&
          SubjectCovers(cancel.subject, schedule.subject)) {
        section.Warn("schedule",
                     fmt::format("every event of {} matches the cancel entry {}, so it "
                                 "never schedules a job",
                                 Quote(schedule.subject), Quote(cancel.subject)));
      }
    }
  }
}

}  // namespace

Rule ReadRule(const Section& section, const Config& config) {
  Rule rule;
  section.Fill(&rule);
  section.CheckNew(rule.name, "rules", config.rules);
  const std::vector<Section> schedules = section.List("schedule");
  for (const Section& entry : schedules)
    rule.schedule.push_back(ReadEntry(entry, /*schedule=*/true, rule, config.name));
  for (const Section& entry : section.List("cancel"))
    rule.cancel.push_back(ReadEntry(entry, /*schedule=*/false, rule, config.name));
  ReadPublishes(section, schedules, config, &rule);
  for (Entry& cancel : rule.cancel)
    if (cancel.late && rule.publish[0].via == Transport::kStan)
      cancel.late->via = Transport::kStan;
  if (rule.retry.max_ms < rule.retry.initial_ms)
    section.Map("retry").Fail("max", "expected at least as long as retry.initial");
  if (!rule.reopen && config.core.history_ms == 0)
    section.Fail("reopen",
                 "with a store.history of 0s no closed key is remembered, so each may be "
                 "scheduled again; expected a longer store.history");
  for (const std::string& event : section.Texts("events"))
    section.Check("events", AddEvent(event, &rule.events), event);
  ReadDeliver(section, &rule);
  CheckStan(config, rule, section);
  CheckVersions(section, rule);
  WarnOfHidden(rule, section);
  return rule;
}

void CheckRules(const Config& config, const std::vector<Section>& sections) {
  for (size_t i = 0; i < sections.size(); ++i) {
    CheckWas(config, i, sections[i]);
    CheckTargets(config, config.rules[i], sections[i]);
  }
}

}  // namespace expirer
