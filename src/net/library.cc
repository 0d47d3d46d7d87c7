#include "net/library.h"

#include <nats/nats.h>

#include "net/stan.h"

namespace expirer {

std::string NatsLibrary() {
  return std::string("nats.c ") + nats_GetVersion() +
         (StanCompiledIn() ? ", with NATS Streaming" : ", without NATS Streaming");
}

}  // namespace expirer
