// Where NATS is: contexts of the `nats` CLI, its environment and its flags,
// later ones first.
#pragma once

#include <string>
#include <vector>

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

// What a context that is named (--context, else NATS_CONTEXT), the environment and
// the flags override, in this order. Whichever of them says who we are says all of
// it: what came before is void in its other forms (creds, nkey, user, token), so
// that --user goes before the creds of a context. Errors are bad usage: a context
// that is not there or malformed.
[[nodiscard]] absl::StatusOr<std::vector<ConfigOverride>> Overrides(
    const ClientFlags& flags, const Environment& getenv);

// Of commands that only ask and have no config: the same over the defaults, and
// where no context is named that which is selected in
// $XDG_CONFIG_HOME/nats/context.txt. Errors are bad usage: as above, and values
// that cannot be.
[[nodiscard]] absl::StatusOr<ConnectionOptions> ClientOptions(const ClientFlags& flags,
                                                              const Environment& getenv);

}  // namespace expirer
