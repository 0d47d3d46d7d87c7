// Which simdjson is linked.
#pragma once

#include <string>

namespace expirer {

[[nodiscard]] std::string JsonLibrary();  // "simdjson 3.0.1 (haswell)"

}  // namespace expirer
