// Reads and checks the `rules` of a config file.
#pragma once

#include <string>
#include <vector>

#include "app/config.h"
#include "app/section.h"

namespace expirer {

// Reads the rule of one section and reports its errors.
[[nodiscard]] Rule ReadRule(const Section& section);

// Checks rules against each other and the rest of the config: unique names, filters and
// targets outside the service's own subjects, no target that a rule reads. `sections` are
// the rules' sections, in their order. Returns warnings; errors go to the sections'
// report.
[[nodiscard]] std::vector<YamlIssue> CheckRules(const Config& config,
                                                const std::vector<Section>& sections);

// OK for a well-formed filter that reads no subjects of NATS ($..., _INBOX...) or of this
// service (<name>.>).
[[nodiscard]] absl::Status CheckEventFilter(std::string_view filter,
                                            std::string_view service);

}  // namespace expirer
