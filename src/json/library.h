// Name, version and implementation of the linked simdjson.
#pragma once

#include <string>

namespace expirer {

[[nodiscard]] std::string JsonLibrary();  // "simdjson 3.0.1 (haswell)"

}  // namespace expirer
