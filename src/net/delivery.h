// A message as nats.c delivered it, without nats.h: views live for the call.
//
// nats.c's own reader of headers is not used: 3.4 joins an empty value with the
// next header, takes none at all when the last value is empty, and ends a value at
// a zero byte; all versions lose the order. nats.c has no call for the header block
// as it came, but keeps a message as one run of bytes,
//
//   subject 0 reply 0 header block 0 payload
//
// (without the reply or the block where there is none), so the block is what stands
// between two texts that it does give. Should another version keep it otherwise,
// its headers count as unread (job/header_block.h), and are rejected, not lost.
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
  [[nodiscard]] std::string_view reply() const;  // "" when there is none
  [[nodiscard]] std::string_view payload() const;
  // The code and text of a server's status message ("100 Idle Heartbeat");
  // code 0 when this is an ordinary message. Only those without payload are
  // looked into.
  struct Status {
    int code = 0;
    std::string_view description;
  };
  [[nodiscard]] Status status() const;
  // "" when the header is missing; the first of several.
  [[nodiscard]] std::string Header(std::string_view name) const;
  // Replaces `headers` by all of the message's, in their order; by one that stands
  // for all when they cannot be read (UnreadHeaders).
  void CopyHeaders(Headers* headers) const;

 private:
  // "" when the message has no headers; nothing when it cannot be found.
  [[nodiscard]] std::optional<std::string_view> HeaderBlock() const;

  __natsMsg* message_;
};

}  // namespace expirer
