// Version, commit and linked libraries of this binary.
#pragma once

#include <string>

namespace expirer {

// "0.1.0".
[[nodiscard]] std::string Version();
// Twelve digits of the commit, plus "-dirty" if files differed; "unknown" outside a
// checkout.
[[nodiscard]] std::string Commit();
// Version, commit, linked libraries and optional parts, one line each.
[[nodiscard]] std::string VersionText();

}  // namespace expirer
