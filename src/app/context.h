// The connection's settings from contexts of the `nats` CLI, its environment and its
// flags. Flags override the environment, which overrides a context.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "app/config.h"
#include "net/connection_options.h"

namespace CLI {
class App;
}  // namespace CLI

namespace expirer {

// The values of the flags; empty = not given.
struct ClientFlags {
  std::string context;
  std::map<std::string_view, std::string> values;  // by the paths of their keys
};

// Adds the flags to a command. `flags` must live as long as the command.
void AddClientFlags(CLI::App* command, ClientFlags* flags);
// The value of --timeout in ms; an error is bad usage.
absl::StatusOr<int64_t> ParseTimeout(const std::string& text);

// The overrides from a named context (--context, or NATS_CONTEXT), the environment and
// the flags, in this order. Credentials come from a single source; those of
// lower-priority sources are removed, in all forms (creds, nkey, user, token). So --user
// overrides the creds of a context. Errors are bad usage: a missing or malformed context.
absl::StatusOr<std::vector<ConfigOverride>> Overrides(const ClientFlags& flags,
                                                      const Environment& getenv);

// For commands that have no config: applies the same to the defaults. If no context is
// named, it uses the one that is selected in $XDG_CONFIG_HOME/nats/context.txt. Errors
// are bad usage: a missing or malformed context, or an invalid value.
absl::StatusOr<ConnectionOptions> ClientOptions(const ClientFlags& flags,
                                                const Environment& getenv);

}  // namespace expirer
