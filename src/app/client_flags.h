// The flags of commands that ask NATS: where it is, as the `nats` CLI has them,
// and how long to wait.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"

namespace CLI {
class App;
}  // namespace CLI

namespace expirer {

struct ClientFlags;

// `flags` must live as long as the command.
void AddClientFlags(CLI::App* command, ClientFlags* flags);

// What --timeout says, in ms; an error is bad usage.
[[nodiscard]] absl::StatusOr<int64_t> ParseTimeout(const std::string& text);

}  // namespace expirer
