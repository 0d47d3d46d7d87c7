// Where the client commands find NATS: contexts of the `nats` CLI, its
// environment and its flags, later ones first.
#pragma once

#include <string>

#include "app/config.h"
#include "net/connection_options.h"

namespace expirer {

// What the flags say; empty = not given.
struct ClientFlags {
  std::string context;
  std::string servers;
  std::string user, password, creds, nkey;
  std::string tls_ca, tls_cert, tls_key;
  std::string inbox_prefix;
};

// Defaults < context (--context, NATS_CONTEXT, or the one selected in
// $XDG_CONFIG_HOME/nats/context.txt) < environment < flags. Errors are bad
// usage: a context that was named and is not there, malformed files or URLs.
[[nodiscard]] absl::StatusOr<ConnectionOptions> ClientOptions(const ClientFlags& flags,
                                                              const Environment& getenv);

// `config` as a connection takes it.
[[nodiscard]] ConnectionOptions ConnectionFrom(const NatsConfig& config);

}  // namespace expirer
