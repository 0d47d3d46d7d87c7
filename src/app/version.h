// What this binary is made of.
#pragma once

#include <string>

namespace expirer {

// "0.1.0".
[[nodiscard]] std::string Version();
// Twelve digits of it, with "-dirty" where files differed; "unknown" outside a
// checkout.
[[nodiscard]] std::string Commit();
// Version, commit, linked libraries and what was compiled in, a line each.
[[nodiscard]] std::string VersionText();

}  // namespace expirer
