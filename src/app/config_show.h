// `config show`: every value in effect, and its origin.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "app/config.h"

namespace expirer {

// A line "path: value  # origin" for every key of the table, in its order; for rules and
// streams only keys that are set or have a default. The origin is "default", "FILE:line",
// or the origin of the last of `overrides` with this path. Secrets, including those in
// URLs, are shown as "(hidden)". REQUIRED: `text` is a config without errors.
[[nodiscard]] std::string ShowConfig(std::string_view text, std::string_view file_name,
                                     const std::vector<ConfigOverride>& overrides);

}  // namespace expirer
