// Publishes messages with any bytes as their headers, as no client would.
#pragma once

#include <string>

namespace expirer::test {

// A message over core NATS whose header block is `block`, byte for byte; without
// headers where that is empty. Returns when the server has it; aborts the test
// process when it does not take it.
void PublishRaw(int port, const std::string& subject, const std::string& block,
                const std::string& payload);

}  // namespace expirer::test
