// `config show`: every value in effect, and where it came from.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "app/config.h"

namespace expirer {

// Lines "path: value  # origin" for every key of the table, in its order; of
// rules and streams only keys that are set or have a default. The origin is
// "default", "FILE:line", or that of the last of `overrides` with this path.
// Secrets, also those in URLs, are shown as "(hidden)". REQUIRED: `text` is a
// config without errors.
[[nodiscard]] std::string ShowConfig(std::string_view text, std::string_view file_name,
                                     const std::vector<ConfigOverride>& overrides);

}  // namespace expirer
