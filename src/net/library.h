// Version and features of the linked nats.c.
#pragma once

#include <string>

namespace expirer {

[[nodiscard]] std::string NatsLibrary();  // "nats.c 3.4.1, with ..."

}  // namespace expirer
