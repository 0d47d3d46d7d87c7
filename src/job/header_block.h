// Reads the header block of a message. Its form on the wire:
//
//   NATS/1.0[ status]\r\n
//   Name: value\r\n          once per header
//   \r\n
//
// A name ends at the first colon and is not changed. Blanks around a value are not
// part of it. A line that begins with a blank continues the value before it, after one
// space. Zero bytes are allowed. A single carriage return or line feed is an error,
// because readers disagree about whether it ends a line.
#pragma once

#include <string_view>

#include "base/status.h"
#include "job/job.h"

namespace expirer {

// Replaces `headers` by those of `block`, in their order. If a line cannot be read,
// the error's message names the first one, and `headers` is UnreadHeaders(block).
absl::Status ReadHeaderBlock(std::string_view block, Headers* headers);

// A substitute for headers that cannot be read, so that the message does not look like
// one without headers: a single header without a name, whose value is the block.
[[nodiscard]] Headers UnreadHeaders(std::string_view block);
// An error with the reason if `headers` (may be null) are UnreadHeaders; otherwise OK.
absl::Status CheckHeadersRead(const Headers* headers);

// The status in the block's first line, such as "503" or "100 Idle Heartbeat"; "" if
// it has none.
[[nodiscard]] std::string_view HeaderBlockStatus(std::string_view block);

}  // namespace expirer
