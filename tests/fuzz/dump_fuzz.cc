// Any bytes as a line of a dump. Nothing may crash; what is taken must be what
// the store can hold, and be written and read back the same.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "job/dump_line.h"

namespace expirer {
namespace {

void CheckEntry(const DumpLine& line) {
  std::string written;
  CHECK(AppendDumpEntry(line.kind, line.key, line.value, &written).ok());
  const auto again = ParseDumpLine(written);
  CHECK(again.ok() && again->kind == line.kind);
  CHECK(again->key == line.key && again->value == line.value);
  std::string twice;
  CHECK(AppendDumpEntry(again->kind, again->key, again->value, &twice).ok());
  CHECK(twice == written);
}

void Run(std::string_view text) {
  const auto line = ParseDumpLine(text);
  if (!line.ok()) {
    CHECK(absl::IsInvalidArgument(line.status()) && !Message(line.status()).empty());
    return;
  }
  std::string written;
  switch (line->kind) {
    case DumpLine::Kind::kHead:
      if (line->version > kDumpVersion) return;
      AppendDumpHead(line->format, line->store_id, &written);
      CHECK(ParseDumpLine(written)->store_id == line->store_id);
      return;
    case DumpLine::Kind::kEnd:
      AppendDumpEnd(line->counts, &written);
      CHECK(ParseDumpLine(written)->counts == line->counts);
      return;
    default: CheckEntry(*line);
  }
}

}  // namespace
}  // namespace expirer

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  expirer::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
