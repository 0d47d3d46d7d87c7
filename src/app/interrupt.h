// SIGINT and SIGTERM for commands that clean up before they end.
#pragma once

namespace expirer {

// After this call the signals do not end the process; Interrupted() returns true instead.
void CatchInterrupts();
[[nodiscard]] bool Interrupted();

}  // namespace expirer
