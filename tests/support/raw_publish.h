// Headers byte for byte: messages with any bytes as their headers, as no client
// would publish them, and what a stream has of them.
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/escaping.h"
#include "support/nats_server.h"

namespace expirer::test {

// A message over core NATS whose header block is `block`, byte for byte; without
// headers where that is empty. Returns when the server has it; aborts the test
// process when it does not take it.
void PublishRaw(int port, const std::string& subject, const std::string& block,
                const std::string& payload);

// The header block of a stored message; "" when there is none.
inline std::string StoredBlock(TestClient& client, const std::string& stream,
                               uint64_t seq) {
  const std::string reply =
      client.Api("STREAM.MSG.GET." + stream, "{\"seq\":" + std::to_string(seq) + "}");
  const std::string before = "\"hdrs\":\"";
  const size_t at = reply.find(before);
  if (at == reply.npos) return "";
  const size_t begin = at + before.size();
  std::string block;
  return absl::Base64Unescape(reply.substr(begin, reply.find('"', begin) - begin), &block)
             ? block
             : "no base64: " + reply;
}

}  // namespace expirer::test
