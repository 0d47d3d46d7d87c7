// `expirer record`: writes the messages of streams, merged by time, as a trace for
// `replay`.
#pragma once

namespace CLI {
class App;
}  // namespace CLI

namespace expirer {

// Adds the command to `app`; parsing it runs it and sets `*code` to its exit
// code: 0 done, 1 failed at run time (including: no such stream, interrupted), 2 bad
// usage.
void AddRecordCommand(CLI::App* app, int* code);

}  // namespace expirer
