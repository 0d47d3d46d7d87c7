// `expirer store verify|stats|dump|load`: checks and reads a stopped store, and makes a
// store from a dump. Only load writes.
#pragma once

#include "app/replay_command.h"

namespace expirer {

// Adds the commands to `app`; parsing one runs it and sets `*code` to its exit
// code: 0 done, 1 failed at run time (also: a store that is not whole, a bad
// dump), 2 bad usage or config.
void AddStoreCommands(CLI::App* app, const ConfigLoader& load, int* code);

}  // namespace expirer
