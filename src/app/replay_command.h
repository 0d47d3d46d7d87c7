// `expirer replay`: runs a trace, or one message, through the rules of a file, without a
// server and in virtual time.
#pragma once

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

// Adds the command to `app`; parsing it runs it and sets `*code` to its exit
// code: 0 done, 1 failed at run time (also: a bad trace), 2 bad usage or config.
void AddReplayCommand(CLI::App* app, const ConfigLoader& load, int* code);

}  // namespace expirer
