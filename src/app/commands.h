// The subcommands that have a file of their own. Each Add function adds its commands to
// `app`. Parsing one of them runs it and sets `*code` to its exit code
// (base/exit_code.h).
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace CLI {
class App;
}  // namespace CLI

namespace expirer {

struct Config;

// Loads a config file, or without one the config that `serve` would use. Prints errors
// and returns the exit code.
using ConfigLoader = std::function<int(const std::string& file, Config* config)>;

// `ls`, `get`, `cancel`, `stats`, `rules` and `dead`: clients of the API of a running
// service. They fail also if there is no such job, or nothing was cancelled.
void AddClientCommands(CLI::App* app, int* code);
// `record`: writes the messages of streams, merged by time, as a trace for `replay`.
// It fails also if there is no such stream, or it is interrupted.
void AddRecordCommand(CLI::App* app, int* code);
// `replay`: runs a trace, or one message, through the rules of a file, without a server
// and in virtual time. It fails also if the trace is bad.
void AddReplayCommand(CLI::App* app, const ConfigLoader& load, int* code);
// `store verify|stats|dump|load`: checks and reads a stopped store, and makes a store
// from a dump. Only load writes. They fail also if the store is not whole, or the dump is
// bad.
void AddStoreCommands(CLI::App* app, const ConfigLoader& load, int* code);

// `doctor`: checks everything that a service needs, and prints a line for each check:
// "ok", "warn" or "FAIL", the name of the check, and its result. It changes nothing,
// except that a round trip sends one job through the running service. Returns the exit
// code: kFailed if a check failed; warnings do not count.
[[nodiscard]] int RunDoctor(const Config& config, int64_t timeout_ms, bool round_trip);

}  // namespace expirer
