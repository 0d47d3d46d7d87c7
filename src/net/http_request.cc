#include "net/http_request.h"

#include <algorithm>

namespace expirer {
namespace {

constexpr size_t kMethodMax = 16;

bool IsMethod(std::string_view text) {
  return !text.empty() && text.size() <= kMethodMax &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return c >= 'A' && c <= 'Z'; });
}

bool IsVersion(std::string_view text) { return text == "HTTP/1.0" || text == "HTTP/1.1"; }

// Bytes that a request line may hold.
bool IsPlain(std::string_view line) {
  return std::all_of(line.begin(), line.end(),
                     [](char c) { return c >= 0x20 && c <= 0x7E; });
}

// Method, path and version of a whole line; kBad where it is none.
HttpRequest ParseLine(std::string_view line) {
  const HttpRequest bad{HttpParse::kBad, {}, {}};
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == line.npos || first == last) return bad;
  const std::string_view target = line.substr(first + 1, last - first - 1);
  HttpRequest request{HttpParse::kGood, line.substr(0, first),
                      target.substr(0, target.find('?'))};
  const bool good = IsMethod(request.method) && target.starts_with('/') &&
                    target.find(' ') == target.npos && IsVersion(line.substr(last + 1));
  return good ? request : bad;
}

}  // namespace

HttpRequest ParseHttpRequest(std::string_view bytes) {
  const HttpRequest bad{HttpParse::kBad, {}, {}};
  const HttpRequest more{HttpParse::kMore, {}, {}};
  const size_t line_end = bytes.find('\n');
  std::string_view line = bytes.substr(0, line_end);
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (line.size() > kHttpLineMax || !IsPlain(line)) return bad;
  if (line_end == bytes.npos) return more;
  const HttpRequest request = ParseLine(line);
  if (request.parse == HttpParse::kBad) return bad;
  // An empty line ends the headers.
  const std::string_view rest = bytes.substr(line_end);
  const bool ended = rest.find("\n\n") != rest.npos || rest.find("\n\r\n") != rest.npos;
  return ended ? request : more;
}

}  // namespace expirer
