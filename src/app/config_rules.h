// Reads and checks the `rules` of a config file.
#pragma once

#include <vector>

#include "app/config.h"
#include "app/section.h"

namespace expirer {

// Reads the rule of one section and reports its errors and warnings. REQUIRED: `config`
// has everything but the rules from this one on.
[[nodiscard]] Rule ReadRule(const Section& section, const Config& config);

// Reports what can be judged only once all rules are read: former names that a rule has,
// and targets that a rule reads, or that belong to NATS or the service. `sections` are
// the rules' sections, in their order.
void CheckRules(const Config& config, const std::vector<Section>& sections);

}  // namespace expirer
