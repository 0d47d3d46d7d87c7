// The header block of a message, byte for byte as it goes over the wire:
//
//   NATS/1.0[ status]\r\n
//   Name: value\r\n          as often as there are headers
//   \r\n
//
// A name ends at the first colon and is kept as it stands. Blanks around a value
// are not part of it. A line that begins with a blank goes on with the value
// before, after one space. Zero bytes are bytes like others; a carriage return or
// a line feed by itself is an error, since readers disagree on what it ends.
#pragma once

#include <string_view>

#include "base/status.h"
#include "job/job.h"

namespace expirer {

// Replaces `headers` by those of `block`, in their order. The message of an error
// names the first line that cannot be read; `headers` is then UnreadHeaders(block).
[[nodiscard]] absl::Status ReadHeaderBlock(std::string_view block, Headers* headers);

// What stands for headers that cannot be read, so that nobody takes the message
// for one without: a single header without a name, whose value is the block.
[[nodiscard]] Headers UnreadHeaders(std::string_view block);
// An error that says what was wrong with the block, when `headers` (may be null)
// are such.
[[nodiscard]] absl::Status CheckHeadersRead(const Headers* headers);

// The status in the block's first line, "503" or "100 Idle Heartbeat"; "" when
// there is none.
[[nodiscard]] std::string_view HeaderBlockStatus(std::string_view block);

}  // namespace expirer
