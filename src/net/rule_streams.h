// Which streams a rule reads, and of each what: those found by the subjects they are
// configured with, and those that an entry names because their subjects do not tell.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "job/rules.h"
#include "net/jetstream.h"

namespace expirer {

struct RuleFilters {
  std::vector<std::string> anywhere;  // of whichever stream carries it
  // Of the streams that entries name, by their names.
  std::map<std::string, std::vector<std::string>> named;
};
[[nodiscard]] RuleFilters FiltersOf(const Rule& rule);
// What the rule reads of `stream`, sorted; empty where it does not read it.
[[nodiscard]] std::vector<std::string> FiltersFor(const RuleFilters& filters,
                                                  const StreamInfo& stream);
// Whether only entries that name the stream read it.
[[nodiscard]] bool IsOnlyNamed(const RuleFilters& filters, const StreamInfo& stream);
// Whether a stream made as configured would be read.
[[nodiscard]] bool Serves(const StreamSpec& spec, const RuleFilters& filters);
// True when some subject of `subjects` matches `filter`.
[[nodiscard]] bool Overlaps(const std::vector<std::string>& subjects,
                            const std::string& filter);

// What `transform` makes of a subject or filter; a filter, wider where that cannot be
// told. REQUIRED: transform.from covers it.
[[nodiscard]] std::string Transformed(const SubjectTransform& transform,
                                      std::string_view subject);
// Filters that cover all that `stream` may store. Where it takes from other streams,
// and does not say what, those are asked.
[[nodiscard]] std::vector<std::string> StoredSubjects(JetStream* js,
                                                      const StreamInfo& stream);
// OK when the stream may store messages that `filter` matches; else the message says
// what it stores, and what to write.
[[nodiscard]] absl::Status CheckStores(const StreamInfo& stream,
                                       const std::vector<std::string>& stored,
                                       const std::string& filter);

}  // namespace expirer
