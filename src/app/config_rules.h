// Reads and checks the `rules` of a config file.
#pragma once

#include <string>
#include <vector>

#include "app/config.h"
#include "app/section.h"

namespace expirer {

// The rule of one section; reports what is wrong with it by itself.
[[nodiscard]] Rule ReadRule(const Section& section);

// What rules must keep together and towards the rest of the config: unique
// names, filters and targets outside the service's own subjects, no target
// that feeds a rule. `sections` are the rules' own, in their order. Returns
// warnings; errors go to the sections' report.
[[nodiscard]] std::vector<YamlIssue> CheckRules(const Config& config,
                                                const std::vector<Section>& sections);

// OK for a filter that reads other people's events: well formed, and not of
// NATS ($..., _INBOX...) or of this service (<name>.>).
[[nodiscard]] absl::Status CheckEventFilter(std::string_view filter,
                                            std::string_view service);

}  // namespace expirer
