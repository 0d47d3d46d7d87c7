// A message as nats.c delivered it, without nats.h: views live for the call.
#pragma once

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
  [[nodiscard]] std::string_view Header(const char* name) const;
  // Replaces `headers` by all of the message's, repeated ones too, in order of
  // the library's choice but always the same for the same message.
  void CopyHeaders(Headers* headers) const;

 private:
  __natsMsg* message_;
};

}  // namespace expirer
