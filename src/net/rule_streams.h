// Finds the streams that a rule reads, and the subjects that it reads of each: streams
// whose configured subjects match, and streams that an entry names because their subjects
// do not say what they store.
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
  std::vector<std::string> anywhere;  // from any stream that has the subject
  // From the streams that entries name, by their names.
  std::map<std::string, std::vector<std::string>> named;
};
[[nodiscard]] RuleFilters FiltersOf(const Rule& rule);
// The filters that the rule reads of `stream`, sorted; empty if it does not read it.
[[nodiscard]] std::vector<std::string> FiltersFor(const RuleFilters& filters,
                                                  const StreamInfo& stream);
// Whether the stream is read only by entries that name it.
[[nodiscard]] bool IsOnlyNamed(const RuleFilters& filters, const StreamInfo& stream);
// Whether the rule would read this stream if it is made as configured.
[[nodiscard]] bool Serves(const StreamSpec& spec, const RuleFilters& filters);
// True if some subject of `subjects` matches `filter`.
[[nodiscard]] bool Overlaps(const std::vector<std::string>& subjects,
                            const std::string& filter);

// Applies `transform` to a subject or filter. The result may be a filter, which is wider
// if the exact one cannot be computed. REQUIRED: transform.from covers the input.
[[nodiscard]] std::string Transformed(const SubjectTransform& transform,
                                      std::string_view subject);
// Filters that cover everything that `stream` may store. If it copies from other streams
// without saying what, asks for their subjects.
[[nodiscard]] std::vector<std::string> StoredSubjects(JetStream* js,
                                                      const StreamInfo& stream);
// OK if the stream may store messages that `filter` matches. Otherwise the message says
// what it stores, and what to write in the config.
absl::Status CheckStores(const StreamInfo& stream, const std::vector<std::string>& stored,
                         const std::string& filter);

}  // namespace expirer
