// `expirer ls|get|cancel|stats|dead`: clients of the API of a running service.
#pragma once

namespace CLI {
class App;
}  // namespace CLI

namespace expirer {

// Adds the commands to `app`; parsing one of them runs it and sets `*code` to
// its exit code: 0 done, 1 failed at run time (also: no such job, nothing
// cancelled), 2 bad usage.
void AddClientCommands(CLI::App* app, int* code);

}  // namespace expirer
