// Writes the lines of traces, so that TraceReader reads back exactly what was written.
#pragma once

#include <string>

#include "json/writer.h"
#include "replay/trace.h"

namespace expirer {

// OK if a line can represent the event; otherwise the error names the part that cannot be
// represented.
absl::Status CheckTraceable(const TraceLine& line);

// Appends the event without a newline. A payload becomes `json` if it is a JSON value on
// one line, `payload` if it is other text, and `payload_base64` if it is not UTF-8. An
// event of kFileStream gets no `stream`. REQUIRES: CheckTraceable(line) is OK.
void AppendTraceLine(const TraceLine& line, std::string* out);

// Adds `headers`, also for fires: an object of names and values. A repeated header has a
// list of values; a value that is not UTF-8 becomes `{"base64":"…"}`. If an object would
// lose the order it is `[["a","1"],…]`.
void AddTraceHeaders(const Headers& headers, JsonWriter* out);

}  // namespace expirer
