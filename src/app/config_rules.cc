#include "app/config_rules.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/rfc3339.h"
#include "net/stan.h"

namespace expirer {
namespace {

using Filters = std::vector<std::string>;

bool IsRuleName(std::string_view name) {
  return !name.empty() && name.size() <= 24 &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
         });
}

bool IsHeaderName(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return c > 0x20 && c < 0x7F && c != ':';
  });
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
  if (source.ok()) return *std::move(source);
  section.Fail(name, fmt::format("{}, found {}", Message(source.status()), Quote(text)));
  return std::nullopt;
}

// Of `due` and `delay`: not out of the subject, which holds no time.
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
                 "there is no number that it could count; expected it beside a due, "
                 "or a delay out of the event");
}

void ReadVersion(const Section& section, Entry* entry) {
  const auto text = section.OptionalText("version");
  if (!text) return;
  entry->version = ReadSource(section, "version", *text);
  if (entry->version && entry->version->kind != Source::Kind::kPointer)
    section.Fail("version", "expected a JSON pointer such as /version");
}

// `filters`: of the events that the template's values come from.
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
    if (!IsHeaderName(name)) {
      section.Fail("headers",
                   fmt::format("expected header names without spaces and colons, "
                               "found {}",
                               Quote(name)));
    } else if (IsReservedHeader(name)) {
      section.Fail("headers",
                   fmt::format("expected no Nats-... and Expirer-... headers, which "
                               "expirer and NATS set, found {}",
                               Quote(name)));
    }
    if (auto value =
            ReadTemplate(section, "headers", text, Template::Place::kHeader, filters))
      publish->headers.emplace_back(name, *std::move(value));
  }
}

// Target and body, of a publish entry as of a late cancel.
void ReadTargetAndBody(const Section& section, const Filters& filters, Publish* publish) {
  if (const auto subject = section.OptionalText("subject")) {
    publish->target =
        ReadTemplate(section, "subject", *subject, Template::Place::kSubject, filters)
            .value_or(Template());
  }
  if (const auto body = section.OptionalText("body"))
    publish->body = ReadTemplate(section, "body", *body, Template::Place::kBody, filters);
}

// When it runs, the due time of the job that fired is not at hand.
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
      section.Fail(name, "expected no ${due}, which a cancel does not know");
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
  switch (node.kind) {
    case Yaml::Kind::kNull: return MatchValue{};
    case Yaml::Kind::kScalar: break;
    default:
      section.Fail("match",
                   "expected texts, numbers, true, false, null, or one list of "
                   "them for each name");
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
    const bool list = member.value.kind == Yaml::Kind::kList;
    const std::vector<Yaml> one = list ? std::vector<Yaml>() : std::vector{member.value};
    for (const Yaml& item : list ? member.value.items : one)
      if (auto value = ReadMatchValue(section, item))
        match.any_of.push_back(*std::move(value));
    if (list && member.value.items.empty())
      section.Fail("match", fmt::format("expected at least one value in the list of {}",
                                        Quote(member.key.text)));
    entry->match.push_back(std::move(match));
  }
}

// What the server takes for a stream's name, which is a token of API subjects.
bool IsStreamName(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return c > 0x20 && c != 0x7F &&
           std::string_view(".*>/\\").find(c) == std::string_view::npos;
  });
}

Entry ReadEntry(const Section& section, bool schedule) {
  Entry entry;
  section.Fill(&entry);
  if (section.Has("stream") && !IsStreamName(entry.stream))
    section.Fail("stream", fmt::format("expected the name of a stream, without spaces "
                                       "and . * > / \\, found {}",
                                       Quote(entry.stream)));
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
  return entry;
}

std::vector<Entry> ReadEntries(const Section& rule, std::string_view name) {
  std::vector<Entry> entries;
  for (const Section& section : rule.List(name))
    entries.push_back(ReadEntry(section, name == "schedule"));
  return entries;
}

constexpr std::string_view kNoStan =
    "this expirer was built without NATS Streaming, as `expirer version` tells; expected "
    "jetstream or core";
constexpr std::string_view kNoHeaders =
    "NATS Streaming carries no headers; expected none of them here";

void CheckStanEntry(const Section& section, const Entry& entry) {
  const auto is_header = [](const Source& source) {
    return source.kind == Source::Kind::kHeader;
  };
  if (!entry.subject.empty() && !IsStanChannel(entry.subject))
    section.Fail("subject",
                 "a channel of NATS Streaming has an exact name; expected no wildcards "
                 "and no /");
  if (std::any_of(entry.key.begin(), entry.key.end(), is_header))
    section.Fail("key", std::string(kNoHeaders));
  if (entry.due && is_header(*entry.due)) section.Fail("due", std::string(kNoHeaders));
  if (entry.delay && is_header(*entry.delay))
    section.Fail("delay", std::string(kNoHeaders));
  if (std::any_of(entry.match.begin(), entry.match.end(),
                  [&](const Match& match) { return is_header(match.source); }))
    section.Fail("match", std::string(kNoHeaders));
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
void CheckPublishName(const Rule& rule, size_t index, bool list, const Section& section) {
  const std::string& name = rule.publish[index].name;
  if (!list) {
    if (section.Has("name"))
      section.Fail("name", "expected it only in a list, where it tells entries apart");
    return;
  }
  if (!section.Has("name")) {
    section.Fail("name", "it is missing; entries of a list need one each");
  } else if (!IsRuleName(name)) {
    section.Fail("name", "expected 1 to 24 of a-z, 0-9 and -");
  } else if (name == kLateQueue) {
    section.Fail("name",
                 "late is the name of jobs made by late cancels; expected another");
  }
  for (size_t i = 0; i < index; ++i) {
    if (!name.empty() && rule.publish[i].name == name)
      section.Fail("name", fmt::format("publish[{}] has this name; expected another", i));
  }
}

void ReadPublishes(const Section& section, Rule* rule) {
  Filters filters;
  for (const Entry& entry : rule->schedule) filters.push_back(entry.subject);
  const std::vector<Section> entries = section.List("publish");
  if (entries.empty()) return;
  rule->publish.clear();
  const bool list = section.Find("publish")->kind == Yaml::Kind::kList;
  for (size_t i = 0; i < entries.size(); ++i) {
    rule->publish.push_back(ReadPublish(entries[i], filters));
    CheckPublishName(*rule, i, list, entries[i]);
  }
}

void ReadDeliver(const Section& section, Rule* rule) {
  const std::string text = section.Text("deliver");
  if (text == "new") {
    rule->deliver.from = Deliver::From::kNew;
  } else if (text != "all") {
    const absl::StatusOr<int64_t> time_ms = ParseRfc3339(text);
    if (!time_ms.ok()) {
      section.Fail("deliver",
                   fmt::format("expected all, new or an RFC 3339 time, found {}: {}",
                               Quote(text), Message(time_ms.status())));
      return;
    }
    rule->deliver = {Deliver::From::kTime, *time_ms};
  }
}

// Reports features that NATS Streaming does not have.
void CheckStan(const Section& section, const Rule& rule) {
  const bool reads = rule.source == Transport::kStan;
  if (section.Has("durable") && !reads)
    section.Fail("durable", "only source: stan has one; expected it left out");
  if (reads && !rule.was.empty() && rule.durable.empty())
    section.Fail("was",
                 "renaming changes the durable and re-reads the channel; expected "
                 "`durable` with the old name");
  if (reads && !StanCompiledIn()) section.Fail("source", std::string(kNoStan));
  if (!reads) return;
  for (const char* const name : {"schedule", "cancel"}) {
    const std::vector<Entry>& entries =
        name == std::string_view("schedule") ? rule.schedule : rule.cancel;
    if (!section.Has(name)) continue;
    const std::vector<Section> sections = section.List(name);
    for (size_t i = 0; i < sections.size(); ++i) CheckStanEntry(sections[i], entries[i]);
  }
}

void CheckStreamsNamed(const Section& section, const Rule& rule) {
  if (rule.source == Transport::kJetStream) return;
  for (const char* const name : {"schedule", "cancel"}) {
    if (!section.Has(name)) continue;
    for (const Section& entry : section.List(name))
      if (entry.Has("stream"))
        entry.Fail("stream",
                   "only source: jetstream reads streams; expected it left out");
  }
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

void CheckName(const Config& config, size_t index, const Section& section) {
  const std::string& name = config.rules[index].name;
  if (!section.Has("name")) return;
  if (!IsRuleName(name)) {
    section.Fail("name", "expected 1 to 24 of a-z, 0-9 and -");
  } else if (name == "api") {
    section.Fail("name", "api is the name of jobs made by requests; expected another");
  }
  for (size_t i = 0; i < index; ++i) {
    if (config.rules[i].name == name)
      section.Fail("name", fmt::format("rules[{}] has this name; expected another", i));
  }
}

void CheckWas(const Config& config, size_t index, const Section& section) {
  const std::string& was = config.rules[index].was;
  if (was.empty()) return;
  if (!IsRuleName(was)) section.Fail("was", "expected 1 to 24 of a-z, 0-9 and -");
  for (size_t i = 0; i < config.rules.size(); ++i) {
    if (config.rules[i].name == was || (i < index && config.rules[i].was == was))
      section.Fail("was",
                   fmt::format("rules[{}] has this name or takes it over; expected "
                               "the name of a rule that is gone",
                               i));
  }
}

// Members of one queue group share a channel's messages: each would miss some.
void CheckDurable(const Config& config, size_t index, const Section& section) {
  const auto durable = [&config](const Rule& rule) {
    return rule.durable.empty() ? config.name + "-" + rule.name : rule.durable;
  };
  const Rule& rule = config.rules[index];
  if (rule.source != Transport::kStan) return;
  if (durable(rule).find_first_of(": \t") != std::string::npos)
    section.Fail("durable", "expected a name without : and spaces");
  for (size_t i = 0; i < index; ++i) {
    const Rule& other = config.rules[i];
    if (other.source == Transport::kStan && durable(other) == durable(rule))
      section.Fail("durable", fmt::format("rules[{}] has this one; expected another, or "
                                          "each would miss what the other gets",
                                          i));
  }
}

void CheckFilters(const Config& config, const Section& rule, std::string_view name) {
  if (!rule.Has(name)) return;
  for (const Section& entry : rule.List(name)) {
    const std::string filter = entry.Text("subject");
    if (filter.empty()) continue;
    if (absl::Status status = CheckEventFilter(filter, config.name); !status.ok())
      entry.Fail("subject", fmt::format("{}, found {}", Message(status), Quote(filter)));
  }
}

// Reports a target that is nobody's to publish to, or that feeds a rule.
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
                "rule {} reads this subject by {}, so fired jobs would come back; "
                "expected another subject, or loop: true",
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
  if (!section.Has("cancel")) return;
  const std::vector<Section> cancels = section.List("cancel");
  for (size_t i = 0; i < cancels.size(); ++i) {
    if (rule.cancel[i].late)
      CheckTargetOf(config, rule, rule.cancel[i].late->target, cancels[i].Map("late"));
  }
}

// Schedule entries that a cancel entry takes every event from.
void WarnOfHidden(const Rule& rule, const Section& section,
                  std::vector<YamlIssue>* warnings) {
  for (const Entry& schedule : rule.schedule) {
    for (const Entry& cancel : rule.cancel) {
      if (!schedule.subject.empty() && !cancel.subject.empty() && cancel.match.empty() &&
          cancel.stream == schedule.stream &&
          SubjectCovers(cancel.subject, schedule.subject)) {
        warnings->push_back(section.Issue(
            "schedule",
            fmt::format("every event of {} matches the cancel entry {}, so it never "
                        "schedules a job",
                        Quote(schedule.subject), Quote(cancel.subject))));
      }
    }
  }
}

}  // namespace

Rule ReadRule(const Section& section) {
  Rule rule;
  section.Fill(&rule);
  rule.schedule = ReadEntries(section, "schedule");
  rule.cancel = ReadEntries(section, "cancel");
  ReadPublishes(section, &rule);
  for (Entry& cancel : rule.cancel)
    if (cancel.late && rule.publish[0].via == Transport::kStan)
      cancel.late->via = Transport::kStan;
  if (rule.retry.max_ms < rule.retry.initial_ms)
    section.Map("retry").Fail("max", "expected at least as long as retry.initial");
  ReadDeliver(section, &rule);
  if (rule.source == Transport::kCore && section.Has("deliver"))
    section.Fail("deliver", "core NATS keeps no events; expected it left out");
  CheckStan(section, rule);
  CheckStreamsNamed(section, rule);
  CheckVersions(section, rule);
  return rule;
}

std::vector<YamlIssue> CheckRules(const Config& config,
                                  const std::vector<Section>& sections) {
  std::vector<YamlIssue> warnings;
  for (size_t i = 0; i < sections.size(); ++i) {
    CheckName(config, i, sections[i]);
    CheckWas(config, i, sections[i]);
    CheckDurable(config, i, sections[i]);
    CheckFilters(config, sections[i], "schedule");
    CheckFilters(config, sections[i], "cancel");
    CheckTargets(config, config.rules[i], sections[i]);
    WarnOfHidden(config.rules[i], sections[i], &warnings);
  }
  return warnings;
}

absl::Status CheckEventFilter(std::string_view filter, std::string_view service) {
  RETURN_IF_ERROR(CheckSubjectFilter(filter));
  if (filter.starts_with('$') || filter.starts_with("_INBOX"))
    return Invalid("expected a subject outside $... and _INBOX..., which belong to NATS");
  const std::string own(service);
  if (filter.substr(0, filter.find('.')) == service ||
      SubjectsOverlap(filter, own + ".v1.>"))
    return Invalid(fmt::format(
        "expected a filter that leaves out {}.>, which is expirer's own", service));
  return absl::OkStatus();
}

}  // namespace expirer
