#include "app/config_rules.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace expirer {
namespace {

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

bool IsReservedHeader(std::string_view name) {
  return EqualsIgnoringCase(name.substr(0, 5), "nats-") ||
         EqualsIgnoringCase(name.substr(0, 8), "expirer-");
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

// `delay`: a duration; from the event only in a later release.
void ReadDelay(const Section& section, Entry* entry) {
  const Yaml* raw = section.Find("delay");
  if (raw == nullptr) return;
  if (raw->text.starts_with('/') || raw->text.starts_with("header:")) {
    section.Fail("delay",
                 "a delay out of the event is not in this release; expected a duration "
                 "such as 15m");
    return;
  }
  entry->delay_ms = section.OptionalDurationMs("delay");
}

void ReadDue(const Section& section, Entry* entry) {
  if (const auto due = section.OptionalText("due")) {
    entry->due = ReadSource(section, "due", *due);
    if (entry->due && entry->due->kind == Source::Kind::kSubjectToken) {
      section.Fail("due", "expected a JSON pointer or header:Name, found subject:N");
      entry->due.reset();
    }
  }
  ReadDelay(section, entry);
  if (section.Has("due") && section.Has("delay"))
    section.Fail("delay", "expected due or delay, found both");
}

void ReadVersion(const Section& section, Entry* entry) {
  const auto text = section.OptionalText("version");
  if (!text) return;
  entry->version = ReadSource(section, "version", *text);
  if (entry->version && entry->version->kind != Source::Kind::kPointer)
    section.Fail("version", "expected a JSON pointer such as /version");
}

Entry ReadEntry(const Section& section, bool schedule) {
  Entry entry;
  entry.subject = section.Text("subject");
  for (const std::string& text : section.Texts("key")) {
    if (auto source = ReadSource(section, "key", text)) {
      CheckToken(section, "key", source->token, entry.subject);
      entry.key.push_back(*std::move(source));
    }
  }
  if (schedule) ReadDue(section, &entry);
  ReadVersion(section, &entry);
  return entry;
}

std::vector<Entry> ReadEntries(const Section& rule, std::string_view name) {
  std::vector<Entry> entries;
  for (const Section& section : rule.List(name))
    entries.push_back(ReadEntry(section, name == "schedule"));
  return entries;
}

std::optional<Template> ReadTemplate(const Section& section, std::string_view name,
                                     std::string_view text, Template::Place place,
                                     const Rule& rule) {
  absl::StatusOr<Template> result = Template::Parse(text, place);
  if (!result.ok()) {
    section.Fail(name, Message(result.status()));
    return std::nullopt;
  }
  for (const Entry& entry : rule.schedule)
    CheckToken(section, name, result->subject_tokens(), entry.subject);
  return *std::move(result);
}

void ReadHeaders(const Section& publish, Rule* rule) {
  for (const auto& [name, text] : publish.TextMap("headers")) {
    if (!IsHeaderName(name)) {
      publish.Fail("headers",
                   fmt::format("expected header names without spaces and colons, "
                               "found {}",
                               Quote(name)));
    } else if (IsReservedHeader(name)) {
      publish.Fail("headers",
                   fmt::format("expected no Nats-... and Expirer-... headers, which "
                               "expirer and NATS set, found {}",
                               Quote(name)));
    }
    if (auto value =
            ReadTemplate(publish, "headers", text, Template::Place::kHeader, *rule))
      rule->headers.emplace_back(name, *std::move(value));
  }
}

void ReadPublish(const Section& section, Rule* rule) {
  if (const Yaml* raw = section.Find("publish");
      raw != nullptr && raw->kind == Yaml::Kind::kList) {
    section.Fail("publish", "a list is not in this release; expected one map");
    return;
  }
  const Section publish = section.Map("publish");
  if (const auto subject = publish.OptionalText("subject")) {
    rule->target =
        ReadTemplate(publish, "subject", *subject, Template::Place::kSubject, *rule)
            .value_or(Template());
  } else if (publish.present() && !publish.Has("subject")) {
    return;
  }
  if (const auto body = publish.OptionalText("body"))
    rule->body = ReadTemplate(publish, "body", *body, Template::Place::kBody, *rule);
  ReadHeaders(publish, rule);
  const Section late = publish.Map("late");
  rule->late.after_ms = late.OptionalDurationMs("after").value_or(0);
  const std::string action = late.Choice("action");
  rule->late.action = action == "skip"   ? LateAction::kSkip
                      : action == "dead" ? LateAction::kDead
                                         : LateAction::kFire;
}

void ReadRetry(const Section& section, RetryPolicy* policy) {
  const Section retry = section.Map("retry");
  policy->initial_ms = retry.DurationMs("initial");
  policy->max_ms = retry.DurationMs("max");
  policy->attempts = static_cast<uint64_t>(retry.Integer("attempts"));
  if (policy->max_ms < policy->initial_ms)
    retry.Fail("max", "expected at least as long as retry.initial");
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
void CheckRuleTarget(const Config& config, const Rule& rule, const Section& publish) {
  std::string filter = rule.target.Filter();
  if (filter.empty()) return;
  // A token with values stands as `*` in the filter; for the other checks any
  // plain token will do.
  std::string sample = filter;
  for (size_t i = 0; i < sample.size(); ++i) {
    const bool whole = (i == 0 || sample[i - 1] == '.') &&
                       (i + 1 == sample.size() || sample[i + 1] == '.');
    if (sample[i] == '*' && whole && !rule.target.is_literal()) sample[i] = 'x';
  }
  absl::Status status = CheckTarget(sample);
  if (status.ok() && sample.starts_with(config.name + "."))
    status = Invalid(fmt::format(
        "expected a subject outside {}.>, which is expirer's own", config.name));
  if (!status.ok()) {
    publish.Fail("subject", fmt::format("{}, found {}", Message(status), Quote(filter)));
    return;
  }
  if (rule.loop) return;
  for (const Rule& other : config.rules) {
    for (const std::vector<Entry>* entries : {&other.schedule, &other.cancel}) {
      for (const Entry& entry : *entries) {
        if (entry.subject.empty() || !SubjectsOverlap(entry.subject, filter)) continue;
        publish.Fail(
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

// Schedule entries that a cancel entry takes every event from.
void WarnOfHidden(const Rule& rule, const Section& section,
                  std::vector<YamlIssue>* warnings) {
  for (const Entry& schedule : rule.schedule) {
    for (const Entry& cancel : rule.cancel) {
      if (!schedule.subject.empty() && !cancel.subject.empty() &&
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
  rule.name = section.Text("name");
  rule.reopen = section.Bool("reopen");
  rule.schedule = ReadEntries(section, "schedule");
  rule.cancel = ReadEntries(section, "cancel");
  ReadPublish(section, &rule);
  ReadRetry(section, &rule.retry);
  rule.loop = section.Bool("loop");
  CheckVersions(section, rule);
  return rule;
}

std::vector<YamlIssue> CheckRules(const Config& config,
                                  const std::vector<Section>& sections) {
  std::vector<YamlIssue> warnings;
  for (size_t i = 0; i < sections.size(); ++i) {
    CheckName(config, i, sections[i]);
    CheckFilters(config, sections[i], "schedule");
    CheckFilters(config, sections[i], "cancel");
    const Yaml* publish = sections[i].Find("publish");
    if (publish != nullptr && publish->kind == Yaml::Kind::kMap)
      CheckRuleTarget(config, config.rules[i], sections[i].Map("publish"));
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
