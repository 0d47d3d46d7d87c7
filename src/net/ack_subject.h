// The reply subject of a JetStream delivery. The ack goes to it, and it contains
// everything that the server says about the message.
//
//   v1  $JS.ACK.<stream>.<consumer>.<delivered>.<sseq>.<cseq>.<ns>.<pending>
//   v2  $JS.ACK.<domain>.<account hash>.<stream>.<consumer>.<delivered>.<sseq>
//       .<cseq>.<ns>.<pending>[.<token>]          (domain "_" = none)
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace expirer {

// Views point into the subject.
struct AckSubject {
  std::string_view stream;
  std::string_view consumer;
  uint64_t delivered = 0;  // number of deliveries, this one included
  uint64_t stream_seq = 0;
  uint64_t consumer_seq = 0;
  int64_t time_ns = 0;   // since 1970
  uint64_t pending = 0;  // matching messages after this one
};

// Empty for any other subject, malformed ones included.
[[nodiscard]] std::optional<AckSubject> ParseAckSubject(std::string_view subject);

}  // namespace expirer
