// What this binary is made of.
#pragma once

#include <string>

namespace expirer {

// "0.1.0".
[[nodiscard]] std::string Version();
// Version, commit, linked libraries and what was compiled in, a line each.
[[nodiscard]] std::string VersionText();

}  // namespace expirer
