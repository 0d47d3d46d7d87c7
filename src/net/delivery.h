// A message from nats.c, without including nats.h. Views are valid during the call.
//
// We do not use nats.c's reader of headers: 3.4 joins an empty value with the next
// header, reads no headers if the last value is empty, and ends a value at a zero byte;
// all versions lose the order. nats.c has no call for the raw header block, but it stores
// a message as one run of bytes,
//
//   subject 0 reply 0 header block 0 payload
//
// (without the reply or the block if the message has none). So the block lies between two
// texts that nats.c returns. If another version stores it otherwise, the headers count as
// unreadable (job/header_block.h), and the message is rejected, not lost.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "job/job.h"

struct __natsMsg;

namespace expirer {

class Delivery {
 public:
  explicit Delivery(__natsMsg* message) : message_(message) {}

  [[nodiscard]] std::string_view subject() const;
  [[nodiscard]] std::string_view reply() const;  // "" if there is none
  [[nodiscard]] std::string_view payload() const;
  // The code and text of a server's status message ("100 Idle Heartbeat");
  // code 0 if this is an ordinary message. A message with a payload always counts as
  // ordinary.
  struct Status {
    int code = 0;
    std::string_view description;
  };
  [[nodiscard]] Status status() const;
  // The value of the first header with this name; "" if it is missing.
  [[nodiscard]] std::string Header(std::string_view name) const;
  // Replaces `headers` by those of the message, in their order, or by UnreadHeaders if
  // they cannot be read.
  void CopyHeaders(Headers* headers) const;

 private:
  // The raw header block: "" if the message has no headers, empty optional if it cannot
  // be found.
  [[nodiscard]] std::optional<std::string_view> HeaderBlock() const;

  __natsMsg* message_;
};

}  // namespace expirer
