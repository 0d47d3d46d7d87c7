// Writes the lines of traces, so that TraceReader reads back what was written,
// to the byte.
#pragma once

#include <string>

#include "replay/trace.h"

namespace expirer {

// OK for an event that a line can tell of; else what of it no line can hold.
[[nodiscard]] absl::Status CheckTraceable(const TraceLine& line);

// Appends the event without a newline. A payload that is a JSON value on one
// line is `json`, other text is `payload`, the rest `payload_base64`; an event
// of kFileStream has no `stream`. REQUIRES: CheckTraceable(line).
void AppendTraceLine(const TraceLine& line, std::string* out);

// The parts that fires have, too. `{"name":"value"}`: a header that is repeated
// has a list, a value that is no UTF-8 is `{"base64":"…"}`. `[["a","1"],…]` where
// an object would lose the order.
void AppendTraceHeaders(const Headers& headers, std::string* out);
// `"payload":"…"`, or `"payload_base64":"…"` for what is no UTF-8.
void AppendTracePayload(const std::string& payload, std::string* out);

}  // namespace expirer
