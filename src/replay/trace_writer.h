// Writes the lines of traces, so that TraceReader reads back what was written,
// to the byte.
#pragma once

#include <string>

#include "json/writer.h"
#include "replay/trace.h"

namespace expirer {

// OK for an event that a line can tell of; else what of it no line can hold.
[[nodiscard]] absl::Status CheckTraceable(const TraceLine& line);

// Appends the event without a newline. A payload that is a JSON value on one
// line is `json`, other text is `payload`, the rest `payload_base64`; an event
// of kFileStream has no `stream`. REQUIRES: CheckTraceable(line).
void AppendTraceLine(const TraceLine& line, std::string* out);

// Adds `headers` as fires have them, too: an object of names and values. A header that
// is repeated has a list of values, a value that is not UTF-8 is `{"base64":"…"}`.
// `[["a","1"],…]` if an object would lose the order.
void AddTraceHeaders(const Headers& headers, JsonWriter* out);

}  // namespace expirer
