// The command line of `expirer`.
#pragma once

namespace expirer {

// Runs the subcommand; returns the exit code: 0 done, 1 failed at run time,
// 2 bad usage or config.
[[nodiscard]] int RunCommandLine(int argc, char** argv);

}  // namespace expirer
