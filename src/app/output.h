// Output of commands on stdout and stderr.
#pragma once

#include <string_view>

#include "base/exit_code.h"
#include "base/status.h"

namespace expirer {

// Call it first in main. If stdin, stdout or stderr is closed, opens /dev/null instead,
// so that no file that is opened later gets its number and the printed text. If stdout
// was closed, printed text is lost, and CheckedOutput reports that.
void OpenStandardStreams();

// Print the text unchanged: JSON, or the result of Visible (base/visible.h).
void PrintOut(std::string_view text);  // to stdout; CheckedOutput reports failures
void PrintErr(std::string_view text);  // to stderr; failures are ignored

// Prints one line to stderr. Escapes everything that could move the terminal's cursor or
// break the line.
void Say(std::string_view line);

// Says why a command failed, and returns `code`.
[[nodiscard]] int Fail(const absl::Status& status, int code = kFailed);

// A command's exit code. If `code` is 0 but printed text did not reach stdout, says so on
// stderr and returns 1; otherwise returns `code`.
[[nodiscard]] int CheckedOutput(int code);

}  // namespace expirer
