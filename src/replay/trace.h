// Traces: what happened to a service, one JSON object a line, sorted by time.
//
//   {"at":"2027-02-01T10:00:00Z","subject":"order:created","json":{"id":"a1"}}
//   {"at":"2027-02-01T10:00:01.5Z","do":"crash"}
//
// An event has `subject` and its payload as one of `json` (the value's bytes as
// they stand), `payload` (text) or `payload_base64`; and perhaps `headers`, each
// value a string, {"base64":"…"} for one that is no UTF-8, or a list of these for
// a header that is repeated; and `stream` with `seq`, where it stood in
// JetStream. Events without these are one stream, in the order of the file. What
// is done is one of crash, redeliver, nats-down, nats-up. `at` is RFC 3339 up to
// nanoseconds. Anything else is an error. replay/trace_writer.h writes events.
//
// `headers` may also be an array of [name,value], for repeated headers that do not
// stand together; or have one header without a name, whose value is the whole
// block as it goes over the wire (job/header_block.h): one that cannot be read.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "job/job.h"

namespace expirer {

struct TraceLine {
  enum class What { kEvent, kCrash, kRedeliver, kNatsDown, kNatsUp };
  What what = What::kEvent;
  int64_t at_ns = 0;
  uint64_t number = 0;  // of the line in its file, from 1
  // Of an event.
  std::string subject;
  Headers headers;
  std::string payload;
  std::string stream;  // as the line has it; else kFileStream
  uint64_t seq = 0;    // >= 1

  // The millisecond it happens in.
  [[nodiscard]] int64_t at_ms() const { return at_ns / 1'000'000; }
};

// The stream of events that name none: no stream of JetStream has a space in
// its name.
inline constexpr std::string_view kFileStream = "of the file";

// OK for the subject of a message as a stream may hold it: tokens that are not empty, no
// white space, and no token that is a wildcard; `a>b` is none.
[[nodiscard]] absl::Status CheckMessageSubject(std::string_view subject);

// One line, into a `*line` that is reused; the number stays as it is, and `seq`
// is 0 for an event of kFileStream. The message of an error is the reason alone.
[[nodiscard]] absl::Status ParseTraceLine(std::string_view text, TraceLine* line);

// Reads a file from its beginning, a line at a time, however long it is.
class TraceReader {
 public:
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<TraceReader>> Open(
      const std::string& path);
  ~TraceReader();
  TraceReader(const TraceReader&) = delete;
  TraceReader& operator=(const TraceReader&) = delete;

  // The next line into `*line`, which is reused; false at the end. Errors are
  // "FILE:line: what was wrong", also for a line that is before another.
  [[nodiscard]] absl::StatusOr<bool> Next(TraceLine* line);

  // Of the file, read so far and as a whole (0 for one without a size).
  [[nodiscard]] uint64_t bytes_read() const { return bytes_read_; }
  [[nodiscard]] uint64_t bytes() const { return bytes_; }

 private:
  TraceReader(std::string path, std::FILE* file, uint64_t bytes)
      : path_(std::move(path)), file_(file), bytes_(bytes) {}
  [[nodiscard]] absl::Status Wrong(const std::string& what) const;

  const std::string path_;
  std::FILE* const file_;
  const uint64_t bytes_;
  uint64_t bytes_read_ = 0;
  uint64_t number_ = 0;
  uint64_t seq_ = 0;  // of kFileStream
  int64_t last_ns_ = 0;
  char* buffer_ = nullptr;  // of getline
  size_t buffer_bytes_ = 0;
};

}  // namespace expirer
