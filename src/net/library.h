// Which nats.c is linked, and what of it.
#pragma once

#include <string>

namespace expirer {

[[nodiscard]] std::string NatsLibrary();  // "nats.c 3.4.1, with ..."

}  // namespace expirer
