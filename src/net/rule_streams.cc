#include "net/rule_streams.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "net/consumer_setup.h"

namespace expirer {
namespace {

// A stream that takes from one that takes from one: enough is enough.
constexpr int kOriginsDeep = 3;

std::vector<std::string_view> Tokens(std::string_view subject) {
  std::vector<std::string_view> tokens;
  while (true) {
    const size_t dot = subject.find('.');
    tokens.push_back(subject.substr(0, dot));
    if (dot == std::string_view::npos) return tokens;
    subject.remove_prefix(dot + 1);
  }
}

// The wildcard that a token of a destination stands for, from 1: $1 or
// {{wildcard(1)}}; 0 = none.
size_t WildcardOf(std::string_view token) {
  std::string_view digits;
  constexpr std::string_view kWildcard = "{{wildcard(";
  if (token.starts_with('$'))
    digits = token.substr(1);
  else if (token.starts_with(kWildcard))
    digits = token.substr(kWildcard.size());
  size_t number = 0;
  (void)std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return number;
}

// Some functions of a transform make several tokens of one.
bool MakesOneToken(std::string_view function) {
  return function.find("split") == std::string_view::npos &&
         function.find("slice") == std::string_view::npos &&
         function.find("Split") == std::string_view::npos &&
         function.find("Slice") == std::string_view::npos;
}

// All that messages on `subjects` may be stored as once `transform` was applied.
std::vector<std::string> AllTransformed(const SubjectTransform& transform,
                                        const std::vector<std::string>& subjects,
                                        bool keeps_others) {
  std::vector<std::string> out;
  for (const std::string& subject : subjects) {
    const bool covered = SubjectCovers(transform.from, subject);
    if (covered || SubjectsOverlap(transform.from, subject))
      out.push_back(Transformed(transform, covered ? subject : transform.from));
    if (!covered && keeps_others) out.push_back(subject);
  }
  return out;
}

bool AnyOverlaps(const std::vector<std::string>& subjects,
                 const std::vector<std::string>& filters) {
  return std::any_of(filters.begin(), filters.end(),
                     [&](const std::string& f) { return Overlaps(subjects, f); });
}

std::vector<std::string> Stored(JetStream* js, const StreamInfo& stream, int deep);

std::vector<std::string> StoredOf(JetStream* js, const StreamOrigin& origin, int deep) {
  std::vector<std::string> subjects = {">"};
  if (!origin.filter.empty()) {
    subjects = {origin.filter};
  } else if (origin.transforms.empty() && !origin.external && deep < kOriginsDeep) {
    const auto stream = js->Stream(origin.name);
    if (stream.ok()) subjects = Stored(js, *stream, deep + 1);
  }
  if (origin.transforms.empty()) return subjects;
  // They leave out what none of them is for.
  std::vector<std::string> out;
  for (const SubjectTransform& transform : origin.transforms)
    for (std::string& one : AllTransformed(transform, subjects, /*keeps_others=*/false))
      out.push_back(std::move(one));
  return out;
}

std::vector<std::string> Stored(JetStream* js, const StreamInfo& stream, int deep) {
  std::vector<std::string> subjects = stream.subjects;
  for (const StreamOrigin& origin : stream.origins)
    for (std::string& one : StoredOf(js, origin, deep))
      subjects.push_back(std::move(one));
  if (stream.transform)
    subjects = AllTransformed(*stream.transform, subjects, /*keeps_others=*/true);
  return NarrowFilters(std::move(subjects));
}

}  // namespace

bool Overlaps(const std::vector<std::string>& subjects, const std::string& filter) {
  return std::any_of(subjects.begin(), subjects.end(),
                     [&](const std::string& s) { return SubjectsOverlap(s, filter); });
}

RuleFilters FiltersOf(const Rule& rule) {
  RuleFilters filters;
  for (const std::vector<Entry>* entries : {&rule.schedule, &rule.cancel}) {
    for (const Entry& entry : *entries) {
      std::vector<std::string>& of =
          entry.stream.empty() ? filters.anywhere : filters.named[entry.stream];
      of.push_back(entry.subject);
    }
  }
  filters.anywhere = NarrowFilters(std::move(filters.anywhere));
  for (auto& [stream, of] : filters.named) of = NarrowFilters(std::move(of));
  return filters;
}

std::vector<std::string> FiltersFor(const RuleFilters& filters,
                                    const StreamInfo& stream) {
  std::vector<std::string> wanted;
  for (const std::string& filter : filters.anywhere)
    if (Overlaps(stream.subjects, filter)) wanted.push_back(filter);
  if (const auto named = filters.named.find(stream.name); named != filters.named.end())
    wanted.insert(wanted.end(), named->second.begin(), named->second.end());
  return NarrowFilters(std::move(wanted));
}

bool IsOnlyNamed(const RuleFilters& filters, const StreamInfo& stream) {
  return !AnyOverlaps(stream.subjects, filters.anywhere);
}

bool Serves(const StreamSpec& spec, const RuleFilters& filters) {
  return filters.named.contains(spec.name) ||
         AnyOverlaps(spec.subjects, filters.anywhere);
}

std::string Transformed(const SubjectTransform& transform, std::string_view subject) {
  if (transform.to.empty()) return std::string(subject);
  const std::vector<std::string_view> given = Tokens(subject);
  std::vector<std::string_view> wildcards;
  std::string_view rest = ">";
  size_t at = 0;
  for (const std::string_view token : Tokens(transform.from)) {
    if (token == ">" && at < given.size())
      rest = subject.substr(static_cast<size_t>(given[at].data() - subject.data()));
    if (token == "*" && at < given.size()) wildcards.push_back(given[at]);
    ++at;
  }
  std::string out;
  for (const std::string_view token : Tokens(transform.to)) {
    if (!out.empty()) out += '.';
    const size_t wildcard = WildcardOf(token);
    if (token == ">") {
      out += rest;
    } else if (wildcard > 0 && wildcard <= wildcards.size()) {
      out += wildcards[wildcard - 1];
    } else if (token.find("{{") == std::string_view::npos && wildcard == 0) {
      out += token;
    } else if (MakesOneToken(token)) {
      out += '*';
    } else {
      return out + '>';
    }
  }
  return out;
}

std::vector<std::string> StoredSubjects(JetStream* js, const StreamInfo& stream) {
  return Stored(js, stream, 0);
}

absl::Status CheckStores(const StreamInfo& stream, const std::vector<std::string>& stored,
                         const std::string& filter) {
  if (Overlaps(stored, filter)) return absl::OkStatus();
  std::vector<SubjectTransform> transforms;
  for (const StreamOrigin& origin : stream.origins)
    transforms.insert(transforms.end(), origin.transforms.begin(),
                      origin.transforms.end());
  if (stream.transform) transforms.push_back(*stream.transform);
  for (const SubjectTransform& transform : transforms) {
    if (!SubjectCovers(transform.from, filter)) continue;
    const std::string as_stored = Transformed(transform, filter);
    if (!Overlaps(stored, as_stored)) continue;
    return Refused(fmt::format(
        "stream {0} stores {1} as {2}, by a subject transform, so {1} would never match; "
        "write `subject: {2}` with `stream: {0}`",
        stream.name, filter, as_stored));
  }
  return Refused(
      fmt::format("stream {} stores nothing that {} matches, only {}; write the subject "
                  "as it is stored, or name another `stream`",
                  stream.name, filter, fmt::join(stored, ", ")));
}

}  // namespace expirer
