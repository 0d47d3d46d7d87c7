// Which nats.c is linked.
#pragma once

#include <string>

namespace expirer {

[[nodiscard]] std::string NatsLibrary();  // "nats.c 3.4.1"

}  // namespace expirer
