// The lines of `store dump` and `store load`: a whole store as JSON, one object per
// line, in a fixed order.
//
//   {"expirer_dump":1,"format":3,"store":"<store id>"}
//   {"meta":"lane/order-expiration","value":"\u0001"}
//   {"register":"order-expiration","key":"a1","state":"pending","schedule":
//     {"source":{…},"due_ms":…},"job":{"lane":1,"key_ms":…,"seq":…},"brief":{…}}
//   {"job":{"lane":1,"key_ms":…,"seq":…},"key":"a1","due_ms":…,"target":…,…}
//   {"dead":"order-expiration","rejected":{"stream":1,"epoch":1,"seq":7},…}
//   {"dead":"order-expiration","key":"a2","reason":…,"job":{…},…}
//   {"end":{"meta":9,"registers":2,"jobs":1,"dead":2}}
//
// The first and the last line appear once. Between them come the families `meta`,
// `ids`, `due` and `dead` (job/job.h, store/meta.h), each in the order of its keys.
// Times are ms since 1970, except `time_ns`. Members that are zero, false or empty are
// left out. A text NAME that is not UTF-8 is written as NAME_base64. A value of `meta`
// is written as its stored bytes.
//
// "expirer_dump" is raised when a line changes its meaning, "format" is the
// kFormatVersion of the binary that wrote it (store/meta.h).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace expirer {

inline constexpr uint64_t kDumpVersion = 1;

struct DumpCounts {
  uint64_t meta = 0;
  uint64_t registers = 0;
  uint64_t jobs = 0;
  uint64_t dead = 0;
  bool operator==(const DumpCounts&) const = default;
};

struct DumpLine {
  // In the order in which they appear in a dump.
  enum class Kind { kHead, kMeta, kRegister, kJob, kDead, kEnd };
  Kind kind = Kind::kHead;
  // For an entry: its key and value as stored.
  std::string key;
  std::string value;
  // For the head.
  uint64_t version = 0;
  uint64_t format = 0;
  std::string store_id;
  // For the end: the number of entries in the dump.
  DumpCounts counts;
};

// Each appends one line without its newline. AppendDumpEntry takes the stored bytes;
// if they cannot be read it returns kDataLoss and appends nothing.
void AppendDumpHead(uint64_t format, std::string_view store_id, std::string* out);
absl::Status AppendDumpEntry(DumpLine::Kind kind, std::string_view key,
                             std::string_view value, std::string* out);
void AppendDumpEnd(const DumpCounts& counts, std::string* out);

// Reads one line. An error's message is only the reason. If a head has a higher
// `expirer_dump` than kDumpVersion, only that member is read.
absl::StatusOr<DumpLine> ParseDumpLine(std::string_view text);

}  // namespace expirer
