// SIGINT and SIGTERM of commands that leave nothing half-done behind.
#pragma once

namespace expirer {

// From here on the signals end nothing by themselves: Interrupted tells.
void CatchInterrupts();
[[nodiscard]] bool Interrupted();

}  // namespace expirer
