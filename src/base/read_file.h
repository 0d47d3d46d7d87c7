// A whole file as text.
#pragma once

#include <string>

#include "base/status.h"

namespace expirer {

// What stands in the file at `path`. kNotFound where it cannot be read, also
// where it is a directory: "PATH cannot be read: why".
[[nodiscard]] absl::StatusOr<std::string> ReadFile(const std::string& path);

}  // namespace expirer
