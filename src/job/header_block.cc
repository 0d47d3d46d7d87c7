#include "job/header_block.h"

#include <string>

#include <fmt/format.h>

#include "job/template.h"

namespace expirer {
namespace {

constexpr std::string_view kVersion = "NATS/1.0";
constexpr std::string_view kLineEnd = "\r\n";

bool IsBlank(char c) { return c == ' ' || c == '\t'; }

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && IsBlank(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsBlank(text.back())) text.remove_suffix(1);
  return text;
}

// Takes the next line from `*rest`; false if the line has no end.
bool TakeLine(std::string_view* rest, std::string_view* line) {
  const size_t end = rest->find(kLineEnd);
  if (end == rest->npos) return false;
  *line = rest->substr(0, end);
  rest->remove_prefix(end + kLineEnd.size());
  return true;
}

// Adds the line's header to `headers` and returns "", or returns what is wrong with it.
std::string_view AddLine(std::string_view line, Headers* headers) {
  if (line.find_first_of(kLineEnd) != line.npos) return "holds half of a line end";
  if (IsBlank(line.front())) {
    if (headers->empty()) return "goes on with a header that is not there";
    headers->back().second += ' ';
    headers->back().second += Trimmed(line);
    return "";
  }
  const size_t colon = line.find(':');
  if (colon == line.npos) return "has no colon";
  if (colon == 0) return "has no name before its colon";
  headers->emplace_back(line.substr(0, colon), Trimmed(line.substr(colon + 1)));
  return "";
}

absl::Status ReadLines(std::string_view block, Headers* headers) {
  headers->clear();
  std::string_view line;
  const bool begun = TakeLine(&block, &line) && line.starts_with(kVersion) &&
                     (line.size() == kVersion.size() || line[kVersion.size()] == ' ');
  if (!begun) return Invalid("they do not begin with the line NATS/1.0");
  for (size_t number = 2; TakeLine(&block, &line); ++number) {
    if (line.empty()) {
      if (block.empty()) return absl::OkStatus();
      return Invalid(fmt::format("there are bytes behind their end, line {}", number));
    }
    const std::string_view wrong = AddLine(line, headers);
    if (!wrong.empty())
      return Invalid(fmt::format("line {}, {}, {}", number, Quote(line), wrong));
  }
  return Invalid("they have no end");
}

}  // namespace

absl::Status ReadHeaderBlock(std::string_view block, Headers* headers) {
  absl::Status status = ReadLines(block, headers);
  if (!status.ok()) *headers = UnreadHeaders(block);
  return status;
}

Headers UnreadHeaders(std::string_view block) { return {{"", std::string(block)}}; }

absl::Status CheckHeadersRead(const Headers* headers) {
  if (headers == nullptr || headers->empty() || !headers->front().first.empty())
    return absl::OkStatus();
  Headers again;
  const absl::Status status = ReadHeaderBlock(headers->front().second, &again);
  return Invalid("the headers cannot be read: " +
                 (status.ok() ? "they were damaged before" : Message(status)));
}

std::string_view HeaderBlockStatus(std::string_view block) {
  std::string_view line;
  if (!TakeLine(&block, &line) || !line.starts_with(kVersion)) return {};
  return Trimmed(line.substr(kVersion.size()));
}

}  // namespace expirer
