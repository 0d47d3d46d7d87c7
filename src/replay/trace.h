// Traces: the events of a service, one JSON object per line, sorted by time.
//
//   {"at":"2027-02-01T10:00:00Z","subject":"order:created","json":{"id":"a1"}}
//   {"at":"2027-02-01T10:00:01.5Z","do":"crash"}
//
// An event has `subject` and its payload as one of `json` (the exact bytes of the value),
// `payload` (text) or `payload_base64`. Optionally it has `headers`: each value is a
// string, {"base64":"…"} if it is not UTF-8, or a list of these if the header is
// repeated. Optionally it has `stream` and `seq`, its place in JetStream; events without
// these are one stream, in the order of the file. `do` is one of crash, redeliver,
// nats-down, nats-up. `at` is RFC 3339 up to nanoseconds. Anything else is an error.
// replay/trace_writer.h writes events.
//
// `headers` may also be an array of [name,value], if other headers lie between repeated
// ones. Headers that cannot be read (job/header_block.h) are one header without a name,
// whose value is the whole block as on the wire.
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
  // For an event.
  std::string subject;
  Headers headers;
  std::string payload;
  std::string stream;  // kFileStream if the line names none
  uint64_t seq = 0;    // >= 1

  // The millisecond in which it happens.
  [[nodiscard]] int64_t at_ms() const { return at_ns / 1'000'000; }
};

// The stream of events that name none. JetStream's names of streams have no space, so it
// is unique.
inline constexpr std::string_view kFileStream = "of the file";

// OK for a subject that a stored message may have: no empty token, no white space, and no
// token that is a wildcard (`a>b` is not one).
absl::Status CheckMessageSubject(std::string_view subject);

// Parses one line into `*line`, whose memory is reused. Does not change the number, and
// sets `seq` to 0 for an event of kFileStream. An error's message is only the reason.
absl::Status ParseTraceLine(std::string_view text, TraceLine* line);

// Reads a file from its beginning, one line at a time, so it may be of any size.
class TraceReader {
 public:
  static absl::StatusOr<std::unique_ptr<TraceReader>> Open(const std::string& path);
  ~TraceReader();
  TraceReader(const TraceReader&) = delete;
  TraceReader& operator=(const TraceReader&) = delete;

  // Reads the next line into `*line`, whose memory is reused; false at the end. Errors
  // have the form "FILE:line: what was wrong". A line with an earlier time than the line
  // before is an error.
  absl::StatusOr<bool> Next(TraceLine* line);

  // Bytes read so far, and the size of the file (0 if it has none).
  [[nodiscard]] uint64_t bytes_read() const { return bytes_read_; }
  [[nodiscard]] uint64_t bytes() const { return bytes_; }

 private:
  TraceReader(std::string path, std::FILE* file, uint64_t bytes)
      : path_(std::move(path)), file_(file), bytes_(bytes) {}
  absl::Status Wrong(const std::string& what) const;

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
