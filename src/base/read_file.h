// Reads a whole file.
#pragma once

#include <string>

#include "base/status.h"

namespace expirer {

// The content of the file at `path`. Error kNotFound if it cannot be read or is a
// directory, with the message "PATH cannot be read: why".
absl::StatusOr<std::string> ReadFile(const std::string& path);

}  // namespace expirer
