// Any bytes as a line of a trace, and as a message that is recorded. Nothing may
// crash; an event that is read, or that a line can tell of, is written and read
// back the same.
//
// Input of the second: subject, newline, header value, newline, payload.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "replay/trace.h"
#include "replay/trace_writer.h"

namespace expirer {
namespace {

// Those of one name, in their order: what a line keeps.
Headers ByName(Headers headers) {
  std::stable_sort(headers.begin(), headers.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  return headers;
}

void CheckReadBack(const TraceLine& line) {
  std::string text;
  AppendTraceLine(line, &text);
  CHECK(text.find('\n') == std::string::npos);
  TraceLine read;
  CHECK(ParseTraceLine(text, &read).ok());
  CHECK(read.what == TraceLine::What::kEvent && read.at_ns == line.at_ns);
  CHECK(read.subject == line.subject && read.payload == line.payload);
  CHECK(read.stream == line.stream && read.seq == line.seq);
  CHECK(ByName(read.headers) == ByName(line.headers));
  std::string again;
  AppendTraceLine(read, &again);
  CHECK(again == text);
}

void RunLine(std::string_view input) {
  static TraceLine line;  // reused, as the reader does
  if (const absl::Status parsed = ParseTraceLine(input, &line); !parsed.ok()) {
    CHECK(!Message(parsed).empty());
    return;
  }
  if (line.what != TraceLine::What::kEvent) return;
  CHECK(CheckTraceable(line).ok());
  CheckReadBack(line);
}

std::string_view UpToNewline(std::string_view* input) {
  const size_t end = std::min(input->find('\n'), input->size());
  const std::string_view part = input->substr(0, end);
  input->remove_prefix(std::min(end + 1, input->size()));
  return part;
}

void RunMessage(std::string_view input) {
  TraceLine line;
  line.at_ns = 1'801'476'000'123'456'789;
  line.stream = "S";
  line.seq = 1;
  line.subject = UpToNewline(&input);
  const std::string value(UpToNewline(&input));
  line.headers = {{"h", value}, {"i", "1"}, {"h", "2"}};
  line.payload = input;
  if (CheckTraceable(line).ok()) CheckReadBack(line);
}

}  // namespace
}  // namespace expirer

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  expirer::RunLine(input);
  expirer::RunMessage(input);
  return 0;
}
