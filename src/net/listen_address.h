// The address of `metrics.listen`.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace expirer {

struct ListenAddress {
  std::string host;  // an address or a name; "" = every address of this host
  int port = 0;      // 0 = a free one
};

// Parses HOST:PORT, [IPV6]:PORT or :PORT. An error's message says what was expected.
absl::StatusOr<ListenAddress> ParseListenAddress(std::string_view text);

}  // namespace expirer
