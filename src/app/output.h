// What commands say on stdout and stderr.
#pragma once

#include <string_view>

namespace expirer {

// Opens /dev/null where stdin, stdout or stderr is closed, so that no file opened
// later takes its place and what is printed. Where stdout was, for reading only: what
// is printed is lost, and CheckedOutput says so. The first thing in main.
void OpenStandardStreams();

// As it is: JSON, or text that went through Visible (base/visible.h).
void PrintOut(std::string_view text);  // to stdout; a failure is CheckedOutput's
void PrintErr(std::string_view text);  // to stderr; a failure is nobody's

// One line to stderr, with everything escaped that could move the terminal's cursor or
// break the line.
void Say(std::string_view line);

// A command's exit code: `code`, but 1, said on stderr, where that was 0 and what was
// printed did not reach stdout.
[[nodiscard]] int CheckedOutput(int code);

}  // namespace expirer
