#include "net/library.h"

#include <nats/nats.h>

namespace expirer {

std::string NatsLibrary() { return std::string("nats.c ") + nats_GetVersion(); }

}  // namespace expirer
